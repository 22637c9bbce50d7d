"""Ask a gateway by Triton's own client; run as a process of its own, for it brings gevent.

python triton_asks.py URL: prints what it saw as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"


def inputs(*, binary: bool, rows: int = 2) -> list[triton.InferInput]:
    x = triton.InferInput("x", [rows], "FP64")
    x.set_data_from_numpy(np.linspace(1.0, -1.0, rows), binary_data=binary)
    colour = triton.InferInput("colour", [rows], "BYTES")
    texts = np.array(["red", "grün"] * (rows // 2), object)
    colour.set_data_from_numpy(texts, binary_data=binary)
    return [x, colour]


def outputs(*, binary: bool) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary) for name in ("scores", "label")]


def seen(result: triton.InferResult) -> dict[str, Any]:
    labels = [
        text.decode() if isinstance(text, bytes) else text for text in result.as_numpy("label")
    ]
    return {
        "scores": result.as_numpy("scores").tolist(),
        "labels": labels,
        "id": result.get_response().get("id"),
        "version": result.get_response()["model_version"],
    }


def main() -> None:
    client = triton.InferenceServerClient(sys.argv[1].removeprefix("http://"))
    answers = {}
    for binary_in in (True, False):
        for binary_out in (True, False, None):
            for request, response in ((None, None), ("gzip", "gzip"), ("deflate", "deflate")):
                result = client.infer(
                    "m",
                    inputs(binary=binary_in),
                    outputs=None if binary_out is None else outputs(binary=binary_out),
                    request_id="seven",
                    request_compression_algorithm=request,
                    response_compression_algorithm=response,
                    headers={"x-unit-id": "one"},
                    timeout=5_000_000,
                    parameters={"origin": "a test"},
                )
                answers[f"{binary_in} {binary_out} {request}"] = seen(result)
    large = client.infer("m", inputs(binary=True, rows=600), response_compression_algorithm="gzip")
    client.load_model("m")
    mistakes = {}
    for name, ask in {
        "model": lambda: client.infer("other", inputs(binary=True)),
        "version": lambda: client.infer("m", inputs(binary=True), model_version="9"),
        "unload": lambda: client.unload_model("m"),
        "output": lambda: client.infer(
            "m", inputs(binary=True), outputs=[triton.InferRequestedOutput("nothing")]
        ),
    }.items():
        try:
            ask()
        except InferenceServerException as error:
            mistakes[name] = [error.status(), error.message()]
    told = {
        "answers": answers,
        "large": len(seen(large)["labels"]),
        "pinned": seen(client.infer("m", inputs(binary=True), model_version=NEW))["version"],
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": [client.is_model_ready("m"), client.is_model_ready("other")],
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("m"),
        "config": client.get_model_config("m"),
        "index": client.get_model_repository_index(),
        "statistics": client.get_inference_statistics("m"),
        "mistakes": mistakes,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
