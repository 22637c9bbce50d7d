from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from instar.serving.encodings import Bomb, BrokenBody, UnknownEncoding, packed, plain

MOST = 8 << 20


@pytest.mark.parametrize("body", [b"", b"x", bytes(range(256)) * 100])
def test_what_is_packed_is_unpacked(body: bytes) -> None:
    for name in ("gzip", "deflate"):
        small, headers = packed(body, name.encode(), ())
        assert ("content-encoding", name) in headers
        assert plain(small, name, MOST) == body
    assert plain(body, "", MOST) == plain(body, "identity", MOST) == body


def test_gzip_of_several_members_is_one_body() -> None:
    assert plain(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", MOST) == b"ab"


def test_members_add_up_to_the_limit() -> None:
    with pytest.raises(Bomb):
        plain(gzip.compress(bytes(1000)) * 20, "gzip", 10_000)


@pytest.mark.parametrize("size", [MOST + 1, 64 << 20])
def test_bomb_is_noticed_before_it_is_large(size: int) -> None:
    body = zlib.compress(bytes(size), 9)
    tracemalloc.start()
    with pytest.raises(Bomb):
        plain(body, "deflate", MOST)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST + (4 << 20)


def test_small_body_may_not_grow_a_thousandfold() -> None:
    body = zlib.compress(bytes(3 << 20), 9)
    assert len(body) * 256 < 3 << 20
    with pytest.raises(Bomb):
        plain(body, "deflate", MOST)


@pytest.mark.parametrize("cut", [1, 5, -1, -4])
def test_damaged_body_is_refused(cut: int) -> None:
    for name, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        with pytest.raises(BrokenBody):
            plain(pack(b"some rows" * 100)[:cut], name, MOST)


def test_encoding_that_nobody_knows_is_refused() -> None:
    for name in ("br", "zstd", "gzip, deflate", "\0"):
        with pytest.raises(UnknownEncoding):
            plain(b"x", name, MOST)


@pytest.mark.parametrize(
    "accepts", [b"", b"br", b"identity", b"gzip;q=0", b"gzip; q=0.0, deflate;q=0"]
)
def test_nobody_is_sent_what_they_do_not_accept(accepts: bytes) -> None:
    assert packed(b"x" * 5000, accepts, ()) == (b"x" * 5000, ())
