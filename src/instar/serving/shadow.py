"""A process that runs shadows: versions whose answers go to nobody, and are compared.

It has the lowest priority that the system knows, memory of its own, and one queue that the workers
fill and never wait for. So a shadow that is slow, hangs, or ends its process takes nothing from a
request: it only falls behind, and is counted for it. The office starts the process with the first
route that has a shadow, and ends it with the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from instar.bundle.columns import Piece
from instar.core.data import Task
from instar.core.errors import InstarError
from instar.core.tools import Route
from instar.ledger.artifact_stores import open_at
from instar.ledger.trust import trusted
from instar.serving.batching import HEAVY_ROWS, LIGHT_S, MOST_ROWS, work
from instar.serving.link import Link
from instar.serving.mirror import Shown, unpack
from instar.serving.mistakes import InvalidAnswer
from instar.serving.models import Version, load_version, reason
from instar.serving.office import read_route
from instar.serving.trials import Trial
from instar.serving.worker import Post
from instar.tasks import form_of
from instar.tasks.multilabel import HALF

_MOST = 1 << 22  # bytes of one message

Scores = NDArray[np.float32]


class Seen:
    """One request on its way through a shadow."""

    __slots__ = ("columns", "piece", "shown")

    def __init__(self, shown: Shown, piece: Piece) -> None:
        self.shown, self.columns, self.piece = shown, shown.columns, piece


class Cast:
    """The shadows of one route: versions with their counters."""

    def __init__(self, route: Route, versions: dict[str, Version], post: Post) -> None:
        block = post.trials.block(post.slot)
        self.generation, self.versions = route.generation, versions
        self.trials = {name: Trial(block, name, route.generation) for name in versions}
        self.within = {name: _within(v, route.tolerance) for name, v in versions.items()}


class Shadows:
    """Run what the route's shadows would have answered.

    Args:
        post: Where to take requests out, where to count, and the line to the office.
    """

    def __init__(self, post: Post) -> None:
        self._post = post
        self._block = post.trials.block(post.slot)
        self._artifacts = open_at(post.root, post.artifacts)
        self._cast: Cast | None = None
        self._buffer = bytearray(_MOST)
        self._loading = asyncio.Lock()
        # Its thread is made here, before the priority falls: who waits for a shadow to load would
        # wait long on a busy machine.
        self._loader = ThreadPoolExecutor(1, "load")
        self._loader.submit(int).result()
        _lower()

    async def serve(self) -> None:
        """Work until the office is gone."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        self._link = Link(self._hear, ended.set)
        await loop.create_connection(lambda: self._link, sock=self._post.line)
        loop.add_reader(self._post.mirror[1], self._read)
        await ended.wait()

    async def _hear(self, what: str, value: Any) -> None:
        if what == "shadow":
            async with self._loading:
                await self._take(read_route(value))

    async def _take(self, route: Route) -> None:
        """Load the shadows of a route; one that cannot be loaded stays away."""
        known = {v.manifest: v for v in self._cast.versions.values()} if self._cast else {}
        loop = asyncio.get_running_loop()
        self._block.loading = True
        versions: dict[str, Version] = {}
        for name in route.shadow:
            manifest = route.manifests[name]
            try:
                if (there := known.get(manifest)) is None:
                    there = await loop.run_in_executor(self._loader, self._load, route, name)
                versions[name] = there
            except Exception as error:  # noqa: BLE001 - whatever a bundle does on loading
                _log().warning("shadow %s is not loaded: %s", name, reason(error))
        self._cast = Cast(route, versions, self._post)
        self._block.loading = False

    def _load(self, route: Route, name: str) -> Version:
        # Should the process end in it, the version is to blame.
        trial = Trial(self._block, name, route.generation)
        self._block.enter(trial.at, 0, 1)
        try:
            return load_version(route, name, self._artifacts, trusted(self._post.root))
        finally:
            self._block.leave(1)

    # --- requests -----------------------------------------------------------------------------

    def _read(self) -> None:
        """Take out what waits, as much as one run is worth."""
        found: dict[tuple[str, int], list[Shown]] = {}
        for _ in range(MOST_ROWS):
            try:
                size = self._post.mirror[1].recv_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                break
            with contextlib.suppress(msgspec.DecodeError):
                shown = unpack(bytes(self._buffer[:size]))
                found.setdefault((shown.version, shown.generation), []).append(shown)
        for (name, generation), some in found.items():
            self._show(name, generation, some)

    def _show(self, name: str, generation: int, some: list[Shown]) -> None:
        cast = None if self._block.loading else self._cast
        if cast is None or cast.generation != generation or name not in cast.versions:
            Trial(self._block, name, generation).dropped(len(some))  # it loads, or it is over
            return
        version, trial = cast.versions[name], cast.trials[name]
        seen = []
        for shown in some:
            try:
                seen.append(Seen(shown, version.bundle.piece(shown.columns)))
            except InstarError:  # a request that was answered, and this version refuses
                trial.failed()
        most = MOST_ROWS if version.cost_s <= LIGHT_S else HEAVY_ROWS
        while seen:
            now, seen = _run(seen, most)
            self._block.enter(trial.at, len(now))
            rows = sum(one.piece.rows for one in now)
            # The system ends a run that takes far too much CPU time, and this process with it.
            most_s = max(self._post.hang_s, 100 * version.cost_s * rows)
            signal.setitimer(signal.ITIMER_PROF, most_s)
            self._answer(version, trial, now, cast.within[name])
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._block.leave()

    def _answer(self, version: Version, trial: Trial, seen: Sequence[Seen], within: float) -> None:
        began = time.thread_time()
        scores, parts = work(version.bundle, seen)
        milliseconds = 1000 * (time.thread_time() - began)
        at = 0
        for place, one in enumerate(seen):
            end = at + one.piece.rows
            part = parts[place] if scores is None else scores[at:end]
            at = end
            if isinstance(part, InstarError):
                trial.failed(invalid=isinstance(part, InvalidAnswer))
            else:
                _compare(version.bundle.task, trial, one.shown, part, within, milliseconds)


def _compare(
    task: Task, trial: Trial, shown: Shown, scores: Scores, within: float, milliseconds: float
) -> None:
    """Hold a shadow's answer against the one that the client got."""
    form = form_of(task)
    live, ours = np.asarray(shown.rows, float), np.asarray(form.kept(scores), float)
    owners = replace(task, classes=shown.classes, thresholds=shown.thresholds)
    if task.classes != owners.classes:
        names = tuple(dict.fromkeys((*task.classes, *owners.classes)))
        live, ours = _wide(live, owners, names), _wide(ours, task, names)
        owners, task = _wider(owners, names), _wider(task, names)
    apart = np.abs(live - ours).max(axis=1)
    parted = form.parted(live, owners, ours, task, within)
    trial.answered(
        milliseconds, len(ours), int(parted.sum()), float(apart.sum()), float(apart.max())
    )


def _wide(scores: NDArray[Any], task: Task, names: Sequence[str]) -> NDArray[Any]:
    """Lay out scores over the classes of two versions, 0 for one that a version does not know."""
    wide = np.zeros((len(scores), len(names)))
    wide[:, [names.index(name) for name in task.classes]] = scores
    return wide


def _wider(task: Task, names: tuple[str, ...]) -> Task:
    limits = dict(zip(task.classes, task.thresholds or (HALF,) * len(task.classes), strict=True))
    return replace(task, classes=names, thresholds=tuple(limits.get(n, HALF) for n in names))


def _run(seen: list[Seen], most: int) -> tuple[list[Seen], list[Seen]]:
    """Cut off as many requests as make a run of at most so many rows, at least one."""
    rows = 0
    for place, one in enumerate(seen):
        rows += one.piece.rows
        if rows > most and place:
            return seen[:place], seen[place:]
    return seen, []


def _within(version: Version, tolerance: float) -> float:
    """Say how far two numbers may be apart: a part of the range that the target had."""
    task = version.bundle.task
    if task.classes:
        return tolerance
    named = [c for c in version.bundle.schema.columns if c.name == task.target]
    low, high = (named[0].low, named[0].high) if named else (None, None)
    return tolerance * ((high - low) if low is not None and high is not None else 1.0)


def run(post: Post) -> int:
    """Work until the office hangs up; return the exit status."""
    signal.set_wakeup_fd(-1)
    os.dup2(2, 1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    logging.basicConfig(format="%(asctime)s %(process)d %(name)s %(message)s")
    shadows = Shadows(post)
    asyncio.run(shadows.serve())
    return 0


def _lower() -> None:
    """Come last, also in the middle of a run: this thread only, and those that it makes."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))


def _log() -> logging.Logger:
    return logging.getLogger("instar.serving")
