"""What a command prints, where, and the status it leaves with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar import cli
from instar.cli import show
from instar.cli.demo import MARK, _clear
from instar.core.data import Cleaning
from instar.core.errors import BackendError, InputError, InstarError, IntegrityError, PolicyError
from instar.core.records import Phase
from instar.ledger.artifacts import DirectoryArtifacts
from instar.service import Workspace
from tests.service import line


def refused(*_: Any, **__: Any) -> dict[str, Any]:
    return {"admission": line.encode(replace(line.ADMISSION, verdict=line.Verdict.FAIL))}


@pytest.fixture
def instar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process, in a workspace whose worker is not started."""
    monkeypatch.chdir(tmp_path)

    def work(self: Workspace, task: str, tell: Any, **args: Any) -> dict[str, Any]:
        tell({"what": "train", "done": 1, "total": 2, "note": "loss 0.5"})
        return refused() if task == "check" else args

    monkeypatch.setattr(Workspace, "_work", work)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["instar", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        return (0 if code is None else int(code), said.out, said.err)

    return run


Instar = Callable[..., tuple[int, str, str]]
WAITING = (*line.MADE, line.approval())


def test_status_zero_where_all_is_well(instar: Instar, tmp_path: Path) -> None:
    line.lay_out(tmp_path, line.REQUEST, *WAITING).close()
    for words in (
        ["status"],
        ["status", "u0001"],
        ["history"],
        ["audit", "verify"],
        ["policy", "show"],
        ["report", "u0001"],
        ["store", "collect"],
        ["store", "collect", "--dry-run"],
    ):
        assert instar(*words)[0] == 0, words


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["status", "u0001"],
        ["history"],
        ["audit", "verify"],
        ["policy", "show"],
        ["store", "scrub"],
        ["store", "collect"],
        ["report", "u0001", "--out", "page.html"],
        ["check", "fresh.parquet"],
        ["resume", "u0001"],
        ["approve", "u0001", "--by", "bob"],
        ["reject", "u0001", "--by", "bob", "--reason", "no"],
        ["release", "u0001"],
        ["abort", "u0001", "--reason", "no"],
    ],
    ids=" ".join,
)
def test_json_is_one_object_and_nothing_else(
    instar: Instar, tmp_path: Path, words: list[str]
) -> None:
    line.lay_out(tmp_path, line.REQUEST, *WAITING).close()
    (tmp_path / "fresh.parquet").touch()
    _, out, err = instar(*words, "--json")
    assert isinstance(json.loads(out), dict)
    assert (len(out.splitlines()), err) == (1, "")


def test_a_long_note_takes_no_room_from_the_name_of_its_stage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with show.progress(False) as tell:
        tell({"what": "release", "done": 1, "total": 1, "note": "rolled back " * 12})

    said = capsys.readouterr().err
    assert "release" in said
    assert said.count("rolled") == said.count("back") == 12


def test_progress_goes_to_standard_error(instar: Instar, tmp_path: Path) -> None:
    line.lay_out(tmp_path, line.REQUEST, *WAITING).close()
    (tmp_path / "fresh.parquet").touch()
    _, out, err = instar("check", "fresh.parquet")
    assert "training" in err
    assert "training" not in out


def test_status_four_where_an_artifact_is_missing(instar: Instar, tmp_path: Path) -> None:
    line.lay_out(tmp_path).close()
    status, out, _ = instar("store", "scrub")
    assert status == 4
    assert f"{line.digest('train')[7:19]} is needed, and is nowhere" in out
    store = DirectoryArtifacts(tmp_path / ".instar" / "artifacts")
    for name in (line.OLD, line.ZERO, f"{line.OLD}w", f"{line.ZERO}w", "train", "holdout"):
        store.put(name.encode())
    status, out, _ = instar("store", "scrub")
    assert status == 0
    assert "6 artifacts hashed" in out
    assert "everything that is needed is there and right" in out


def test_status_one_where_a_gate_refused(instar: Instar, tmp_path: Path) -> None:
    line.lay_out(tmp_path, line.REQUEST, *WAITING).close()
    (tmp_path / "fresh.parquet").touch()
    assert instar("check", "fresh.parquet")[0] == 1
    status, out, _ = instar("reject", "u0001", "--reason", "no", "--json")
    assert (status, json.loads(out)["exit_code"], json.loads(out)["state"]) == (1, 1, "rejected")


@pytest.mark.parametrize(
    "words",
    [
        ["status", "u9999"],
        ["nonsense"],
        ["update"],
        ["update", "fresh.parquet"],
        ["check", "fresh.parquet", "--seed", "many"],
        ["policy", "show", "--set", "policy.validate.flips.maxx=1"],
        ["report", "u0001", "--out", "nowhere/page.html"],
        ["rollback", "--reason", "x"],
        ["reject", "u0001", "--reason", " "],
        ["adopt", "nothing.safetensors", "--train", "a", "--holdout", "b"],
    ],
    ids=" ".join,
)
def test_status_two_where_the_caller_is_mistaken(
    instar: Instar, tmp_path: Path, words: list[str]
) -> None:
    line.lay_out(tmp_path, line.REQUEST, *line.MADE).close()
    if words[0] == "rollback":
        words = [*words, "--root", "nowhere"]
    status, out, err = instar(*words)
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert str(tmp_path) not in err


def test_status_three_where_people_are_awaited(instar: Instar, tmp_path: Path) -> None:
    line.lay_out(tmp_path, line.REQUEST, *WAITING).close()
    assert instar("resume", "u0001")[0] == 3


def test_audit_says_by_its_status_that_the_ledger_was_altered(
    instar: Instar, tmp_path: Path
) -> None:
    line.lay_out(tmp_path, line.REQUEST, *WAITING).close()
    ledger = tmp_path / ".instar" / "ledger.db"
    whole = ledger.read_bytes()
    assert whole.count(b"weekly") == 1
    ledger.write_bytes(whole.replace(b"weekly", b"weekLy"))
    status, out, _ = instar("audit", "verify", "--json")
    assert (status, json.loads(out)["exit_code"]) == (41, 41)
    assert json.loads(out)["problems"][0].startswith("entry 3:")
    status, out, err = instar("status")
    assert (status, out, len(err.strip().splitlines())) == (4, "", 1)


def test_status_five_where_a_server_does_not_answer(
    instar: Instar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise BackendError("a gateway", "none", "start it: instar serve")

    line.lay_out(tmp_path, line.REQUEST, *WAITING).close()
    monkeypatch.setattr(Workspace, "_work", away)
    status, out, err = instar("release", "u0001", "--json")
    assert (status, out) == (5, "")
    assert err == "instar: wanted a gateway; got none; start it: instar serve\n"


def test_serve_hands_processes_and_kept_answers_on(
    instar: Instar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def start(*places: Any) -> None:
        given.append((places[2], places[4].workers, places[4].cache))
        raise BackendError("a gateway", "none", "no more is asked here")

    line.lay_out(tmp_path, line.REQUEST).close()
    monkeypatch.setattr("instar.serving.client.start", start)
    for words in (["--workers", "3", "--cache", "7", "--port", "0"], []):
        assert instar("serve", *words)[0] == 5
    assert given == [(0, 3, 7), (8400, 0, 0)]
    assert instar("serve", "--workers", "-1")[0] == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [(PolicyError, 2), (InputError, 2), (IntegrityError, 4), (BackendError, 5), (InstarError, 4)],
)
def test_every_family_of_errors_has_its_status(
    instar: Instar, monkeypatch: pytest.MonkeyPatch, error: type[InstarError], status: int
) -> None:
    class Mine(error):  # type: ignore[valid-type, misc]  # a family is given as a value
        pass

    def fails(*_: Any, **__: Any) -> None:
        raise Mine("a", "b", "c")

    monkeypatch.setattr(Workspace, "history", fails)
    assert instar("history") == (status, "", "instar: wanted a; got b; c\n")


def test_interrupt_leaves_as_a_shell_expects(
    instar: Instar, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Workspace, "history", stopped)
    assert instar("history")[0] == 130


@pytest.mark.parametrize(
    ("records", "status"),
    [
        ((), 3),
        ((replace(line.ADMISSION, verdict=line.Verdict.FAIL),), 1),
        ((line.ADMISSION, replace(line.PLAN, strategy="keep")), 0),
        (WAITING, 3),
        ((*WAITING, line.moving(Phase.STEP, 0.1)), 3),
        ((*WAITING, line.moving(Phase.ROLLED_BACK, 0.0)), 1),
    ],
    ids=["running", "refused", "kept", "waiting", "releasing", "rolled back"],
)
def test_state_of_an_update_is_its_status(
    instar: Instar, tmp_path: Path, records: tuple[Any, ...], status: int
) -> None:
    line.lay_out(tmp_path, line.REQUEST, *records).close()
    code, out, _ = instar("resume", "u0001", "--json")
    assert (code, json.loads(out)["exit_code"]) == (status, status)


def test_policy_show_says_where_each_setting_is_from(
    instar: Instar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = "policy:\n  admit: {min_rows: 7, outliers: 0.5}\n"
    (tmp_path / "instar.yaml").write_text(line.YAML + policy)
    monkeypatch.setenv("INSTAR_POLICY__ADMIT__OUTLIERS", "0.4")
    _, out, _ = instar("policy", "show", "--json", "--set", "policy.admit.missing=0.3")
    rows = {row["key"]: row for row in json.loads(out)["settings"]}
    assert rows["policy.admit.min_rows"]["value"] == 7
    assert rows["policy.admit.min_rows"]["origin"] == "file line 5"
    assert (rows["policy.admit.outliers"]["value"], rows["policy.admit.outliers"]["origin"]) == (
        0.4,
        "environment",
    )
    assert (rows["policy.admit.missing"]["value"], rows["policy.admit.missing"]["origin"]) == (
        0.3,
        "--set",
    )
    assert rows["policy.admit.drift_alpha"]["origin"] == "default"
    assert not (tmp_path / ".instar").exists()


def test_words_of_data_are_shown_as_they_are(
    instar: Instar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that is called like markup must neither vanish nor break the page."""
    odd = replace(line.finding("missing:[red]x[/blue]"), message="[/bold] is missing")
    admission = replace(line.ADMISSION, findings=(odd,))
    monkeypatch.setattr(Workspace, "_work", lambda *_, **__: {"admission": line.encode(admission)})
    line.lay_out(tmp_path).close()
    (tmp_path / "fresh.parquet").touch()
    status, out, _ = instar("check", "fresh.parquet")
    assert status == 0
    assert "missing:[red]x[/blue] [/bold] is missing" in out


def test_status_without_a_champion_says_what_comes_next(instar: Instar, tmp_path: Path) -> None:
    (tmp_path / "instar.yaml").write_text(line.YAML)
    _, out, _ = instar("status")
    assert "next: instar adopt WEIGHTS" in out


def test_check_says_what_would_pass_of_what_decides_alone(
    instar: Instar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decides = line.finding("missing:x", line.Verdict.FAIL, passes_if="x in each row")
    shown = line.finding("drift:x", line.Verdict.FAIL, passes_if="less drift", enforced=False)
    held = Cleaning("hold rows back", "", 7)
    found = replace(line.ADMISSION, findings=(shown, decides), cleaning=(held,))
    monkeypatch.setattr(Workspace, "_work", lambda *_, **__: {"admission": line.encode(found)})
    line.lay_out(tmp_path).close()
    (tmp_path / "fresh.parquet").touch()
    _, out, _ = instar("check", "fresh.parquet")
    assert "passes if x in each row" in out
    assert "drift:x drift:x says fail  (reported only)" in out
    assert "less drift" not in out
    assert "  hold rows back: 7 rows" in out


def test_outcome_says_once_what_is_open_and_its_commands_on_one_line(
    instar: Instar, tmp_path: Path
) -> None:
    line.lay_out(tmp_path, line.REQUEST, *line.MADE[:4], line.TOO_GOOD).close()
    _, out, _ = instar("status", "u0001")
    assert out.count("suspicious says inconclusive") == 1
    assert out.rstrip().endswith(
        "next: instar approve u0001 --override suspicious --by NAME --reason WHY"
    )


def test_verdicts_are_exit_codes() -> None:
    assert [show.exit_of(v) for v in ("pass", "fail", "inconclusive", "error")] == [0, 1, 3, 1]


def test_help_of_every_command_is_told_without_heavy_libraries() -> None:
    code = (
        "import sys\nfrom instar.cli import main\nsys.argv = ['instar', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'polars', 'onnxruntime', 'numpy', 'sqlalchemy'} & sys.modules.keys()\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("adopt", "check", "update", "approve", "release", "rollback", "audit", "demo"):
        assert f"  {name} " in done.stdout


# The demo's folder.


def test_demo_clears_what_an_earlier_one_left_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "demo"
    _clear(place)
    (place / "left").touch()
    _clear(place)
    assert [file.name for file in place.iterdir()] == [MARK]


def test_demo_refuses_a_folder_with_files_of_somebody(
    instar: Instar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    status, out, err = instar("demo", "--folder", "thesis", "--json")
    assert (status, out) == (2, "")
    assert "'thesis'" in err
    assert (tmp_path / "thesis" / "chapter.tex").exists()
