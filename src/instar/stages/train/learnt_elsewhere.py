"""Read pretrained weights from a file that the user names: safetensors, or an ONNX graph's."""

from __future__ import annotations

import numpy as np
import torch
from onnx import numpy_helper

from instar.foreign import graphs
from instar.models import weights
from instar.models.weights import State

GRAPH = ".onnx"


def read(data: bytes, name: str) -> State:
    """Read the tensors of a file by their names; nothing of it is run.

    Args:
        name: Of the file, which tells a graph by its suffix.
    Raises:
        PickleRefused, NotSafetensors: it is no safetensors file.
        RefusedGraph: it is no sound ONNX file, or its weights lie in another one.
    """
    if not name.endswith(GRAPH):
        return weights.read(data)
    model = graphs.parse(data)
    graphs.check(model)
    arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    return {
        name: torch.from_numpy(np.array(array))
        for name, array in sorted(arrays.items())
        if array.dtype.kind in "fiu" and name
    }
