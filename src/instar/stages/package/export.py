"""The trained network as an ONNX graph: preprocessed inputs in, `logits` out."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from instar.core.data import InputSpec
from instar.stages.package.errors import NotExportable

NUMBERS, CATEGORIES, IMAGE, LOGITS = "net_numbers", "net_categories", "net_image", "net_logits"
ONE_IMAGE, ONE_FOUND = "one_image", "one_found"  # within a loop over images
ROWS = 3  # of the example: 1 would be taken for a fixed size, 2 can hide behind a pair of something


def export(module: nn.Module, inputs: InputSpec, opset: int) -> onnx.ModelProto:
    """Export a network with a dynamic batch, without a trace of where it was exported.

    A detector lists what it finds image by image, which no graph of many images can say: it is
    exported for one, and the graph goes through them in a loop.

    Args:
        module: The network, trained.
        inputs: What it is called with.
        opset: ONNX operator set.
    Returns:
        A graph from those of `net_numbers`, `net_categories`, `net_image` that exist, shapes
        (n, ...), to `net_logits`, float32 (n, outputs).
    Raises:
        NotExportable: the network uses what ONNX cannot say, or fixes the number of rows.
    """
    example = _example(inputs)
    rows = {} if inputs.objects else {0: torch.export.Dim("n")}
    training = module.training
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                tuple(example.values()),
                dynamo=True,
                dynamic_shapes=_shapes(module, tuple(rows for _ in example)),
                input_names=list(example),
                output_names=[ONE_FOUND if inputs.objects else LOGITS],
                opset_version=opset,
                verbose=False,
            )
    except Exception as error:  # the exporter runs the user's code: anything may come out of it
        raise NotExportable(_reason(error)) from error
    finally:
        module.train(training)
    if program is None:
        raise NotExportable("an empty export")
    model = _plain(program.model_proto)
    if inputs.objects:
        return _looped(model, inputs)
    for value in (*model.graph.input, *model.graph.output):
        # The exporter may take a forward that fixes its rows at their word instead of failing.
        if value.type.tensor_type.shape.dim[0].HasField("dim_value"):
            raise NotExportable("one that fixes the number of rows")
    return model


def _shapes(module: nn.Module, each: tuple[dict[int, Any], ...]) -> tuple[Any, ...]:
    """Nest the shapes as the forward takes its parts: one by one, or all as `*parts`."""
    takes = inspect.signature(module.forward).parameters.values()
    together = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in takes)
    return (each,) if together else each


def _example(inputs: InputSpec) -> dict[str, torch.Tensor]:
    parts: dict[str, torch.Tensor] = {}
    if inputs.numbers:
        parts[NUMBERS] = torch.zeros(ROWS, inputs.numbers)
    if inputs.categories:
        parts[CATEGORIES] = torch.zeros(ROWS, len(inputs.categories), dtype=torch.int64)
    if inputs.image:
        one = bool(inputs.objects)
        parts[ONE_IMAGE if one else IMAGE] = torch.zeros(1 if one else ROWS, *inputs.image)
    return parts


def _looped(model: onnx.ModelProto, inputs: InputSpec) -> onnx.ModelProto:
    """Put a graph for one image into a loop over images; its weights stay outside, once.

    Source:
        ONNX's operator Scan.
    """
    shape, answer = [*(inputs.image or ())], [*inputs.answer]
    body = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["one_pixels", "one_axis"], [ONE_IMAGE]),
            *model.graph.node,
            helper.make_node("Squeeze", [ONE_FOUND, "one_axis"], ["one_row"]),
        ],
        "image",
        [helper.make_tensor_value_info("one_pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("one_row", TensorProto.FLOAT, answer)],
    )
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    graph = whole.graph
    for name in ("node", "input", "output"):
        graph.ClearField(name)
    graph.node.append(helper.make_node("Scan", [IMAGE], [LOGITS], body=body, num_scan_inputs=1))
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "one_axis"))
    for values, name, each in ((graph.input, IMAGE, shape), (graph.output, LOGITS, answer)):
        values.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *each]))
    return whole


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter prints, logs and warns of: it is about its own parts."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _reason(error: BaseException) -> str:
    """Find the first line of the error below the exporter's own wrapping."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line.strip()[:200]}"


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Strip names of files, classes and tools: the same network gives the same bytes."""
    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    graph = plain.graph
    graph.name = "network"
    for part in (plain, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for field in ("producer_name", "producer_version", "model_version"):
        plain.ClearField(field)
    graph.ClearField("value_info")
    return plain
