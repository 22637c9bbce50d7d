"""What the audit's commands print, and the status that each leaves with."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from instar import cli
from tests.faults import ledgers
from tests.service import line

Instar = Callable[..., tuple[int, str, str]]


@pytest.fixture
def instar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Instar:
    """Run a command in this process, in a workspace with a ledger of 70 entries."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "instar.yaml").write_text(line.YAML + "store: {witnesses: [second]}\n")
    (tmp_path / "second").mkdir()
    ledgers.fill(tmp_path / ".instar", ("second",))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["instar", *words])
        code: object = None
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return (0 if code is None else int(str(code)), said.out, said.err)

    return run


def test_sound_record_is_told_with_what_its_witnesses_know(instar: Instar) -> None:
    status, out, err = instar("audit", "verify", "--deep")
    assert (status, err) == (0, "")
    assert "70 entries, every one as it was written" in out
    assert "the witness second was told of 70 entries" in out
    assert json.loads(instar("audit", "verify", "--json")[1])["exit_code"] == 0


def test_each_kind_of_trouble_has_its_status(instar: Instar, tmp_path: Path) -> None:
    home = tmp_path / ".instar"
    sound = shutil.copytree(home, tmp_path / "sound")

    def status(*statements: str) -> int:
        shutil.rmtree(home)
        shutil.copytree(sound, home)
        ledgers.sql(home, *statements)
        return instar("audit", "verify")[0]

    tail = "DELETE FROM entries WHERE seq > 65"
    assert status("UPDATE entries SET actor = 'eve' WHERE seq = 30") == 41
    assert status(tail) == 42
    assert status(tail, "DELETE FROM checkpoints WHERE size > 65") == 43
    assert status("UPDATE checkpoints SET note = '' WHERE size = 65") == 44
    assert status("UPDATE pointers SET version_seq = 9") == 4
    ledgers.reseal_database(home, 30, "eve")
    ledgers.sql(home, "DELETE FROM checkpoints")
    (home / "checkpoint").unlink()
    assert instar("audit", "verify")[0] == 45


def test_older_database_is_refused_by_every_command_in_one_line(
    instar: Instar, tmp_path: Path
) -> None:
    (tmp_path / ".instar" / "ledger.db").unlink()
    assert instar("audit", "verify")[0] == 43
    for words in (["status"], ["history"], ["audit", "export", "x"], ["audit", "prove", "1"]):
        status, out, err = instar(*words)
        assert (status, out, len(err.splitlines())) == (4, "", 1), words
        assert "checkpoint 70" in err
        assert "put the newest database back" in err
        assert str(tmp_path) not in err


def test_export_is_written_once_and_verified(instar: Instar, tmp_path: Path) -> None:
    assert "70 entries in export" in instar("audit", "export", "export")[1]
    assert ledgers.ask(ledgers.verifier(), tmp_path / "export")[0] == 0
    status, out, err = instar("audit", "export", "export")
    assert (status, out) == (2, "")
    assert "'export': it holds files" in err
    (tmp_path / "file").touch()
    assert instar("audit", "export", "file")[0] == 2


def test_proof_is_printed_or_written_and_verified(instar: Instar, tmp_path: Path) -> None:
    key = tmp_path / ".instar" / "keys" / "ledger.pub"
    (tmp_path / "printed").write_text(instar("audit", "prove", "30")[1], "utf-8")
    assert instar("audit", "prove", "31", "--out", "written")[:2] == (0, "")
    for name, number in (("printed", 30), ("written", 31)):
        words = ("--prove", tmp_path / name, "--key", key)
        assert ledgers.ask(ledgers.verifier(), *words) == (
            0,
            f"entry {number} is one of the 70 that were signed\n",
        )


@pytest.mark.parametrize("entry", ["0", "71", "99999999999"])
def test_proof_of_no_entry_is_refused(instar: Instar, entry: str) -> None:
    status, out, err = instar("audit", "prove", entry)
    assert (status, out) == (2, "")
    assert "an entry from 1 to 70" in err


def test_proof_to_nowhere_is_a_mistake_of_the_caller(instar: Instar, tmp_path: Path) -> None:
    status, _, err = instar("audit", "prove", "1", "--out", str(tmp_path / "no" / "file"))
    assert (status, str(tmp_path) in err) == (2, False)


def test_forgetting_says_what_it_did(instar: Instar, tmp_path: Path) -> None:
    status, _, err = instar("audit", "forget", "ana")
    assert (status, "'ana'" in err) == (2, True)
    journal = ledgers.SqliteJournal(tmp_path / ".instar" / "ledger.db")
    journal.person("Ana")
    assert json.loads(instar("audit", "forget", "ana", "--json")[1]) == {"forgotten": True}
    assert journal.people() == {}
    journal.close()
