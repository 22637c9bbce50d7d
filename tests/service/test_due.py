"""`instar due` on ledgers of several updates: what is read, what is decided, what is refused."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instar import cli
from instar.core.codec import encode
from instar.core.errors import InputError
from instar.core.finding import Interval, Verdict
from instar.core.records import Cost, Phase, Watch
from instar.core.update import KINDS
from instar.ledger.journal import SqliteJournal
from instar.need import DAY
from instar.service import Workspace
from instar.service.due import TooEarly, gather, span
from instar.testing.tools import FakeClock
from tests.service import line

START = 1_700_000_000.0
FRESH = replace(line.snapshot("fresh"), rows=3_000)


class Line:
    """A ledger that is written day by day."""

    def __init__(self, folder: Path, yaml: str = line.YAML) -> None:
        self.folder, self.at, self.names = folder, START, [line.OLD]
        (folder / "instar.yaml").write_text(yaml)
        (folder / ".instar").mkdir()
        self.journal = SqliteJournal(folder / ".instar" / "ledger.db", lambda: self.at)
        self.version = replace(line.model(line.OLD), metrics={"auroc": 0.80})
        line.crown(self.journal, self.version, "adoption")

    @property
    def clock(self) -> FakeClock:
        return FakeClock(at=self.at)

    @property
    def space(self) -> Workspace:
        return Workspace(self.folder, by="ana")

    def on(self, day: float) -> Line:
        self.at = START + day * DAY
        return self

    def file(self, update: str | None, *records: Any) -> None:
        kinds = {record: kind for kind, record in KINDS.items()}
        for record in records:
            self.journal.append(
                kinds[type(record)],
                encode(record),
                update=update,
                model="demand",
                actor="worker",
            )

    def update(self, number: int, drop: float, *, ends: str = "promoted", **more: Any) -> None:
        """Carry an update: `drop` in auroc ± 0.002, a probe of ± 0.01 on 1,000 rows."""
        name, version = f"u{number:04}", f"model_v202602{number:02}_0000"
        cost = Cost(money=0.25, method="metered")
        found = (
            line.finding("worth"),
            _measured("drop", drop, 0.002, 2_100),
            _measured("probe", 0.01, 0.01, 1_000),
        )
        plan = replace(line.PLAN, findings=found)
        fresh = replace(FRESH, **more)
        self.file(
            name,
            replace(line.REQUEST, update=name, champion=self.version.name, fresh=fresh),
            replace(line.ADMISSION, split=_split()),
            replace(plan, strategy="keep", verdict=Verdict.FAIL) if ends == "kept" else plan,
        )
        if ends in ("kept", "open"):
            return
        flips = _measured("flips:fresh", 0.02, 0.01, 450)
        self.file(
            name,
            replace(line.TRAINING, cost=cost),
            replace(line.BUNDLE, version=version),
            replace(line.VALIDATION, findings=(*line.VALIDATION.findings, flips), cost=cost),
            line.approval(),
            line.moving(Phase.PROMOTED, 1.0),
        )
        self.version = replace(
            line.model(version, parent=self.version.name), update=name, metrics={"auroc": 0.80}
        )
        line.crown(self.journal, self.version)

    def watch(self, *findings: Any) -> None:
        self.file(self.version.update, Watch(Verdict.PASS, findings, 1_000))

    def due(self, *settings: str) -> dict[str, Any]:
        return Workspace(self.folder, settings=settings).due(clock=self.clock)


def _measured(code: str, value: float, reach: float, n: int) -> Any:
    bounds = Interval(value - reach, value + reach)
    return line.finding(code, measured=value, interval=bounds, n=n, unit="auroc")


def _split() -> Any:
    parts = (replace(line.snapshot("learn"), rows=rows) for rows in (2_100, 450, 450))
    return line.Split(*parts)


@pytest.fixture
def made(tmp_path: Path) -> Any:
    found = Line(tmp_path)
    yield found
    found.journal.close()


def finding(done: dict[str, Any], code: str) -> dict[str, Any]:
    return next(dict(one) for one in done["findings"] if one["code"] == code)


def weekly(made: Line, drops: Sequence[float]) -> None:
    """One update every ten days, each promoted at once."""
    for number, drop in enumerate(drops, 1):
        made.on(10.0 * number).update(number, drop)


def test_adopted_model_is_due_by_the_calendar_alone(made: Line) -> None:
    done = made.on(29.9).due()
    assert (done["due"], done["exit_code"], done["champion"]) == (False, 3, line.OLD)
    assert done["at"] == pytest.approx(START + 30 * DAY)
    done = made.on(30.1).due()
    assert (done["due"], done["exit_code"], done["rows"]) == (True, 0, 200)
    assert done["next"] == "instar update DATA --reason WHY"


def test_decay_and_costs_of_past_updates_set_the_period(made: Line) -> None:
    """Rows of the whole ten days were one point worse, so a point was lost in five days."""
    weekly(made, [0.010, 0.011, 0.009, 0.010])
    done = made.on(41.0).due()
    decay, cost = finding(done, "decay"), finding(done, "cost")
    assert decay["measured"] == pytest.approx(0.2)
    assert decay["n"] == 4
    # 0.5 of computing, 2 % of flips at 0.1 a per cent, 1 of people; a point is worth 1/7 a day.
    cheapest = (2 * 1.7 / (0.2 / 7)) ** 0.5
    assert cost["measured"] == pytest.approx(cheapest)
    assert "costs 1.7 (computing 0.5, flips 0.2, people 1)" in cost["message"]
    assert done["at"] == pytest.approx(START + (40 + cheapest) * DAY, abs=1)
    assert not done["due"]
    assert made.on(40.1 + cheapest).due()["due"]
    assert made.due("policy.cadence.cost_per_update=9")["due"] is False


def test_rows_of_known_days_count_with_those(made: Line) -> None:
    for number in range(1, 4):
        days = {"since": "2026-02-01", "until": "2026-02-05"}  # two days old in the mean
        made.on(10.0 * number).update(number, 0.008, **days)
    assert finding(made.due(), "decay")["measured"] == pytest.approx(0.1)
    assert finding(made.due("policy.cadence.fresh_days=0"), "decay")["measured"] == pytest.approx(
        0.1
    )


def test_live_quality_of_each_champion_is_a_look_too(made: Line) -> None:
    made.on(5.0).watch(_measured("live_quality:auroc", 0.70, 0.01, 1_000))
    made.on(8.0).watch(_measured("live_quality:auroc", 0.784, 0.002, 1_000))
    weekly(made, [0.010, 0.010])
    made.on(24.0).watch(_measured("live_quality:accuracy", 0.5, 0.01, 1_000))
    seen = gather(made.journal, "demand", made.clock)
    (live,) = [fall for fall in seen.falls if fall.source.startswith("watch")]
    assert (live.days, live.drop) == (pytest.approx(8.0), pytest.approx(0.016))
    assert finding(made.due(), "decay")["measured"] == pytest.approx(0.2, rel=0.01)


def test_alert_of_production_asks_at_once_and_is_gone_with_its_champion(made: Line) -> None:
    made.on(3.0).watch(line.finding("score_drift", Verdict.FAIL, measured=0.4, limit=0.25))
    done = made.on(3.5).due()
    assert done["due"]
    assert done["reason"] == "drift: score_drift says fail (watched 0.5 days ago)"
    assert not made.due("policy.cadence.min_days=7")["due"]
    made.on(4.0).update(1, 0.01)
    assert not made.on(6.0).due()["due"]
    assert finding(made.due(), "drift")["verdict"] == "inconclusive"


def test_size_says_how_many_rows_and_how_many_there_were(made: Line) -> None:
    weekly(made, [0.010, 0.011, 0.009, 0.010])
    done = made.on(50.0).due()
    when_due = (2 * 1.7 / (0.2 / 7)) ** 0.5  # days; rows of all of them show half of the loss
    rows = math.ceil(3_000 * (0.01 / (0.002 * when_due / 2)) ** 2)
    assert done["rows"] == rows == finding(done, "size")["measured"]
    assert "the last update had 3,000" in finding(done, "size")["message"]


def test_gate_that_could_not_tell_asks_for_more_rows(made: Line) -> None:
    made.on(10.0).update(1, 0.01, ends="open")
    unsure = line.finding("metrics:auroc", line.OPEN, n=450, labels_needed=450)
    made.file("u0001", line.TRAINING, line.BUNDLE, replace(line.VALIDATION, findings=(unsure,)))
    assert gather(made.journal, "demand", made.clock).wanted == 6_000


def test_update_that_kept_the_champion_begins_the_period_anew(made: Line) -> None:
    made.on(30.0).update(1, 0.0, ends="kept")
    assert not made.on(32.0).due()["due"]
    assert made.on(60.1).due()["due"]


def test_update_that_failed_does_not_count_but_keeps_min_days(made: Line) -> None:
    made.on(30.0).update(1, 0.0, ends="open")
    made.journal.append("failed", {"reason": "no room"}, update="u0001", model="demand", actor="w")
    assert not made.on(30.5).due()["due"]
    assert made.on(31.1).due()["due"]


def test_open_update_is_named(made: Line) -> None:
    made.on(40.0).update(1, 0.0, ends="open")
    done = made.on(50.0).due()
    assert (done["due"], done["at"], done["exit_code"]) == (False, None, 3)
    assert done["next"] == "instar status u0001"


def test_champion_that_came_back_has_the_age_it_had(made: Line) -> None:
    first = made.version
    made.on(10.0).update(1, 0.01)
    made.on(12.0)
    line.crown(made.journal, first, "rollback")
    seen = gather(made.journal, "demand", made.on(13.0).clock)
    assert (seen.champion, seen.age_days, seen.waited_days) == (
        line.OLD,
        pytest.approx(13),
        pytest.approx(1),
    )


def test_clock_that_went_back_makes_nothing_younger(made: Line) -> None:
    made.on(30.0).watch(line.finding("reports"))
    assert made.on(-5.0).due()["due"]


def test_without_a_champion_there_is_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / "instar.yaml").write_text(line.YAML)
    with pytest.raises(InputError, match="a champion of demand"):
        Workspace(tmp_path).due()


@given(first=st.text(max_size=12), last=st.text(max_size=12))
def test_column_that_holds_no_dates_has_no_span(first: str, last: str) -> None:
    found = span(first, last)
    assert found is None or found >= 0


# What the policy makes of an update that comes early.


@pytest.fixture
def told(made: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A line whose champion came an hour ago, by the clock of this machine, and no worker."""
    import time

    made.journal.close()
    (made.folder / ".instar" / "ledger.db").unlink()
    made.at = time.time() - 3600
    made.journal = SqliteJournal(made.folder / ".instar" / "ledger.db", lambda: made.at)
    line.crown(made.journal, made.version, "adoption")
    made.update(1, 0.0)
    monkeypatch.setattr(Workspace, "_work", lambda self, task, tell, **args: {"update": "u0001"})
    (made.folder / "fresh.parquet").touch()
    return made


def run(capsys: Any, monkeypatch: Any, folder: Path, *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["instar", *words, "--root", str(folder)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


ASK = ("update", "fresh.parquet", "--reason", "need", "--json")
MIN = ("--set", "policy.cadence.min_days=7")


@pytest.mark.parametrize(
    ("settings", "code", "lines"),
    [
        ((), 0, 0),
        ((*MIN,), 0, 0),
        ((*MIN, "--set", "policy.cadence.enforce=warn"), 0, 1),
        ((*MIN, "--set", "policy.cadence.enforce=refuse"), 2, 1),
        (("--set", "policy.cadence.min_days=0.01", "--set", "policy.cadence.enforce=refuse"), 0, 0),
    ],
    ids=["default", "off", "warn", "refuse", "late enough"],
)
def test_update_that_comes_early_is_as_the_policy_says(
    told: Line, monkeypatch: Any, capsys: Any, settings: tuple[str, ...], code: int, lines: int
) -> None:
    status, _, err = run(capsys, monkeypatch, told.folder, *ASK, *settings)
    assert (status, len(err.splitlines())) == (code, lines)
    if lines:
        assert "wanted at least 7 days" in err
        assert "--set policy.cadence.enforce=off" in err


def test_refusal_is_an_error_of_its_own_in_python(told: Line) -> None:
    settings = ("policy.cadence.enforce=refuse", "policy.cadence.min_days=7")
    with pytest.raises(TooEarly, match=r"got 0\.0; ask again on"):
        Workspace(told.folder, settings=settings).update("fresh.parquet", reason="need")
    assert len(told.journal.entries(kind="request")) == 1


def test_command_says_it_to_people_and_as_json(told: Line, monkeypatch: Any, capsys: Any) -> None:
    code, out, err = run(capsys, monkeypatch, told.folder, "due")
    assert (code, err) == (3, "")
    for word in ("an update is not due", "age", "decay", "about 200 labelled rows", "instar due"):
        assert word in out
    late = ("--set", "policy.cadence.max_days=0.01", "--set", "policy.cadence.min_days=0")
    code, out, err = run(capsys, monkeypatch, told.folder, "due", "--json", *late)
    assert (code, err) == (0, "")
    done = json.loads(out)
    assert (done["due"], done["exit_code"]) == (True, 0)
    assert [one["code"] for one in done["findings"]] == ["age", "drift", "cost", "decay", "size"]
