"""The search itself, with Optuna: choose, train, judge, write down, and again."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.trial import TrialState as Word

from instar.core import space as written
from instar.core.digest import digest_json
from instar.core.errors import InputError, PolicyError
from instar.core.finding import Finding
from instar.core.policy import TrainPolicy
from instar.core.records import Epoch, Network, Trial, TrialState
from instar.core.space import Range, Value
from instar.metering import cpu_seconds
from instar.models.strategies import Route
from instar.stages.train import memory
from instar.stages.train.attempt import Attempt, Ended, Given, ready
from instar.stages.train.tuning import BEST, Tuned, told
from instar.stages.train.tuning.journal import Journal, Line, Running
from instar.stages.train.tuning.judge import Judge, judge
from instar.stages.train.tuning.pruners import PRUNERS
from instar.stages.train.tuning.samplers import SAMPLERS
from instar.stages.train.tuning.space import (
    check,
    distributions,
    labels,
    named,
    network,
    own_settings,
    suggest,
    trained,
    usual,
    within,
)

_STATES = {
    Word.COMPLETE.name: TrialState.COMPLETE,
    Word.PRUNED.name: TrialState.PRUNED,
    Word.FAIL.name: TrialState.FAILED,
}


@dataclass(frozen=True, slots=True)
class _Best:
    number: int
    attempt: Attempt
    ended: Ended


@dataclass(frozen=True, slots=True)
class Search:
    """A tuning under way: what it searches, by which word, and what it has behind it."""

    given: Given
    route: Route
    policy: TrainPolicy
    space: Mapping[str, Range]
    judge: Judge
    journal: Journal
    study: optuna.Study
    most: int
    allowed: int  # bytes that rows may take
    best: list[_Best] = field(default_factory=list)  # the best of this process, if any

    def least(self) -> float:
        """Give the least value of the trials that have ended."""
        complete = [line for line in self.journal.lines if line.state == Word.COMPLETE.name]
        return min((line.value or 0.0 for line in complete), default=math.inf)

    def told(
        self,
        trials: Sequence[Trial],
        best: Trial | None,
        own: Trial | None,
        chosen: Network | None,
    ) -> Finding:
        rows, sides = self.judge.rows, len(self.judge.sides)
        return told.found(trials, best, own, rows=rows, sides=sides, network=chosen)

    def asked(self, settings: Mapping[str, Value]) -> tuple[Given, Route, TrainPolicy]:
        """Say what a trial with these settings is made of."""
        request = self.given.request
        asked = replace(request, network=network(request.network, settings))
        return replace(self.given, request=asked), self.route, trained(self.policy, settings)

    def attempt(self, settings: Mapping[str, Value]) -> Attempt:
        return ready(*self.asked(settings))


def search(given: Given, route: Route, policy: TrainPolicy, strategy: str) -> Tuned:
    """Search, as `tune` says."""
    rule, tools = policy.tune, given.tools
    sampler, pruner = SAMPLERS[rule.sampler], PRUNERS[rule.pruner]
    space: Mapping[str, Range] = written.read(rule)
    own = ready(given, route, policy)
    if route.fit != "steps":
        return Tuned(None, None, None, {}, (), told.nothing(strategy))
    space = space or usual(own, listed=rule.sampler == "grid")
    check(space, own, given, strategy)
    usually = own_settings(space, own, given.request.network)
    openers = _openers(space, given, strategy, usually) if rule.sampler != "grid" else []
    key = digest_json([own.keeper.key, openers])
    journal = Journal(tools.folder(tools.scratch / "tuning"), key)
    listed = {name: labels(one) for name, one in space.items() if one.choices}
    most = min(rule.trials, _combinations(listed)) if rule.sampler == "grid" else rule.trials
    with quiet():
        study = optuna.create_study(study_name="tuning", pruner=pruner(longest(space, own)))
        for line in journal.lines:
            study.add_trial(seen(line, space))
        allowed = own.start.reading.allowed
        under = Search(given, route, policy, space, judge(own), journal, study, most, allowed)
        while (number := len(journal.lines)) < most:
            if number and rule.budget_s is not None and journal.spent_s >= rule.budget_s:
                break
            ask = functools.partial(_asked, under, sampler, listed, openers)
            if rule.parallel > 1:
                from instar.stages.train.tuning.together import side_by_side

                side_by_side(under, ask, range(number, min(most, number + rule.parallel)))
                continue
            ask(number)
            Try(under, number).run()
    return _outcome(under, usually, strategy)


def _asked(
    under: Search,
    sampler: Callable[..., optuna.samplers.BaseSampler],
    listed: Mapping[str, list[float | int | str | bool]],
    openers: Sequence[dict[str, object]],
    number: int,
) -> None:
    """Put the study in the place to choose the settings of trial `number`."""
    seed = under.given.tools.seed
    under.study.sampler = sampler(listed, seed, _seed(seed, number))
    if number < len(openers):
        under.study.enqueue_trial(openers[number])


class Try:
    """One trial: chosen, trained, judged, written down."""

    def __init__(self, search: Search, number: int) -> None:
        self._search, self._number = search, number
        self._settings: Mapping[str, Value] = {}
        self._heard: dict[int, float] = {}  # by epoch, what the pruner heard
        self._before: dict[int, float] = {}  # the same, before the tuning was cut off
        self._epochs = self._passes = 0

    def run(self) -> None:
        """Run the trial within the study, and keep what came of it.

        Raises:
            Interrupted: the work is to be left; what the pruner heard so far is kept.
        """
        search, journal = self._search, self._search.journal
        self._cpu, self._clock = cpu_seconds(), search.given.tools.clock.monotonic()
        self._spent = journal.spent_s
        search.study.optimize(self._value, n_trials=1, catch=_Failed)
        journal.spent_s = self._seconds()
        made = search.study.trials[-1]
        # CMA-ES notes its state down as a pickle, and none is read here.
        kept = {name: value for name, value in made.system_attrs.items() if "cma" not in name}
        journal.end(
            Line(
                number=self._number,
                params=made.params,
                value=made.value,
                state=made.state.name,
                reports={str(step): value for step, value in made.intermediate_values.items()},
                attrs=kept,
                epochs=self._epochs,
                cpu_s=cpu_seconds() - self._cpu,
                passes=self._passes,
            )
        )

    def _value(self, trial: optuna.Trial) -> float:
        search, journal = self._search, self._search.journal
        self._settings = suggest(trial, search.space)
        same = [line for line in journal.lines if line.params == trial.params]
        if same:
            return self._again(trial, same[0])
        running = journal.running
        if running and running.number == self._number and running.params == trial.params:
            self._before = {int(step): value for step, value in running.reports.items()}
        try:
            attempt, ended = memory.carry(
                *search.asked(self._settings), lambda epoch, of: self._hear(trial, of, epoch)
            )
        except (InputError, PolicyError) as error:
            raise _Failed from error
        if not ended.whole:
            raise _Failed
        self._catch_up(trial, ended.run.epoch)
        self._epochs, self._passes = ended.run.epoch, ended.run.passes
        attempt.start.net.load_state_dict(ended.state)
        value = search.judge.value(attempt.start.net)
        if ended.run.broken or not math.isfinite(value):
            raise _Failed
        if value < search.least():
            search.best[:] = [_Best(self._number, attempt, ended)]
            journal.keep_best(self._number, ended)
        return value

    def _again(self, trial: optuna.Trial, line: Line) -> float:
        """End as an earlier trial with the same settings did, which costs nothing."""
        for step, value in line.reports.items():
            self._report(trial, int(step), value)
        if line.state == Word.PRUNED.name:
            raise optuna.TrialPruned
        if line.value is None:
            raise _Failed
        return line.value

    def _hear(self, trial: optuna.Trial, attempt: Attempt, epoch: Epoch) -> None:
        """Tell the pruner and whoever looks how the trial does, and end it if it falls behind."""
        search, course = self._search, attempt.course
        value = search.judge.value(attempt.start.net)
        self._epochs = epoch.epoch
        self._passes = round(epoch.epoch * attempt.start.rows * (1 + course.replay_ratio))
        note = f"trial {self._number + 1} of {search.most}, epoch {epoch.epoch}, loss {value:.4f}"
        done = self._number + epoch.epoch / course.epochs
        search.given.tools.progress("train", done, search.most, note)
        if not math.isfinite(value):
            return  # the training ends by itself
        self._catch_up(trial, epoch.epoch - 1)
        self._report(trial, epoch.epoch, value)
        reports = {str(step): heard for step, heard in {**self._before, **self._heard}.items()}
        search.journal.running = Running(self._number, trial.params, reports)
        search.journal.spent_s = self._seconds()
        search.journal.keep()
        if epoch.epoch < course.epochs and trial.should_prune():
            raise optuna.TrialPruned

    def _catch_up(self, trial: optuna.Trial, epoch: int) -> None:
        """Tell the pruner again what it heard before the tuning was cut off."""
        for step in sorted(self._before):
            if step <= epoch:
                self._report(trial, step, self._before[step])

    def _report(self, trial: optuna.Trial, step: int, value: float) -> None:
        if step not in self._heard:
            self._heard[step] = value
            trial.report(value, step)

    def _seconds(self) -> float:
        return self._spent + self._search.given.tools.clock.monotonic() - self._clock


class _Failed(Exception):
    """A trial without a value: its settings do not go together, or its loss is no number."""


def _outcome(search: Search, usually: Mapping[str, Value], strategy: str) -> Tuned:
    trials = tuple(_trial(line, search.space) for line in search.journal.lines)
    own = next((trial for trial in trials if trial.settings == usually), None)
    whole = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = min(whole, key=lambda trial: trial.value or 0.0, default=None)  # the first of equals
    if best is None:
        return Tuned(None, None, None, {}, trials, search.told(trials, None, own, None))
    asked = search.given.request.network
    tried = network(asked, best.settings)
    chosen = tried if tried != asked else None
    kept = next((one for one in search.best if one.number == best.number), None)
    attempt = kept.attempt if kept else search.attempt(best.settings)
    ended = kept.ended if kept else search.journal.best(best.number)
    if ended is None:  # the disk has lost it: its settings and the seed give it again
        asked_again = search.asked(best.settings)
        attempt, ended = memory.carry(*asked_again, lambda epoch, of: None)
    return Tuned(
        attempt=attempt,
        ended=ended,
        network=chosen,
        recipe={
            f"{BEST}{strategy}.{name}": float(value)
            for name, value in best.settings.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        },
        trials=trials,
        finding=search.told(trials, best, own, chosen),
    )


def _trial(line: Line, space: Mapping[str, Range]) -> Trial:
    settings = {
        name: one.choices[labels(one).index(line.params[name])]
        if one.choices
        else line.params[name]
        for name, one in space.items()
    }
    state = _STATES[line.state]
    return Trial(line.number, settings, line.value, state, line.epochs, line.cpu_s, line.passes)


def seen(line: Line, space: Mapping[str, Range]) -> optuna.trial.FrozenTrial:
    """Give the study a trial back that it saw before the tuning was cut off."""
    return optuna.trial.create_trial(
        state=Word[line.state],
        value=line.value,
        params=dict(line.params),
        distributions=distributions(space),
        system_attrs=dict(line.attrs),
        intermediate_values={int(step): value for step, value in line.reports.items()},
    )


def _openers(
    space: Mapping[str, Range], given: Given, strategy: str, usually: Mapping[str, Value]
) -> list[dict[str, object]]:
    """Begin with what was best in an earlier update, then with what the strategy would take."""
    start = f"{BEST}{strategy}."
    earlier = {
        name.removeprefix(start): value
        for name, value in given.champion.recipe.items()
        if name.startswith(start)
    }
    openers = [named(settings) for settings in (within(space, earlier), usually) if settings]
    return openers[:1] if openers[1:] == openers[:1] else openers


def longest(space: Mapping[str, Range], own: Attempt) -> int:
    one = space.get("epochs")
    if one is None:
        return own.course.epochs
    return max(int(n) for n in (*one.choices, one.high) if isinstance(n, int | float))


def _combinations(listed: Mapping[str, list[float | int | str | bool]]) -> int:
    return math.prod(len(choices) for choices in listed.values())


def _seed(seed: int, number: int) -> int:
    """Derive a trial's seed from the tuning's, in [0, 2^32)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4])


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's own log and its notes on what is experimental to itself."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
