"""What the gateway does, without a socket: predictions, labels, status."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from instar.core.data import Task
from instar.core.errors import BackendError, InputError, InstarError
from instar.core.tools import Artifacts
from instar.serving.log import Answered, Feedback, Log
from instar.serving.metrics import Metrics, Outcome
from instar.serving.models import Models, Shelf, Version
from instar.serving.observations import Observations
from instar.serving.protocol import Columns, Inputs
from instar.tasks import form_of
from instar.tasks.form import Told, Truth

Read = Callable[[Inputs, frozenset[str]], Columns]
Scores = NDArray[np.float32]


class NotReady(BackendError):
    """Answer a request that came before any version could serve."""

    code = "backend.not_ready"
    retryable = True

    def __init__(self, model: str) -> None:
        super().__init__(f"a version of {model} in service", "none yet", "try again in a second")


class InvalidAnswer(BackendError):
    """Report scores that are no finite numbers; they are not handed on."""

    code = "backend.invalid_answer"

    def __init__(self, version: str) -> None:
        super().__init__(f"finite scores from {version}", "others", "tell the model's owner")


class Item(msgspec.Struct):
    """One true label, under the id of the request that was answered."""

    id: str
    label: Told


@dataclass(frozen=True, slots=True)
class Turn:
    """Who answers one request, chosen by which route, and since when (seconds, monotonic)."""

    version: Version
    generation: int
    share: float
    started: float


class Desk:
    """Serve one model line."""

    def __init__(self, root: Path, model: str, artifacts: Artifacts) -> None:
        self.models = Models(root, model, artifacts)
        self.metrics, self.observations = Metrics(), Observations()
        self.log = Log(root)
        self._unnamed = 0

    def start(self) -> None:
        """Remember what was answered before, and put the wanted route in force."""
        for event in self.log.events():
            if isinstance(event, Answered):
                self._count(event)
            else:
                self.observations.label(event.id, event.label)
        self.observations.labels.clear()
        self.models.start()

    def shelf(self) -> Shelf:
        """Return what is in force.

        Raises:
            NotReady: nothing is.
        """
        if self.models.shelf is None:
            raise NotReady(self.models.model)
        return self.models.shelf

    def predict(
        self, read: Read, *, unit: str, name: str, pinned: str = ""
    ) -> tuple[Version, Scores]:
        """Answer one request.

        A candidate that fails costs nobody an answer: the failure is counted against it, and the
        champion answers in its place.

        Args:
            read: Takes the columns that a version reads out of the request.
            unit: Whose request it is; empty: nobody's, chance decides.
            name: The request's id, under which labels find it; empty: none ever will.
            pinned: The version that must answer; empty: the route chooses.
        Raises:
            NotReady: no version is in service.
            UnknownVersion: the pinned version is not loaded.
            InputError: the request does not fit the champion.
            BackendError: the champion failed.
        """
        shelf = self.shelf()
        turn = self._choose(shelf, unit, pinned)
        try:
            scores = self._scores(turn.version, shelf, read)
        except InstarError as error:
            if pinned or turn.version is shelf.champion:
                if isinstance(error, BackendError):
                    self._record(turn, _outcome(error))
                raise
            scores = self._rescue(turn, error, shelf, read)
            turn = Turn(shelf.champion, 0, 0.0, turn.started)
        kept = form_of(turn.version.bundle.task).kept(scores)
        self._record(turn, "ok", name, kept.tolist())
        return turn.version, scores

    def _choose(self, shelf: Shelf, unit: str, pinned: str) -> Turn:
        started = time.perf_counter()
        if pinned:
            return Turn(shelf.find(pinned), 0, 0.0, started)
        if not unit:
            self._unnamed += 1
            unit = f"\0{self._unnamed}"
        version = shelf.choose(unit)
        return Turn(version, shelf.route.generation, shelf.route.shares[version.name], started)

    def _scores(self, version: Version, shelf: Shelf, read: Read) -> Scores:
        columns = read(version.inputs, shelf.known)
        scores = version.bundle.predict(columns)
        if not np.isfinite(scores).all():
            raise InvalidAnswer(version.name)
        if len(columns) < len(version.inputs):
            self.metrics.miss(version.name, version.inputs.keys() - columns.keys())
        return scores

    def _rescue(self, turn: Turn, error: InstarError, shelf: Shelf, read: Read) -> Scores:
        """Answer by the champion; a request that it refuses too was the client's mistake."""
        try:
            scores = self._scores(shelf.champion, shelf, read)
        except BackendError:
            self._record(turn, _outcome(error))
            raise
        self._record(turn, _outcome(error))
        self.metrics.rescued[turn.version.name] += 1
        return scores

    def _record(
        self, turn: Turn, outcome: Outcome, name: str = "", scores: list[list[float]] | None = None
    ) -> None:
        taken = 1000 * (time.perf_counter() - turn.started)
        event = Answered(
            name, turn.version.name, turn.generation, turn.share, taken, outcome, scores or []
        )
        self._count(event)
        self.log.append(event)

    def _count(self, event: Answered) -> None:
        self.metrics.count(
            event.version, event.generation, event.share, event.milliseconds, event.outcome
        )
        single = len(event.scores) == 1
        for place, row in enumerate(event.scores):
            name = event.id if single or not event.id else f"{event.id}/{place}"
            self.observations.answered(name, event.version, event.generation, row)

    def feedback(self, items: list[Item]) -> dict[str, Any]:
        """Join true labels with what was predicted; each item has its own fate.

        Raises:
            NotReady: no version is in service, so that nobody knows what a label may be.
        """
        task = self.shelf().champion.bundle.task
        outcomes: Counter[str] = Counter(joined=0, repeated=0, changed=0, unknown=0)
        refused = []
        for item in items:
            try:
                label = truth(item.label, task)
            except InputError as error:
                refused.append({"id": item.id, "error": str(error)})
                continue
            outcomes[self.observations.label(item.id, label)] += 1
            self.log.append(Feedback(item.id, label))
        return {**outcomes, "refused": refused}

    def gauges(self) -> dict[str, float]:
        """Give what goes up and down, by Prometheus name."""
        shelf = self.models.shelf
        return {
            "route_generation": shelf.route.generation if shelf else 0,
            "route_refused": float(self.models.refusal is not None),
            "log_dropped": self.log.dropped,
        }

    def status(self) -> dict[str, Any]:
        """Tell what is in force, since when, and what was refused."""
        shelf, refusal = self.models.shelf, self.models.refusal
        route = shelf.route if shelf else None
        return {
            "model": self.models.model,
            "generation": route.generation if route else 0,
            "champion": route.champion if route else "",
            "shares": dict(route.shares) if route else {},
            "loaded": sorted(shelf.versions) if shelf else [],
            "cold": dict(shelf.cold) if shelf else {},
            "refused": {"generation": refusal.generation, "reason": refusal.reason}
            if refusal
            else None,
            "age_s": self.models.age_s(),
            "pid": os.getpid(),
            "missing_columns": self.metrics.missing,
            "rescued": self.metrics.rescued,
            "labels": self.observations.labels,
            "log_dropped": self.log.dropped,
        }


def truth(label: Told, task: Task) -> Truth:
    """Turn a label into what is kept of it: its class's index, or for a regression the value.

    Raises:
        UnknownName: the task has no such class.
        WrongLabel: it is no label of this kind of task.
    Example:
        >>> from instar.core.data import TaskKind
        >>> truth(True, Task(TaskKind.BINARY, "late", ("false", "true")))
        1.0
    """
    return form_of(task).truth(label, task)


def _outcome(error: InstarError) -> Outcome:
    return "invalid" if isinstance(error, InvalidAnswer) else "error"
