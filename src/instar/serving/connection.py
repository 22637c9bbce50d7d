"""One connection: bytes in, calls out, replies back in their order. HTTP/1.1, parsed by llhttp.

A server made for this: no framework stands between the socket and the answer. What a client may
cost is bounded here: sizes, times, sockets, requests that wait behind one another.
"""

from __future__ import annotations

import asyncio
import http
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools
import msgspec

from instar.serving import encodings

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost: bytes, seconds, numbers.

    `head_s` runs from the first byte of a request, `body_idle_s` from the last one, `body_s` from
    the end of the head; `idle_s` between two requests; `write_s` while a client does not read.
    """

    target_bytes: int = 8 << 10
    head_bytes: int = 32 << 10
    headers: int = 100
    body_bytes: int = 64 << 20
    head_s: float = 10.0
    body_idle_s: float = 10.0
    body_s: float = 60.0
    idle_s: float = 75.0
    write_s: float = 30.0
    linger_s: float = 2.0
    connections: int = 4096
    per_peer: int = 1024
    waiting: int = 16


def never() -> bool:
    """Say of a client whose leaving nobody would see that it is there."""
    return False


class Call(msgspec.Struct, frozen=True, gc=False):
    """One request. `target` is path and query as sent; header names are in lower case.

    `gone` tells whether the client has closed its side since: mostly it waits no more.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    gone: Callable[[], bool] = never


class Reply(msgspec.Struct, frozen=True, gc=False):
    """One answer."""

    status: int
    body: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


Done = Callable[[Reply], None]
Serve = Callable[[Call, Done], None]

_PHRASES = {status.value: status.phrase for status in http.HTTPStatus}
_OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_SWEEP_S = 0.25
_IDLE, _HEAD, _BODY, _LINGER = range(4)  # what is being read


class Connections:
    """All connections of a process: how many there may be, how long, and their end.

    Args:
        serve: Takes a call and a function for its reply, which may be given at once or later.
        refuse: Puts a mistake in HTTP itself into words: a status and a text.
    """

    def __init__(
        self, serve: Serve, refuse: Callable[[int, str, str], Reply], limits: Limits | None = None
    ) -> None:
        self.serve, self.refuse, self.limits = serve, refuse, limits or Limits()
        self.open: set[Connection] = set()
        self.draining = False
        self._peers: Counter[str] = Counter()

    def __call__(self) -> Connection:
        """Make the protocol of one more connection."""
        return Connection(self)

    def enter(self, connection: Connection, peer: str) -> bool:
        """Count a connection in; False where there are too many."""
        if len(self.open) >= self.limits.connections:
            return False
        if self._peers[peer] >= self.limits.per_peer:
            return False
        self._peers[peer] += 1
        self.open.add(connection)
        return True

    def leave(self, connection: Connection, peer: str) -> None:
        """Count a connection out."""
        self.open.discard(connection)
        self._peers[peer] -= 1
        if self._peers[peer] <= 0:
            del self._peers[peer]

    async def sweep(self) -> None:
        """End, for as long as it is awaited, the connections that take too long."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = time.monotonic()
            for connection in tuple(self.open):
                connection.look(now)

    async def drain(self, patience_s: float) -> None:
        """Answer what was begun, begin nothing more, and close."""
        self.draining = True
        until = time.monotonic() + patience_s
        for connection in tuple(self.open):
            connection.drain()
        while self.open and time.monotonic() < until:  # noqa: ASYNC110 - the end is nobody's event
            await asyncio.sleep(0.01)
        for connection in tuple(self.open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client. Requests that come before the last one was answered wait, and then are read."""

    __slots__ = (
        "_all",
        "_body",
        "_busy",
        "_call",
        "_ended",
        "_fault",
        "_got",
        "_headers",
        "_heard",
        "_keep",
        "_old",
        "_parser",
        "_paused",
        "_peer",
        "_since",
        "_size",
        "_state",
        "_stuck",
        "_target",
        "_transport",
        "_waiting",
    )

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Call, bool, bool]] = deque()
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._fault: tuple[int, str, str] | None = None
        self._busy = self._paused = self._old = self._ended = False
        self._keep = True
        self._state, self._since, self._heard, self._stuck = _IDLE, 0.0, 0.0, 0.0
        self._peer = ""
        self._target, self._headers, self._body = b"", dict[bytes, bytes](), list[bytes]()
        self._got = self._size = 0

    # --- what the loop calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._since = self._heard = time.monotonic()
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._all.enter(self, self._peer):
            self._peer = "\0"  # it was not counted in
            self._send(self._all.refuse(503, "fewer connections", "too many"), keep=False)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._waiting.clear()
        if self._peer != "\0":
            self._all.leave(self, self._peer)

    def data_received(self, data: bytes) -> None:
        self._heard = time.monotonic()
        if self._state == _LINGER:
            return
        self._got += len(data)  # since the beginning of this request
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            fault = self._fault or (400, "a request in HTTP/1.1", "something else")
            self._refuse(*fault)
            return
        if self._state == _HEAD and self._got > self._all.limits.head_bytes:
            self._refuse(431, "fewer or shorter headers", "more")

    def eof_received(self) -> bool:
        """Keep the writing side open for an answer that is under way."""
        self._keep, self._ended = False, True
        return self._busy

    def pause_writing(self) -> None:
        self._stuck = time.monotonic()

    def resume_writing(self) -> None:
        self._stuck = 0.0

    # --- what the parser calls ----------------------------------------------------------------

    def on_url(self, url: bytes) -> None:
        if self._state == _IDLE:
            self._state, self._since = _HEAD, self._heard
        self._target += url
        if len(self._target) > self._all.limits.target_bytes:
            self._stop(414, "a shorter path", "a longer one")

    def on_header(self, name: bytes, value: bytes) -> None:
        headers, name = self._headers, name.lower()
        if name in headers:
            value = headers[name] + b", " + value
        headers[name] = value

    def on_headers_complete(self) -> None:
        limits, headers = self._all.limits, self._headers
        self._state, self._since = _BODY, self._heard
        if len(headers) > limits.headers or (
            self._got > limits.head_bytes
            and sum(map(len, headers)) + sum(map(len, headers.values())) > limits.head_bytes
        ):
            self._stop(431, "fewer or shorter headers", "more")
        if b"upgrade" in headers:  # another protocol is offered, and not taken up
            self._keep = False
        length = headers.get(b"content-length")
        if length is not None and (len(length) > 18 or int(length) > limits.body_bytes):
            self._stop(413, f"a body of at most {limits.body_bytes >> 20} MiB", "a larger one")
        if b"expect" in headers:
            if headers[b"expect"].lower() != b"100-continue":
                self._stop(417, "no expectation but 100-continue", "another one")
            if self._transport and not self._busy:
                self._transport.write(_GO_ON)

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._all.limits.body_bytes:
            most = self._all.limits.body_bytes >> 20
            self._stop(413, f"a body of at most {most} MiB", "a larger one")
        self._body.append(body)

    def on_message_complete(self) -> None:
        parser, body = self._parser, self._body
        whole = body[0] if len(body) == 1 else b"".join(body)
        call = Call(parser.get_method(), self._target, self._headers, whole, self.gone)
        self._target, self._headers, self._body = b"", {}, []
        self._got, self._size, self._state = 0, 0, _IDLE
        keep, old = parser.should_keep_alive(), parser.get_http_version() == "1.0"
        if self._busy:
            self._waiting.append((call, keep, old))
            if len(self._waiting) >= self._all.limits.waiting and self._transport:
                self._transport.pause_reading()
                self._paused = True
        else:
            self._begin(call, keep=keep, old=old)

    def _stop(self, status: int, wanted: str, got: str) -> None:
        """End the parsing; the parser hands on an error of its own."""
        self._fault = (status, wanted, got)
        raise ValueError(wanted)

    # --- answering ----------------------------------------------------------------------------

    def _begin(self, call: Call, *, keep: bool, old: bool) -> None:
        self._busy, self._call = True, call
        self._keep, self._old = keep and self._keep, old
        self._all.serve(call, self.reply)

    def reply(self, reply: Reply) -> None:
        """Send the answer to the call that is under way, and go on to the next."""
        call, self._call, self._busy = self._call, None, False
        if self._transport is None or self._state == _LINGER:
            return
        keep = self._keep and not self._all.draining
        self._send(reply, keep=keep, call=call)
        if not keep:
            self._transport.close()
            return
        self._since = time.monotonic()
        if self._waiting:
            nearest, keep, old = self._waiting.popleft()
            if self._paused and not self._waiting:
                self._paused = False
                self._transport.resume_reading()
            self._begin(nearest, keep=keep, old=old)

    def _send(self, reply: Reply, *, keep: bool, call: Call | None = None) -> None:
        if self._transport is None:
            return
        body, headers = reply.body, reply.headers
        if (
            len(body) >= encodings.WORTH
            and call
            and (asked := call.headers.get(b"accept-encoding"))
        ):
            body, headers = encodings.packed(body, asked, headers)
        if reply.status == 200 and keep and not headers and reply.kind == JSON and not self._old:
            head = _OK % len(body)
        else:
            head = _head(reply.status, reply.kind, len(body), headers, keep=keep)
        alone = call is not None and call.method == b"HEAD"
        self._transport.write(head if alone else head + body)

    def _refuse(self, status: int, wanted: str, got: str) -> None:
        """Answer what is no request, or may not be one, and hear no more of this client."""
        if not self._busy:
            self._send(self._all.refuse(status, wanted, got), keep=False)
            self._linger()
        else:  # the one before it still gets its answer; this one gets none
            self._keep = False
            self._waiting.clear()
            if self._transport:
                self._transport.pause_reading()

    def _linger(self) -> None:
        """Take in what still comes, so that closing does not cost the client our last words."""
        self._state, self._since = _LINGER, time.monotonic()
        if self._transport and self._transport.can_write_eof():
            self._transport.write_eof()

    # --- the end ------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """End what takes too long."""
        limits, state, since = self._all.limits, self._state, now - self._since
        if self._stuck and now - self._stuck > limits.write_s:
            self.abort()
        elif self._busy:
            return
        elif state == _IDLE and since > limits.idle_s:
            self.close()
        elif state == _HEAD and since > limits.head_s:
            self._refuse(408, f"the head of a request within {limits.head_s:g} s", "a part of it")
        elif state == _BODY and (since > limits.body_s or now - self._heard > limits.body_idle_s):
            self._refuse(408, f"a body within {limits.body_s:g} s", "a part of it")
        elif state == _LINGER and since > limits.linger_s:
            self.abort()

    def gone(self) -> bool:
        """Tell whether the client has left, or at least closed its side."""
        return self._ended or self._transport is None

    def drain(self) -> None:
        """Close at once where nothing was begun; else after the answer."""
        if self._state == _IDLE and not self._busy:
            self.close()

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()


def _head(
    status: int, kind: str, length: int, headers: tuple[tuple[str, str], ...], *, keep: bool
) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}",
        f"content-type: {kind}",
        f"content-length: {length}",
        *(f"{name}: {value}" for name, value in headers),
        "connection: keep-alive" if keep else "connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
