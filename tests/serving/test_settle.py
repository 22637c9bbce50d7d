"""Traffic and ledger after a crash between the two, wherever it came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from instar.core.codec import encode
from instar.core.records import Phase
from instar.core.tools import Route
from instar.core.update import State, replay
from instar.ledger.journal import Hold, SqliteJournal
from instar.serving import routefile
from instar.serving.settle import Gap, gap, settle
from tests.service import line

BOOT = ("boot", 100.0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = line.lay_out(tmp_path, line.REQUEST)
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".instar"


def route(champion: str = line.OLD, generation: int = 7, **more: object) -> Route:
    names = (line.ZERO, line.OLD, line.NEW)
    made = Route(
        "demand", generation, {champion: 1.0}, {n: line.digest(n) for n in names}, champion
    )
    return replace(made, **more)


def settled(home: Path, journal: SqliteJournal) -> Gap | None:
    """Settle; nothing is left to do that doing it again would do."""
    found = settle(home, "demand", journal, BOOT)
    there = routefile.read(home)
    assert settle(home, "demand", journal, BOOT) == found == gap(journal, "demand", there)
    assert routefile.read(home) == there
    return found


def test_champion_without_a_route_gets_all_traffic(home: Path, journal: SqliteJournal) -> None:
    assert gap(journal, "demand", None).todo == ""
    assert settled(home, journal) is None
    there = routefile.read(home)
    assert (there.champion, there.shares) == (line.OLD, {line.OLD: 1.0})
    assert there.manifests == {line.OLD: line.digest(line.OLD)}


def test_line_without_a_champion_gets_no_route(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "ledger.db")
    assert settle(tmp_path, "demand", journal, BOOT) is None
    assert routefile.read(tmp_path) is None
    journal.close()


def test_share_of_a_candidate_without_a_release_goes_home(
    home: Path, journal: SqliteJournal
) -> None:
    line.file(journal, *line.MADE, line.approval(), line.moving(Phase.STEP, 0.25))
    split = route(shares={line.OLD: 0.75, line.NEW: 0.25})
    routefile.write(home, split)
    assert settled(home, journal) is None
    assert routefile.read(home) == split  # the release owns the traffic
    journal.append(
        "withdrawn", {"reason": "no"}, update="u0001", model="demand", actor="a", takes_over=True
    )
    assert settled(home, journal) is None
    there = routefile.read(home)
    assert there.shares == {line.OLD: 1.0}
    assert there.epoch == journal.epoch("demand") == 1


def test_promotion_that_traffic_has_not_followed_is_left_to_its_release(
    home: Path, journal: SqliteJournal
) -> None:
    line.file(journal, *line.MADE, line.approval(), line.moving(Phase.PROMOTING, 0.5))
    line.crown(journal, replace(line.model(line.NEW, line.OLD), update="u0001"))
    routefile.write(home, route())
    assert settled(home, journal).todo == "instar release u0001"
    assert routefile.read(home) == route()


def test_traffic_that_a_person_moved_ahead_of_the_ledger_stays(
    home: Path, journal: SqliteJournal
) -> None:
    routefile.write(home, route(line.ZERO, epoch=journal.epoch("demand") + 1))
    found = settled(home, journal)
    assert found.todo == "instar rollback --reason WHY"
    assert line.ZERO in found.problem
    assert routefile.read(home).champion == line.ZERO


def test_traffic_that_lags_behind_a_rollback_follows(home: Path, journal: SqliteJournal) -> None:
    routefile.write(home, route(line.OLD))
    here = journal.champion("demand")
    journal.promote(
        "demand",
        expect=here.seq,
        body=encode(line.model(line.ZERO)),
        actor="bob",
        epoch=None,
        kind="rollback",
        takes_over=True,
    )
    assert settled(home, journal) is None
    assert routefile.read(home).champion == line.ZERO


def test_warm_version_is_let_go_when_its_hold_is_over(home: Path, journal: SqliteJournal) -> None:
    here = journal.champion("demand")
    journal.promote(
        "demand",
        expect=here.seq,
        body=encode(line.model(line.NEW, line.OLD)),
        actor="bob",
        epoch=None,
        hold=Hold(60.0, *BOOT),
    )
    routefile.write(home, route(line.NEW, warm=(line.OLD, line.ZERO)))
    assert settled(home, journal) is None
    assert routefile.read(home).warm == (line.OLD,)
    settle(home, "demand", journal, ("boot", 160.0))
    there = routefile.read(home)
    assert (there.warm, there.manifests) == ((), {line.NEW: line.digest(line.NEW)})


def test_release_is_retired_once_when_the_version_before_is_let_go(
    home: Path, journal: SqliteJournal
) -> None:
    line.file(journal, *line.MADE, line.approval(), line.moving(Phase.PROMOTING, 0.5))
    here = journal.champion("demand")
    journal.promote(
        "demand",
        expect=here.seq,
        body=encode(replace(line.model(line.NEW, line.OLD), update="u0001")),
        actor="bob",
        epoch=None,
        update="u0001",
        hold=Hold(60.0, *BOOT),
    )
    line.file(journal, line.moving(Phase.PROMOTED, 1.0))
    routefile.write(home, route(line.NEW, warm=(line.OLD,)))
    settled(home, journal)
    assert len(journal.entries(kind="release")) == 2
    for _ in range(2):
        settle(home, "demand", journal, ("boot", 160.0))
    last = journal.entries(kind="release")
    assert [entry.body["phase"] for entry in last] == ["promoting", "promoted", "retired"]
    assert last[-1].body["cause"] == "time"
    assert line.OLD in last[-1].body["reason"]
    state = replay(journal.entries(update="u0001"))
    assert (state.state, state.promoted) == (State.PROMOTED, True)


def test_settle_gives_way_to_whoever_moves_at_this_moment(
    home: Path, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = routefile.read
    routefile.write(home, route(shares={line.OLD: 0.5, line.NEW: 0.5}))
    old = read(home)
    routefile.write(home, route(generation=9))
    seen = iter([old])  # it looks a moment too early; whoever writes looks again
    monkeypatch.setattr(
        "instar.serving.settle.routefile.read", lambda *given: next(seen, None) or read(*given)
    )
    assert settle(home, "demand", journal, BOOT) is None
    assert read(home) == route(generation=9)
