"""The tree against its definition, and against the vectors of Certificate Transparency."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from instar.core import merkle
from instar.core.merkle import BadProof, Frontier

# Inputs, roots and proofs of the reference implementation of Certificate Transparency.
CT = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
CT_INCLUSION = {
    (0, 1): (),
    (0, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (5, 8): (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 3): ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",),
}
CT_CONSISTENCY = {
    (1, 1): (),
    (1, 8): (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ),
    (6, 8): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
}
LEAVES = [bytes([number]) * 32 for number in range(33)]


def tree(leaves: list[bytes]) -> bytes:
    """Compute MTH as RFC 6962 writes it down."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + tree(leaves[:k]) + tree(leaves[k:])).digest()


def frontier(leaves: list[bytes]) -> Frontier:
    made = Frontier()
    for data in leaves:
        made.add(data)
    return made


@pytest.mark.parametrize("size", range(9))
def test_root_is_that_of_certificate_transparency(size: int) -> None:
    known = ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", *CT_ROOTS)
    assert frontier(CT[:size]).root().hex() == known[size]


@pytest.mark.parametrize("size", range(len(LEAVES) + 1))
def test_root_is_that_of_the_definition(size: int) -> None:
    assert frontier(LEAVES[:size]).root() == tree(LEAVES[:size])


def test_frontier_goes_on_from_what_was_kept() -> None:
    for size in range(len(LEAVES)):
        kept = frontier(LEAVES[:size])
        on = Frontier(kept.size, kept.peaks)
        on.add(LEAVES[size])
        assert on.root() == tree(LEAVES[: size + 1])


@pytest.mark.parametrize(("size", "peaks"), [(0, 1), (1, 0), (2, 2), (3, 1)])
def test_frontier_that_cannot_be_is_refused(size: int, peaks: int) -> None:
    with pytest.raises(BadProof):
        Frontier(size, [b"x" * 32] * peaks)


@pytest.mark.parametrize(("where", "path"), CT_INCLUSION.items())
def test_inclusion_is_that_of_certificate_transparency(
    where: tuple[int, int], path: tuple[str, ...]
) -> None:
    place, size = where
    assert [h.hex() for h in merkle.roots(merkle.inclusion(place, size), CT)] == list(path)


@pytest.mark.parametrize(("sizes", "path"), CT_CONSISTENCY.items())
def test_consistency_is_that_of_certificate_transparency(
    sizes: tuple[int, int], path: tuple[str, ...]
) -> None:
    assert [h.hex() for h in merkle.roots(merkle.consistency(*sizes), CT)] == list(path)


@pytest.mark.parametrize("size", range(1, len(LEAVES) + 1))
def test_every_leaf_is_proved_in_every_list(size: int) -> None:
    for place in range(size):
        path = merkle.roots(merkle.inclusion(place, size), LEAVES)
        assert merkle.included(LEAVES[place], place, size, path) == tree(LEAVES[:size])
        assert len(path) <= (size - 1).bit_length()


def test_inclusion_that_was_tampered_with_leads_elsewhere() -> None:
    for size, place in ((s, p) for s in range(2, 12) for p in range(s)):
        root = tree(LEAVES[:size])
        path = merkle.roots(merkle.inclusion(place, size), LEAVES)
        assert merkle.included(b"another", place, size, path) != root
        for step in range(len(path)):
            wrong = [*path[:step], b"y" * 32, *path[step + 1 :]]
            assert merkle.included(LEAVES[place], place, size, wrong) != root
        for wrong in (path[:-1], [*path, b"y" * 32]):
            with pytest.raises(BadProof):
                merkle.included(LEAVES[place], place, size, wrong)
        for other in set(range(size)) - {place}:
            try:
                assert merkle.included(LEAVES[place], other, size, path) != root
            except BadProof:
                continue


@pytest.mark.parametrize("new", range(1, len(LEAVES) + 1))
def test_every_list_is_proved_to_have_grown_from_every_earlier_one(new: int) -> None:
    for old in range(1, new + 1):
        path = merkle.roots(merkle.consistency(old, new), LEAVES)
        assert merkle.grown(old, new, tree(LEAVES[:old]), path) == tree(LEAVES[:new])


def test_consistency_with_another_list_is_refused_or_leads_elsewhere() -> None:
    for new, old in ((n, o) for n in range(2, 12) for o in range(1, n)):
        path = merkle.roots(merkle.consistency(old, new), LEAVES)
        other = tree([b"other", *LEAVES[1:old]])
        for wrong, before in itertools.chain(
            [(path, other), (path[:-1], tree(LEAVES[:old])), ([*path, b"y" * 32], other)],
            (
                ([*path[:i], b"y" * 32, *path[i + 1 :]], tree(LEAVES[:old]))
                for i in range(len(path))
            ),
        ):
            try:
                assert merkle.grown(old, new, before, wrong) != tree(LEAVES[:new])
            except BadProof:
                continue


@pytest.mark.parametrize(("place", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_inclusion_of_no_leaf_is_refused(place: int, size: int) -> None:
    with pytest.raises(BadProof):
        merkle.inclusion(place, size)
    with pytest.raises(BadProof):
        merkle.included(b"", place, size, [])


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3), (-1, 2)])
def test_consistency_of_impossible_sizes_is_refused(old: int, new: int) -> None:
    with pytest.raises(BadProof):
        merkle.consistency(old, new)
    with pytest.raises(BadProof):
        merkle.grown(old, new, b"x" * 32, [])


def test_proof_over_too_few_leaves_is_refused() -> None:
    with pytest.raises(BadProof, match="5 leaves of 8"):
        merkle.roots(merkle.inclusion(0, 8), LEAVES[:5])
