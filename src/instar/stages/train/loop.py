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
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import nn
from torch.optim import Optimizer

from instar.core.errors import Interrupted
from instar.core.records import Epoch
from instar.models.surgery import owner
from instar.stages.train.compute import Compute
from instar.stages.train.course import Anchor, Course, Group, Pace
from instar.stages.train.flat import Flat
from instar.stages.train.keeper import Keeper, Live
from instar.stages.train.rows import Rows
from instar.stages.train.run import Run, blame, look
from instar.stages.train.schedules import Moment
from instar.stages.train.source import Held, Source
from instar.stages.train.team import Team


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
        groups: The network's parameters with their paces.
        compute: Where and in which numbers; on the processor in FP32 where nothing is said.
        team: The processes that share each batch; None where this one is alone.
    """
    compute = compute or Compute()
    source = Held(rows, fresh) if isinstance(rows, Rows) else rows
    ask, scaler, device = compute.forward(net), compute.scaler(), compute.device
    flat = Flat([group.parameters for group in groups])
    slots = [{"params": [t], "pace": g.pace} for t, g in zip(flat.tensors, groups, strict=True)]
    optimizer = course.rule(slots, course.lr, course.weight_decay)
    anchors = [_laid(anchor, net, flat) for anchor in course.anchors]
    steps = course.steps(fresh)
    with _own_randomness(course.seed, device.seeds()) as order:
        live = Live(net, optimizer, order, compute, scaler, team)
        run = keeper.resume(live, valid, course)
        if course.average and not len(run.averaged):
            run.averaged = flat.weights.clone()
        saved, stop = keeper.clock.monotonic(), False
        while run.goes_on(course):
            net.train()
            if run.step == 0:
                run.dealt = order.get_state()
                run.losses = torch.zeros(steps, device=device.place)
                run.norms += [0.0] * steps
            norms = torch.tensor(run.norms[-steps:], device=device.place)
            loss_at, norm_at = run.losses.unbind(), norms.unbind()  # views: indexing takes longer
            judged = (run.first_loss, *(epoch.valid_loss for epoch in run.history))
            dealt = islice(source.deal(order, course), run.step, None)
            for step, (data, places) in enumerate(dealt, run.step):  # places: (b,)
                _set_rates(optimizer, course, run.epoch + step / steps, judged)
                mine, weight = (places, 1.0) if team is None else team.share(places)
                if team is not None:
                    team.begin(run.steps)
                # index_select copies whole rows, where [] goes through their numbers one by one.
                truth = data.labels.index_select(0, mine)  # (b, ...)
                asked = [part.index_select(0, mine) for part in data.inputs]
                out = ask(*course.lesson.asked(asked, truth))  # (b, k)
                loss = course.loss(out, truth)  # ()
                loss_at[step].copy_(loss.detach())
                for term in course.terms:
                    loss = loss + term(out, data, mine)  # ()
                if team is not None:
                    loss = loss * weight
                flat.clear()
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own gap
                flat.gather()
                if team is not None:
                    stop = team.summed(
                        flat.gradient, loss_at[step], weight, stopping=keeper.pulse.stopping()
                    )
                    team.same(net)
                scaler.unscale_(optimizer)
                if step == steps - 1:
                    run.layers.append(_by_layer(net, flat))
                flat.penalise(course.l1, course.l2)
                for there, worth in anchors:
                    flat.pull(there, worth)
                flat.clip(course.clip, norm_at[step])
                if scaler.is_enabled():  # a step that FP16 could not hold counts as none
                    norm_at[step].nan_to_num_(0.0, 0.0)
                scaler.step(optimizer)
                scaler.update()
                if course.average:
                    run.averaged.lerp_(flat.weights, _share(course.average, run.steps))
                run.passes += len(places)
                run.steps, run.step = run.steps + 1, step + 1
                keeper.pulse.beat()
                stop = stop if team is not None else keeper.pulse.stopping()
                if stop or keeper.due(saved, ended=False):
                    run.norms[-steps:] = norms.tolist()
                    keeper.keep(run, live)
                    saved = keeper.clock.monotonic()
                    if stop:
                        raise Interrupted(f"after step {run.step} of epoch {run.epoch + 1}")
            run.epoch, run.step = run.epoch + 1, 0
            run.norms[-steps:] = norms.tolist()
            rate = _rate(course, run.epoch - 1 / steps, judged)
            with flat.standing_at(run.averaged if course.average else flat.weights):
                figures = run.losses.mean().item(), norms.mean().item(), rate
                look(run, net, valid, course, *figures, team)
            tell(run.history[-1])
            if run.broken:
                blame(run, source, course)
                break
            if keeper.due(saved, ended=True):
                keeper.keep(run, live)
                saved = keeper.clock.monotonic()
    return run


@contextlib.contextmanager
def _own_randomness(seed: int, devices: Sequence[int]) -> Iterator[torch.Generator]:
    """Seed dropout and the like, lend a generator for the order of rows, leave no trace."""
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


def _set_rates(optimizer: Optimizer, course: Course, at: float, judged: Sequence[float]) -> None:
    """Set each group's rate: the schedule's by its pace, and none before its time."""
    rate = _rate(course, at, judged)
    for group in optimizer.param_groups:
        pace: Pace = group["pace"]
        group["lr"] = rate * pace.scale if at >= pace.since * course.epochs else 0.0


def _rate(course: Course, at: float, judged: Sequence[float]) -> float:
    return course.lr * course.schedule(Moment(at, course.epochs, course.period, judged))


def _laid(anchor: Anchor, net: nn.Module, flat: Flat) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay an anchor out as the weights are: where it is, and its pull on each weight, (w,) both."""
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
    return place, worth


def _by_layer(net: nn.Module, flat: Flat) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    squares: dict[str, float] = {}
    for parameter, norm in zip(flat.parameters, flat.norms(), strict=True):
        layer = owner(names[id(parameter)])
        squares[layer] = squares.get(layer, 0.0) + norm**2
    return {layer: math.sqrt(square) for layer, square in squares.items()}


def _share(decay: float, step: int) -> float:
    """Say how far a running average moves in a step; the first ones count in full."""
    return max(1 - decay, 1 / (step + 1))
