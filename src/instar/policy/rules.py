"""What settings must be together, beyond the bounds of each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

from instar.core import space
from instar.core.data import Task, TaskKind
from instar.core.names import is_name
from instar.core.policy import Policy
from instar.policy.document import Document
from instar.policy.network import FUNCTION
from instar.policy.schema import ImpossibleValue

Mistake = tuple[str, str, object]  # key, what was wanted, what was got
_STACKED = (TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION)
_BY_LOGITS = ("distill", "focal", "lwf", "logits", "ewc", "head_first")  # training methods
_ONE_ANSWER = ("head", "adapt-stats")  # strategies that come to the same from any seed


def check(model: str, task: Task, policy: Policy, document: Document) -> None:
    """Refuse the first setting that does not go with the others.

    Raises:
        ImpossibleValue: what does not fit.
        PolicyError: a space of the tuning that cannot be read; see `core.space`.
    """
    for rule in RULES:
        for key, wanted, got in rule(model, task, policy):
            raise ImpossibleValue(key, wanted, got, document.origin(tuple(key.split("."))))


def _name(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    # It stands in addresses and file names.
    if not is_name(model):
        yield "model", "up to 64 of letters, digits, '.', '_', '-'", model


def _labels(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    several = task.kind is TaskKind.MULTILABEL
    if several and len(task.targets) < 2:
        yield "task.targets", "at least two columns, or the kind binary,", task.targets
    if several and task.target:
        yield "task.target", "nothing beside task.targets", task.target
    if several and task.classes:
        yield "task.classes", "nothing, since the targets are the classes,", task.classes
    if task.targets and not several:
        yield "task.targets", "nothing, but for the kind multilabel,", task.targets
    if task.thresholds and not (several or task.kind is TaskKind.DETECTION):
        wanted = "nothing, but for the kinds multilabel and detection,"
        yield "task.thresholds", wanted, task.thresholds
    labels = ("targets", task.targets) if several else ("task.classes", task.classes)
    if task.thresholds and len(task.thresholds) != len(labels[1]):
        wanted = f"one for each of {len(labels[1])} {labels[0]}"
        yield "task.thresholds", wanted, task.thresholds
    if wrong := [value for value in task.thresholds if not 0 < value < 1]:
        yield "task.thresholds", "fractions above 0 and below 1", wrong[0]


def _columns(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    special = [name for name in (*task.columns, task.time, task.id) if name is not None]
    if len(set(special)) < len(special):
        yield "task", "different columns as target, time and id", special
    for name in special:
        if name in (*policy.data.ignore, *policy.data.features):
            yield "data", f"columns other than {name!r} of the task", name
    if both := sorted({*policy.data.ignore} & {*policy.data.features}):
        yield "data.ignore", "columns that are no features", both[0]


def _shares(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    shares = policy.admit.split.shares
    if len(shares) != 3 or min(shares) <= 0 or not math.isclose(sum(shares), 1, abs_tol=1e-9):
        yield "policy.admit.split.shares", "three shares above 0 that sum to 1", shares


def _split(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    split = policy.admit.split
    if split.how == "time" and task.time is None:
        yield "policy.admit.split.how", "a task.time to split by, or another way", split.how
    if (split.how == "group") != (split.group is not None):
        yield "policy.admit.split.group", "a column if, and only if, how is group", split.group


def _training(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    train = policy.train
    if ":" in train.loss and not FUNCTION.fullmatch(train.loss):
        yield "policy.train.loss", "the name of a loss, or module:function", train.loss
    if train.label_smoothing and not task.kind.judged:
        wanted = "0, since a regression has no classes,"
        yield "policy.train.label_smoothing", wanted, train.label_smoothing
    if train.schedule == "plateau" and train.patience < 3:
        # The rate falls after three epochs without improvement: training would have stopped.
        yield "policy.train.patience", "at least 3, with the schedule plateau,", train.patience
    if train.schedule == "cosine_restarts" and train.epochs and train.period > train.epochs:
        wanted = f"at most the {train.epochs} of policy.train.epochs"
        yield "policy.train.period", wanted, train.period


def _tuning(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    space.read(policy.train.tune)  # it raises, and says what to do
    yield from ()


def _detector(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    """Refuse what needs logits, or a network that is one piece of tensor operations."""
    if task.kind is not TaskKind.DETECTION:
        return
    train, which = policy.train, "since a detector answers with boxes,"
    if train.loss not in ("auto", "network"):
        yield "policy.train.loss", "auto, since a detector tells its own losses,", train.loss
    if train.label_smoothing:
        yield "policy.train.label_smoothing", f"0, {which}", train.label_smoothing
    if train.ensemble.kind != "none":
        yield "policy.train.ensemble.kind", f"none, {which}", train.ensemble.kind
    if train.tune.trials:
        yield "policy.train.tune.trials", "0, since trials are judged by logits,", train.tune.trials
    if held := [name for name in train.methods if name in _BY_LOGITS]:
        yield "policy.train.methods", f"methods that need no logits, {which}", held[0]
    if policy.plan.strategy == "head":
        yield "policy.plan.strategy", "another way, since a detector has no one head,", "head"
    if policy.package.int8 == "require":
        yield "policy.package.int8", "auto or never, since detectors stay in FP32,", "require"


def _elsewhere(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    asked = policy.plan.strategy == "transfer" or "pretrained" in policy.train.methods
    if asked and policy.train.pretrained is None:
        what = "a file of pretrained weights, as plan.strategy or train.methods asks for one,"
        yield "policy.train.pretrained", what, None


def _growth(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    train = policy.train
    still = train.widen == 1 and not train.deepen and train.dropout is None
    if policy.plan.strategy == "grow" and still:
        wanted = "more than 1 (or train.deepen, or train.dropout), as plan.strategy is grow,"
        yield "policy.train.widen", wanted, train.widen


def _augment(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    rule, key = policy.train.augment, "policy.train.augment"
    if not rule.kinds:
        return
    if rule.who == "rare" and not task.kind.judged:
        yield f"{key}.who", "all, since a regression has no classes,", rule.who
    if "synthesise" in rule.kinds and not task.exclusive:
        wanted = f"kinds that make no label, since the task is {task.kind.value},"
        yield f"{key}.kinds", wanted, "synthesise"
    if "rotate" in rule.kinds and task.kind is TaskKind.DETECTION:
        yield (
            f"{key}.kinds",
            "flip, scale, crop, resample, since turned boxes are not known,",
            "rotate",
        )


def _ensemble(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    kind, strategy = policy.train.ensemble.kind, policy.plan.strategy
    key = "policy.train.ensemble.kind"
    if kind == "hard_vote" and task.kind is TaskKind.REGRESSION:
        yield key, "a kind for values, since a vote needs classes (soft_vote, bagging),", kind
    if kind == "stacking" and task.kind not in _STACKED:
        wanted = f"another kind for a {task.kind.value} task (soft_vote, bagging, boosting)"
        yield key, wanted, kind
    if kind.endswith("_soup") and strategy in ("full", "transfer"):
        wanted = f"a kind that averages no weights, since plan.strategy is {strategy},"
        yield key, wanted, kind
    if kind != "none" and strategy in _ONE_ANSWER:
        wanted = f"none, since plan.strategy is {strategy}, which has one outcome only,"
        yield key, wanted, kind


def _metrics(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    for name, rule in policy.validate.metrics.items():
        if rule.min is not None and rule.max is not None and rule.min > rule.max:
            yield f"policy.validate.metrics.{name}.min", f"at most max, {rule.max:g},", rule.min


def _steps(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    shares = [step.share for step in policy.release.steps]
    if any(later <= earlier for earlier, later in itertools.pairwise(shares)):
        yield "policy.release.steps", "shares that grow from step to step", shares


def _cadence(model: str, task: Task, policy: Policy) -> Iterator[Mistake]:
    cadence = policy.cadence
    if cadence.min_days > cadence.max_days:
        wanted = f"at most max_days, {cadence.max_days:g},"
        yield "policy.cadence.min_days", wanted, cadence.min_days


RULES: tuple[Callable[[str, Task, Policy], Iterator[Mistake]], ...] = (
    _name,
    _labels,
    _columns,
    _shares,
    _split,
    _training,
    _tuning,
    _detector,
    _elsewhere,
    _growth,
    _augment,
    _ensemble,
    _metrics,
    _steps,
    _cadence,
)
