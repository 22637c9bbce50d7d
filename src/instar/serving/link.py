"""The line between a worker and the office: messages over a socket pair, questions and answers.

A frame is its length in 4 bytes and a message in msgpack: [number, what, value]. Number 0 wants no
answer; a positive one is a question, and its negative the answer. Both ends are processes of the
same gateway; when one is gone, the other one's line is lost at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec

from instar.serving.mistakes import NoOffice

Hear = Callable[[str, Any], Awaitable[Any]]

_LENGTH = 4
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(tuple[int, str, Any]).decode


class Link(asyncio.Protocol):
    """One end of the line.

    Args:
        hear: Answers what the other end asks; its answers to what wants none are dropped.
        lost: Is called when the other end is gone.
    """

    def __init__(self, hear: Hear, lost: Callable[[], None]) -> None:
        self._hear, self._lost = hear, lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, what: str, value: Any = None, patience_s: float = 30.0) -> Any:
        """Ask the other end.

        Raises:
            NoOffice: it is gone, or says nothing for too long.
        """
        if self._transport is None:
            raise NoOffice
        self._number += 1
        number = self._number
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._send(number, what, value)
        try:
            return await asyncio.wait_for(future, patience_s)
        except TimeoutError as error:
            raise NoOffice from error
        finally:
            self._waiting.pop(number, None)

    def tell(self, what: str, value: Any = None) -> None:
        """Tell the other end something that wants no answer."""
        if self._transport is not None:
            self._send(0, what, value)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NoOffice())
        self._lost()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _LENGTH:
            end = at + _LENGTH + int.from_bytes(buffer[at : at + _LENGTH], "little")
            if len(buffer) < end:
                break
            number, what, value = _DECODE(bytes(buffer[at + _LENGTH : end]))
            at = end
            if number < 0:
                future = self._waiting.get(-number)
                if future is not None and not future.done():
                    future.set_result(value)
            else:
                task = asyncio.get_running_loop().create_task(self._answer(number, what, value))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        del buffer[:at]

    async def _answer(self, number: int, what: str, value: Any) -> None:
        try:
            found = await self._hear(what, value)
        except Exception:
            logging.getLogger("instar.serving").exception("no answer to %s", what)
            return
        if number and self._transport is not None:
            self._send(-number, what, found)

    def _send(self, number: int, what: str, value: Any) -> None:
        body = _ENCODE((number, what, value))
        if self._transport is not None:
            self._transport.write(len(body).to_bytes(_LENGTH, "little") + body)
