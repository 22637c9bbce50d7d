"""The records of an update, in the order in which they are made.

    Request -> Admission -> Plan -> Training -> Bundle -> Validation -> Approval -> Release -> Watch

Each is frozen, made by one stage from the ones before it, and is one entry of the ledger.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from instar.core.data import Cleaning, Preprocessing, Schema, Snapshot, Split, Task, TaskKind
from instar.core.files import File
from instar.core.finding import Finding, Interval, Verdict
from instar.core.policy import StepRule


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Several networks of one shape that answer as one.

    `combine` says how their answers become one (`mean`, `vote`, `sum`, `linear`; see
    `instar.models.ensemble`), `task` what these answers stand for.
    """

    combine: str
    members: int
    task: TaskKind


@dataclass(frozen=True, slots=True)
class Network:
    """Where a network comes from: a function `module:name` in the project, or a family.

    `source` is the digest of the module's file, so that a changed function is a changed network.
    With an `ensemble` there are several of them, which answer as one. `head` names the layer that
    makes the logits, where it is not the dense one that is declared last.
    """

    build: str | None = None
    family: str | None = None
    options: Mapping[str, float | int | str | bool | list[int]] = field(default_factory=dict)
    source: str | None = None
    ensemble: Ensemble | None = None
    head: str | None = None

    def alone(self) -> Network:
        """Describe one member of an ensemble; what is none stays as it is."""
        return replace(self, ensemble=None)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What is served: sealed files, and what was checked while sealing.

    `manifest` is the digest of the manifest file, which lists every other file with its digest:
    it names the bundle. `graph` is the ONNX file that serves; `precision` is `fp32` or `int8`.
    `signature` is the digest of the signature over all files and the manifest; None where the
    workspace had no key yet.
    """

    version: str
    manifest: str
    files: tuple[File, ...]
    graph: str
    precision: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    signature: str | None = None

    def file(self, name: str) -> File:
        return next(file for file in self.files if file.name == name)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A bundle with its lineage. Champion and candidate are roles that versions play.

    `train` and `holdout` are the labelled snapshots it learnt from and was held against.
    `replay` is a uniform sample of its training rows; `replay_logits` is the digest of a `.npy`
    file with the version's own logits on them, row by row. `recipe` keeps what the next update
    needs to know of the training (`lr`, `batch`, `epochs`), and `best.STRATEGY.SETTING` of the last
    tuning. `metrics` were measured on `holdout`.
    """

    name: str
    task: Task
    network: Network
    schema: Schema
    preprocessing: Preprocessing
    weights: str
    bundle: Bundle
    train: tuple[Snapshot, ...]
    holdout: tuple[Snapshot, ...]
    replay: Snapshot | None = None
    replay_logits: str | None = None
    recipe: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    parent: str | None = None
    update: str | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """With which code, on what machine, with which libraries something was computed.

    `instar` is the version and `source` the digest of the installed package's Python files;
    `project` is that of the project's own, None where there are none, or far too many. `system` is
    the operating system with its kernel, `cores` how many this process may use. `locks` maps the
    names of the project's lock files to their digests. No person, host or path is named.
    """

    instar: str
    source: str
    python: str
    system: str
    processor: str
    cores: int
    memory_bytes: int
    accelerators: tuple[str, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    locks: Mapping[str, str] = field(default_factory=dict)
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Members:
    """How many trainings become one candidate, and how: a kind of `train.ensemble`."""

    kind: str
    count: int

    @property
    def soup(self) -> bool:
        """Tell whether their weights are averaged, so that one network comes of them."""
        return self.kind.endswith("_soup")


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights that were learnt elsewhere: the name of the file, and what was read from it.

    `weights` is the digest of a safetensors file with its tensors, `tensors` how many there are.
    """

    name: str
    weights: str
    tensors: int


@dataclass(frozen=True, slots=True)
class Request:
    """Why there is an update, of what, with which data.

    `features` names the columns the candidate shall read; where it differs from the champion's,
    the change is intended. `policy` is the digest of the policy in force. `environment` is None
    in requests from before there was such a field. `ensemble` says how many trainings the
    candidate shall be made of, None where it is one. `pretrained` are weights learnt elsewhere that
    it may begin with, None where no file is named.
    """

    update: str
    model: str
    reason: str
    by: str
    fresh: Snapshot
    task: Task
    network: Network
    features: tuple[str, ...]
    policy: str
    seed: int
    champion: str
    environment: Environment | None = None
    ensemble: Members | None = None
    pretrained: Pretrained | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """What the data gate saw, and the parts it let through.

    `quarantine` is the digest of a Parquet file with the rows held back, their row numbers in
    the fresh file (`row`, from 0) and the reason; None where no row was. `split` holds admitted
    rows only; it is None where the gate refused.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    rows: int
    schema: Schema
    cleaning: tuple[Cleaning, ...] = ()
    quarantine: str | None = None
    quarantined: int = 0
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a strategy is expected to bring and to cost.

    `gain` and `forgetting` are in points of the primary metric (fraction; positive is better,
    and worse, respectively), `flips` a fraction of rows, `passes` sample passes (forward and
    backward of one row), `cpu_s` CPU seconds, `wall_s` those of a clock, `gpu_s` those for which a
    card is held, `peak_bytes` the most memory that the process takes at once. `source` says what
    the figures rest on.
    """

    strategy: str
    gain: float
    forgetting: float
    flips: float
    passes: float
    cpu_s: float
    money: float = 0.0
    source: str = ""
    wall_s: float = 0.0
    peak_bytes: int = 0
    gpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of the champion: FLOPs per row, microseconds per row, share of dead units.

    `overfit` is how much more of the labels' variance it explains where it learnt them than
    elsewhere, a fraction; None where that is not known.
    """

    name: str
    kind: str
    parameters: int
    flops: float
    time_us: float
    dead: float | None = None
    overfit: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an update came out against its forecast.

    `gain`, `forgetting` and `flips` are what the gates measured on test rows, in the units of a
    Forecast; `cpu_s`, `wall_s`, `gpu_s` and `peak_bytes` are those of the training. `regret` is by
    how much the gain was smaller than that of the best candidate of the same update, the champion
    (0) among them. `score` is the candidate's primary metric on its test rows, `version` its name
    if it was promoted; both are empty in records from before there were such fields.
    """

    update: str
    forecast: Forecast
    gain: float
    forgetting: float
    flips: float
    cpu_s: float
    regret: float = 0.0
    wall_s: float = 0.0
    peak_bytes: int = 0
    gpu_s: float = 0.0
    score: float | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which strategy, and why.

    `then` names the strategies that follow, in order, when a gate (`flips`, `forgetting`, ...)
    refuses this one's candidate; `tried` are those that came before.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    strategy: str
    reason: str
    forecasts: tuple[Forecast, ...]
    layers: tuple[Layer, ...] = ()
    then: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorPrint:
    """One tensor by what it holds: `digest` covers its type, its shape and its bytes.

    `dtype` is the safetensors name (`F32`).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A network's parameters, tensor by tensor in order of names, and one digest for them all.

    `root` is the Merkle root over the tensors, so that one of them can be proved to belong.
    """

    root: str
    tensors: tuple[TensorPrint, ...]


@dataclass(frozen=True, slots=True)
class LayerChange:
    """How far one tensor moved. `l2` absolute, `relative` to the tensor's norm before.

    `relative` is infinite where the norm before was 0 (and NaN once it was read from a ledger,
    since JSON has neither). `largest` is the largest change of one value, `changed` the share of
    values that are not what they were.
    """

    name: str
    l2: float
    relative: float
    largest: float
    cosine: float
    changed: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the training history."""

    epoch: int
    loss: float
    valid_loss: float
    metric: float
    lr: float
    gradient_norm: float


class TrialState(enum.Enum):
    """How a trial ended: with a value, given up since others did better, or with none."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of a tuning: what was tried, and what came of it.

    `settings` are those that differ from trial to trial. `value` is the loss on validation rows,
    fresh and old, each in units of the champion's; None where the trial has none, and of a pruned
    trial the last one seen. `epochs` were begun and ended; `passes` are sample passes.
    """

    number: int
    settings: Mapping[str, float | int | str | bool | list[int]]
    value: float | None
    state: TrialState
    epochs: int
    cpu_s: float
    passes: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage used: CPU and wall seconds, peak memory in bytes, energy in joules, money.

    `gpu_s` are the seconds for which GPUs were held, each counted. `energy_j` is an estimate, and
    `method` says how it was made; it is empty in records from before energy and money were
    measured, where both are 0.
    """

    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_bytes: int = 0
    energy_j: float = 0.0
    gpu_s: float = 0.0
    gpu_peak_bytes: int = 0
    money: float = 0.0
    method: str = ""


@dataclass(frozen=True, slots=True)
class Training:
    """The candidate's weights, and how they came to be.

    `weights` is the digest of a safetensors file. `train` are the snapshots learnt from. `before`
    and `after` are the parameters of the champion and of the candidate; `changes` are of the
    tensors that both have in one shape. `before`, `after` and `environment` are None in trainings
    from before there were such fields. `trials` are those of a tuning, in order; `network` is the
    one that it chose, None where it is the request's.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    weights: str
    preprocessing: Preprocessing
    schema: Schema
    train: tuple[Snapshot, ...]
    strategy: str
    recipe: Mapping[str, float]
    history: tuple[Epoch, ...]
    changes: tuple[LayerChange, ...]
    steps: int
    passes: int
    replay: Snapshot | None = None
    replay_logits: str | None = None
    cost: Cost = Cost()
    before: Fingerprint | None = None
    after: Fingerprint | None = None
    environment: Environment | None = None
    trials: tuple[Trial, ...] = ()
    network: Network | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """The verdicts on the sealed bundle, gate by gate.

    `champion` and `candidate` hold each metric on the fresh test rows (`auroc`) and on the old
    holdout (`auroc@old`). `intervals` bound the primary metric of `champion` and of `candidate`
    on the fresh test rows.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    bundle: str
    champion: Mapping[str, float]
    candidate: Mapping[str, float]
    holdout: tuple[Snapshot, ...] = ()
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    cost: Cost = Cost()

    def measured(self, code: str) -> float | None:
        """Read what the first finding measured whose code begins so (`metrics:`, `flips:fresh`)."""
        return next((f.measured for f in self.findings if f.code.startswith(code)), None)


@dataclass(frozen=True, slots=True)
class Rung:
    """A plan whose candidate was refused, and what was learnt from it; another plan follows."""

    plan: Plan
    training: Training
    validation: Validation


Rungs: TypeAlias = tuple[Rung, ...]
"""The rungs of an update's ladder that lie behind it, in order."""
Past: TypeAlias = tuple[Outcome, ...]
"""How earlier updates of a model came out, oldest first."""


class VoteKind(enum.Enum):
    APPROVE = "approve"
    REJECT = "reject"
    OVERRIDE = "override"


PSEUDONYM = "person:"
"""How the pseudonym begins under which a person stands in the ledger."""


def person(name: str) -> str:
    """Tell people apart by who they are, not by how their name was typed.

    Example:
        >>> person(" Ana ") == person("ana"), person("ana") == person("anna")
        (True, False)
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person said, bound to the digests they saw. `at` in seconds since the epoch.

    An override names the finding (`code`) it lets pass, and needs a reason.
    """

    kind: VoteKind
    by: str
    at: float
    validation: str
    bundle: str
    policy: str
    reason: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """Whether people let the bundle go out. Binds digests; any change voids it.

    INCONCLUSIVE means that somebody is still to be asked; `waiting_for` says how many.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    votes: tuple[Vote, ...]
    bundle: str
    validation: str
    policy: str
    waiting_for: int = 0
    expires_at: float | None = None


class Phase(enum.Enum):
    """Where a release stands."""

    PENDING = "pending"
    SHADOW = "shadow"
    STEP = "step"
    PAUSED = "paused"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    RETIRED = "retired"
    ABORTING = "aborting"
    ROLLED_BACK = "rolled_back"

    @property
    def judged(self) -> bool:
        """Tell whether gates look at the candidate here, and people may steer.

        Example:
            >>> [phase.value for phase in Phase if phase.judged]
            ['shadow', 'step', 'paused']
        """
        return self in (Phase.SHADOW, Phase.STEP, Phase.PAUSED)


class Pause(enum.Enum):
    """Why a release is paused: nothing was decided, a person said so, or no request came."""

    INCONCLUSIVE = "inconclusive"
    PERSON = "person"
    NO_TRAFFIC = "no traffic"


class OrderKind(enum.Enum):
    """What a person may tell a release that is under way."""

    PAUSE = "pause"
    RESUME = "resume"
    SKIP = "skip"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True)
class Order:
    """What one person told a release. `at` in seconds since the epoch.

    A promotion may name gates (`lets_pass`) whose FAIL it goes over.
    """

    kind: OrderKind
    by: str
    at: float
    reason: str = ""
    lets_pass: tuple[str, ...] = ()


Orders: TypeAlias = tuple[Order, ...]
"""What people told a release, oldest first."""


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What a release will do; made with its first record, and never changed.

    `gates` are those that judge, each with the probability of a false alarm that it may spend.
    `policy` is the digest of the policy that it was made of, `arrival` what becomes of an update
    that is asked for meanwhile.
    """

    champion: str
    candidate: str
    strategy: str
    steps: tuple[StepRule, ...]
    gates: Mapping[str, float]
    policy: str
    arrival: str = "refuse"


@dataclass(frozen=True, slots=True)
class Release:
    """Phase and shares of traffic now, and the evidence for the last move.

    `shares` maps version names to fractions that sum to 1, `before` those before the move.
    `requests` and `labels` are those of the candidate since the release began, which is when the
    route had `generation`. `began_at` and `since` are dates, in seconds since the epoch.
    `rehearsed_s` is how long the rehearsed way back took.

    `cause` says what moved it: gates, time, the gateway, or a person. `paused` is why, while the
    phase is PAUSED. `orders` counts the people's orders that were heeded. `fails` counts for each
    gate the looks in which it failed. `blind` is since when nothing could be measured, as a start
    of the machine and seconds since. `plan` is what it does, `config` the plan's digest; both are
    missing in records from before there was a plan.
    """

    phase: Phase
    step: int
    shares: Mapping[str, float]
    verdict: Verdict
    findings: tuple[Finding, ...]
    reason: str
    requests: int = 0
    labels: int = 0
    began_at: float = 0.0
    since: float = 0.0
    generation: int = 0
    rehearsed_s: float | None = None
    rollback_s: float | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    cause: str = ""
    paused: Pause | None = None
    orders: int = 0
    fails: Mapping[str, int] = field(default_factory=dict)
    blind: tuple[str, float] | None = None
    plan: ReleasePlan | None = None
    config: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """What production says of the champion; `ask` is the reason for a new update, if any."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    window: int
    ask: str = ""


def successor(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    training: Training,
    bundle: Bundle,
    validation: Validation,
) -> ModelVersion:
    """Make the model version that a promotion puts in the champion's place."""
    fresh = (admission.split.test,) if admission.split else ()
    return ModelVersion(
        name=bundle.version,
        task=request.task,
        network=training.network or request.network,
        schema=training.schema,
        preprocessing=training.preprocessing,
        weights=training.weights,
        bundle=bundle,
        train=training.train,
        holdout=(*champion.holdout, *fresh),
        replay=training.replay,
        replay_logits=training.replay_logits,
        recipe=training.recipe,
        metrics=dict(validation.candidate),
        parent=champion.name,
        update=request.update,
    )
