"""F19: one bit of the ledger's file flips; it is told, or nothing of what is read has changed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from instar.core.errors import InstarError, IntegrityError
from instar.ledger.journal import NewerLedger, SqliteJournal
from instar.testing.contracts.journal import crown, note


def filled(path: Path) -> bytes:
    journal = SqliteJournal(path)
    crown(journal, None)
    for number in range(60):
        note(journal, "x" * 300, update=f"u{number:04}", key=f"k{number}")
    crown(journal, 1, key="promote")
    journal.close()
    return path.read_bytes()


def everything(path: Path) -> object:
    """What a reader gets, through every index, after the check that a scrub makes."""
    journal = SqliteJournal(path)
    try:
        problems = journal.verify()
        if problems:
            return problems[0].code
        one = [journal.by_key(f"k{number}") for number in range(60)]
        each = [journal.entries(update=f"u{number:04}") for number in range(60)]
        return journal.entries(), journal.champion("demand"), one, each, journal.undelivered()
    finally:
        journal.close()


def flip(folder: Path, times: int, seed: int) -> dict[str, int]:
    whole = filled(folder / "ledger.db")
    wanted = everything(folder / "ledger.db")
    chance, seen = random.Random(seed), {"told": 0, "unchanged": 0}
    path = folder / "flipped.db"
    for _ in range(times):
        bit = chance.randrange(8 * len(whole))
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            found = everything(path)
        except (IntegrityError, NewerLedger):
            seen["told"] += 1
            continue
        except InstarError as error:
            raise AssertionError(f"bit {bit}: {error!r}") from error
        told = isinstance(found, str)
        assert told or found == wanted, f"bit {bit}: other data, and nothing said"
        seen["told" if told else "unchanged"] += 1
    return seen


def test_flipped_bit_never_becomes_wrong_data(memory: Path) -> None:
    seen = flip(memory, 60, seed=1)
    assert seen["told"] > seen["unchanged"] / 4


@pytest.mark.thorough
def test_many_flipped_bits_never_become_wrong_data(memory: Path) -> None:
    print(flip(memory, 600, seed=2))
