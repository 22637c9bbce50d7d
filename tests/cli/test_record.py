"""What `history`, `show`, `diff`, `reproduce` and `doctor` print, and how they leave."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instar import cli
from instar.core.records import Phase, VoteKind
from instar.service import Workspace
from tests.service import line

Instar = Callable[..., tuple[int, str, str]]
YES = line.vote(VoteKind.APPROVE, "bob", reason="figures read")
RECORDS = (
    line.REQUEST,
    *line.MADE,
    YES,
    line.approval(votes=(YES,)),
    line.moving(Phase.PROMOTED, 1.0),
)


@pytest.fixture
def instar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Instar:
    """Run a command in this process, on a made-up line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    line.lay_out(tmp_path, *RECORDS).close()

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["instar", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        return (0 if code is None else int(code), said.out, said.err)

    return run


def test_history_is_chosen(instar: Instar) -> None:
    status, out, _ = instar("history", "--update", "u0001", "--kind", "vote", "--json")
    assert status == 0
    assert [entry["kind"] for entry in json.loads(out)["entries"]] == ["vote"]
    assert instar("history", "--since", "2100-01-01")[1] == ""


def test_history_says_what_was_champion_on_a_day(instar: Instar) -> None:
    status, out, _ = instar("history", "--on", "2100-01-01")
    assert status == 0
    assert f"{line.OLD} was the champion" in out
    assert "no champion yet" in instar("history", "--on", "1999-01-01")[1]
    assert json.loads(instar("history", "--on", "1999-01-01", "--json")[1])["champion"] is None


@pytest.mark.parametrize(
    "words",
    [
        ["history", "--on", "soon"],
        ["history", "--on", "2026-01-01", "--kind", "vote"],
        ["history", "--kind", "votes"],
        ["history", "--since", "2026-99-01"],
        ["show", "nothing"],
        ["show", "99"],
        ["show", "champion~9"],
        ["diff", "champion", "champion~9"],
        ["reproduce", "u9999"],
    ],
    ids=" ".join,
)
def test_word_that_means_nothing_is_a_mistake(instar: Instar, words: list[str]) -> None:
    status, out, err = instar(*words)
    assert (status, out, len(err.strip().splitlines())) == (2, "", 1)


def test_show_says_why_a_version_is_live(instar: Instar) -> None:
    status, out, _ = instar("show", "champion")
    assert status == 0
    assert f"{line.OLD} is live" in out
    assert "was promoted by worker" in out


def test_show_tells_entries_and_updates_in_words(instar: Instar) -> None:
    assert "alice asks for u0001 of demand: weekly" in instar("show", "3")[1]
    out = instar("show", "u0001")[1]
    assert "bob approves: figures read" in out
    found = json.loads(instar("show", "3", "--json")[1])["entry"]
    assert (found["seq"], found["body"]["reason"]) == (3, "weekly")


def changed(**more: Any) -> dict[str, Any]:
    layer = {
        "name": "head.w",
        "l2": 1.0,
        "relative": None,
        "largest": 1.0,
        "cosine": 0.0,
        "changed": 0.5,
    }
    rows = {"rows": {"from": 10, "to": 20}, "added": [], "removed": []}
    part = {
        "source": "june",
        "rows": 10,
        "since": "2026-06-01",
        "until": "2026-06-30",
        "digest": "",
    }
    return {
        "from": "a",
        "to": "b",
        "parent": True,
        "layers": [layer],
        "untouched": ["body.w"],
        "added": ["new"],
        "removed": [],
        "reshaped": [{"name": "w", "from": [1], "to": [2]}],
        "data": {**rows, "added": [part]},
        "holdout": rows,
        "features": {"added": ["x"], "removed": ["y"]},
        "preprocessing": [],
        "network": [{"what": "source", "from": line.digest("a"), "to": None}],
        "training": [],
        "policy": None,
        "code": [{"what": "libraries.torch", "from": "2.13.0", "to": "2.14.0"}],
        "metrics": [{"name": "auroc", "from": 0.7, "to": None}],
        **more,
    }


def test_diff_is_drawn(instar: Instar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "diff", lambda *_, **__: changed())
    status, out, _ = instar("diff", "a", "b")
    assert status == 0
    for word in (
        "head.w",
        "∞",
        "50.0%",
        "1 untouched",
        "added: new",
        "w: [1] -> [2]",
        "+ june, 10 rows, 2026-06-01 to 2026-06-30",
        "+ x, - y",
        "libraries.torch: 2.13.0 -> 2.14.0",
        "auroc: 0.7000 -> none",
        "one of the two is not recorded",
    ):
        assert word in out
    assert json.loads(instar("diff", "a", "b", "--json")[1])["parent"] is True


@pytest.mark.parametrize(("equal", "status"), [(True, 0), (False, 1)])
def test_reproduce_leaves_with_what_came_out(
    instar: Instar, monkeypatch: pytest.MonkeyPatch, *, equal: bool, status: int
) -> None:
    stage = {
        "kind": "training",
        "equal": equal,
        "differences": [] if equal else ["weights: a, now b"],
    }
    done = {
        "update": "u0001",
        "equal": equal,
        "stages": [stage],
        "environment": ["cores: 2, now 4"],
        "seconds": 1.0,
    }
    monkeypatch.setattr(Workspace, "_work", lambda *_, **__: done)
    code, out, _ = instar("reproduce", "u0001")
    assert code == status
    assert ("weights: a, now b" in out) != equal
    assert "another environment: cores: 2, now 4" in out
    assert instar("reproduce", "u0001", "--json")[0] == status


def test_doctor_leaves_with_what_it_found(instar: Instar, tmp_path: Path) -> None:
    status, out, _ = instar("doctor")
    assert status == 0
    assert "synchronous FULL" in out
    (tmp_path / ".instar" / "ledger.db").write_bytes(b"nothing" * 99)
    status, out, _ = instar("doctor", "--json")
    assert (status, json.loads(out)["exit_code"]) == (1, 1)
    assert "instar doctor" not in out
    assert instar("doctor", "--root", "nowhere")[0] == 0
