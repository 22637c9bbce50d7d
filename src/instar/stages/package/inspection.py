"""Look at an ONNX file from outside before anything runs it."""

from __future__ import annotations

import onnx

from instar.bundle.errors import FixedBatch, UnreadableGraph
from instar.bundle.session import start
from instar.foreign import graphs


def inspect(data: bytes) -> onnx.ModelProto:
    """Refuse an ONNX file that cannot become a bundle.

    Args:
        data: The file's bytes.
    Returns:
        The model, whose inputs all have a free first dimension.
    Raises:
        UnreadableGraph: the bytes are no ONNX model, or the runtime does not load it.
        ExternalData: weights lie in another file.
        FixedBatch: an input takes a fixed number of rows.
        RefusedGraph: it asks for too much, or for operators of nobody's standard.
    """
    model = graphs.parse(data)
    if not model.graph.input:
        raise UnreadableGraph("a model without inputs")
    graphs.check(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in constants:
            _refuse_fixed(value)
    start(data, optimise=False)  # folding constants would run nodes, and nobody asked for it
    return model


def _refuse_fixed(value: onnx.ValueInfoProto) -> None:
    dims = value.type.tensor_type.shape.dim
    shape = tuple(
        dim.dim_param or (dim.dim_value if dim.HasField("dim_value") else None) for dim in dims
    )
    if not dims or dims[0].HasField("dim_value"):
        raise FixedBatch(value.name, shape)
