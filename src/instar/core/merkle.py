"""The Merkle tree of RFC 6962: one hash for a list, and short proofs about it.

A list is never held whole: a `Frontier` takes leaves one by one and keeps only the roots of the
complete subtrees, at most one a bit of the size. A proof is first named by the stretches of the
list whose roots it is made of, and then filled in one pass over the leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from instar.core.errors import IntegrityError

EMPTY = hashlib.sha256().digest()
Stretch = tuple[int, int]
"""Some leaves in a row: the place of the first, and of the one after the last."""


class BadProof(IntegrityError):
    """Refuse a proof that does not have the form its places ask for."""

    code = "integrity.bad_proof"

    def __init__(self, problem: str) -> None:
        super().__init__("a proof of RFC 6962", problem, "make it anew: instar audit prove ENTRY")


def leaf(data: bytes) -> bytes:
    """Hash a leaf; a byte in front keeps leaves and nodes apart."""
    return hashlib.sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into the one above them."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the complete subtrees of the leaves so far, the largest first.

    Source:
        RFC 6962, section 2.1.
    Example:
        >>> frontier = Frontier()
        >>> for data in (b"a", b"b", b"c"):
        ...     frontier.add(data)
        >>> frontier.root() == node(node(leaf(b"a"), leaf(b"b")), leaf(b"c"))
        True
        >>> Frontier(frontier.size, frontier.peaks).root() == frontier.root()
        True
    """

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self.size = size
        self.peaks = list(peaks)
        if len(self.peaks) != size.bit_count():
            raise BadProof(f"{len(self.peaks)} subtrees of {size} leaves")

    def add(self, data: bytes) -> None:
        """Put one more leaf at the end."""
        sha256, peaks, size = hashlib.sha256, self.peaks, self.size
        here = sha256(b"\x00" + data).digest()  # `leaf` and `node`, a million times
        while size & 1:
            here = sha256(b"\x01" + peaks.pop() + here).digest()
            size >>= 1
        peaks.append(here)
        self.size += 1

    def root(self) -> bytes:
        """Compute the hash that stands for all leaves so far, 32 bytes."""
        if not self.peaks:
            return EMPTY
        here = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            here = node(peak, here)
        return here


def _split(size: int) -> int:
    """Give the largest power of two below a size of at least 2."""
    return 1 << (size - 1).bit_length() - 1


def inclusion(place: int, size: int) -> list[Stretch]:
    """Name the stretches whose roots prove that a leaf is in the list, from the leaf up.

    Args:
        place: Place of the leaf, from 0.
        size: Number of leaves, at least 1.
    Raises:
        BadProof: there is no such leaf.
    Source:
        RFC 6962, section 2.1.1.
    Example:
        >>> inclusion(2, 5)
        [(3, 4), (0, 2), (4, 5)]
    """
    if not 0 <= place < size:
        raise BadProof(f"leaf {place} of {size}")
    low, high = 0, size
    found: list[Stretch] = []
    while high - low > 1:
        middle = low + _split(high - low)
        if place < middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    return found[::-1]


def consistency(old: int, new: int) -> list[Stretch]:
    """Name the stretches whose roots prove that a list only grew.

    Args:
        old: Number of leaves then, at least 1.
        new: Number of leaves now, at least `old`.
    Raises:
        BadProof: the sizes do not allow a proof.
    Source:
        RFC 6962, section 2.1.2.
    Example:
        >>> consistency(3, 7)
        [(2, 3), (3, 4), (0, 2), (4, 7)]
    """
    if not 0 < old <= new:
        raise BadProof(f"{old} leaves that grew to {new}")
    low, high = 0, new
    found: list[Stretch] = []
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    if low:
        found.append((low, high))
    return found[::-1]


def roots(stretches: Sequence[Stretch], leaves: Iterable[bytes]) -> list[bytes]:
    """Compute the root of each stretch in one pass over the leaves; stretches do not overlap.

    Raises:
        BadProof: there are too few leaves.
    """
    made = {stretch: Frontier() for stretch in stretches}
    order = sorted(made, reverse=True)
    for place, data in enumerate(leaves):
        while order and order[-1][1] <= place:
            order.pop()
        if not order:
            break
        if order[-1][0] <= place:
            made[order[-1]].add(data)
    for (low, high), frontier in made.items():
        if frontier.size != high - low:
            raise BadProof(f"{low + frontier.size} leaves of {high}")
    return [made[stretch].root() for stretch in stretches]


def included(data: bytes, place: int, size: int, path: Sequence[bytes]) -> bytes:
    """Compute the root that a proof of inclusion leads to; whose root it is, the caller knows.

    Raises:
        BadProof: the path is too long or too short for its place.
    Source:
        RFC 9162, section 2.1.3.2.
    """
    if not 0 <= place < size:
        raise BadProof(f"leaf {place} of {size}")
    here, last = leaf(data), size - 1
    for step in path:
        if last == 0:
            raise BadProof("a path that is too long")
        if place & 1 or place == last:
            here = node(step, here)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            here = node(here, step)
        place, last = place >> 1, last >> 1
    if last:
        raise BadProof("a path that is too short")
    return here


def grown(old: int, new: int, before: bytes, path: Sequence[bytes]) -> bytes:
    """Compute the root of a list that only grew, from the root it had before.

    Args:
        old: Number of leaves then, at least 1.
        new: Number of leaves now, at least `old`.
        before: The root then.
        path: The proof, as `consistency` and `roots` make it.
    Raises:
        BadProof: the path does not lead from the root before.
    Source:
        RFC 9162, section 2.1.4.2.
    """
    if not 0 < old <= new:
        raise BadProof(f"{old} leaves that grew to {new}")
    if old == new:
        if path:
            raise BadProof("a path that is too long")
        return before
    steps = list(path) if old & (old - 1) else [before, *path]
    if not steps:
        raise BadProof("a path that is too short")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    then = now = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise BadProof("a path that is too long")
        if place & 1 or place == last:
            then, now = node(step, then), node(step, now)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            now = node(now, step)
        place, last = place >> 1, last >> 1
    if last:
        raise BadProof("a path that is too short")
    if then != before:
        raise BadProof("a path from another list")
    return now
