"""One ONNX Runtime session, set up so that a single row is answered at once."""

from __future__ import annotations

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from instar.bundle.errors import FixedBatch, UnreadableGraph

Failures: tuple[type[Exception], ...] = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


def start(graph: bytes, threads: int = 1, *, optimise: bool = True) -> ort.InferenceSession:
    """Open a graph: sequential, no spinning threads, quiet; `optimise` runs its constant parts.

    Raises:
        UnreadableGraph: it cannot be loaded, or keeps weights in another file.
        FixedBatch: it takes a fixed number of rows.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Failures as error:
        raise UnreadableGraph from error
    for put in session.get_inputs():
        if not put.shape or isinstance(put.shape[0], int):
            raise FixedBatch(put.name, tuple(put.shape))
    return session
