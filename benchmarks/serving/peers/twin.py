"""The servers that the gateway is held against: parse, infer, answer, nothing else.

`bare` is an ASGI application on uvicorn, with msgspec; `fastapi` is FastAPI with pydantic. Both run
the same sealed bundle, in as many processes as the gateway, on one listening socket.
`fastapi+pandas` is what teams write where rows have named columns: FastAPI again, a DataFrame of
the row, missing values filled and categories encoded in pandas, and a bare ONNX Runtime session on
the network behind that.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import uvicorn

from benchmarks.serving import cases
from instar.bundle.columns import NUMBERS
from instar.bundle.runtime import ServedBundle
from instar.ledger.artifacts import DirectoryArtifacts

Application = Callable[..., Awaitable[None]]


class Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[float | str | None] = []


class Infer(msgspec.Struct):
    inputs: list[Tensor]
    id: str | None = None


DECODER, ENCODER = msgspec.json.Decoder(Infer), msgspec.json.Encoder()


def bare(bundle: ServedBundle, kind: str) -> Application:
    """Make an ASGI application that answers every request as an inference request."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        if kind == "image":
            length = int(dict(scope["headers"])[b"inference-header-content-length"])
            request = DECODER.decode(body[:length])
            pixels = np.frombuffer(body, np.uint8, offset=length).reshape(request.inputs[0].shape)
            scores = bundle.predict({"image": pixels})
        else:
            request = DECODER.decode(body)
            if kind == "matrix":
                scores = bundle.predict({NUMBERS: [request.inputs[0].data]})
            else:
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


def fastapi(bundle: ServedBundle, kind: str) -> Application:
    """Make a FastAPI application as its documentation has it."""

    def predict(tensors: Sequence[Any]) -> Any:
        if kind == "matrix":
            return bundle.predict({NUMBERS: [tensors[0].data]})
        return bundle.predict({tensor.name: tensor.data for tensor in tensors})

    return _application(predict)


def pandas(bundle: ServedBundle, kind: str) -> Application:
    """Make a FastAPI application that prepares its rows in pandas.

    Sources:
        `fillna`, `astype` and `to_numpy` as in the user guide of pandas, "Working with missing
        data" and "Categorical data".
    """
    if kind != "columns":
        raise ValueError(kind)
    return _application(in_pandas(bundle))


def in_pandas(bundle: ServedBundle) -> Callable[[Sequence[Any]], Any]:
    """Make what answers tensors by a DataFrame and a session on the network alone."""
    import onnxruntime
    import pandas as pd

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(cases.network(), options)
    fill = {column.name: column.fill for column in bundle.preprocessing.numbers}
    kinds = {
        column.name: pd.CategoricalDtype(column.values)
        for column in bundle.preprocessing.categories
    }

    def predict(tensors: Sequence[Any]) -> Any:
        frame = pd.DataFrame({tensor.name: tensor.data for tensor in tensors})
        numbers = frame[list(fill)].astype("float32").fillna(fill)
        codes = [frame[name].astype(kind).cat.codes for name, kind in kinds.items()]
        fed = {
            "numbers": numbers.to_numpy("float32"),
            "codes": np.column_stack(codes).astype("int64") + 1,  # 0: another one, or none
        }
        return session.run(["scores"], fed)[0]

    return predict


def _application(predict: Callable[[Sequence[Any]], Any]) -> Application:
    from fastapi import FastAPI
    from pydantic import BaseModel

    class In(BaseModel):
        name: str
        shape: list[int]
        datatype: str
        data: list[float | str | None]

    class Asked(BaseModel):
        id: str | None = None
        inputs: list[In]

    class Out(BaseModel):
        name: str
        shape: list[int]
        datatype: str
        data: list[float]

    class Answered(BaseModel):
        model_name: str
        id: str | None = None
        outputs: list[Out]

    app = FastAPI()

    async def infer(request: Asked) -> Answered:
        scores = predict(request.inputs)
        out = Out(
            name="scores",
            shape=list(scores.shape),
            datatype="FP32",
            data=scores.ravel().tolist(),
        )
        return Answered(model_name="m", id=request.id, outputs=[out])

    infer.__annotations__ = {"request": Asked, "return": Answered}
    app.post(cases.PATH)(infer)
    return app


PEERS = {"bare": bare, "fastapi": fastapi, "fastapi+pandas": pandas}


def main() -> None:
    """Print the address and serve: peer, case, root, processes."""
    peer, case, root, processes = sys.argv[1:5]
    artifacts = DirectoryArtifacts(Path(root) / "artifacts")
    bundle = ServedBundle.open(artifacts, cases.bundle(artifacts, case))
    bundle.warm()
    kind = cases.case(case).kind
    application = PEERS[peer](bundle, kind)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    children = []
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    for _ in range(int(processes)):
        if pid := os.fork():
            children.append(pid)
            continue
        config = uvicorn.Config(
            application,
            loop="uvloop",
            http="httptools",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
        )
        uvicorn.Server(config).run(sockets=[listener])
        os._exit(0)
    signal.sigwait([signal.SIGTERM])
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
