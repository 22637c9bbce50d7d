"""The connection to Redis: one write a turn, and no answer ever reaches another question."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from instar.serving import redis as module
from instar.serving.redis import Address, BadAddress, Garbled, Line, Redis, command, replies
from tests.servers.valkey import Server, running

PATIENCE_S = 0.5  # on a machine that others use; the default is for one that serves


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as found:
        yield found


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def connected(url: str, patience_s: float = PATIENCE_S) -> AsyncIterator[Redis]:
    redis = Redis(url, patience_s)
    redis.start()
    try:
        await until(lambda: redis.up)
        yield redis
    finally:
        await redis.stop()


async def ask(redis: Redis, *words: bytes) -> bytes | None:
    future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    redis.ask(future.set_result, *words)
    return await future


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache:6379",
        "rediss://cache",
        "http://cache",
        "redis://",
        "redis://cache:x",
        "redis://cache:99999",
        "redis://cache/a",
        "redis://cache?db=1",
        "redis://:secret@cache/0/1",
    ],
)
def test_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadAddress) as refused:
        Redis(url)
    assert "secret" not in str(refused.value)


def test_address_names_user_password_and_number() -> None:
    found = Address.of("redis://ann:p%40ss@cache:6380/2")
    assert found.greeting() == [
        command(b"AUTH", b"ann", b"p@ss"),
        command(b"SELECT", b"2"),
        command(b"PING"),
    ]
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"$999999999\r\n",
        b"$1\r\nabc",
        b"+" * 600,
    ],
    ids=["a page", "no length", "below nothing", "huge", "no end", "no line"],
)
def test_bytes_that_are_no_answer_are_refused(said: bytes) -> None:
    with pytest.raises(Garbled):
        replies(bytearray(said))


def test_answers_are_read_however_they_are_cut() -> None:
    whole = b"+OK\r\n$3\r\na\r\n\r\n$0\r\n\r\n:12\r\n-ERR no\r\n$-1\r\n"
    for cut in range(len(whole)):
        buffer = bytearray(whole[:cut])
        found = replies(buffer)
        buffer += whole[cut:]
        found += replies(buffer)
        assert [str(f) if isinstance(f, Exception) else f for f in found] == [
            b"OK",
            b"a\r\n",
            b"",
            b"12",
            "ERR no",
            None,
        ]
        assert not buffer


def test_real_server_keeps_values_and_refuses_what_is_none(server: Server) -> None:
    async def act() -> None:
        async with connected(server.url) as redis:
            assert await ask(redis, b"SET", b"k", b"\r\n$5\r\n\0") == b"OK"
            assert await ask(redis, b"GET", b"k") == b"\r\n$5\r\n\0"
            assert await ask(redis, b"GET", b"nothing") is None
            assert await ask(redis, b"NONSENSE") is None  # an error is no answer, and no end
            assert await ask(redis, b"GETRANGE", b"k", b"0", b"1") == b"\r\n"
            asked = [ask(redis, b"ECHO", b"%d" % n) for n in range(500)]
            assert await asyncio.gather(*asked) == [b"%d" % n for n in range(500)]

    asyncio.run(act())


def test_password_and_number_are_told() -> None:
    with running("p@ss") as server:

        async def act() -> None:
            place = server.url.replace("redis://", "redis://:p%40ss@").replace("/0", "/3")
            async with connected(place) as redis:
                await ask(redis, b"SET", b"k", b"v")
            for wrong in (server.url, server.url.replace("redis://", "redis://:other@")):
                redis = Redis(wrong, PATIENCE_S)
                redis.start()
                await until(lambda redis=redis: redis.seen["it does not let us in"])
                assert not redis.up
                await redis.stop()

        asyncio.run(act())
        assert server.client.execute_command("SELECT", 3)
        assert server.client.get("k") == b"v"


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def pretended(talk: Talk) -> AsyncIterator[str]:
    """A server that answers PING as it should, and everything else as it likes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(command(b"PING")))
        writer.write(b"+PONG\r\n")
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_what_is_asked_in_one_turn_leaves_in_one_write() -> None:
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1 << 16))
        writer.write(b"$1\r\na\r\n" * 10)
        await reader.read()

    async def act() -> None:
        async with pretended(talk) as url, connected(url) as redis:
            assert (
                await asyncio.gather(*(ask(redis, b"GET", b"k") for _ in range(10))) == [b"a"] * 10
            )

    asyncio.run(act())
    assert seen[0] == command(b"GET", b"k") * 10


def scripted(first: bytes) -> Talk:
    """Say `first` to the first question, then stay silent."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(first)
        await reader.read()

    return talk


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "no answer within"),
        (b"$5\r\nab", "no answer within"),
        (b"$1\r\na\r\n", "no answer within"),  # one is lost
        (b"<html>", "no answer within"),
        (b"<html>\r\n", "an answer that is none"),
        (b"*1\r\n$1\r\na\r\n", "an answer that is none"),
        (b"$1\r\na\r\n" * 3, "an answer that nobody asked for"),
    ],
    ids=["silence", "half", "one lost", "a page", "a line of a page", "a list", "one too many"],
)
def test_connection_that_is_out_of_step_is_given_up(said: bytes, why: str) -> None:
    async def act() -> None:
        async with pretended(scripted(said)) as url, connected(url, 0.2) as redis:
            async with asyncio.timeout(10):
                found = await asyncio.gather(ask(redis, b"GET", b"1"), ask(redis, b"GET", b"2"))
            answered = said.count(b"$1\r\na\r\n") if said.startswith(b"$1") else 0
            assert found == ([b"a"] * answered + [None, None])[:2]
            await until(lambda: any(reason.startswith(why) for reason in redis.seen))

    asyncio.run(act())


def test_answer_that_waits_in_the_socket_while_the_loop_was_busy_is_not_late() -> None:
    class Transport(asyncio.Transport):
        def write(self, data: Any) -> None:
            pass

        def abort(self) -> None:
            pass

    async def act() -> None:
        ended: list[str] = []
        heard: list[bytes | None] = []
        line = Line(ended.append, patience_s=1e-6)
        line.connection_made(Transport())
        for late in (False, True):
            line.ask(command(b"PING"), heard.append)
            await asyncio.sleep(0)
            line._look()  # the loop comes back after a long while, and looks at its timers first
            await asyncio.sleep(0)
            if not late:
                line.data_received(b"+PONG\r\n")  # then it reads
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert heard == [b"PONG", None]
        assert len(ended) == 1

    asyncio.run(act())


def test_callback_that_fails_leaves_the_others_their_answers(server: Server) -> None:
    def fail(_: bytes | None) -> None:
        raise RuntimeError

    async def act() -> None:
        async with connected(server.url) as redis:
            first = ask(redis, b"ECHO", b"1")
            task = asyncio.ensure_future(first)
            await asyncio.sleep(0)
            redis.ask(fail, b"ECHO", b"2")
            assert await ask(redis, b"ECHO", b"3") == b"3"
            assert await task == b"1"

    asyncio.run(act())


def test_server_that_is_gone_is_said_once_a_minute_and_found_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_PAUSES_S", (0.02,))
    with running() as server, caplog.at_level(logging.WARNING):

        async def act() -> None:
            async with connected(server.url) as redis:
                server.kill()
                await until(lambda: redis.seen["no connection"] >= 3)
                assert not redis.up
                assert await ask(redis, b"GET", b"k") is None
                redis.tell(b"SET", b"k", b"v")
                server.start()
                await until(lambda: redis.up)
                assert await ask(redis, b"ECHO", b"a") == b"a"

        asyncio.run(act())
    said = [record.getMessage() for record in caplog.records if "redis" in record.getMessage()]
    assert len(said) == 1
    assert said[0].endswith("predictions go on without it")
