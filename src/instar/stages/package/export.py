"""The trained network as an ONNX graph: preprocessed inputs in, `logits` out."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from torch import nn

from instar.core.data import InputSpec
from instar.stages.package.errors import NotExportable

NUMBERS, CATEGORIES, IMAGE, LOGITS = "net_numbers", "net_categories", "net_image", "net_logits"
ROWS = 3  # of the example: 1 would be taken for a fixed size, 2 can hide behind a pair of something


def export(module: nn.Module, inputs: InputSpec, opset: int) -> onnx.ModelProto:
    """Export a network with a dynamic batch, without a trace of where it was exported.

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
    batch = torch.export.Dim("n")
    training = module.training
    try:
        with _quiet():
            program = torch.onnx.export(
                module.eval(),
                tuple(example.values()),
                dynamo=True,
                dynamic_shapes=_shapes(module, tuple({0: batch} for _ in example)),
                input_names=list(example),
                output_names=[LOGITS],
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
        parts[IMAGE] = torch.zeros(ROWS, *inputs.image)
    return parts


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
