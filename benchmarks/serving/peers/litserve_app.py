"""LitServe with an API of one's own, as its documentation has it: GRAPH PORT WORKERS."""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Net(litserve.LitAPI):
    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(sys.argv[1], options)

    def decode_request(self, request):  # noqa: ANN001, ANN201  it reads the annotations
        first = request["inputs"][0]
        return np.asarray(first["data"], np.float32).reshape(first["shape"])

    def predict(self, rows: Any) -> Any:
        return self._session.run(["scores"], {"numbers": rows})[0]

    def encode_response(self, scores: Any) -> dict[str, Any]:
        flat, shape = scores.ravel().tolist(), list(scores.shape)
        out = {"name": "scores", "shape": shape, "datatype": "FP32", "data": flat}
        return {"model_name": "m", "outputs": [out]}


if __name__ == "__main__":
    server = litserve.LitServer(
        Net(api_path="/v2/models/m/infer"), accelerator="cpu", workers_per_device=int(sys.argv[3])
    )
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning"
    )
