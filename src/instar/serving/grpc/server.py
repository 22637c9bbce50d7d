"""The gRPC server of one worker: calls in, answers out; what they mean is the desk's affair.

Inference goes to the desk. Every other call is the same question over HTTP, asked inside the
process: one table of paths, one table of mistakes, and two protocols that cannot disagree.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
import msgspec

from instar.core.errors import InputError, InstarError
from instar.serving.connection import Call, Limits, Reply
from instar.serving.desk import PATIENCE_S, Desk
from instar.serving.endpoints import Endpoints
from instar.serving.grpc import messages, tensors
from instar.serving.lanes import MOST
from instar.serving.mistakes import Ending, UnknownModel, broken, failure, write

_LIMITS = Limits()
_OPTIONS = (
    ("grpc.so_reuseport", 1),  # each worker has a socket of its own at the same address
    ("grpc.max_receive_message_length", _LIMITS.body_bytes),
    ("grpc.max_metadata_size", _LIMITS.head_bytes),
    ("grpc.max_concurrent_streams", _LIMITS.waiting * 16),
    ("grpc.keepalive_time_ms", 60_000),  # a client that is gone without a word
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", int(1000 * _LIMITS.idle_s)),
)
_FAREWELL_S = 0.2  # in which clients are told that this server ends
_MOST_CALLS = 2 * MOST["predict"]  # beside what the lanes allow: these refuse in better words

CODES: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""HTTP statuses to those of gRPC; everything else is INTERNAL."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The same question over HTTP: method, path, body; `key` takes an answer that is a list."""

    method: bytes
    path: Callable[[Any], str]
    body: Callable[[Any], Any] | None = None
    key: str = ""


def _model(ending: str = "") -> Callable[[Any], str]:
    def path(asked: Any) -> str:
        version = f"/versions/{quote(asked.version, safe='')}" if asked.version else ""
        return f"/v2/models/{quote(asked.name, safe='')}{version}{ending}"

    return path


def _reload(asked: Any) -> dict[str, Any]:
    given = {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param")
        for name, value in asked.parameters.items()
    }
    return {"parameters": {name: v for name, v in given.items() if not isinstance(v, bytes)}}


TWINS: Mapping[str, Twin] = {
    "ServerLive": Twin(b"GET", lambda _: "/v2/health/live"),
    "ServerReady": Twin(b"GET", lambda _: "/v2/health/ready"),
    "ModelReady": Twin(b"GET", _model("/ready")),
    "ServerMetadata": Twin(b"GET", lambda _: "/v2"),
    "ModelMetadata": Twin(b"GET", _model()),
    "ModelStatistics": Twin(
        b"GET", lambda asked: _model("/stats")(asked) if asked.name else "/v2/models/stats"
    ),
    "RepositoryIndex": Twin(
        b"POST",
        lambda _: "/v2/repository/index",
        lambda asked: {"ready": asked.ready},
        "models",
    ),
    "RepositoryModelLoad": Twin(
        b"POST",
        lambda asked: f"/v2/repository/models/{quote(asked.model_name, safe='')}/load",
        _reload,
    ),
    "RepositoryModelUnload": Twin(
        b"POST",
        lambda asked: f"/v2/repository/models/{quote(asked.model_name, safe='')}/unload",
        _reload,
    ),
}


class Server:
    """Serve a desk over gRPC.

    Args:
        desk: Answers predictions.
        endpoints: Answers everything else.
    """

    def __init__(self, desk: Desk, endpoints: Endpoints) -> None:
        self._desk, self._endpoints = desk, endpoints
        self._server: Any = None
        self._ending = False

    async def start(self, address: str) -> int:
        """Listen at HOST:PORT; return the port."""
        self._server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_MOST_CALLS)
        # Bytes in, bytes out: what is no message is told in our own words.
        calls = {name: self._twin(name) for name in TWINS} | {"ModelInfer": self._infer}
        handlers = {name: grpc.unary_unary_rpc_method_handler(do) for name, do in calls.items()}
        handler = grpc.method_handlers_generic_handler(messages.SERVICE, handlers)
        self._server.add_generic_rpc_handlers((handler,))
        port: int = self._server.add_insecure_port(address)
        await self._server.start()
        return port

    async def stop(self, patience_s: float) -> None:
        """Take no more calls, and answer those that have begun.

        The library cancels what it has received and not handed on when it is stopped, which looks
        like the client's own doing. So everybody is told first.
        """
        self._ending = True
        await asyncio.sleep(_FAREWELL_S)
        if self._server is not None:
            await self._server.stop(patience_s - _FAREWELL_S)

    # --- inference ----------------------------------------------------------------------------

    async def _infer(self, data: bytes, context: Any) -> bytes:
        remaining = context.time_remaining()
        patience_s = PATIENCE_S if remaining is None else max(0.0, min(PATIENCE_S, remaining))
        answered = _Answer()
        try:
            self._ask(data, context, answered, patience_s)
            reply = await answered.future
        except InstarError as error:
            self._desk.refused += isinstance(error, InputError)
            reply = failure(error)
        except Exception:
            logging.getLogger("instar.serving").exception("an answer failed")
            reply = broken()
        in_haste = patience_s < PATIENCE_S and self._desk.floor is not None and not self._ending
        if reply.status == 503 and in_haste:
            reply = msgspec.structs.replace(reply, status=504)  # it is the client that is in haste
        return await _told(reply, context)

    def _ask(self, data: bytes, context: Any, answered: _Answer, patience_s: float) -> None:
        if self._ending:
            raise Ending
        request = messages.read(tensors.REQUEST, data)
        model = self._desk.model
        if request.model_name != model:
            raise UnknownModel(request.model_name, model)
        pinned = request.model_version
        asked = tensors.asked(request)
        infer = asked.infer
        tensors.check(infer, self._desk.ready().find(pinned).writer.offered)
        unit = dict(context.invocation_metadata() or ()).get("x-unit-id", "")
        self._desk.predict(
            lambda arm: arm.reading(asked),
            lambda arm, scores, at, rows: tensors.answer(infer, model, arm, scores, at, rows),
            answered.take,
            unit=unit or request.id,
            name=request.id,
            pinned=pinned,
            patience_s=patience_s,
            gone=answered.future.cancelled,
        )

    # --- everything else ----------------------------------------------------------------------

    def _twin(self, name: str) -> Callable[[bytes, Any], Any]:
        twin, method = TWINS[name], messages.METHODS[name]
        asks = messages.message(method.input_type.name)
        tells = messages.message(method.output_type.name)

        async def ask(data: bytes, context: Any) -> bytes:
            try:
                asked = messages.read(asks, data)
                self._known(asked)
                reply = await self._http(twin, asked)
                if reply.status == 200 or name == "ServerReady":
                    found = msgspec.json.decode(reply.body)
                    return messages.filled(tells, {twin.key: found} if twin.key else found)
            except InstarError as error:
                reply = failure(error)
            except Exception:
                logging.getLogger("instar.serving").exception("an answer failed")
                reply = broken()
            return await _told(reply, context)

        return ask

    def _known(self, asked: Any) -> None:
        model = getattr(asked, "name", "") or getattr(asked, "model_name", "")
        if model and model != self._desk.model:
            raise UnknownModel(model, self._desk.model)

    async def _http(self, twin: Twin, asked: Any) -> Reply:
        answered = _Answer()
        body = write(twin.body(asked)) if twin.body else b""
        call = Call(twin.method, twin.path(asked).encode(), {}, body)
        self._endpoints.serve(call, answered.take)
        return await answered.future


class _Answer:
    """A reply that comes now or later, and for which nobody may wait any more."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def take(self, reply: Reply) -> None:
        if not self.future.done():
            self.future.set_result(reply)


async def _told(reply: Reply, context: Any) -> bytes:
    """Send an answer, or a mistake under its code; where it may pass, say when to ask again."""
    if reply.status == 200:
        return reply.body
    wait_s = dict(reply.headers).get("retry-after")
    hint = (("grpc-retry-pushback-ms", str(1000 * int(wait_s))),) if wait_s else ()
    code = CODES.get(reply.status, grpc.StatusCode.INTERNAL)
    await context.abort(code, msgspec.json.decode(reply.body)["error"], hint)
    return b""  # abort does not come back
