"""The four acts. Everything is done as a team would do it: through the service, over HTTP."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from instar.core.finding import Interval, Verdict
from instar.core.records import Release, Validation
from instar.demo import stage
from instar.demo.replay import Replay
from instar.service import Workspace
from instar.service.outcome import Outcome

Tell = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Act:
    """What one act came to.

    `champion` and `candidate` are their primary metric on the fresh test rows, `difference` the
    gain, each with its interval.
    """

    name: str
    update: str
    verdict: str
    state: str
    champion_before: str
    champion_after: str
    metric: str = ""
    champion: float | None = None
    champion_interval: Interval | None = None
    candidate: float | None = None
    candidate_interval: Interval | None = None
    difference: float | None = None
    interval: Interval | None = None
    seconds: float = 0.0
    facts: Mapping[str, float] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    report: str = ""


class Play:
    """One performance: the folder, the people, and the gateway that serves meanwhile."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.tell: Tell | None = None
        self.alice, self.bob = self._as("alice"), self._as("bob")

    def _as(self, name: str, *settings: str) -> Workspace:
        return Workspace(self.folder, by=name, settings=settings)

    def set_up(self) -> None:
        """Make the world of before: data, and a champion in service."""
        tell = self.tell or (lambda line: None)
        tell({"what": "example", "done": 0, "total": 0, "note": "data and the first champion"})
        stage.lay_out(self.folder, self.seed)
        tell({"what": "example", "done": 1, "total": 1, "note": "ready"})
        self.alice.adopt(
            str(self.folder / "champion.safetensors"),
            train=str(self.folder / "data/train.parquet"),
            holdout=str(self.folder / "data/holdout.parquet"),
            preprocessing=str(self.folder / "champion.json"),
            seed=self.seed,
            tell=self.tell,
        )

    def scenes(self, url: str) -> tuple[tuple[str, Callable[[], Act]], ...]:
        """List the acts in order, each with its name."""
        return (
            ("a good update", functools.partial(self.good_update, url)),
            ("bad data", self.bad_data),
            ("too good to be true", functools.partial(self.too_good, url)),
            ("the way back", functools.partial(self.way_back, url)),
        )

    def good_update(self, url: str) -> Act:
        """Act 1: June brings a better model; July's flights carry its release."""
        before = self.alice.champion().name
        asked = self._ask(self.alice, "2013-06.parquet", "June is complete")
        approved = self.bob.approve(asked.update, reason="figures read", tell=self.tell)
        ended, client = self._release(url, approved.update, (7, 8))
        return self._act("a good update", ended, before, client)

    def bad_data(self) -> Act:
        """Act 2: July as two broken feeds delivered it is refused at the data gate."""
        before = self.alice.champion().name
        file = self.folder / "data/2013-07-broken.parquet"
        stage.spoil(stage.month(self.folder, 7)).write_parquet(file)
        asked = self._ask(self.alice, file.name, "July is complete")
        return self._act("bad data", asked, before, None)

    def too_good(self, url: str) -> Act:
        """Act 3: a network that reads the departure delay, which no live request has."""
        before = self.alice.champion().name
        peeking = self._as("alice", "data.ignore=[]")
        asked = self._ask(peeking, "2013-07.parquet", "use the departure delay as well")
        codes = [f.code for f in asked.findings if f.verdict is Verdict.INCONCLUSIVE]
        for name in ("carol", "dave"):
            for code in codes:
                self._as(name).override(
                    asked.update, code, reason="the gain looks plausible to me", tell=self.tell
                )
        self.bob.approve(asked.update, reason="two colleagues vouch for it", tell=self.tell)
        ended, client = self._release(url, asked.update, (8, 9))
        act = self._act("too good to be true", ended, before, client)
        return replace(act, verdict="inconclusive")

    def way_back(self, url: str) -> Act:
        """Act 4: back to the champion before, by hand, while requests keep coming."""
        before = self.bob.champion()
        rows, labels = stage.live(stage.month(self.folder, 9))
        client = Replay(url, self.bob.project.model, rows, labels, connections=4, forever=True)
        client.start().wait_for(400)
        done = self.bob.rollback(reason="the demo wants to see the way back")
        after_move = client.sent
        client.wait_for(after_move + 400)
        client.stop()
        problems = self.bob.audit()["problems"]
        return Act(
            name="the way back",
            update=str(before.update),
            verdict="pass" if client.failed == 0 and not problems else "fail",
            state="rolled back",
            champion_before=before.name,
            champion_after=self.bob.champion().name,
            facts={
                "requests": client.sent,
                "failed": client.failed,
                "traffic_moved_s": done["seconds"],
                "audit_problems": len(problems),
            },
            said=(
                f"{client.sent:,} requests while traffic went back, {client.failed} failed",
                f"all traffic moved in {done['seconds'] * 1000:.0f} ms",
                "audit verify: every entry as it was written" if not problems else str(problems[0]),
            ),
        )

    def _ask(self, space: Workspace, file: str, reason: str) -> Outcome:
        source = str(self.folder / "data" / file)
        return space.update(source, reason=reason, seed=self.seed, tell=self.tell)

    def _release(self, url: str, update: str, months: tuple[int, ...]) -> tuple[Outcome, Replay]:
        import polars as pl

        rows, labels = stage.live(pl.concat([stage.month(self.folder, m) for m in months]))
        candidate = str(self.bob.outcome(update).candidate)
        client = Replay(
            url,
            self.bob.project.model,
            rows,
            labels,
            ready=lambda: candidate in self.bob.route().shares,
        )
        client.start()
        try:
            ended = self._as("olga").release(update, tell=self.tell)
        finally:
            client.stop()
        return ended, client

    def _act(self, name: str, ended: Outcome, before: str, client: Replay | None) -> Act:
        state = self.bob.state(ended.update)
        report = self.folder / f"{ended.update}.html"
        report.write_text(self.bob.report(ended.update), encoding="utf-8")
        facts: dict[str, float] = {}
        if client is not None:
            facts = {"requests": client.sent, "failed": client.failed}
        release = state.get(Release)
        said = tuple(f.message for f in ended.findings if f.verdict is Verdict.FAIL)
        if release is not None:
            seconds = release.since - release.began_at
            facts |= {"candidate_requests": release.requests, "labels": release.labels}
            facts |= {"released_s": seconds}
            when = f"{ended.state.value} {seconds:.1f} s after its first share of the traffic"
            had = f"{release.requests:,} requests of its own and {release.labels:,} labels"
            said = (f"{when}, at {had}", *said)
        act = Act(
            name=name,
            update=ended.update,
            verdict=ended.verdict.value if ended.verdict else "",
            state=ended.state.value,
            champion_before=before,
            champion_after=self.bob.champion().name,
            facts=facts,
            said=said or (ended.message,),
            report=str(report),
        )
        validation = state.get(Validation)
        return _with_metrics(act, validation) if validation else act


def _with_metrics(act: Act, validation: Validation) -> Act:
    compared = next((f for f in validation.findings if f.code.startswith("metrics:")), None)
    metric = compared.code.removeprefix("metrics:") if compared else ""
    return replace(
        act,
        metric=metric,
        champion=validation.champion.get(metric),
        candidate=validation.candidate.get(metric),
        champion_interval=validation.intervals.get("champion"),
        candidate_interval=validation.intervals.get("candidate"),
        difference=compared.measured if compared else None,
        interval=compared.interval if compared else None,
    )
