"""Trials side by side: a round is chosen, carried out in processes of its own, and told in order.

The trials of a round do not learn from each other, and neither does the pruner, so that what comes
out hangs on the seed and on how many are at work, and not on which of them is faster. Each has a
folder of its own with its checkpoint: a tuning that is cut off finds there what has ended, and goes
on with what has not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
import torch
from optuna.trial import TrialState as Word

from instar.core.errors import Interrupted
from instar.core.policy import TrainPolicy
from instar.core.space import Range
from instar.core.tools import Job
from instar.models.strategies import Route
from instar.stages.train.attempt import ready
from instar.stages.train.away import Parcel, pack
from instar.stages.train.tuning.journal import Journal, Line
from instar.stages.train.tuning.judge import judge
from instar.stages.train.tuning.pruners import PRUNERS
from instar.stages.train.tuning.search import Search, Try, longest, quiet, seen
from instar.stages.train.tuning.space import suggest

_LOOK_S = 0.05  # between two looks at whether the trials have ended


@dataclass(frozen=True, slots=True)
class Order:
    """One trial for another process: its number and settings, and the trials known before."""

    parcel: Parcel
    route: Route
    policy: TrainPolicy
    space: Mapping[str, Range]
    lines: Sequence[Line]
    number: int
    most: int
    params: Mapping[str, Any]
    key: str


def side_by_side(search: Search, ask: Callable[[int], None], numbers: Sequence[int]) -> None:
    """Carry out the trials of one round.

    Args:
        ask: Puts the study in the place to choose a trial's settings.
    Raises:
        Interrupted: the work is to be left; the trials go on from their checkpoints.
        WorkerLost: a process ended without a word.
    """
    tools, journal = search.given.tools, search.journal
    began, spent = tools.clock.monotonic(), journal.spent_s
    chosen = []
    for number in numbers:
        ask(number)
        trial = search.study.ask()
        suggest(trial, search.space)
        chosen.append(trial)
    allowed = search.allowed // len(numbers)
    orders = [_order(search, trial, allowed) for trial in chosen]
    jobs: list[Job[Line]] = []
    try:
        for order in orders:
            jobs.append(tools.engine.submit(carry_out, order))  # noqa: PERF401  # they are ended
        _wait(search, jobs, numbers)
        ended = [job.result() for job in jobs]
    finally:
        for job in jobs:
            job.end()
    for trial, order, line in zip(chosen, orders, ended, strict=True):
        _tell(search, trial, order, line)
        journal.spent_s = spent + tools.clock.monotonic() - began
        journal.keep()


def _order(search: Search, trial: optuna.Trial, allowed: int) -> Order:
    scratch = search.given.tools.scratch / "tuning" / f"trial-{trial.number}"
    scratch.mkdir(parents=True, exist_ok=True)
    return Order(
        parcel=pack(search.given, scratch, allowed),
        route=search.route,
        policy=search.policy,
        space=search.space,
        lines=tuple(search.journal.lines),
        number=trial.number,
        most=search.most,
        params=trial.params,
        key=search.journal.key,
    )


def _wait(search: Search, jobs: Sequence[Job[Line]], numbers: Sequence[int]) -> None:
    tools, before = search.given.tools, -1
    while (done := sum(job.done() for job in jobs)) < len(jobs):
        if done != before:
            note = f"{len(jobs)} trials of {search.most} at work, {done} of them have ended"
            tools.progress("train", numbers[0] + done, search.most, note)
            before = done
        tools.pulse.beat()
        if tools.pulse.stopping():
            raise Interrupted("with trials at work")
        time.sleep(_LOOK_S)


def carry_out(order: Order) -> Line:
    """Carry one trial out, in a process of its own, or find that it has ended already."""
    torch.set_num_threads(order.policy.threads)
    given = order.parcel.opened()
    journal = Journal(given.tools.folder(given.tools.scratch), f"{order.key}/{order.number}")
    if ended := [line for line in journal.lines if line.number == order.number]:
        return ended[0]
    journal.lines[:] = order.lines
    own = ready(given, order.route, order.policy)
    rule = order.policy.tune
    with quiet(), given.device.lent():
        pruner = PRUNERS[rule.pruner](longest(order.space, own))
        asked = optuna.samplers.RandomSampler(seed=0)  # all is chosen: it has nothing to say
        study = optuna.create_study(study_name="tuning", sampler=asked, pruner=pruner)
        for line in order.lines:
            study.add_trial(seen(line, order.space))
        for _ in range(len(order.lines), order.number):  # at work elsewhere: nobody learns of them
            study.add_trial(optuna.trial.create_trial(state=Word.FAIL))
        study.enqueue_trial(dict(order.params))
        search = Search(
            given=given,
            route=order.route,
            policy=order.policy,
            space=order.space,
            judge=judge(own),
            journal=journal,
            study=study,
            most=order.most,
            allowed=0,
        )
        Try(search, order.number).run()
    return journal.lines[-1]


def _tell(search: Search, trial: optuna.Trial, order: Order, line: Line) -> None:
    """Tell the study what came of a trial, and keep the best one's weights."""
    for step, heard in line.reports.items():
        trial.report(heard, int(step))
    value = line.value if line.state == Word.COMPLETE.name else None
    if value is not None and value < search.least():
        folder = search.given.tools.folder(order.parcel.scratch)
        best = Journal(folder, f"{order.key}/{order.number}").best(order.number)
        if best is not None:
            search.journal.keep_best(order.number, best)
    # A grid that is used up would stop a loop that there is none of; others have nothing to add.
    search.study.sampler = optuna.samplers.RandomSampler(seed=0)
    search.study.tell(trial, value, state=Word[line.state])
    made = search.study.trials[trial.number]
    # CMA-ES notes its state down as a pickle, and none is read here.
    kept = {name: value for name, value in made.system_attrs.items() if "cma" not in name}
    search.journal.end(replace(line, params=made.params, value=made.value, attrs=kept))
