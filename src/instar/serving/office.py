"""What all workers of a gateway share: the route they follow, counts, predictions and their labels.

The office runs in the gateway's first process. It reads the wanted route, has every worker load
it, and puts it in force when all of them have; it joins labels with predictions, whichever worker
gave them. No prediction waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec

from instar.core.codec import decode, encode
from instar.core.errors import BackendError
from instar.core.tools import Compared, Route, Served
from instar.serving import looks, processes, quality, routefile, trials
from instar.serving.exposition import family
from instar.serving.link import Link
from instar.serving.log import Answered, Feedback, Log, Report
from instar.serving.metrics import Metrics
from instar.serving.mistakes import NoOffice
from instar.serving.models import Course
from instar.serving.observations import JOINS, Observations
from instar.serving.slots import OUTCOMES, Sheet
from instar.tasks.form import Truth

_LOOK_S = 0.02  # between two looks at the route file: the time that a rollback may take to begin
_NOTE_S = 0.05  # from a route in force to the note of it on the disk
_AGAIN_S = 1.0  # until a worker that could not load the route in force tries again
_GATHER_S = 2.0  # that a worker may take to hand in what it counted
_LOAD_S = 60.0
_COMPLAINTS = 20_000  # that wait for an answer which nobody may ever have given
_KEPT = 200_000  # lines that are kept until somebody asks about them

_write = msgspec.json.Encoder().encode
_LINE = msgspec.json.Decoder(Answered | Feedback | Report)


class Refused(BackendError):
    """Pass on why a worker cannot serve a route."""

    code = "backend.refused_by_worker"

    def __init__(self, said: str) -> None:
        Exception.__init__(self, said)


class Staff:
    """One worker, as the office knows it."""

    def __init__(self, slot: int, pid: int, link: Link) -> None:
        self.slot, self.pid, self.link = slot, pid, link
        self.loaded: list[str] = []
        self.cold: dict[str, str] = {}
        self.joined = self.listens = False
        self.log_dropped = 0  # since it began
        self.recorded = (0, 0)  # rows that are kept with their inputs, and those dropped


class Office:
    """Lead the workers, and remember for them."""

    def __init__(self, root: Path, model: str, sheet: Sheet, trials: Sheet) -> None:
        self.model, self.staff = model, dict[int, Staff]()
        self.wanted = 1  # workers
        self._log_dropped = 0
        self.metrics, self.course = Metrics(sheet), Course(root)
        self.understudy: Link | None = None  # who runs shadows
        self.understudy_pid = 0
        self.moved: Callable[[Route], None] = lambda _: None  # is told of a route in force
        self._sheet, self._trials = sheet, trials
        self._root, self._place = root, routefile.folder(root).root
        self._observations = Observations()
        self._log = Log(root)
        self._lines: deque[tuple[int, bytes]] = deque()
        self._kept = 0
        self._early: dict[str, Truth] = {}
        self._complaints: set[str] = set()  # about answers that have not been read yet
        self._unloaded: set[str] = set()
        self._moving = asyncio.Lock()

    def remember(self) -> None:
        """Take up what was answered before; it is read when somebody asks about it."""
        for lines in self._log.chunks():
            self._keep(lines)

    # --- the route ----------------------------------------------------------------------------

    async def join(self, slot: int, pid: int, link: Link) -> None:
        """Take a worker in: it loads what is in force, and only then listens."""
        staff = Staff(slot, pid, link)
        self.staff[slot] = staff
        while self.course.route and self.staff.get(slot) is staff:
            async with self._moving:
                if not await self._prepare(staff, self.course.route):
                    await self._commit([staff])
                    break
            await asyncio.sleep(_AGAIN_S)
        staff.joined = True

    async def open(self) -> None:
        """Have the workers listen that have joined and do not yet."""
        for staff in list(self.staff.values()):
            if staff.joined and not staff.listens:
                staff.listens = True
                with contextlib.suppress(NoOffice):  # it is gone: its successor will be told
                    await staff.link.ask("listen")

    def leave(self, slot: int, link: Link) -> None:
        """Let a worker go that is gone."""
        if slot in self.staff and self.staff[slot].link is link:
            del self.staff[slot]

    async def start(self) -> None:
        """Put the wanted route in force or, where that fails, the last good one."""
        await self.converge()
        if self.course.route is None:
            await self.converge(routefile.LAST_GOOD)

    async def follow(self) -> None:
        """Converge whenever the route file is another one."""
        seen = None  # the route may have been moved since the start: look once in any case
        while True:
            if (mark := _mark(self._place / routefile.ROUTE)) != seen:
                seen = mark
                await self.converge()
            await asyncio.sleep(_LOOK_S)

    async def converge(self, name: str = routefile.ROUTE) -> None:
        """Have all workers load the wanted route, then put it in force with all of them.

        One that any of them cannot serve is refused, and nothing changes.
        """
        async with self._moving:
            if route := self.course.wanted(name):
                await self._move(route, name)

    async def _move(self, route: Route, name: str) -> None:
        staff = list(self.staff.values())
        said = await asyncio.gather(*(self._prepare(one, route) for one in staff))
        if reasons := [reason for reason in said if reason]:
            self.course.refuse(route.generation, Refused(reasons[0]))
            for one in staff:
                one.link.tell("drop")
            return
        await self._commit(staff)
        self.course.follow(route, name)
        self.moved(route)
        # To force a note to the disk takes longer than to tell who waits that the route is there.
        asyncio.get_running_loop().call_later(_NOTE_S, self.course.keep)

    async def _prepare(self, staff: Staff, route: Route) -> str:
        """Have a worker load a route beside the one in force; return why it cannot."""
        asked = {"route": encode(route), "unloaded": sorted(self._unloaded)}
        try:
            found = await staff.link.ask("prepare", asked, _LOAD_S)
        except NoOffice:  # it is gone, and its successor will be asked
            return "" if self.staff.get(staff.slot) is not staff else "a worker does not answer"
        if found["reason"]:
            return str(found["reason"])
        staff.loaded, staff.cold = found["loaded"], found["cold"]
        return ""

    async def _commit(self, staff: list[Staff]) -> None:
        asked = (one.link.ask("commit") for one in staff)
        await asyncio.gather(*asked, return_exceptions=True)

    async def _again(self) -> str:
        """Have what is in force loaded anew: what was cold may be there, or is to go."""
        async with self._moving:
            if (route := self.course.route) is None:
                return "nothing is in force"
            staff = list(self.staff.values())
            said = await asyncio.gather(*(self._prepare(one, route) for one in staff))
            if reasons := [reason for reason in said if reason]:
                return reasons[0]
            await self._commit(staff)
            return ""

    @property
    def moving(self) -> bool:
        """Tell whether somebody waits for workers to load a route."""
        return self._moving.locked()

    # --- shadows and crashes ------------------------------------------------------------------

    def show(self) -> None:
        """Tell who runs shadows which route is in force."""
        if self.understudy and self.course.route:
            self.understudy.tell("shadow", encode(self.course.route))

    def unshadow(self, link: Link) -> None:
        """Let the process go that ran shadows."""
        if self.understudy is link:
            self.understudy = None

    def crashed(self, slot: int, version: str, requests: int) -> None:
        """Count a process that ended, or hung, while it ran a version that is on trial."""
        route = self.course.route
        generation = route.generation if route else 0
        office = self._trials.block(len(self._trials.blocks) - 1)
        shadow = bool(route and version in route.shadow)
        trials.Trial(office, version, generation).crashed(requests if shadow else 0)
        if shadow:
            return
        share = route.shares.get(version, 0.0) if route else 0.0
        tally = self._sheet.block(slot).tally(version, generation if share else 0, share)
        for _ in range(requests):  # nobody answered them
            tally.count(0.0, OUTCOMES.index("error"))

    # --- what workers hand in -----------------------------------------------------------------

    def take(self, slot: int, given: Mapping[str, Any]) -> None:
        """Take what a worker answered and counted since the last time."""
        if lines := given["lines"]:
            self._keep(lines)
        for version, columns in given["missing"].items():
            self.metrics.miss(version, columns)
        self.metrics.rescued.update(given["rescued"])
        self.metrics.cached.update(given["cached"])
        self.metrics.refused += given["refused"]
        if slot in self.staff:
            # Added up, so that those of a worker that is gone stay counted.
            self._log_dropped += given["dropped"] - self.staff[slot].log_dropped
            self.staff[slot].log_dropped = given["dropped"]
            self.staff[slot].recorded = given["recorded"]

    async def gather(self) -> None:
        """Have every worker hand in what it has: who was answered finds it here."""
        staff = list(self.staff.values())
        found = await asyncio.gather(
            *(one.link.ask("hand in", None, _GATHER_S) for one in staff), return_exceptions=True
        )
        for one, given in zip(staff, found, strict=True):
            if isinstance(given, dict):
                self.take(one.slot, given)

    def _keep(self, lines: bytes) -> None:
        """Keep lines as they are: most are never asked about."""
        count = lines.count(b"\n")
        self._lines.append((count, lines))
        self._kept += count
        while self._kept - self._lines[0][0] >= _KEPT:
            self._kept -= self._lines.popleft()[0]

    def _observed(self) -> Observations:
        """Read the lines that came since somebody asked last."""
        seen = self._observations
        # Labels from before a restart are joined, and not told anew.
        told, judged = seen.labels.copy(), deepcopy(seen.judged)
        while self._lines:
            for line in self._lines.popleft()[1].splitlines():
                try:
                    event = _LINE.decode(line)
                except msgspec.DecodeError:  # cut off by a crash
                    continue
                if isinstance(event, Report):
                    if seen.report(event.id) == "unknown":
                        self._complaints.add(event.id)
                    continue
                if isinstance(event, Feedback):
                    if seen.label(event.id, event.label) == "unknown":
                        self._early[event.id] = event.label
                    continue
                single = len(event.scores) == 1
                for place, row in enumerate(event.scores):
                    name = event.id if single or not event.id else f"{event.id}/{place}"
                    seen.answered(name, event.version, event.generation, row)
                    if self._early and name in self._early:
                        seen.label(name, self._early.pop(name))
                    if self._complaints and name in self._complaints:
                        self._complaints.discard(name)
                        seen.report(name)
        self._kept, seen.labels, seen.judged = 0, told, judged
        return seen

    # --- what is asked ------------------------------------------------------------------------

    async def answer(self, what: str, value: Any) -> bytes:
        """Answer a call of the control plane, in JSON or as text."""
        if what in ("load", "unload"):
            return _write(await self._reload(what, value))
        if what == "status":  # asked again and again while a route is moved: it is not gathered
            return _write(self.status())
        if what == "feedback":
            # Who took the labels handed in first, and mostly gave the answers: ask the others
            # only where a label finds nothing.
            seen = self._observed()
            pairs, reports = value
            if not all(seen.knows(name) for name in (*(name for name, _ in pairs), *reports)):
                await self.gather()
            return _write({**self._label(pairs), **self._report(reports)})
        await self.gather()
        match what:
            case "served":
                return _write(encode(self._served(value)))
            case "compared":
                version, since = value
                shown = trials.read(self._trials, since)
                return _write(encode(shown.get(version, Compared(version))))
            case "labelled":
                found = self._observed().labelled(*value)
                # Thousands of rows: the JSON writer takes them as they are, in a hundredth of
                # the time.
                return _write({field.name: getattr(found, field.name) for field in fields(found)})
            case "scores":
                return _write(self._observed().scores(*value))
            case "metrics":
                return self.metrics.prometheus(self.model, self._gauges(), self._more()).encode()
            case "stats":
                return _write({"model_stats": self._stats(value)})
        raise NoOffice

    def _served(self, since: int) -> dict[str, Served]:
        crashes = trials.crashes(self._trials, since)
        reports = self._observed().reports(since)
        return {
            version: replace(
                served, crashes=crashes.get(version, 0), reports=reports.get(version, 0)
            )
            for version, served in self.metrics.served(since).items()
        }

    def _label(self, pairs: list[tuple[str, Truth]]) -> dict[str, int]:
        seen = self._observed()
        outcomes = Counter(joined=0, repeated=0, changed=0, unknown=0)
        outcomes.update(seen.label(name, label) for name, label in pairs)
        return dict(outcomes)

    def _report(self, names: list[str]) -> dict[str, int]:
        seen = self._observed()
        outcomes = Counter(seen.report(name) for name in names)
        if len(self._complaints) < _COMPLAINTS:
            self._complaints.update(name for name in names if not seen.knows(name))
        return {"reported": outcomes["joined"]} if names else {}

    async def _reload(self, what: str, version: str) -> dict[str, str]:
        if what == "load":
            self._unloaded.discard(version)
            if not version:
                self._unloaded.clear()
            await self.converge()
        else:
            self._unloaded.add(version)
        reason = await self._again()
        if what == "load" and not reason:
            refusal = self.course.refusal
            cold = {k: v for one in self.staff.values() for k, v in one.cold.items()}
            reason = cold.get(version, "") or (refusal.reason if refusal and not version else "")
        return {"reason": reason}

    def status(self) -> dict[str, Any]:
        """Tell what is in force, since when, and what was refused."""
        route, refusal = self.course.route, self.course.refusal
        staff = list(self.staff.values())
        loaded = set.intersection(*(set(one.loaded) for one in staff)) if staff else set()
        return {
            "model": self.model,
            "generation": route.generation if route else 0,
            "champion": route.champion if route else "",
            "shares": dict(route.shares) if route else {},
            "shadow": dict(route.shadow) if route else {},
            "loaded": sorted(loaded) if route else [],
            "cold": {name: why for one in staff for name, why in one.cold.items()} if route else {},
            "refused": {"generation": refusal.generation, "reason": refusal.reason}
            if refusal
            else None,
            "age_s": self.course.age_s(),
            "pid": os.getpid(),
            "shadow_pid": self.understudy_pid if self.understudy else None,
            "workers": [{"slot": one.slot, "pid": one.pid} for one in staff],
            "missing_columns": self.metrics.missing,
            "rescued": self.metrics.rescued,
            "labels": self._observations.labels,
            "reports": self._observations.reports(),
            "log_dropped": self._log_dropped,
            "recorded": sum(one.recorded[0] for one in staff),
            "record_dropped": sum(one.recorded[1] for one in staff),
        }

    def _gauges(self) -> dict[str, float]:
        route = self.course.route
        return {
            "route_generation": route.generation if route else 0,
            "route_refused": float(self.course.refusal is not None),
            "recorded": sum(one.recorded[0] for one in self.staff.values()),
            "record_dropped": sum(one.recorded[1] for one in self.staff.values()),
            "workers": len(self.staff),
            "workers_wanted": self.wanted,
        }

    def _more(self) -> Iterator[str]:
        """Tell Prometheus what is no count of an answer."""
        model, route = self.model, self.course.route
        yield from family(
            "instar_route_share",
            "gauge",
            (
                ({"model": model, "version": name}, share)
                for name, share in (route.shares if route else {}).items()
            ),
        )
        dropped = [({"model": model}, self._log_dropped)]
        yield from family("instar_log_dropped_total", "counter", dropped)
        labels = self._observations.labels
        yield from family(
            "instar_labels_total",
            "counter",
            (({"model": model, "outcome": name}, labels[name]) for name in JOINS),
        )
        yield from quality.exposed(model, self._observations.judged)
        yield from trials.exposed(model, self._trials)
        yield from looks.exposed(model, self._root)
        pids = {f"worker {slot}": one.pid for slot, one in sorted(self.staff.items())}
        yield from processes.exposed(model, {"office": os.getpid(), **pids})

    def _stats(self, version: str) -> list[dict[str, Any]]:
        """Tell in the words of the statistics extension what was measured; nothing else."""
        found = []
        for name, counts in self.metrics.totals().items():
            if version and name != version:
                continue
            ok, failed = counts.outcomes[0], counts.failed
            mean_ns = int(1e6 * counts.total_ms / max(1, counts.requests))
            found.append(
                {
                    "name": self.model,
                    "version": name,
                    "inference_count": counts.rows,
                    "execution_count": counts.runs,
                    "inference_stats": {
                        "success": {"count": ok, "ns": mean_ns * ok},
                        "fail": {"count": failed, "ns": mean_ns * failed},
                    },
                    "batch_stats": [],
                }
            )
        return found


def _mark(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_ino, stat.st_mtime_ns)


def read_route(value: Any) -> Route:
    """Read a route that came over the line."""
    return decode(Route, value)
