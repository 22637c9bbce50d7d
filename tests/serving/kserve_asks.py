"""Ask a gateway by KServe's own clients, over REST and gRPC; it needs an environment of its own.

python kserve_asks.py URL HOST:PORT: prints what it saw as JSON. KServe's SDK wants older versions
of libraries than Instar runs with: see test_kserve.py.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig


def request(*, binary: bool) -> InferRequest:
    import numpy as np

    x = InferInput("x", [2], "FP64")
    x.set_data_from_numpy(np.array([1.0, -1.0]), binary_data=binary)
    colour = InferInput("colour", [2], "BYTES")
    colour.set_data_from_numpy(np.array(["red", "grün"], object), binary_data=binary)
    return InferRequest(model_name="m", infer_inputs=[x, colour], request_id="seven")


def seen(answer: Any) -> dict[str, Any]:
    outputs = {output.name: output for output in answer.outputs}
    labels = [
        text.decode() if isinstance(text, bytes) else text
        for text in outputs["label"].as_numpy().tolist()
    ]
    return {
        "id": answer.id,
        "version": answer.model_version,
        "scores": outputs["scores"].as_numpy().tolist(),
        "labels": labels,
    }


async def main(url: str, place: str) -> dict[str, Any]:
    rest = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    answers = {}
    for binary in (False, True):
        answers[f"REST {binary}"] = seen(
            await rest.infer(url, request(binary=binary), model_name="m")
        )
    told = {
        "live": await rest.is_server_live(url),
        "ready": await rest.is_server_ready(url),
        "model ready": await rest.is_model_ready(url, "m"),
    }
    grpc = InferenceGRPCClient(place, retries=0)
    for binary in (False, True):
        answers[f"gRPC {binary}"] = seen(await grpc.infer(request(binary=binary)))
    told |= {
        "gRPC live": await grpc.is_server_live(),
        "gRPC ready": await grpc.is_server_ready(),
        "gRPC model ready": await grpc.is_model_ready("m"),
    }
    await grpc.close()
    return {"answers": answers, "told": told}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
