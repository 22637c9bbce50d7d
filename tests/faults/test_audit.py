"""F17, F20, F23, F25 and bad input of class G: whatever is done to the record is told.

Each case is done to an export and shown to the separate verifier, or done to the database and shown
to `instar audit verify`. Both give the same exit codes.
"""

from __future__ import annotations

import ast
import hashlib
import json
import random
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from instar.core.policy import StoreSettings
from instar.ledger import notes
from instar.ledger.journal import LedgerDamaged, OlderLedger, SqliteJournal
from instar.ledger.keys import pem
from instar.ledger.stores import open_journal
from tests.faults import ledgers
from tests.faults.ledgers import ENTRIES, ask, keep, kept, lines, put

ALTERED, CUT, OLDER, SIGNATURE, WITNESS = 41, 42, 43, 44, 45


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    ledgers.fill(folder / ".instar")
    ledgers.export(folder / ".instar", folder / "export")
    return folder


@pytest.fixture
def folder(laid: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(laid / "export", tmp_path / "export"))


@pytest.fixture
def home(laid: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(laid / ".instar", tmp_path / ".instar"))


@pytest.fixture(scope="module")
def verifier() -> ModuleType:
    return ledgers.verifier()


@pytest.fixture(scope="module")
def key(laid: Path) -> Path:
    return laid / ".instar" / "keys" / "ledger.pub"


# The separate verifier stands alone.


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-X", "importtime", str(ledgers.VERIFIER), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_verifier_loads_nothing_of_instar_and_nothing_but_cryptography(
    folder: Path, key: Path
) -> None:
    done = run(folder, "--key", key)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].split(".")[0].strip() for line in done.stderr.splitlines()}
    assert "cryptography" in loaded
    assert "instar" not in loaded
    named = set()
    for node in ast.walk(ast.parse(ledgers.VERIFIER.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.add(str(node.module).split(".")[0])
    assert named - sys.stdlib_module_names == {"cryptography"}


def test_verifier_finds_a_sound_export_sound(folder: Path, key: Path, verifier: ModuleType) -> None:
    code, said = ask(verifier, folder, "--key", key)
    assert (code, said) == (0, "70 entries; 3 checkpoints fit, which cover the first 70\n")


def test_verifier_warns_of_a_key_that_it_was_not_given(folder: Path, verifier: ModuleType) -> None:
    code, said = ask(verifier, folder)
    assert code == 0
    assert "WARNING" in said


def test_export_holds_canonical_lines_all_notes_and_the_key_and_nothing_else(
    folder: Path, home: Path
) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "ledger.jsonl",
        "ledger.pub",
    ]
    for line in lines(folder):
        made = json.dumps(
            json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        assert made.encode() + b"\n" == line
    assert [notes.read(text).size for text in kept(folder)] == [1, 65, 70]
    assert (folder / "ledger.pub").read_bytes() == (home / "keys" / "ledger.pub").read_bytes()


def test_both_read_entries_alike(folder: Path, home: Path, verifier: ModuleType) -> None:
    journal = SqliteJournal(home / "ledger.db")
    for entry, line in zip(journal.entries(), lines(folder), strict=True):
        for strict in (True, False):
            found = verifier.read_entry(line, strict=strict)
            assert (found.seq, found.prev, found.hash) == (entry.seq, entry.prev, entry.hash)
            assert found.seal == entry.hash == entry.seal()
    journal.close()


# Exports.

Change = Callable[[Path], object]


def altered(name: str, value: Any) -> Change:
    def change(folder: Path) -> None:
        made = lines(folder)
        entry = json.loads(made[29])
        assert entry.get(name) != value
        made[29] = (
            json.dumps(
                entry | {name: value}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
            ).encode()
            + b"\n"
        )
        put(folder, made)

    return change


def at(place: int, change: Callable[[bytes], bytes]) -> Change:
    def done(folder: Path) -> None:
        made = lines(folder)
        line = change(made[place])
        assert line != made[place]
        made[place] = line
        put(folder, made)

    return done


def order(choose: Callable[[list[bytes]], list[bytes]]) -> Change:
    return lambda folder: put(folder, choose(lines(folder)))


def noted(place: int, change: Callable[[str], str]) -> Change:
    def done(folder: Path) -> None:
        made = kept(folder)
        text = change(made[place])
        assert text != made[place]
        made[place] = text
        keep(folder, made)

    return done


def end(line: dict[str, Any] | str, *, raw: str = "") -> Change:
    """Add an entry that is sealed right, but that no checkpoint covers."""

    def done(folder: Path) -> None:
        made = lines(folder)
        last = json.loads(made[-1])
        body = raw or json.dumps(line)
        head = f'{{"actor":"eve","at":1.0,"body":{body},"epoch":null'
        tail = (
            f'"key":null,"kind":"note","model":"demand","prev":"{last["hash"]}",'
            f'"seq":{last["seq"] + 1},"update":null}}'
        )
        seal = hashlib.sha256(f"{head},{tail}".encode()).hexdigest()
        made.append(f'{head},"hash":"sha256:{seal}",{tail}\n'.encode())
        put(folder, made)

    return done


def replaced(before: str, after: str) -> Callable[[str], str]:
    return lambda text: text.replace(before, after, 1)


def alone(line: bytes) -> list[bytes]:
    """Change one entry and seal it, but leave what it followed from."""
    entry = json.loads(line)
    (made,) = ledgers.resealed([line], {30: {"actor": "eve", "seq": 1}})
    forged = json.loads(made) | {"seq": 30, "prev": entry["prev"]}
    del forged["hash"]
    forged["hash"] = ledgers.digest_json(forged)
    return [ledgers.canonical(forged) + b"\n"]


def another_id(text: str) -> str:
    head, _, made = text.rstrip("\n").rpartition(" ")
    return f"{head} AAAA{made[4:]}\n"


DEEP = "[" * 100_000 + "]" * 100_000
EXPORTS: dict[str, tuple[Change, int]] = {
    "actor": (altered("actor", "eve"), ALTERED),
    "at": (altered("at", 2.0), ALTERED),
    "body": (altered("body", {}), ALTERED),
    "epoch": (altered("epoch", 9), ALTERED),
    "hash": (altered("hash", "sha256:" + "0" * 64), ALTERED),
    "key": (altered("key", "another"), ALTERED),
    "kind": (altered("kind", "vote"), ALTERED),
    "model": (altered("model", "price"), ALTERED),
    "prev": (altered("prev", "sha256:" + "0" * 64), ALTERED),
    "seq": (altered("seq", 999), ALTERED),
    "update": (altered("update", None), ALTERED),
    "work": (altered("work", {"stage": "train"}), ALTERED),
    "a field more": (altered("more", 1), ALTERED),
    "a space more": (at(29, lambda line: line.replace(b'"list":', b'"list": ')), ALTERED),
    "a key twice": (at(29, lambda line: line.replace(b'"list":', b'"list":1,"list":')), ALTERED),
    "the hash twice": (at(29, lambda line: line.replace(b'"key":', b'"hash":"","key":')), ALTERED),
    "NaN": (at(29, lambda line: line.replace(b"1.5", b"NaN")), ALTERED),
    "deep": (at(29, lambda line: line.replace(b"1.5", DEEP.encode())), ALTERED),
    "no JSON": (at(29, lambda line: b"nonsense\n"), ALTERED),
    "empty line": (at(29, lambda line: b"\n"), ALTERED),
    "bytes that are no text": (at(29, lambda line: line.replace(b"demand", b"dem\xff")), ALTERED),
    "CRLF": (order(lambda made: [line[:-1] + b"\r\n" for line in made]), ALTERED),
    "two rows swapped": (order(lambda m: [*m[:9], m[10], m[9], *m[11:]]), ALTERED),
    "all reversed": (order(lambda m: m[::-1]), ALTERED),
    "one sealed anew": (order(lambda m: [*m[:29], *alone(m[29]), *m[30:]]), ALTERED),
    "all sealed anew": (order(lambda m: ledgers.resealed(m, {30: {"actor": "eve"}})), ALTERED),
    "the first sealed anew": (order(lambda m: ledgers.resealed(m, {1: {"at": 0.5}})), ALTERED),
    "a row twice": (order(lambda m: [*m[:30], *m[29:]]), ALTERED),
    "a row missing": (order(lambda m: [*m[:29], *m[30:]]), CUT),
    "the first missing": (order(lambda m: m[1:]), CUT),
    "the last missing": (order(lambda m: m[:-1]), CUT),
    "all missing": (order(lambda m: []), CUT),
    "torn": (order(lambda m: [*m[:-1], m[-1][:-30]]), CUT),
    "filled with zeros": (order(lambda m: [*m[:-1], bytes(4096)]), CUT),
    "zeros after the end": (order(lambda m: [*m, bytes(4096)]), CUT),
    "a seq of no end": (
        at(29, lambda line: line.replace(b'"seq":30', b'"seq":3' + b"0" * 99)),
        ALTERED,
    ),
    "uncovered NaN": (end({}, raw='{"a":NaN}'), ALTERED),
    "uncovered key twice": (end({}, raw='{"a":1,"a":2}'), ALTERED),
    "uncovered spaces": (end({}, raw='{"a": 1}'), ALTERED),
    "uncovered deep": (end({}, raw=DEEP), ALTERED),
    "uncovered order": (end({}, raw='{"b":1,"a":2}'), ALTERED),
    "notes swapped": (lambda folder: keep(folder, kept(folder)[::-1]), SIGNATURE),
    "note twice": (lambda folder: keep(folder, [*kept(folder), kept(folder)[-1]]), SIGNATURE),
    "notes gone": (lambda folder: keep(folder, []), SIGNATURE),
    "note of size 0": (noted(0, replaced("\n1\n", "\n0\n")), SIGNATURE),
    "note of size -1": (noted(1, replaced("\n65\n", "\n-1\n")), SIGNATURE),
    "note of another size": (noted(1, replaced("\n65\n", "\n66\n")), SIGNATURE),
    "note of size 10**40": (noted(1, replaced("\n65\n", f"\n{10**40}\n")), SIGNATURE),
    "note of no size": (noted(1, replaced("\n65\n", "\n\n")), SIGNATURE),
    "note of another origin": (noted(1, replaced("instar/", "other/")), SIGNATURE),
    "note with CRLF": (noted(1, lambda text: text.replace("\n", "\r\n")), SIGNATURE),
    "note with a root of no base64": (
        noted(1, lambda text: re.sub("65\n.", "65\n!", text)),
        SIGNATURE,
    ),
    "note with a short root": (noted(1, lambda text: re.sub("65\n....", "65\n", text)), SIGNATURE),
    "note without a signature": (noted(1, lambda text: text.partition("—")[0]), SIGNATURE),
    "note with another key id": (noted(1, another_id), SIGNATURE),
    "note torn": (noted(2, lambda text: text[:-40]), SIGNATURE),
    "note of 1 MB": (noted(1, replaced("\n65\n", "\n65\n" + "x" * 1_000_000)), SIGNATURE),
    "notes of bytes that are no text": (
        lambda folder: (folder / "checkpoints").write_bytes(b"\xff" * 100),
        SIGNATURE,
    ),
}


@pytest.mark.parametrize(("change", "code"), EXPORTS.values(), ids=EXPORTS)
def test_export_that_was_changed_is_told(
    folder: Path, key: Path, verifier: ModuleType, change: Change, code: int
) -> None:
    change(folder)
    got, said = ask(verifier, folder, "--key", key)
    assert got == code, said
    assert f"{code} " in said
    assert "Traceback" not in said


def test_altered_entry_is_named_first(folder: Path, key: Path, verifier: ModuleType) -> None:
    altered("actor", "eve")(folder)
    _, said = ask(verifier, folder, "--key", key)
    assert said.splitlines()[0] == "41 entry 30 is not what was sealed"


def test_torn_line_leaves_the_rest_verified_against_its_checkpoints(
    folder: Path, key: Path, verifier: ModuleType
) -> None:
    put(folder, [*lines(folder)[:67], lines(folder)[67][:-9], bytes(512)])
    code, said = ask(verifier, folder, "--key", key)
    assert code == CUT
    assert "the line after entry 67 is torn" in said
    assert "knows of 70" in said
    assert "67 entries; 2 checkpoints fit, which cover the first 65" in said


def test_whole_export_signed_by_another_key_is_told_by_the_trusted_one(
    folder: Path, key: Path, verifier: ModuleType
) -> None:
    eve = Ed25519PrivateKey.generate()
    put(folder, ledgers.resealed(lines(folder), {30: {"actor": "eve"}}))
    made = [notes.checkpoint(eve, n, ledgers.root(lines(folder)[:n])).text for n in (1, 65, 70)]
    keep(folder, made)
    (folder / "ledger.pub").write_bytes(pem(eve.public_key()))
    assert ask(verifier, folder)[0] == 0
    assert ask(verifier, folder, "--key", key)[0] == SIGNATURE


def test_export_that_was_cut_with_its_checkpoints_is_told_by_a_witness(
    folder: Path, key: Path, verifier: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "note").write_text(kept(folder)[2], "utf-8")
    put(folder, lines(folder)[:65])
    keep(folder, kept(folder)[:2])
    assert ask(verifier, folder, "--key", key)[0] == 0
    code, said = ask(verifier, folder, "--key", key, "--witness", tmp_path / "note")
    assert code == OLDER
    assert "the witness's note knows of 70" in said


def test_export_rewritten_by_whoever_holds_the_key_is_told_by_a_witness(
    folder: Path, key: Path, verifier: ModuleType, tmp_path: Path, home: Path
) -> None:
    (tmp_path / "note").write_text(kept(folder)[1], "utf-8")
    put(folder, ledgers.resealed(lines(folder), {30: {"actor": "eve"}}))
    signer = ledgers.signer(home)
    keep(
        folder,
        [notes.checkpoint(signer, n, ledgers.root(lines(folder)[:n])).text for n in (1, 65, 70)],
    )
    assert ask(verifier, folder, "--key", key)[0] == 0
    assert ask(verifier, folder, "--key", key, "--witness", tmp_path / "note")[0] == WITNESS


def test_witness_with_a_forged_note_is_told(
    folder: Path, key: Path, verifier: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "note").write_text(kept(folder)[1].replace("\n65\n", "\n66\n"), "utf-8")
    assert ask(verifier, folder, "--key", key, "--witness", tmp_path / "note")[0] == SIGNATURE


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere", "--key", "KEY"],
        ["FOLDER", "--key", "nowhere"],
        ["FOLDER", "--key", "FOLDER/ledger.jsonl"],
        ["FOLDER", "--key", "KEY", "--witness", "nowhere"],
        ["--prove", "nowhere", "--key", "KEY"],
        ["--prove", "FOLDER/ledger.jsonl", "--key", "KEY"],
    ],
)
def test_verifier_of_what_cannot_be_read_says_so(
    folder: Path, key: Path, verifier: ModuleType, words: list[str]
) -> None:
    given = [word.replace("FOLDER", str(folder)).replace("KEY", str(key)) for word in words]
    code, said = ask(verifier, *given)
    assert code == 4, said
    assert "Traceback" not in said


@pytest.mark.parametrize("words", [[], ["FOLDER", "--prove", "x", "--key", "y"], ["--prove", "x"]])
def test_verifier_of_words_that_make_no_sense_is_a_usage_error(
    verifier: ModuleType, words: list[str]
) -> None:
    assert ask(verifier, *words)[0] == 2


# F20: bits that flip.


@pytest.mark.parametrize("seed", range(8))
def test_every_flipped_bit_of_an_export_is_told(
    folder: Path, key: Path, verifier: ModuleType, seed: int
) -> None:
    chance = random.Random(seed)
    for name, tries in (("ledger.jsonl", 20), ("checkpoints", 20)):
        sound = (folder / name).read_bytes()
        for _ in range(tries):
            place = chance.randrange(8 * len(sound))
            data = bytearray(sound)
            data[place // 8] ^= 1 << place % 8
            (folder / name).write_bytes(data)
            code, said = ask(verifier, folder, "--key", key)
            assert code in (ALTERED, CUT, SIGNATURE), (name, place, said)
            if name == "ledger.jsonl":
                row = sound[: place // 8].count(b"\n") + 1
                assert re.search(rf"\b({row}|{row - 1})\b", said.splitlines()[0])
        (folder / name).write_bytes(sound)
    assert ask(verifier, folder, "--key", key)[0] == 0


COLUMNS = ("update_id", "model", "kind", "key", "body", "actor", "work", "prev", "hash")


@pytest.mark.parametrize("seed", range(4))
def test_every_flipped_bit_of_a_row_is_told_and_the_row_named_first(home: Path, seed: int) -> None:
    chance = random.Random(seed)
    with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as connection:
        for column in COLUMNS:
            seq = chance.randrange(2, ENTRIES + 1)
            row = connection.execute(
                f'SELECT CAST("{column}" AS BLOB) FROM entries WHERE seq = {seq}'
            )
            (sound,) = row.fetchone()
            if sound is None:
                continue
            place = chance.randrange(8 * len(sound))
            data = bytearray(sound)
            data[place // 8] ^= 1 << place % 8
            change = f'UPDATE entries SET "{column}" = CAST(? AS TEXT) WHERE seq = {seq}'
            connection.execute(change, (bytes(data),))
            found = ledgers.verified(home)
            assert found["exit_code"] == ALTERED
            assert found["problems"][0].startswith(f"entry {seq}: ")
            connection.execute(change, (sound,))
    assert ledgers.verified(home)["exit_code"] == 0


@pytest.mark.parametrize("column", ["note", "root", "frontier", "size"])
def test_every_flipped_bit_of_a_checkpoint_is_told(home: Path, column: str) -> None:
    chance = random.Random(1)
    with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as connection:
        for _ in range(12):
            size = ENTRIES if column == "frontier" else chance.choice((1, 65, 70))
            cast = f"SELECT CAST({column} AS BLOB) FROM checkpoints WHERE size = {size}"
            (sound,) = connection.execute(cast).fetchone()
            place = chance.randrange(8 * len(sound))
            data = bytearray(sound)
            data[place // 8] ^= 1 << place % 8
            if column == "size":
                new = size ^ (1 << chance.randrange(7))
                if new in (1, 65, 70):
                    continue
                connection.execute(f"UPDATE checkpoints SET size = {new} WHERE size = {size}")
            else:
                change = f"UPDATE checkpoints SET {column} = CAST(? AS TEXT) WHERE size = {size}"
                connection.execute(change, (bytes(data),))
            assert ledgers.verified(home)["exit_code"] == SIGNATURE
            if column == "size":
                connection.execute(f"UPDATE checkpoints SET size = {size} WHERE size = {new}")
            else:
                connection.execute(change, (sound,))
    assert ledgers.verified(home)["exit_code"] == 0


def test_every_flipped_bit_of_the_checkpoint_beside_the_database_is_told(home: Path) -> None:
    path = home / "checkpoint"
    sound = path.read_bytes()
    path.chmod(0o644)
    chance = random.Random(2)
    for _ in range(30):
        place = chance.randrange(8 * len(sound))
        data = bytearray(sound)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        assert ledgers.verified(home)["exit_code"] == SIGNATURE


# Databases.

DATABASES: dict[str, tuple[tuple[str, ...], int]] = {
    "a row changed": (("UPDATE entries SET actor = 'eve' WHERE seq = 30",), ALTERED),
    "a number changed": (("UPDATE entries SET at = at + 1 WHERE seq = 30",), ALTERED),
    "a number that is a text": (("UPDATE entries SET at = 'x' WHERE seq = 30",), ALTERED),
    "a text that is bytes": (("UPDATE entries SET body = x'7b7d' WHERE seq = 30",), ALTERED),
    "spaces in a body": (("UPDATE entries SET body = body || ' ' WHERE seq = 30",), ALTERED),
    "a row moved into another": (
        ("UPDATE entries SET body = (SELECT body FROM entries WHERE seq = 31) WHERE seq = 30",),
        ALTERED,
    ),
    "two rows swapped": (
        (
            "UPDATE entries SET seq = -1 WHERE seq = 30",
            "UPDATE entries SET seq = 30 WHERE seq = 31",
            "UPDATE entries SET seq = 31 WHERE seq = -1",
        ),
        ALTERED,
    ),
    "a row missing": (("DELETE FROM entries WHERE seq = 30",), CUT),
    "the last missing": (("DELETE FROM entries WHERE seq = 70",), CUT),
    "all missing": (("DELETE FROM entries",), CUT),
    "a cut tail with its checkpoint": (
        ("DELETE FROM entries WHERE seq > 65", "DELETE FROM checkpoints WHERE size > 65"),
        OLDER,
    ),
    "two checkpoints swapped": (
        (
            "UPDATE checkpoints SET size = 99 WHERE size = 1",
            "UPDATE checkpoints SET size = 1 WHERE size = 65",
            "UPDATE checkpoints SET size = 65 WHERE size = 99",
        ),
        SIGNATURE,
    ),
    "a champion that nobody named": (("UPDATE pointers SET version_seq = 9",), 4),
}


@pytest.mark.parametrize(("statements", "code"), DATABASES.values(), ids=DATABASES)
def test_database_that_was_changed_is_told(
    home: Path, statements: tuple[str, ...], code: int
) -> None:
    ledgers.sql(home, *statements)
    assert ledgers.verified(home)["exit_code"] == code


def test_sound_database_is_found_sound(home: Path) -> None:
    assert ledgers.verified(home) == {
        "entries": ENTRIES,
        "problems": [],
        "witnesses": [],
        "exit_code": 0,
    }


def test_database_sealed_anew_is_told_by_its_checkpoints(home: Path) -> None:
    ledgers.reseal_database(home, 30, "eve")
    found = ledgers.verified(home)
    assert found["exit_code"] == ALTERED
    assert found["problems"][0].startswith("entry 2: an entry out of 2 to 65 is another")


def test_database_sealed_anew_without_checkpoints_is_told_by_the_one_beside_it(home: Path) -> None:
    ledgers.reseal_database(home, 30, "eve")
    ledgers.sql(home, "DELETE FROM checkpoints")
    assert ledgers.verified(home)["exit_code"] == OLDER


def test_older_database_is_refused_and_told(home: Path) -> None:
    shutil.copy(home / "ledger.db", home / "older")
    ledgers.more(home)
    shutil.copy(home / "older", home / "ledger.db")
    found = ledgers.verified(home)
    assert found["exit_code"] == OLDER
    assert "ends at entry 70" in found["problems"][0]


def test_database_that_is_gone_is_told(home: Path) -> None:
    (home / "ledger.db").unlink()
    found = ledgers.verified(home)
    assert found["exit_code"] == OLDER
    assert not (home / "ledger.db").exists()


def test_index_that_leaves_an_entry_out_is_told(home: Path) -> None:
    with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        hidden = "CREATE INDEX entries_by_update ON entries (update_id, kind, seq) WHERE seq <> 30"
        where = "name = 'entries_by_update'"
        (sound,) = connection.execute(f"SELECT sql FROM sqlite_master WHERE {where}").fetchone()
        connection.execute(f"UPDATE sqlite_master SET sql = ? WHERE {where}", (hidden,))
    with closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as connection:
        connection.execute("REINDEX entries_by_update")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"UPDATE sqlite_master SET sql = ? WHERE {where}", (sound,))
    with pytest.raises(LedgerDamaged, match=r"entries_by_update|missing"):
        ledgers.verified(home)


# Witnesses.


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    (tmp_path / "second").mkdir()
    ledgers.fill(tmp_path / ".instar", ("second",))
    return tmp_path / ".instar"


def test_witness_agrees_with_a_sound_database(watched: Path) -> None:
    found = ledgers.verified(watched, ("second",))
    assert found["exit_code"] == 0
    assert found["witnesses"] == [{"witness": "second", "told": ENTRIES, "problem": ""}]


def test_database_rewritten_with_its_checkpoints_is_told_by_the_witness(watched: Path) -> None:
    """Whoever holds the key and the machine can rewrite everything but what the witness keeps."""
    ledgers.reseal_database(watched, 30, "eve")
    ledgers.sql(watched, "DELETE FROM checkpoints")
    (watched / "checkpoint").unlink()
    ledgers.more(watched)
    assert ledgers.verified(watched)["exit_code"] == 0
    found = ledgers.verified(watched, ("second",))
    assert found["exit_code"] == WITNESS
    assert "the witness second" in found["problems"][0]


def test_older_database_without_its_checkpoint_is_told_by_the_witness(watched: Path) -> None:
    ledgers.sql(
        watched, "DELETE FROM entries WHERE seq > 65", "DELETE FROM checkpoints WHERE size > 65"
    )
    (watched / "checkpoint").unlink()
    assert ledgers.verified(watched, ("second",))["exit_code"] == OLDER


def test_damaged_witness_is_told(watched: Path) -> None:
    kept_ = max((watched.parent / "second").rglob("*.note"))
    kept_.chmod(0o644)
    kept_.write_bytes(b"nonsense")
    assert ledgers.verified(watched, ("second",))["exit_code"] == SIGNATURE


def test_witness_that_is_down_is_named_and_fails_nothing(watched: Path) -> None:
    shutil.rmtree(watched.parent / "second")
    found = ledgers.verified(watched, ("second",))
    assert found["exit_code"] == 0
    assert found["witnesses"][0]["problem"] == "no such folder"


# Proofs of one entry.


@pytest.fixture
def proof(home: Path) -> dict[str, Any]:
    journal = SqliteJournal(home / "ledger.db")
    made = journal.prove(30)
    journal.close()
    return made


def proved(verifier: ModuleType, tmp_path: Path, key: Path, proof: Any) -> tuple[int, str]:
    (tmp_path / "proof.json").write_text(json.dumps(proof), "utf-8")
    return ask(verifier, "--prove", tmp_path / "proof.json", "--key", key)


def test_every_entry_is_proved(home: Path, tmp_path: Path, key: Path, verifier: ModuleType) -> None:
    journal = SqliteJournal(home / "ledger.db")
    for seq in range(1, ENTRIES + 1):
        assert proved(verifier, tmp_path, key, journal.prove(seq))[0] == 0
    journal.close()


PROOFS: dict[str, tuple[Callable[[dict[str, Any]], object], int]] = {
    "another entry": (lambda proof: proof["entry"].update(actor="eve"), ALTERED),
    "another place": (lambda proof: proof["entry"].update(seq=31), ALTERED),
    "no path": (lambda proof: proof.update(path=[]), ALTERED),
    "a path too long": (lambda proof: proof["path"].append("00" * 32), ALTERED),
    "another path": (lambda proof: proof["path"].__setitem__(0, "00" * 32), ALTERED),
    "a path of no hex": (lambda proof: proof["path"].__setitem__(0, "zz"), 4),
    "another note": (
        lambda proof: proof.update(checkpoint=proof["checkpoint"].replace("70", "71")),
        SIGNATURE,
    ),
    "no note": (lambda proof: proof.update(checkpoint=""), SIGNATURE),
    "nothing": (lambda proof: proof.clear(), 4),
}


@pytest.mark.parametrize(("change", "code"), PROOFS.values(), ids=PROOFS)
def test_proof_that_was_changed_is_told(
    proof: dict[str, Any],
    tmp_path: Path,
    key: Path,
    verifier: ModuleType,
    change: Callable[[dict[str, Any]], object],
    code: int,
) -> None:
    change(proof)
    assert proved(verifier, tmp_path, key, proof)[0] == code


def test_proof_by_another_key_is_told(
    proof: dict[str, Any], tmp_path: Path, verifier: ModuleType
) -> None:
    other = tmp_path / "other.pub"
    other.write_bytes(pem(Ed25519PrivateKey.generate().public_key()))
    assert proved(verifier, tmp_path, other, proof)[0] == SIGNATURE


def test_open_journal_refuses_what_the_audit_tells(home: Path) -> None:
    ledgers.sql(
        home, "DELETE FROM entries WHERE seq > 65", "DELETE FROM checkpoints WHERE size > 65"
    )
    with pytest.raises(OlderLedger):
        open_journal(home, StoreSettings())
