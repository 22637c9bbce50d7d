"""One graph out of three: preprocessing, network, and the head that makes scores."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from instar.core.data import Preprocessing, Task, TaskKind
from instar.stages.package.export import LOGITS
from instar.stages.package.preprocess import ML_OPSET, Part, preprocess
from instar.tasks import form_of


def assemble(network: onnx.ModelProto, how: Preprocessing, task: Task) -> bytes:
    """Put preprocessing in front of a network and the scores behind it.

    Args:
        network: From the network's inputs to `net_logits`, in FP32 or quantised.
        how: The preprocessing.
        task: Decides what the scores are: [1 - p, p], a softmax, the value, or boxes.
    Returns:
        A serialised ONNX model from raw columns to `scores`, float32 (n, k).
    """
    front, back = preprocess(how), _scores(task)
    size = (how.image.height, how.image.width) if task.dense and how.image else ()
    _, *shape = form_of(task).shape(task, np.zeros((1, *size)))
    whole = onnx.ModelProto()
    whole.CopyFrom(network)
    graph = whole.graph
    nodes = [*front.nodes, *graph.node, *back.nodes]
    constants = [*front.constants, *graph.initializer, *back.constants]
    for name in ("node", "initializer", "input", "output", "value_info"):
        graph.ClearField(name)
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    graph.input.extend(front.inputs)
    graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", *shape]))
    if how.categories and not any(o.domain == "ai.onnx.ml" for o in whole.opset_import):
        whole.opset_import.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
    return bytes(whole.SerializeToString(deterministic=True))


def _scores(task: Task) -> Part:
    """Write what `instar.tasks` does to logits as nodes."""
    part = Part("answer")
    match task.kind:
        case TaskKind.REGRESSION | TaskKind.DETECTION:
            part.node("Identity", LOGITS, out="scores")
        case TaskKind.MULTICLASS | TaskKind.SEGMENTATION:
            part.node("Softmax", LOGITS, axis=1, out="scores")
        case TaskKind.MULTILABEL:
            part.node("Sigmoid", LOGITS, out="scores")
        case TaskKind.BINARY:
            chance = part.node("Sigmoid", LOGITS)
            rest = part.node("Sub", part.constant(1.0, np.float32), chance)
            part.node("Concat", rest, chance, axis=1, out="scores")
    return part
