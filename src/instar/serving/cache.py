"""Answers that a worker keeps, so that the same question to the same bundle is not computed twice.

Off unless asked for: it pays where a row costs more than some 15 microseconds, and where questions
come back. A key is a digest of the bundle's own digest and of every value as the graph takes it, so
that no other version's answer and no other question's is ever found.
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from instar.bundle.columns import Piece

_MOST_ROWS = 32  # of a question that is kept
_DIGEST = 20  # bytes


class Cache:
    """Keep the last answers, the least recently used go first.

    Args:
        size: How many; 0 keeps none.
    Example:
        >>> cache = Cache(2)
        >>> key = cache.key("sha256:0", Piece(1, [1.0, None], ["red"], None))
        >>> cache.put(key, np.ones((1, 2), np.float32))
        >>> cache.get(key)
        array([[1., 1.]], dtype=float32)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen: Counter[str] = Counter()  # hits and misses
        self._kept: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def key(self, manifest: str, piece: Piece) -> bytes:
        """Name a question; empty where its answer is not kept."""
        if not self.size or piece.rows > _MOST_ROWS:
            return b""
        numbers = piece.numbers
        try:
            if not isinstance(numbers, bytes):
                with np.errstate(over="ignore"):
                    numbers = np.asarray(numbers, np.float32).tobytes()
        except (TypeError, ValueError):  # the long way says what is wrong with it
            return b""
        strings = _lengths(np.asarray(piece.strings, object).ravel().tolist())
        image = b"" if piece.image is None else np.ascontiguousarray(piece.image).tobytes()
        parts = (manifest.encode(), b"%d" % piece.rows, numbers, strings, image)
        digest = hashlib.blake2b(digest_size=_DIGEST)
        for part in parts:  # each behind its length: no two questions are the same bytes
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        return digest.digest()

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        """Find an answer, shape (rows, scores)."""
        found = self._kept.get(key)
        self.seen["miss" if found is None else "hit"] += 1
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: bytes, scores: NDArray[np.float32]) -> None:
        """Keep an answer."""
        self._kept[key] = scores.copy()  # a part of a run would keep all of it
        self._kept.move_to_end(key)
        if len(self._kept) > self.size:
            self._kept.popitem(last=False)


def _lengths(texts: Sequence[str]) -> bytes:
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(len(text).to_bytes(4, "little") + text for text in raw)
