"""The training loop, read top to bottom.

Tensors are held once, on the device that computes; a batch is a slice of shuffled row numbers.
Nothing leaves the tensors within an epoch: losses and gradient norms are gathered and read at its
end, when the validation rows are asked. A checkpoint may be written after any step: the order of
the epoch's rows is dealt anew from the state that it was dealt from, and the steps that were made
are skipped.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol, TypeAlias

import torch
from torch import nn

from instar.core.digest import digest_bytes
from instar.core.errors import Interrupted
from instar.core.records import Epoch
from instar.core.tools import Clock, Folder, Pulse, Unwatched
from instar.models.predict import Floats
from instar.models.surgery import owner
from instar.models.tasks import Lesson
from instar.stages.train import checkpoint
from instar.stages.train.compute import Compute
from instar.stages.train.flat import Flat
from instar.stages.train.losses import Loss
from instar.stages.train.optimizers import Rule
from instar.stages.train.rows import Rows
from instar.stages.train.schedules import Moment, Schedule

State: TypeAlias = dict[str, torch.Tensor]
Term: TypeAlias = Callable[[torch.Tensor, Rows, torch.Tensor], torch.Tensor]
"""A second loss: (logits (b, k), all rows, the batch's places (b,)) -> scalar."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a layer learns: at `scale` times the peak rate, once a share `since` has been done."""

    scale: float = 1.0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Anchor:
    """Half of `weight` times the squared distance to `place`, each weight times its `worth`.

    `place` and `worth` are tensors by the names of parameters; without `worth` all weigh 1. A
    parameter without a place is not pulled.
    """

    weight: float
    place: State
    worth: State | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """Say how to train.

    `lr` is the peak rate, `batch` fresh rows a step (0: all of them in one), `replay_ratio`
    replayed rows per fresh one. `metric` maps logits (n, k) and labels to the number that the
    history shows. `period` is in epochs. `l1` and `l2` weigh the penalties sum |w| and sum w^2 / 2.
    `average` is the decay of the running average of the weights that is judged and kept; 0: they
    are themselves. `lesson` says what a network is asked, and how it is judged.
    """

    rule: Rule
    schedule: Schedule
    loss: Loss
    terms: tuple[Term, ...]
    metric: Callable[[Floats, torch.Tensor], float]
    lr: float
    batch: int
    epochs: int
    replay_ratio: float
    weight_decay: float
    patience: int
    clip: float
    seed: int
    anchors: tuple[Anchor, ...] = ()
    average: float = 0.0
    period: int = 5
    l1: float = 0.0
    l2: float = 0.0
    lesson: Lesson = field(default_factory=Lesson)

    def steps(self, fresh: int) -> int:
        """Count the steps of an epoch over `fresh` rows."""
        return math.ceil(fresh / (self.batch or fresh))


class Source(Protocol):
    """Where the rows of a training come from; `fresh` of them are gone through once an epoch."""

    @property
    def fresh(self) -> int: ...

    def deal(self, order: torch.Generator, course: Course) -> Iterator[tuple[Rows, torch.Tensor]]:
        """Deal the batches of an epoch: rows, and the batch's places among them, (b,)."""
        ...


class Team(Protocol):
    """Several processes that train together; each has a `rank`, and the one with 0 leads."""

    @property
    def rank(self) -> int: ...

    def share(self, places: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Take this process's share of a batch, and the share's weight in it."""
        ...

    def begin(self, step: int) -> None:
        """Seed a step's random numbers."""
        ...

    def summed(
        self, gradient: torch.Tensor, loss: torch.Tensor, weight: float, *, stopping: bool
    ) -> bool:
        """Sum gradient and loss over all processes; tell whether all are to stop."""
        ...

    def same(self, net: nn.Module) -> None:
        """Give all networks the same state besides their weights."""
        ...

    def told(self, data: bytes) -> bytes:
        """Tell everybody what the leader has."""
        ...

    def judged(self, numbers: Sequence[float]) -> list[float]:
        """Tell everybody the leader's numbers."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Rows that are held where they are computed with: fresh ones first, then replayed ones."""

    rows: Rows
    fresh: int

    def deal(self, order: torch.Generator, course: Course) -> Iterator[tuple[Rows, torch.Tensor]]:
        place = self.rows.labels.device
        for i in batches(order, self.fresh, len(self.rows), course):
            yield self.rows, i.to(place)


@dataclass(frozen=True, slots=True)
class Brought:
    """Rows that are brought to the device batch by batch, since they do not lie there."""

    source: Source
    place: torch.device

    @property
    def fresh(self) -> int:
        return self.source.fresh

    def deal(self, order: torch.Generator, course: Course) -> Iterator[tuple[Rows, torch.Tensor]]:
        for rows, i in self.source.deal(order, course):
            fresh = len(i) if rows.fresh is None else int((i < rows.fresh).sum())
            batch = replace(rows.take(i), fresh=fresh)
            yield batch.to(self.place), torch.arange(len(i), device=self.place)


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that learn at one pace."""

    parameters: Sequence[nn.Parameter]
    pace: Pace = field(default_factory=Pace)


@dataclass(slots=True)
class Run:
    """Where the training stands: all that is carried from one step to the next.

    `step` counts those of the epoch under way, whose losses so far are `losses`; `dealt` is the
    state of the generator from which its order was drawn. `broken_at` and `broken_batch` name
    the step of the last epoch whose loss was no number, from 1, and the digest of its rows.
    `averaged` are the weights' running average, in the order of `Flat`, where one is kept.
    `damaged` names checkpoints that the disk has damaged. `first_metric` was measured with
    `first_loss`; `began` is the validation loss before a method's beginning, where there was one.
    `layers` are gradient norms by layer, in the last step of each epoch.
    """

    epoch: int = 0
    step: int = 0
    best: State = field(default_factory=dict)
    best_epoch: int = 0
    best_loss: float = math.inf
    first_loss: float = math.inf
    first_metric: float = math.nan
    began: float = -math.inf
    history: list[Epoch] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    layers: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    passes: int = 0
    broken: bool = False
    broken_at: int = 0
    broken_batch: str = ""
    losses: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    dealt: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    averaged: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    damaged: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Keeper:
    """Write a checkpoint every `every_s` seconds, with 0 after each epoch, and before stopping."""

    folder: Folder
    key: str
    clock: Clock
    every_s: float
    pulse: Pulse = field(default_factory=Unwatched)

    def due(self, saved: float, *, ended: bool) -> bool:
        """Tell whether it is time, `saved` being when the last one was written.

        A step too short to be measured would otherwise cost a write to the disk.
        """
        if not (ended or self.every_s):
            return False
        return self.clock.monotonic() - saved >= self.every_s


def fit(
    net: nn.Module,
    rows: Rows | Source,
    fresh: int,
    valid: Rows,
    course: Course,
    *,
    groups: Sequence[Group],
    keeper: Keeper,
    tell: Callable[[Epoch], None],
    compute: Compute | None = None,
    team: Team | None = None,
) -> Run:
    """Train until the course ends or the validation loss has stopped falling.

    The first `fresh` rows are gone through once an epoch; the rest are drawn to accompany them.
    The best epoch's weights end up in `Run.best`; those at the start count as epoch 0. A loss
    that is no number ends the training with `Run.broken` set.

    Raises:
        Interrupted: the keeper's pulse said so; a checkpoint of the last step is on the disk.

    Args:
        net: Trained in place, on the device of `compute`.
        rows: Fresh rows first, then replayed ones; or where they come from.
        groups: The network's parameters with their shares of the peak rate.
        compute: Where and in which numbers; on the processor in FP32 where nothing is said.
        team: The processes that share each batch; None where this one is alone.
    """
    compute = compute or Compute()
    source = Held(rows, fresh) if isinstance(rows, Rows) else rows
    ask, scaler, device = compute.forward(net), compute.scaler(), compute.device
    leads = team is None or team.rank == 0
    flat = Flat([group.parameters for group in groups])
    slots = [{"params": [t], "pace": g.pace} for t, g in zip(flat.tensors, groups, strict=True)]
    optimizer = course.rule(slots, course.lr, course.weight_decay)
    pulls = [_pull(flat, net, anchor) for anchor in course.anchors]
    steps = course.steps(fresh)
    with _own_randomness(course.seed, device.seeds()) as order:
        live = Live(net, optimizer, order, compute, scaler, team)
        run = _resume(keeper, live, valid, course)
        if course.average and not len(run.averaged):
            run.averaged = flat.weights.clone()
        saved, stop = keeper.clock.monotonic(), False
        while run.epoch < course.epochs and run.epoch - run.best_epoch < course.patience:
            net.train()
            if run.step == 0:
                run.dealt = order.get_state()
                run.losses = torch.zeros(steps, device=device.place)
                run.norms += [0.0] * steps
            norms = torch.tensor(run.norms[-steps:], device=device.place)
            losses = (run.first_loss, *(epoch.valid_loss for epoch in run.history))
            dealt = islice(source.deal(order, course), run.step, None)
            for step, (data, i) in enumerate(dealt, run.step):  # i: (b,)
                at = run.epoch + step / steps
                rate = _rate(course, at, losses)
                for group in optimizer.param_groups:
                    pace: Pace = group["pace"]
                    group["lr"] = rate * pace.scale if at >= pace.since * course.epochs else 0.0
                mine, weight = (i, 1.0) if team is None else team.share(i)
                if team is not None:
                    team.begin(run.steps)
                truth = data.labels[mine]  # (b, ...)
                out = ask(*course.lesson.asked([p[mine] for p in data.inputs], truth))  # (b, k)
                loss = course.loss(out, truth)  # ()
                run.losses[step] = loss.detach()
                for term in course.terms:
                    loss = loss + term(out, data, mine)  # ()
                flat.clear()
                if team is not None:
                    loss = loss * weight
                if scaler is None:
                    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                    flat.gather()
                else:
                    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                    flat.gather()
                if team is not None:
                    stop = team.summed(
                        flat.gradient, run.losses[step], weight, stopping=keeper.pulse.stopping()
                    )
                    team.same(net)
                if scaler is not None:
                    scaler.unscale_(optimizer)
                if step == steps - 1:
                    run.layers.append(_by_layer(net, flat))
                if course.l1 or course.l2:
                    flat.penalise(course.l1, course.l2)
                for pull in pulls:
                    pull(flat)
                flat.clip(course.clip, norms[step])
                if scaler is None:
                    optimizer.step()
                else:  # a step whose gradients FP16 could not hold is left out, and counts as none
                    norms[step].nan_to_num_(0.0, 0.0)
                    scaler.step(optimizer)
                    scaler.update()
                if course.average:
                    run.averaged.lerp_(flat.weights, _share(course.average, run.steps))
                run.passes += len(i)
                run.steps, run.step = run.steps + 1, step + 1
                keeper.pulse.beat()
                stop = stop if team is not None else keeper.pulse.stopping()
                if stop or keeper.due(saved, ended=False):
                    run.norms[-steps:] = norms.tolist()
                    if leads:
                        _keep(keeper, run, live)
                    saved = keeper.clock.monotonic()
                    if stop:
                        raise Interrupted(f"after step {run.step} of epoch {run.epoch + 1}")
            run.epoch, run.step = run.epoch + 1, 0
            run.norms[-steps:] = norms.tolist()
            rate = _rate(course, run.epoch - 1 / steps, losses)
            with flat.standing_at(run.averaged if course.average else flat.weights):
                figures = run.losses.mean().item(), norms.mean().item(), rate
                look(run, net, valid, course, *figures, team)
            tell(run.history[-1])
            if run.broken:
                _blame(run, source, course)
                break
            if leads and keeper.due(saved, ended=True):
                _keep(keeper, run, live)
                saved = keeper.clock.monotonic()
    return run


def _pull(flat: Flat, net: nn.Module, anchor: Anchor) -> Callable[[Flat], None]:
    """Make what adds an anchor's gradient: two kernels, whatever the number of layers."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    places, worths = [], []
    for parameter in flat.parameters:
        name, known = names[id(parameter)], names[id(parameter)] in anchor.place
        places.append(anchor.place[name] if known else torch.zeros_like(parameter))
        own = anchor.worth[name] if known and anchor.worth else torch.full_like(parameter, known)
        worths.append(anchor.weight * own)
    there = flat.weights.device
    place, worth = (
        torch.cat([t.detach().flatten().to(there) for t in part]) for part in (places, worths)
    )

    def pull(flat: Flat) -> None:
        flat.gradient.addcmul_(flat.weights - place, worth)

    return pull


def _share(decay: float, step: int) -> float:
    """Say how far a running average moves in a step; the first ones count in full."""
    return max(1 - decay, 1 / (step + 1))


def _rate(course: Course, at: float, losses: Sequence[float]) -> float:
    return course.lr * course.schedule(Moment(at, course.epochs, course.period, losses))


def _by_layer(net: nn.Module, flat: Flat) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    squares: dict[str, float] = {}
    for parameter, norm in zip(flat.parameters, flat.norms(), strict=True):
        layer = owner(names[id(parameter)])
        squares[layer] = squares.get(layer, 0.0) + norm**2
    return {layer: math.sqrt(square) for layer, square in squares.items()}


def batches(
    order: torch.Generator, fresh: int, rows: int, course: Course
) -> Iterator[torch.Tensor]:
    """Deal all fresh rows into equal batches, each joined by its share of the replayed ones.

    Replayed rows are used up before one comes twice.
    """
    replayed = rows - fresh
    share = round((course.batch or fresh) * course.replay_ratio) if replayed else 0
    steps = course.steps(fresh)
    dealt = torch.randperm(fresh, generator=order).tensor_split(steps)
    decks = math.ceil(steps * share / replayed) if share else 0
    drawn = [fresh + torch.randperm(replayed, generator=order) for _ in range(decks)]
    replay = torch.split(torch.cat(drawn), share) if drawn else ()
    for step, batch in enumerate(dealt):
        yield torch.cat([batch, replay[step]]) if replay else batch


def _blame(run: Run, source: Source, course: Course) -> None:
    """Name the first step of the last epoch whose loss was no number, and its rows.

    Where every loss was a number, the weights were spoilt by the last step.
    """
    wrong = (~torch.isfinite(run.losses)).nonzero().flatten().tolist()
    run.broken_at = (wrong[0] if wrong else len(run.losses) - 1) + 1
    order = torch.Generator()
    order.set_state(run.dealt)
    data, places = next(islice(source.deal(order, course), run.broken_at - 1, None))
    batch = data.take(places)
    parts = [part.cpu().numpy().tobytes() for part in (*batch.inputs, batch.labels)]
    run.broken_batch = digest_bytes(b"".join(parts))


def judge(net: nn.Module, valid: Rows, course: Course) -> tuple[float, float]:
    """Measure loss and metric on rows, in evaluation mode."""
    out, loss = course.lesson.judged(net, valid.inputs, valid.labels, course.loss)  # (n, k)
    return loss, course.metric(out, valid.labels.cpu())


def _judged(net: nn.Module, valid: Rows, course: Course, team: Team | None) -> tuple[float, float]:
    if team is None:
        return judge(net, valid, course)
    loss, metric = team.judged(judge(net, valid, course) if team.rank == 0 else (0.0, 0.0))
    return loss, metric


def begin(net: nn.Module, valid: Rows, course: Course, team: Team | None = None) -> Run:
    """Measure where a training starts; that counts as its epoch 0."""
    loss, metric = _judged(net, valid, course, team)
    loss = loss if math.isfinite(loss) else math.inf
    return Run(best=copied(net), best_loss=loss, first_loss=loss, first_metric=metric)


def look(
    run: Run,
    net: nn.Module,
    valid: Rows,
    course: Course,
    loss: float,
    norm: float,
    rate: float,
    team: Team | None = None,
) -> None:
    """Measure where the network is after an epoch, and keep its weights if they are the best."""
    valid_loss, metric = _judged(net, valid, course, team)
    run.history.append(Epoch(run.epoch, loss, valid_loss, metric, rate, norm))
    run.broken = not (math.isfinite(loss) and math.isfinite(valid_loss))
    if valid_loss < run.best_loss:
        run.best, run.best_epoch, run.best_loss = copied(net), run.epoch, valid_loss


def copied(net: nn.Module) -> State:
    """Copy a network's state into the machine's memory."""
    return {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}


@contextlib.contextmanager
def _own_randomness(seed: int, devices: Sequence[int]) -> Iterator[torch.Generator]:
    """Seed dropout and the like, lend a generator for the order of rows, leave no trace."""
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


_CARRIED = (
    *("epoch", "step", "steps", "passes", "best_epoch", "best_loss", "first_loss", "first_metric"),
    *("norms", "layers"),
)


@dataclass(frozen=True, slots=True)
class Live:
    """What moves with each step besides the run."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    order: torch.Generator
    compute: Compute
    scaler: torch.amp.GradScaler | None
    team: Team | None = None


def _keep(keeper: Keeper, run: Run, live: Live) -> None:
    # Within an epoch the order is dealt anew, so it is kept as it was before the epoch.
    order_state = run.dealt if run.step else live.order.get_state()
    random = {"torch": torch.get_rng_state(), "order": order_state}
    if (own := live.compute.device.random()) is not None:
        random["device"] = own
    parts: dict[str, Mapping[str, torch.Tensor]] = {
        "net": live.net.state_dict(),
        "best": run.best,
        "optimizer": checkpoint.pack(live.optimizer),
        "random": random,
        "epoch": {"losses": run.losses, "averaged": run.averaged},
    }
    tensors = {f"{part}/{name}": t for part, named in parts.items() for name, t in named.items()}
    plain = {name: getattr(run, name) for name in _CARRIED}
    plain["scaler"] = live.scaler.state_dict() if live.scaler else {}
    plain["history"] = [
        [e.epoch, e.loss, e.valid_loss, e.metric, e.lr, e.gradient_norm] for e in run.history
    ]
    checkpoint.save(keeper.folder, checkpoint.Checkpoint(keeper.key, tensors, plain))


def _resume(keeper: Keeper, live: Live, valid: Rows, course: Course) -> Run:
    kept, damaged = checkpoint.load(keeper.folder, keeper.key)
    if live.team is not None:
        told = live.team.told(checkpoint.packed(kept) if kept else b"")
        kept = checkpoint.opened(told) if told else None
    if kept is None:
        run = begin(live.net, valid, course, live.team)
        run.damaged = damaged
        return run
    live.net.load_state_dict(kept.part("net"))
    checkpoint.unpack(live.optimizer, kept.part("optimizer"))
    random, place = kept.part("random"), live.compute.device.place
    torch.set_rng_state(random["torch"])
    live.order.set_state(random["order"])
    if "device" in random:
        live.compute.device.seed(random["device"])
    if live.scaler is not None:
        live.scaler.load_state_dict(kept.plain["scaler"])
    carried = {name: kept.plain[name] for name in _CARRIED}
    history = [Epoch(*line) for line in kept.plain["history"]]
    return Run(
        best=kept.part("best"),
        history=history,
        losses=kept.part("epoch")["losses"].to(place),
        averaged=kept.part("epoch")["averaged"].to(place),
        dealt=random["order"],
        damaged=damaged,
        **carried,
    )
