"""MLServer with a runtime of one's own, as its documentation has it: GRAPH PORT WORKERS.

All in one process: its parallel workers, the default, answer a third of the requests.
"""

from __future__ import annotations

import asyncio
import os
import sys

import numpy as np
import onnxruntime
from mlserver import MLModel, MLServer
from mlserver.settings import ModelSettings, Settings
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Net(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        first = payload.inputs[0]
        rows = np.asarray(first.data, np.float32).reshape(first.shape)
        (scores,) = self._session.run(["scores"], {"numbers": rows})
        out = ResponseOutput(
            name="scores", shape=list(scores.shape), datatype="FP32", data=scores.ravel().tolist()
        )
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[out])


async def main() -> None:
    settings = Settings(
        host="127.0.0.1",
        http_port=int(sys.argv[2]),
        grpc_port=int(sys.argv[2]) + 1,
        parallel_workers=0,
        metrics_endpoint=None,
        debug=False,
    )
    await MLServer(settings).start([ModelSettings(name="m", implementation=Net)])


if __name__ == "__main__":
    asyncio.run(main())
