"""HTTP as bytes on a socket, and what a client may cost."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from instar.serving.connection import Call, Connections, Done, Limits, Reply
from instar.serving.mistakes import refusal

SHORT = Limits(
    head_s=0.3, body_idle_s=0.3, body_s=0.8, idle_s=0.5, write_s=0.5, linger_s=0.3, body_bytes=1000
)


class Site:
    """A server that answers with what it was asked, at once or when told to."""

    def __init__(self, limits: Limits) -> None:
        self.calls: list[Call] = []
        self.held: list[Done] = []
        self.hold = False
        self.all = Connections(self.serve, refusal, limits)
        self.port = 0

    def serve(self, call: Call, done: Done) -> None:
        self.calls.append(call)
        if self.hold:
            self.held.append(done)
        else:
            done(Reply(200, call.method + b" " + call.target + b" " + call.body))

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, sent: bytes, *, close: bool = False) -> bytes:
        """Send bytes, and return all that comes until the server closes."""
        reader, writer = await self.open()
        writer.write(sent)
        if close:
            writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


def on(act: Callable[[Site], Awaitable[Any]], limits: Limits = SHORT) -> Any:
    """Run a scene against a server of its own."""

    async def scene() -> Any:
        site = Site(limits)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(site.all, "127.0.0.1", 0)
        site.port = server.sockets[0].getsockname()[1]
        sweep = loop.create_task(site.all.sweep())
        try:
            return await act(site)
        finally:
            sweep.cancel()
            server.close()
            await site.all.drain(0.1)

    return asyncio.run(scene())


def status(answer: bytes) -> int:
    return int(answer.split()[1])


GET = b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n"
LAST = b"GET /z HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"


def test_requests_behind_one_another_are_answered_in_order() -> None:
    answer = on(lambda site: site.say(GET * 50 + LAST))
    assert answer.count(b"HTTP/1.1 200") == 51
    assert answer.count(b"GET /a") == 50
    assert answer.endswith(b"GET /z ")
    assert answer.count(b"connection: close") == 1


def test_later_requests_wait_for_the_answer_of_the_first() -> None:
    async def act(site: Site) -> None:
        site.hold = True
        reader, writer = await site.open()
        writer.write(GET * 3 + LAST)
        await asyncio.sleep(0.1)
        assert len(site.calls) == 1
        for number in range(4):
            site.held.pop()(Reply(200, b"%d" % number))
            await asyncio.sleep(0.01)
        answer = await reader.read()
        assert [part[:1] for part in answer.split(b"\r\n\r\n")[1:]] == [b"0", b"1", b"2", b"3"]
        writer.close()

    on(act)


def test_request_in_single_bytes_is_read() -> None:
    async def act(site: Site) -> bytes:
        reader, writer = await site.open()
        for byte in b"POST /p HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.001)
        answer = await reader.readuntil(b"abc")
        writer.close()
        return answer

    assert status(on(act)) == 200


def test_old_client_is_told_when_the_connection_stays() -> None:
    old = b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
    answer = on(lambda site: site.say(old + b"GET / HTTP/1.0\r\n\r\n"))
    assert answer.count(b"200 OK") == 2
    assert answer.count(b"connection: keep-alive") == answer.count(b"connection: close") == 1


def test_head_has_a_length_and_no_body() -> None:
    answer = on(lambda site: site.say(LAST.replace(b"GET", b"HEAD")))
    assert answer.endswith(b"\r\n\r\n")
    assert b"content-length: 8" in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/3.7\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_request_is_400(sent: bytes) -> None:
    answer = on(lambda site: site.say(sent))
    assert status(answer) == 400
    assert b'{"error":"wanted ' in answer
    assert b"content-type: application/json" in answer


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 40_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"x%d: 1\r\n" % n for n in range(101)) + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\ncontent-length: 1001\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n", 413),
        (
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
            + (b"ff\r\n" + b"a" * 255 + b"\r\n") * 4,
            413,
        ),
        (b"GET / HTTP/1.1\r\nexpect: the unexpected\r\n\r\n", 417),
    ],
)
def test_size_over_a_limit_has_its_status(sent: bytes, expected: int) -> None:
    answer = on(lambda site: site.say(sent))
    assert status(answer) in (expected, 400 if expected == 413 and b"9" * 20 in sent else expected)


def test_answer_to_an_endless_body_arrives_before_the_end() -> None:
    async def act(site: Site) -> bytes:
        reader, writer = await site.open()
        writer.write(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9999999\r\n\r\n")
        for _ in range(50):
            writer.write(b"a" * 10_000)
            await asyncio.sleep(0.001)
        answer = await reader.read()
        writer.close()
        return answer

    assert status(on(act)) == 413


@pytest.mark.parametrize(
    "begun",
    [
        b"GET / HT",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_request_that_never_ends_is_408(begun: bytes) -> None:
    assert status(on(lambda site: site.say(begun))) == 408


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"", b"G"),
        (b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 900\r\n\r\n", b"a"),
    ],
)
def test_drop_by_drop_does_not_prolong_a_request(head: bytes, drop: bytes) -> None:
    async def act(site: Site) -> bytes:
        reader, writer = await site.open()
        writer.write(head)
        answer = b""
        for place in range(60):
            part = (
                drop
                if head
                else b"GET / HTTP/1.1\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[
                    place : place + 1
                ]
            )
            writer.write(part)
            try:
                answer = await asyncio.wait_for(reader.read(100), 0.1)
                break
            except TimeoutError:
                continue
        writer.close()
        return answer

    assert status(on(act)) == 408


def test_connection_without_requests_is_closed() -> None:
    assert on(lambda site: site.say(b"")) == b""
    answer = on(lambda site: site.say(GET))
    assert answer.count(b"200 OK") == 1


def test_slow_answer_is_not_cut_off_by_the_clock_of_requests() -> None:
    async def act(site: Site) -> bytes:
        site.hold = True
        reader, writer = await site.open()
        writer.write(LAST)
        await asyncio.sleep(1.5)
        site.held.pop()(Reply(200, b"late"))
        found = await reader.read()
        writer.close()
        return found

    assert on(act).endswith(b"late")


def test_client_that_does_not_read_is_let_go() -> None:
    async def act(site: Site) -> None:
        site.hold = True
        _, writer = await site.open()
        writer.write(GET)
        await asyncio.sleep(0.1)
        site.held.pop()(Reply(200, bytes(64 << 20)))
        assert len(site.all.open) == 1
        for _ in range(60):
            await asyncio.sleep(0.05)
            if not site.all.open:
                break
        assert not site.all.open
        writer.close()

    on(act)


def test_body_is_asked_for_where_the_client_waits_to_be() -> None:
    async def act(site: Site) -> bytes:
        reader, writer = await site.open()
        writer.write(
            b"POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n"
        )
        first = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x")
        second = await reader.readuntil(b" x")
        writer.close()
        return first + second

    answer = on(act)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


def test_offer_of_another_protocol_is_not_taken_up() -> None:
    sent = b"GET /u HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    answer = on(lambda site: site.say(sent))
    assert status(answer) == 200
    assert b"connection: close" in answer


def test_peer_has_only_so_many_connections() -> None:
    async def act(site: Site) -> tuple[bytes, bytes]:
        lines = [await site.open() for _ in range(3)]
        await asyncio.sleep(0.1)
        refused = await site.say(b"")
        lines[0][1].close()
        await asyncio.sleep(0.1)
        answered = await site.say(LAST)
        for _, writer in lines:
            writer.close()
        return refused, answered

    refused, answered = on(act, replace(SHORT, per_peer=3, idle_s=5.0))
    assert (status(refused), status(answered)) == (503, 200)


def test_drain_answers_what_was_begun_and_closes_what_was_not() -> None:
    async def act(site: Site) -> None:
        site.hold = True
        idle, other = await site.open()
        reader, writer = await site.open()
        writer.write(GET)
        await asyncio.sleep(0.1)
        drain = asyncio.create_task(site.all.drain(5.0))
        assert await asyncio.wait_for(idle.read(), 2) == b""
        site.held.pop()(Reply(200, b"done"))
        answer = await asyncio.wait_for(reader.read(), 2)
        assert answer.endswith(b"done")
        assert b"connection: close" in answer
        await asyncio.wait_for(drain, 2)
        for one in (writer, other):
            one.close()

    on(act, Limits())


def test_client_that_hung_up_gets_nothing_and_harms_nobody() -> None:
    async def act(site: Site) -> bytes:
        site.hold = True
        _, writer = await site.open()
        writer.write(GET)
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        site.held.pop()(Reply(200, b"nobody"))
        site.hold = False
        return await site.say(LAST)

    assert status(on(act)) == 200


def test_client_that_closed_its_side_still_gets_its_answer() -> None:
    assert status(on(lambda site: site.say(GET, close=True))) == 200


def test_large_answer_is_packed_for_who_takes_it() -> None:
    async def act(site: Site) -> bytes:
        site.hold = True
        reader, writer = await site.open()
        writer.write(
            b"GET / HTTP/1.1\r\nhost: h\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n"
        )
        await asyncio.sleep(0.1)
        site.held.pop()(Reply(200, b"a" * 5000))
        answer = await reader.read()
        writer.close()
        return answer

    head, _, body = on(act).partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head
    assert gzip.decompress(body) == b"a" * 5000
