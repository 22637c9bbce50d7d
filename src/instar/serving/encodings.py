"""Bodies that travel compressed: gzip and deflate, both ways, and never larger than allowed."""

from __future__ import annotations

import zlib

from instar.core.errors import InputError

WORTH = 1024  # bytes of an answer from which on compression is worth its time
_LEVEL = 1
_FREE = 1 << 20  # bytes that any body may grow to
_RATIO = 256  # times its size that a body may grow to beyond that; zlib's most is 1,032
# How much is unpacked at a time: a bomb is noticed after this much.
_STEP = 1 << 20
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}

Headers = tuple[tuple[str, str], ...]


class UnknownEncoding(InputError):
    """Refuse a body in an encoding that is not understood."""

    code = "request.encoding"

    def __init__(self, encoding: str) -> None:
        super().__init__(
            "gzip, deflate or identity", repr(encoding[:40]), "send it in one of these"
        )


class BrokenBody(InputError):
    """Refuse a compressed body that is damaged."""

    code = "request.broken_body"

    def __init__(self, encoding: str) -> None:
        super().__init__(f"a body in {encoding}", "other or damaged bytes", "compress it again")


class Bomb(InputError):
    """Refuse a body that unpacks to more than is allowed."""

    code = "request.bomb"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"a body that unpacks to at most {most >> 10:,} KiB", "a larger one", "send fewer rows"
        )


def plain(body: bytes, encoding: str, most: int) -> bytes:
    """Unpack a body.

    Args:
        encoding: The header `Content-Encoding`; empty: none.
        most: Bytes that it may unpack to.
    Raises:
        UnknownEncoding: it is neither gzip nor deflate.
        BrokenBody: it is something else than the header says.
        Bomb: it would be larger than `most`, or than 1 MiB and 256 times what was sent.
    Example:
        >>> plain(zlib.compress(b"rows"), "deflate", 100)
        b'rows'
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOWS:
        raise UnknownEncoding(encoding)
    most = min(most, max(_FREE, _RATIO * len(body)))
    parts: list[bytes] = []
    size, rest = 0, body
    while rest or not parts:  # a gzip file may have several members
        unpack = zlib.decompressobj(_WINDOWS[name])
        while not unpack.eof:
            try:
                part = unpack.decompress(rest, _STEP)
            except zlib.error as error:
                raise BrokenBody(name) from error
            size += len(part)
            if size > most:
                raise Bomb(most)
            if not part and not unpack.unconsumed_tail and not unpack.eof:
                raise BrokenBody(name)
            parts.append(part)
            rest = unpack.unconsumed_tail
        rest = unpack.unused_data
        if name == "deflate" and rest:
            raise BrokenBody(name)
    return b"".join(parts)


def packed(body: bytes, accepts: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """Compress an answer as the client asks for it; as it is where it asks for nothing known."""
    offered = [part.split(b";") for part in accepts.lower().replace(b" ", b"").split(b",")]
    wanted = {part[0] for part in offered if b"q=0" not in part[1:] and b"q=0.0" not in part[1:]}
    for name in ("gzip", "deflate"):
        if name.encode() in wanted:
            pack = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOWS[name])
            small = pack.compress(body) + pack.flush()
            return small, (*headers, ("content-encoding", name), ("vary", "accept-encoding"))
    return body, headers
