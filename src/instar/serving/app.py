"""The endpoints as an ASGI application: the one file that knows the server's interface."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from instar.serving.endpoints import Call, Endpoints, Reply, TooLarge, failure
from instar.serving.protocol import write

LIMIT = 64 << 20  # bytes of a body

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class App:
    """Read a request, have it answered, send the answer.

    Answers are computed on the event loop's thread: for the small models that this gateway is
    made for, handing over to a thread costs several times the inference.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            body = await _body(receive)
        except TooLarge as error:
            await _send(send, failure(error))
            return
        if body is None:
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        query = scope["query_string"].decode("latin-1")
        await _send(send, self._answer(Call(scope["method"], scope["path"], query, headers, body)))

    def _answer(self, call: Call) -> Reply:
        try:
            return self._endpoints.answer(call)
        except Exception:
            # The server writes the traceback into the log; the client learns no internals.
            logging.getLogger("instar.serving").exception("an answer failed")
            return Reply(500, write({"error": "the server failed on this request"}))


async def _body(receive: Receive) -> bytes | None:
    """Read the body; None if the client went away."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LIMIT:
            raise TooLarge(LIMIT)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(send: Send, reply: Reply) -> None:
    headers = [
        (b"content-type", reply.kind.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *((name.encode(), value.encode()) for name, value in reply.headers),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
