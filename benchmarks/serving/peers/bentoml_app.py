"""BentoML with a service of one's own, as its documentation has it: GRAPH PORT WORKERS."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=int(os.environ.get("WORKERS", "2")))
class Net:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)

    @bentoml.api(route="/infer")
    def infer(self, rows: list[list[float]]) -> list[list[float]]:
        numbers = np.asarray(rows, np.float32)
        return self._session.run(["scores"], {"numbers": numbers})[0].tolist()


if __name__ == "__main__":
    os.environ["WORKERS"] = sys.argv[3]
    where = ["--host", "127.0.0.1", "--port", sys.argv[2]]
    name = f"{Path(__file__).stem}:Net"
    command = [sys.executable, "-m", "bentoml", "serve", name, *where]
    os.chdir(Path(__file__).parent)
    os.execv(sys.executable, command)
