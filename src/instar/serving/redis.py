"""Answers that several workers share, in Redis: one connection of the worker's own loop.

A cache may be gone, slow, flushed or wrong, and no prediction may depend on it. So: what is asked
in one turn of the loop leaves in one write; an answer that takes over 5 ms, or is none of the
protocol, ends the connection, since whatever comes after it could be anybody's; and until Redis
has answered a new one in time nobody is kept waiting for it. Only the part of RESP2 that GET, SET
and DEL need is spoken here (https://redis.io/docs/latest/develop/reference/protocol-spec/).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import unquote, urlsplit

from instar.core.errors import InputError
from instar.core.secret import veiled

REDIS = "INSTAR_REDIS"  # the variable that tells a gateway its address
PATIENCE_S = 0.005  # that one answer of Redis may take
MOST_BYTES = 1 << 20  # of one value
_MOST_WAITING = 1024  # questions under way
_MOST_UNSENT = 4 << 20  # bytes that Redis has not taken yet
_CONNECT_S = 1.0
_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # between two attempts to come back
_STEADY_S = 1.0  # that a connection must have lasted for the pauses to begin anew
_SAY_S = 60.0  # between two lines of the log

Heard = Callable[[bytes | None], None]


class BadAddress(InputError):
    """Refuse an address that is no Redis."""

    code = "input.bad_redis"

    def __init__(self, url: str) -> None:
        super().__init__(
            "a Redis as redis://[user:password@]host[:port][/number]",
            veiled(url),
            "correct serve.redis",
        )


class Garbled(Exception):
    """Bytes that are no answer, or not to what was asked."""


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where Redis is, and as whom."""

    host: str
    port: int
    number: int
    user: str
    password: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Read an address.

        Raises:
            BadAddress: it is none.
        Example:
            >>> Address.of("redis://:secret@cache:6380/2").number
            2
        """
        try:
            parts = urlsplit(url)
            number = parts.path.strip("/") or "0"
            if parts.scheme != "redis" or not parts.hostname or parts.query or parts.fragment:
                raise BadAddress(url)
            return cls(
                parts.hostname,
                parts.port or 6379,
                int(number),
                unquote(parts.username or ""),
                unquote(parts.password or ""),
            )
        except ValueError as error:
            raise BadAddress(url) from error

    def greeting(self) -> list[bytes]:
        """List the commands that a connection begins with; each is answered by a short word."""
        words = [self.user, self.password] if self.user else [self.password]
        said = [command(b"AUTH", *map(str.encode, words))] if self.password else []
        if self.number:
            said.append(command(b"SELECT", b"%d" % self.number))
        return [*said, command(b"PING")]


def command(*words: bytes) -> bytes:
    r"""Write a command.

    Example:
        >>> command(b"GET", b"a")
        b'*2\r\n$3\r\nGET\r\n$1\r\na\r\n'
    """
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts += (b"$%d\r\n" % len(word), word, b"\r\n")
    return b"".join(parts)


def replies(buffer: bytearray) -> list[bytes | Exception | None]:
    r"""Take the whole answers off the front of a buffer; the rest stays.

    Values come as bytes, what is not there as None, a refusal as an exception.

    Raises:
        Garbled: what stands there is no answer.
    Example:
        >>> left = bytearray(b"$1\r\na\r\n$-1\r\n+OK\r\n$5\r\nab")
        >>> replies(left), left
        ([b'a', None, b'OK'], bytearray(b'$5\r\nab'))
    """
    found: list[bytes | Exception | None] = []
    at = 0
    while (end := buffer.find(b"\r\n", at, at + 512)) >= 0:
        kind, text = bytes(buffer[at : at + 1]), bytes(buffer[at + 1 : end])
        end += 2
        if kind == b"$" and text != b"-1":
            size = _size(text)
            if len(buffer) < end + size + 2:
                break
            if buffer[end + size : end + size + 2] != b"\r\n":
                raise Garbled
            found.append(bytes(buffer[end : end + size]))
            end += size + 2
        elif kind in (b"$", b"+", b":"):
            found.append(None if kind == b"$" else text)
        elif kind == b"-":
            found.append(RuntimeError(text.decode("latin-1")))
        else:
            raise Garbled
        at = end
    else:
        if len(buffer) - at > 512:
            raise Garbled
    del buffer[:at]
    return found


def _size(text: bytes) -> int:
    if not text.isdigit() or len(text) > 8 or int(text) > 2 * MOST_BYTES:
        raise Garbled
    return int(text)


class Line(asyncio.Protocol):
    """One connection. Questions are answered in their order, or it is over.

    Args:
        ended: Is called once, with the reason.
    """

    def __init__(self, ended: Callable[[str], None], patience_s: float) -> None:
        self._ended, self._patience_s = ended, patience_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: deque[Heard] = deque()
        self._asked = self._heard = 0
        self._sent: deque[tuple[int, float]] = deque()  # asked so far, at each write, and when
        self._unsent: list[bytes] = []
        self._clock: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def full(self) -> bool:
        """Tell whether Redis is behind with what it was sent."""
        unsent = self._transport.get_write_buffer_size() if self._transport else 0
        return len(self._waiting) >= _MOST_WAITING or unsent > _MOST_UNSENT

    def ask(self, said: bytes, heard: Heard) -> None:
        """Ask with the others of this turn. `heard` gets None where the connection ends first."""
        if self._over:
            heard(None)
            return
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(said)
        self._waiting.append(heard)
        self._asked += 1

    def end(self, why: str) -> None:
        """Hang up; who still waits hears nothing."""
        if self._over:
            return
        self._over = True
        if self._clock:
            self._clock.cancel()
        if self._transport:
            self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        self._ended(why)
        for heard in waiting:
            _call(heard, None)

    def _send(self) -> None:
        said, self._unsent = self._unsent, []
        if self._transport and not self._over:
            self._transport.write(b"".join(said))
            self._sent.append((self._asked, time.monotonic()))
            if self._clock is None:
                self._clock = self._loop.call_later(self._patience_s, self._look)

    # --- what the loop calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("the connection ended")

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._buffer += data
        try:
            found = replies(self._buffer)
        except Garbled:
            self.end("an answer that is none")
            return
        for reply in found:
            if not self._waiting:  # also where whoever heard the last one hung up
                self.end("an answer that nobody asked for")
                return
            heard = self._waiting.popleft()
            self._heard += 1
            while self._sent and self._sent[0][0] <= self._heard:
                self._sent.popleft()
            _call(heard, None if isinstance(reply, Exception) else reply)

    def _look(self) -> None:
        """See whether the oldest write waits for too long."""
        self._clock = None
        if not self._sent or self._over:
            return
        oldest = self._sent[0]
        left = oldest[1] + self._patience_s - time.monotonic()
        if left > 0:
            self._clock = self._loop.call_later(left, self._look)
            return
        # The answer may lie in the socket while the loop was busy with a model: it is read
        # between this turn and the one after the next.
        self._clock = self._loop.call_later(self._patience_s, self._look)
        self._loop.call_soon(self._loop.call_soon, self._late, oldest)

    def _late(self, oldest: tuple[int, float]) -> None:
        if self._sent and self._sent[0] == oldest:
            self.end(f"no answer within {1000 * self._patience_s:g} ms")


def _call(heard: Heard, reply: bytes | None) -> None:
    try:
        heard(reply)
    except Exception:  # one question's end is no reason to leave the others of a connection
        logging.getLogger("instar.serving").exception("an answer of Redis was not taken")


class Redis:
    """A Redis that may be there: `up` says whether it is worth asking.

    Args:
        url: Where it is: `redis://[user:password@]host[:port][/number]`.
        patience_s: How long an answer may take.
    Raises:
        BadAddress: that is no address.
    """

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        self._address, self._patience_s = Address.of(url), patience_s
        self._line: Line | None = None
        self._work: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[str] | None = None
        self._said = float("-inf")
        self.seen: Counter[str] = Counter()  # why connections ended

    @property
    def up(self) -> bool:
        """Tell whether a question would be answered soon."""
        return self._line is not None and not self._line.full

    def start(self) -> None:
        """Connect, and come back whenever the connection ends."""
        self._work = asyncio.get_running_loop().create_task(self._stay())

    async def stop(self) -> None:
        """Hang up."""
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        if self._line:
            self._line.end("told to end")

    def drop(self, why: str) -> None:
        """End the connection, since what it says is not what was asked; another one follows."""
        if self._line:
            self._line.end(why)

    def ask(self, heard: Heard, *words: bytes) -> None:
        """Ask one command; None is heard where there is no answer."""
        if self._line is None:
            heard(None)
        else:
            self._line.ask(command(*words), heard)

    def tell(self, *words: bytes) -> None:
        """Say one command whose answer is of no interest."""
        if self.up:
            self.ask(_nobody, *words)

    async def _stay(self) -> None:
        failed = 0
        while True:
            began = time.monotonic()
            why = await self._once()
            lasted = time.monotonic() - began > _STEADY_S
            failed = 0 if lasted else failed + 1
            self._say(why)
            await asyncio.sleep(_PAUSES_S[min(failed, len(_PAUSES_S) - 1)])

    async def _once(self) -> str:
        """Connect, be greeted in time, and return why it ended."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()

        def end(why: str) -> None:
            self._line = None
            if not ended.done():
                ended.set_result(why)

        line = Line(end, self._patience_s)
        host, port = self._address.host, self._address.port
        try:
            async with asyncio.timeout(_CONNECT_S):
                await loop.create_connection(lambda: line, host, port)
        except (OSError, TimeoutError):
            return "no connection"
        try:
            if not await _greeted(line, self._address.greeting()):
                line.end("it does not let us in")
                return await ended
            self._line = line
            return await ended
        finally:
            line.end("told to end")

    def _say(self, why: str) -> None:
        self.seen[why] += 1
        now = time.monotonic()
        if now - self._said > _SAY_S:
            self._said = now
            logging.getLogger("instar.serving").warning(
                "redis at %s:%d: %s; predictions go on without it",
                self._address.host,
                self._address.port,
                why,
            )


async def _greeted(line: Line, commands: Sequence[bytes]) -> bool:
    """Say the first commands, all at once; tell whether each was answered as it should be."""
    futures: list[asyncio.Future[bytes | None]] = []
    loop = asyncio.get_running_loop()
    for said in commands:
        future: asyncio.Future[bytes | None] = loop.create_future()
        futures.append(future)
        line.ask(said, future.set_result)
    wanted = [b"OK"] * (len(commands) - 1) + [b"PONG"]
    return await asyncio.gather(*futures) == wanted


def _nobody(reply: bytes | None) -> None:
    """Hear an answer that is of no interest."""
