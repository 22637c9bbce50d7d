"""A network in INT8: weights and activations, calibrated on training rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from instar.stages.package.errors import NotQuantisable

BATCH = 32  # rows a calibration step: bounds the memory for activations


def quantise(
    network: onnx.ModelProto, inputs: tuple[NDArray[Any], ...], scratch: Path
) -> onnx.ModelProto:
    """Quantise a network statically: QDQ nodes, one scale per output channel of the weights.

    Args:
        network: From preprocessed inputs to logits, FP32.
        inputs: Its call arguments for the calibration rows, each (n, ...), n >= 1.
        scratch: Folder for the file that the quantiser writes.
    Returns:
        The quantised graph, with the same inputs and outputs.
    Raises:
        NotQuantisable: the quantiser failed on it.
    Source:
        Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference"; ONNX Runtime's quantiser does it.
    """
    target = scratch / "quantised.onnx"
    copy = onnx.ModelProto()  # the quantiser moves the weights out of the model it is given
    copy.CopyFrom(network)
    names = [value.name for value in network.graph.input]
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises a preprocessing step that export already did
    try:
        quantize_static(
            copy,
            target,
            _Rows(names, inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        model = onnx.load_model(target)
    except Exception as error:  # the quantiser has no error class of its own
        raise NotQuantisable(type(error).__name__) from error
    finally:
        logging.disable(before)
        target.unlink(missing_ok=True)
    for field in ("producer_name", "producer_version", "metadata_props"):
        model.ClearField(field)
    return model


class _Rows(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
    """Hand the quantiser its calibration rows, a batch at a time."""

    def __init__(self, names: list[str], inputs: tuple[NDArray[Any], ...]) -> None:
        self._batches = self._cut(names, inputs)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._batches, None)

    @staticmethod
    def _cut(names: list[str], inputs: tuple[NDArray[Any], ...]) -> Iterator[dict[str, Any]]:
        for start in range(0, len(inputs[0]), BATCH):
            parts = (np.ascontiguousarray(part[start : start + BATCH]) for part in inputs)
            yield dict(zip(names, parts, strict=True))
