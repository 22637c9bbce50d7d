"""The bare application that the gateway is held against: parse, infer, answer, nothing else."""

from __future__ import annotations

import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from instar.bundle.runtime import ServedBundle
from instar.ledger.artifacts import DirectoryArtifacts
from instar.testing.bundles import tiny_bundle


class Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float | str | None]


class Infer(msgspec.Struct):
    inputs: list[Tensor]
    id: str | None = None


DECODER, ENCODER = msgspec.json.Decoder(Infer), msgspec.json.Encoder()


def application(bundle: ServedBundle) -> Callable[..., Awaitable[None]]:
    """Make an ASGI application that answers every request as an inference request."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        request = DECODER.decode((await receive())["body"])
        scores = bundle.predict({tensor.name: tensor.data for tensor in request.inputs})
        flat, shape = scores.ravel().tolist(), list(scores.shape)
        output = {"name": "scores", "shape": shape, "datatype": "FP32", "data": flat}
        body = ENCODER.encode({"model_name": "m", "id": request.id, "outputs": [output]})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return answer


def main() -> None:
    """Print the address and serve."""
    artifacts = DirectoryArtifacts(Path(sys.argv[1]) / "artifacts")
    bundle = ServedBundle.open(artifacts, tiny_bundle(artifacts))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        application(bundle),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
