"""The policy: what is allowed, one section per stage, defaults from the field's practice.

The sections are plain frozen dataclasses, so that a stage can take its own without knowing
where it was written down. `instar.policy` reads them from `instar.yaml`. The bounds of a
setting stand beside its default, and so does the line that explains it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from instar.core.secret import veiled


def setting(
    default: Any,
    doc: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
) -> Any:
    """Declare a setting: its default, what it means, and the values it may take."""
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    kept = {name: bound for name, bound in bounds.items() if bound is not None}
    metadata = {"doc": doc, "bounds": kept}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    if dataclasses.is_dataclass(default):
        return field(default_factory=type(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _veiled_repr(section: Any) -> str:
    """Show a section without the passwords of its addresses."""
    fields = (f"{f.name}={getattr(section, f.name)!r}" for f in dataclasses.fields(section))
    return veiled(f"{type(section).__name__}({', '.join(fields)})")


Fill = Literal["median", "mean", "mode"]


@dataclass(frozen=True, slots=True)
class DataSettings:
    ignore: tuple[str, ...] = setting((), "columns that are kept and read by nobody")
    features: tuple[str, ...] = setting((), "columns to learn from; empty: all that remain")
    categories: tuple[str, ...] = setting((), "numbers that are to be read as categories")
    encode: Literal["codes", "onehot"] = setting(
        "codes", "categories become codes for an embedding, or 0/1 numbers"
    )
    scale: Literal["minmax", "standard"] = setting("minmax", "numbers to [-1, 1], or mean 0 sd 1")
    fill: Fill = setting("median", "what takes the place of a missing number")
    rare: int = setting(1, "categories seen fewer times in training become the unknown one", ge=1)


@dataclass(frozen=True, slots=True, repr=False)
class StoreSettings:
    journal: str = setting("", "where entries are kept: empty for SQLite here, or postgresql://...")
    artifacts: str = setting(
        "", "where artifacts are kept: empty for a folder here, or s3://bucket/prefix"
    )
    keep: int = setting(
        5, "promoted versions whose artifacts are never collected, newest first", ge=1
    )
    witnesses: tuple[str, ...] = setting(
        (), "who else is told of each checkpoint: a folder, s3://..., https://..."
    )

    def __repr__(self) -> str:
        return _veiled_repr(self)


@dataclass(frozen=True, slots=True, repr=False)
class ServeSettings:
    workers: int = setting(0, "processes that answer; 0: one a core, at most 2", ge=0)
    cache: int = setting(0, "answers that each process keeps; 0: none", ge=0)
    redis: str = setting(
        "", "the Redis in which all processes share kept answers: redis://host:port/0; empty: none"
    )
    grpc: int | None = setting(
        None, "port of the gRPC server; 0: any that is free; empty: there is none", ge=0, le=65535
    )
    hang_s: float = setting(
        5.0, "seconds without a sign of life after which a worker of the gateway is replaced", gt=0
    )
    log_share: float = setting(
        0.0, "share of requests that are kept with inputs and answers; 0: none are", ge=0, le=1
    )
    log_mb: float = setting(
        256.0, "MB of all that is kept of requests; the oldest files make room", gt=0
    )
    log_segment_mb: float = setting(8.0, "MB after which a file of them is closed", gt=0)
    log_segment_s: float = setting(300.0, "seconds after which a file of them is closed", gt=0)

    def __repr__(self) -> str:
        return _veiled_repr(self)


@dataclass(frozen=True, slots=True)
class SplitSettings:
    how: Literal["stratified", "time", "group"] = setting("stratified", "how rows are divided")
    shares: tuple[float, ...] = setting((0.70, 0.15, 0.15), "train, validation, test")
    group: str | None = setting(None, "column whose rows stay together (how: group)")


@dataclass(frozen=True, slots=True)
class AdmitPolicy:
    missing: float = setting(0.05, "share of missing values per column", ge=0, le=1)
    impute: tuple[str, ...] = setting((), "columns that may miss more: filled, and recorded")
    outliers: float = setting(0.05, "share of outlying values per column", ge=0, le=1)
    outlier_iqr: float = setting(3.0, "fences, in interquartile ranges from the quartiles", gt=0)
    balance: float = setting(
        0.20, "difference between the largest and smallest class share", ge=0, le=1
    )
    balance_enforced: bool = setting(False, "refuse unbalanced classes instead of reporting them")
    duplicates: float = setting(0.01, "share of rows that stand there twice", ge=0, le=1)
    holdout_shared: float = setting(
        0.0, "share of rows that also stand in the champion's holdout", ge=0, le=1
    )
    unknown_category: Literal["refuse", "other", "quarantine"] = setting(
        "refuse", "what happens to a category value the champion never saw"
    )
    unlabelled: Literal["refuse", "drop", "keep"] = setting(
        "drop", "what happens to rows without a label; kept, the strategy adapt-stats reads them"
    )
    new_classes: Literal["refuse", "admit"] = setting("refuse", "labels the champion does not know")
    drift_effect: float = setting(0.25, "PSI from which a column counts as drifted", gt=0)
    drift_alpha: float = setting(0.01, "false alarms over all columns together", gt=0, lt=1)
    drift_enforced: bool = setting(False, "refuse drifted data instead of reporting the drift")
    joint_auc: float = setting(
        0.80, "AUROC at which fresh and old rows count as told apart", ge=0.5, le=1
    )
    slice_shift: float = setting(
        1.0,
        "shift of a number within a slice, in old interquartile ranges, beyond the shift of the rest",
        gt=0,
    )
    slices: tuple[str, ...] = setting(
        (),
        "category columns whose values are looked at one by one; empty: those with at most 30 values",
    )
    label_shift: float = setting(0.15, "change of a class share against the old data", ge=0, le=1)
    label_noise: float = setting(
        0.5, "share of wrong labels that a block of rows may be suspected of", gt=0, le=1
    )
    min_rows: int = setting(200, "labelled rows that an update needs", ge=1)
    split: SplitSettings = setting(SplitSettings(), "train, validation and test")


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    strategies: tuple[str, ...] = setting(
        (
            "keep",
            "head",
            "incremental",
            "incremental-stable",
            "incremental-blind",
            "recent",
            "warm",
            "hybrid",
            "adapt-stats",
            "adapter",
            "transfer",
            "full",
        ),
        "strategies the planner may choose",
    )
    strategy: str = setting("auto", "the strategy by name, or auto")
    min_gain: float = setting(0.002, "gain below which keeping the champion is the answer", ge=0)
    value_per_point: float = setting(
        1.0, "worth of one point (0.01) of the primary metric, in money", ge=0
    )
    cost_per_flip: float = setting(0.1, "price of one per cent of negative flips, in money", ge=0)
    cost_per_cpu_hour: float = setting(0.05, "price of one CPU hour, in money", ge=0)
    cost_per_gpu_hour: float = setting(2.0, "price of one GPU hour, in money", ge=0)
    old_served: bool = setting(
        True, "whether rows like the old ones are still asked about; no: they may be forgotten"
    )
    budget: float = setting(
        2.0, "sample passes that an update's candidates may use, in full trainings", gt=0
    )
    probe_rows: int = setting(20_000, "rows of each side that the probe looks at, at most", ge=50)


@dataclass(frozen=True, slots=True)
class TuneRule:
    """How many settings of a training are tried, and which; see `core.space`."""

    trials: int = setting(0, "trainings that are tried, each with other settings; 0: none", ge=0)
    budget_s: float | None = setting(
        None, "seconds after which no further trial begins; empty: no end", gt=0
    )
    sampler: str = setting("tpe", "what chooses the settings of the next trial")
    pruner: str = setting("median", "what ends a trial early that falls behind the others")
    space: Mapping[str, Any] = setting(
        {}, "settings to try, each a list or `low..high`, `low..high log`; empty: by strategy"
    )
    parallel: int = setting(
        1, "trials at work at the same time, each in a process of its own", ge=1, le=64
    )


@dataclass(frozen=True, slots=True)
class EnsembleRule:
    """How several trainings become one candidate; see `instar.stages.train.ensembles`."""

    kind: Literal[
        "none",
        "bagging",
        "boosting",
        "stacking",
        "soft_vote",
        "hard_vote",
        "uniform_soup",
        "greedy_soup",
    ] = setting("none", "how several trainings become one candidate; none: there is one")
    members: int = setting(5, "trainings that the candidate is made of", ge=2)
    rate: float = setting(
        0.5, "how far each further member's answer counts (kind: boosting)", gt=0, le=1
    )


@dataclass(frozen=True, slots=True)
class AugmentRule:
    """Which changed or made rows accompany the fresh ones; see `instar.stages.train.augment`."""

    kinds: tuple[Literal["flip", "rotate", "scale", "crop", "resample", "synthesise"], ...] = (
        setting((), "how rows are made that accompany the fresh ones; empty: there are none")
    )
    who: Literal["rare", "all"] = setting(
        "rare", "of which classes: the rarer the more, or of all rows alike"
    )
    share: float = setting(
        1.0, "rows made per fresh row in an epoch; with who: rare, at most", gt=0, le=10
    )
    copies: int = setting(
        10, "rows made per fresh row of one class in an epoch, at most (who: rare)", ge=1, le=1000
    )
    flip: Literal["horizontal", "vertical", "both"] = setting(
        "horizontal", "left and right change places, or above and below, each every second time"
    )
    rotate: float = setting(
        10.0, "degrees that an image is turned, either way, at most", gt=0, le=180
    )
    scale: float = setting(
        0.1, "part by which an image becomes larger or smaller, at most", gt=0, lt=1
    )
    crop: float = setting(0.1, "part of each side that is cut off, at most", gt=0, lt=1)
    neighbours: int = setting(
        5, "nearest rows of its class, one of which a row is mixed with (synthesise)", ge=1, le=100
    )


@dataclass(frozen=True, slots=True)
class TrainPolicy:
    optimizer: str = setting("adamw", "update rule")
    lr: float | None = setting(
        None, "peak learning rate; empty: by strategy, from the champion's", gt=0
    )
    weight_decay: float = setting(1e-4, "weight decay; apart from the gradient with adamw", ge=0)
    l1: float = setting(0.0, "weight of the penalty sum of |w|; with l2, the elastic net", ge=0)
    l2: float = setting(0.0, "weight of the penalty sum of w² / 2, part of the gradient", ge=0)
    schedule: str = setting("cosine", "course of the learning rate")
    period: int = setting(5, "epochs between two restarts (schedule: cosine_restarts)", ge=1)
    loss: str = setting("auto", "loss by name, by task, or your own as module:function")
    label_smoothing: float = setting(
        0.0, "share of each label that is spread over all classes (bce, cross_entropy)", ge=0, lt=1
    )
    epochs: int | None = setting(
        None, "passes over the fresh rows at most; empty: by strategy", ge=1
    )
    batch: int | None = setting(
        None, "rows a step; 0: all fresh rows in one step; empty: by strategy", ge=0
    )
    patience: int = setting(5, "epochs without improvement before stopping", ge=1)
    clip: float = setting(1.0, "largest gradient norm; larger ones are scaled down", gt=0)
    auc: float = setting(
        0.85, "validation AUROC below which a binary training is reported", ge=0.5, le=1
    )
    replay: float = setting(0.05, "share of the old rows kept as replay sample", ge=0, le=1)
    replay_min: int = setting(200, "rows of the replay sample at least", ge=0)
    memory: Literal["all", "sample"] = setting(
        "all", "replayed rows come from all old ones, where they are there, or from the kept sample"
    )
    replay_ratio: float = setting(1.0, "replayed rows per fresh row in a batch", ge=0)
    methods: tuple[str, ...] = setting(
        (), "training methods besides the strategy's, by name or as module:function"
    )
    distill: float | None = setting(
        None, "weight of the champion's answers on replayed rows; empty: by strategy", ge=0
    )
    focal: float | None = setting(
        None, "weight of the champion's answers on fresh rows that it gets right", ge=0
    )
    lwf: float | None = setting(None, "weight of the champion's answers on fresh rows", ge=0)
    logits: float | None = setting(
        None, "weight of the distance to the champion's logits on replayed rows", ge=0
    )
    ewc: float | None = setting(
        None, "pull to the champion's weights, by their worth for old rows", ge=0
    )
    l2sp: float | None = setting(None, "pull to the champion's weights", ge=0)
    average: float | None = setting(None, "decay of the running average of weights", gt=0, lt=1)
    top: int | None = setting(None, "layers on top that learn fully", ge=1)
    below: float | None = setting(
        None, "rate of the layers below them, of the full one", ge=0, le=1
    )
    rank: int | None = setting(None, "rank of the method low_rank", ge=1)
    share: float | None = setting(
        None, "share of the way to the successor where no old rows are left", gt=0, le=1
    )
    temperature: float = setting(2.0, "softening of the champion's answers", gt=0)
    interpolate: bool = setting(
        True, "choose between champion and successor weights on validation rows"
    )
    full_epochs: int = setting(12, "epochs of a full training", ge=1)
    threads: int = setting(1, "CPU threads of the training process", ge=1)
    workers: int = setting(
        1, "processes that share each batch of a training; each holds its rows", ge=1, le=64
    )
    stream: Literal["auto", "always", "never"] = setting(
        "auto", "read rows from their files in each epoch; auto: where they do not fit into memory"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = setting(
        "auto", "numbers that products are computed in; auto: fp32, or bf16 on a GPU that has it"
    )
    channels_last: Literal["auto", "always", "never"] = setting(
        "auto", "whether images are laid out with their channels last; auto: on a GPU"
    )
    checkpoint_s: float = setting(10.0, "seconds between checkpoints; 0: after each epoch", ge=0)
    tune: TuneRule = setting(TuneRule(), "the search for better settings")
    widen: float = setting(
        1.0, "times by which hidden layers become wider (strategy: grow)", ge=1, le=8
    )
    deepen: int = setting(0, "hidden layers that are added (strategy: grow)", ge=0, le=8)
    dropout: float | None = setting(
        None,
        "fraction dropped while training (strategy: grow); 0.3 for overfitting",
        ge=0.3,
        le=0.5,
    )
    pretrained: str | None = setting(
        None, "file of weights learnt elsewhere (safetensors, ONNX), for the strategy transfer"
    )
    ensemble: EnsembleRule = setting(EnsembleRule(), "several trainings for one candidate")
    augment: AugmentRule = setting(AugmentRule(), "rows made from the fresh ones")


@dataclass(frozen=True, slots=True)
class PackagePolicy:
    int8: Literal["auto", "never", "require"] = setting(
        "auto", "quantise, fall back to FP32 where it hurts"
    )
    int8_drop: float = setting(0.005, "loss of the primary metric that INT8 may cost", ge=0)
    calibration: int = setting(512, "training rows that INT8 calibration reads", ge=16)
    parity: float = setting(
        1e-3, "largest difference of a probability, network against FP32 graph", gt=0
    )
    opset: int = setting(20, "ONNX operator set", ge=17)


@dataclass(frozen=True, slots=True)
class MetricRule:
    """Limits of one metric. `min` and `max` are absolute; `margin` is against the champion."""

    min: float | None = setting(None, "smallest value that passes")
    max: float | None = setting(None, "largest value that passes")
    margin: float | None = setting(
        None, "how much worse than the champion still counts as not worse", ge=0
    )


@dataclass(frozen=True, slots=True)
class FlipRule:
    max: float = setting(0.05, "share of rows right before and wrong now", ge=0, le=1)
    old_max: float = setting(0.05, "the same on the champion's holdout", ge=0, le=1)


@dataclass(frozen=True, slots=True)
class SliceRule:
    columns: tuple[str, ...] = setting((), "columns whose values are judged one by one")
    min_rows: int = setting(200, "rows below which a slice is not judged", ge=20)
    margin: float = setting(0.03, "how much worse than the champion a slice may be", ge=0)


@dataclass(frozen=True, slots=True)
class AttackRule:
    radius: float = setting(0.02, "largest change of an input, in units of the scaled range", gt=0)
    max: float = setting(0.05, "share of right answers that the attack may turn", ge=0, le=1)
    steps: int = setting(10, "gradient steps", ge=1)
    rows: int = setting(500, "rows attacked", ge=10)
    enforced: bool = setting(False, "refuse instead of reporting")


@dataclass(frozen=True, slots=True)
class ValidatePolicy:
    metrics: Mapping[str, MetricRule] = setting(
        {}, "limits by metric; the first is the primary one; empty: the task's own with margin 0.01"
    )
    old_margin: float = setting(
        0.01, "how much of the primary metric may be lost on old data", ge=0
    )
    confidence: float = setting(0.95, "confidence of every interval", gt=0.5, lt=1)
    resamples: int = setting(1_000, "bootstrap resamples", ge=100)
    flips: FlipRule = setting(FlipRule(), "negative flips")
    slices: SliceRule = setting(SliceRule(), "slices")
    suspicious_gain: float = setting(
        0.10, "gain of the primary metric that is too good to be true", gt=0
    )
    suspicious_column: float = setting(
        0.25, "loss of the primary metric when one new column is shuffled", gt=0
    )
    attack: AttackRule = setting(AttackRule(), "robustness against small changes of the input")
    latency_ms: float = setting(20.0, "p99 of one row through the bundle", gt=0)
    size_mb: float = setting(500.0, "size of the bundle", gt=0)


@dataclass(frozen=True, slots=True)
class ApprovePolicy:
    people: int = setting(1, "approvals needed, none of them the requester's", ge=0)
    override_people: int = setting(2, "people needed to let an inconclusive finding pass", ge=1)
    expires_h: float = setting(72.0, "hours after which an approval is void", gt=0)


@dataclass(frozen=True, slots=True)
class StepRule:
    share: float = setting(1.0, "share of traffic, a fraction", gt=0, le=1)
    requests: int = setting(500, "requests to the candidate before the step can end", ge=0)
    labels: int = setting(
        0,
        "labelled answers of the candidate before the step can end, and proof that it is not worse; 0: neither",
        ge=0,
    )
    bake_s: float = setting(0.0, "seconds before the step can end", ge=0)


@dataclass(frozen=True, slots=True)
class ShadowRule:
    """How long a candidate answers for nobody, and is compared, before its first step."""

    share: float = setting(
        0.0, "share of requests that are shown to the candidate; 0: none are", ge=0, le=1
    )
    requests: int = setting(500, "compared requests before the shadow can end", ge=1)
    flips: float | None = setting(
        None,
        "share of answers that may be another class, or a value beyond the tolerance; empty: reported",
        ge=0,
        le=1,
    )
    tolerance: float = setting(
        0.01, "difference within which two values agree, as a part of the target's range", ge=0
    )


@dataclass(frozen=True, slots=True)
class ReleasePolicy:
    strategy: str = setting("canary", "how traffic moves")
    steps: tuple[StepRule, ...] = setting(
        (
            StepRule(share=0.01),
            StepRule(share=0.05),
            StepRule(share=0.25),
            StepRule(share=0.5),
        ),
        "the steps of a canary; full traffic follows the last",
    )
    shadow: ShadowRule = setting(ShadowRule(), "the shadow before the first step")
    alpha: float = setting(
        0.05, "false alarms of all comparisons of one release together", gt=0, lt=1
    )
    errors: float = setting(0.02, "share of failed answers that trips at once", ge=0, le=1)
    p99_ms: float = setting(200.0, "p99 latency that trips at once", gt=0)
    trip_requests: int = setting(50, "requests before a tripwire can trip", ge=1)
    slow_ms: float = setting(
        0.0,
        "latency from which an answer counts as slow beside the champion's; 0: half of p99_ms",
        ge=0,
    )
    outside: float = setting(
        0.05,
        "share of a regression's answers beyond the target's range in training that trips",
        ge=0,
        le=1,
    )
    empty: float = setting(0.1, "share of answers with nothing in them that trips", ge=0, le=1)
    score_shift: float | None = setting(
        None,
        "difference of the mean scores that fails once it is proven; empty: reported",
        gt=0,
        le=1,
    )
    window: int = setting(100, "labelled answers of the moving window of the live metric", ge=1)
    window_metric: str = setting("auto", "the live metric; or by task")
    preview: int = setting(
        0,
        "requests that name the candidate before a blue-green switch; 0: none are waited for",
        ge=0,
    )
    quality_margin: float = setting(
        0.02, "loss of live quality that still counts as not worse", ge=0
    )
    quality: str = setting(
        "auto", "live quality per answer: brier, accuracy, squared_error; or by task"
    )
    fail_after: int = setting(
        1, "looks in which a gate fails before the release rolls back; n means n", ge=1
    )
    max_hold_s: float = setting(
        86_400.0, "seconds without a decision before a person is asked", gt=0
    )
    max_error_s: float = setting(
        600.0,
        "seconds in which nothing can be measured before the release rolls back; 0: never",
        ge=0,
    )
    arrival: Literal["refuse", "queue", "replace"] = setting(
        "refuse", "what becomes of an update that is asked for while a release is under way"
    )
    tick_s: float = setting(1.0, "seconds between two looks", gt=0)
    hold_s: float = setting(
        1800.0, "seconds for which the version before is held warm after a promotion", ge=0
    )


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    window: int = setting(1_000, "labelled answers that accuracy is measured over", ge=20)
    drop: float = setting(0.03, "fall of accuracy that raises an alert", ge=0, le=1)
    drift_effect: float = setting(
        0.25, "PSI of the scores from which the answers count as drifted", gt=0
    )


@dataclass(frozen=True, slots=True)
class CadencePolicy:
    min_days: float = setting(
        1.0, "days from one update to the next at least, whatever else asks for it", ge=0, le=36_500
    )
    max_days: float = setting(
        30.0, "days from one update to the next at most, whatever else is known", gt=0, le=36_500
    )
    cost_per_update: float = setting(
        1.0, "price of people's time for one update, in money; computing is measured", ge=0
    )
    value_days: float = setting(7.0, "days for which one point is worth plan.value_per_point", gt=0)
    fresh_days: float | None = setting(
        None,
        "days in which an update's rows came, where no time column says; empty: since the last update",
        ge=0,
    )
    enforce: Literal["off", "warn", "refuse"] = setting(
        "off", "what becomes of an update that is asked for before min_days have gone by"
    )


@dataclass(frozen=True, slots=True)
class EnvironmentRule:
    """What is wanted of the machine; GB are 10^9 bytes. Limits of a GPU count where there is one."""

    cores: int = setting(8, "CPU cores", ge=1)
    memory_gb: float = setting(2.0, "memory, in GB", ge=0)
    disk_gb: float = setting(2.0, "free disk where the workspace is, in GB", ge=0)
    gpu_gb: float = setting(16.0, "memory of each GPU, in GB; where there is one", ge=0)
    cuda: int = setting(11, "CUDA version that the driver serves; where there is a GPU", ge=0)
    cudnn: int = setting(8, "cuDNN version; where there is a GPU", ge=0)
    network_gbps: float = setting(
        1.0, "rate of reading from artifacts in S3, in Gbit/s; a folder is not measured", ge=0
    )
    refuse: bool = setting(False, "refuse an update on a machine with less instead of warning")


@dataclass(frozen=True, slots=True)
class RunPolicy:
    attempts: int = setting(3, "times that a stage is begun before its update is given up", ge=1)
    backoff_s: float = setting(
        1.0, "seconds before a store or server that failed is asked again; doubled each time", ge=0
    )
    stall_s: float = setting(
        600.0,
        "seconds without a sign of life after which a stage's process is ended; 0: never",
        ge=0,
    )
    watts_per_core: float = setting(
        10.0, "power assumed of a busy CPU core where no counter measures it, in watts", ge=0
    )
    notify: tuple[str, ...] = setting(
        (), "addresses (http, https) that are told of each new champion, by POST"
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "where networks are trained; auto: on a GPU where torch sees one"
    )
    memory_gb: float | None = setting(
        None, "memory a training may take, in GB; empty: 70 % of what is free", gt=0
    )
    environment: EnvironmentRule = setting(EnvironmentRule(), "the machine")
    owners: Mapping[str, str] = setting(
        {}, "who answers for a stage, by its name; the requester where nobody is named"
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """Every setting of every stage."""

    data: DataSettings = setting(DataSettings(), "columns and preprocessing")
    admit: AdmitPolicy = setting(AdmitPolicy(), "the data gate")
    plan: PlanPolicy = setting(PlanPolicy(), "the choice of a strategy")
    train: TrainPolicy = setting(TrainPolicy(), "training")
    package: PackagePolicy = setting(PackagePolicy(), "the bundle")
    validate: ValidatePolicy = setting(ValidatePolicy(), "the gates of the candidate")
    approve: ApprovePolicy = setting(ApprovePolicy(), "people")
    release: ReleasePolicy = setting(ReleasePolicy(), "traffic")
    watch: WatchPolicy = setting(WatchPolicy(), "production")
    cadence: CadencePolicy = setting(CadencePolicy(), "when an update is due")
    run: RunPolicy = setting(RunPolicy(), "how the stages are run")
