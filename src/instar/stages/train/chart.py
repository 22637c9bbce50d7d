"""A training charted: the policy's names become functions, and the whole gets a name of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from instar.core.codec import encode
from instar.core.data import Task
from instar.core.digest import digest_json
from instar.core.policy import TrainPolicy
from instar.core.records import ModelVersion, Request
from instar.core.tools import Tools
from instar.models import predict, surgery
from instar.models.strategies import Route
from instar.models.tasks import lesson_of
from instar.stages.train import losses
from instar.stages.train.checkpoint import FORMAT
from instar.stages.train.compute import Compute
from instar.stages.train.course import Course, Group, Pace, Term
from instar.stages.train.keeper import Keeper
from instar.stages.train.losses import Loss
from instar.stages.train.methods.distill import term
from instar.stages.train.methods.part import Part
from instar.stages.train.optimizers import OPTIMIZERS
from instar.stages.train.rows import Rows
from instar.stages.train.schedules import SCHEDULES
from instar.stages.train.start import Start
from instar.stats.metrics import deciding


def course(
    task: Task,
    loss: Loss,
    route: Route,
    rows: Rows,
    parts: Sequence[Part],
    policy: TrainPolicy,
    seed: int,
) -> Course:
    """Put a course together.

    Args:
        rows: All that is trained on.

    Raises:
        UnknownName: the policy names an optimiser or schedule that does not exist.
    """
    return Course(
        rule=OPTIMIZERS[policy.optimizer],
        schedule=SCHEDULES[policy.schedule],
        loss=loss,
        terms=(*(part.term for part in parts if part.term), *_taught(task, rows, policy)),
        metric=_metric(task),
        lr=route.recipe.lr,
        batch=route.recipe.batch,
        epochs=route.recipe.epochs,
        replay_ratio=sum(part.ratio for part in parts),
        weight_decay=policy.weight_decay,
        patience=policy.patience,
        clip=policy.clip,
        seed=seed,
        anchors=tuple(anchor for part in parts for anchor in part.anchors if anchor.weight),
        average=max((part.average for part in parts), default=0.0),
        period=policy.period,
        l1=policy.l1,
        l2=policy.l2,
        lesson=lesson_of(task),
    )


def _taught(task: Task, rows: Rows, policy: TrainPolicy) -> tuple[Term, ...]:
    """Add the one term that all methods with a teacher share, if any row trusts it."""
    if rows.trust is None or not rows.trust.any():
        return ()
    return (term(task.kind, policy.temperature),)


def loss(task: Task, policy: TrainPolicy, tools: Tools) -> Loss:
    """Choose the policy's loss, or the task's.

    Raises:
        UnknownName: there is no such loss.
        WrongLoss: it is made for another kind of task.
        NotSmoothable: its labels cannot be smoothed.
        LossMissing, LossRaised, NotALoss: the user's own is not there, fails, or is none.
    """
    return losses.choose(
        policy.loss,
        task.kind,
        outputs=task.outputs,
        smoothing=policy.label_smoothing,
        project=tools.project,
    )


def _metric(task: Task) -> Callable[[predict.Floats, torch.Tensor], float]:
    metric, lesson = deciding(task), lesson_of(task)
    return lambda out, labels: metric(predict.probabilities(out, task), lesson.truth(labels))


def groups(net: nn.Module, parts: Sequence[Part]) -> list[Group]:
    """Group the parameters by the pace of their layer; those that stay take no part at all."""
    paces: dict[str, Pace] = {}
    for layers in surgery.stacks(net):
        for part in parts:
            paces |= part.paces(layers) if part.paces else {}
    sides: dict[Pace, list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        pace = paces.get(surgery.owner(name), Pace())
        if not pace.scale:
            parameter.requires_grad = False
        elif parameter.requires_grad:
            sides.setdefault(pace, []).append(parameter)
    return [Group(side, pace) for pace, side in sides.items()]


def origin(
    request: Request,
    champion: ModelVersion,
    start: Start,
    policy: TrainPolicy,
    compute: Compute,
    seed: int,
) -> str:
    """Name what a training is made of, but for its route."""
    settings = {k: v for k, v in encode(policy).items() if k != "checkpoint_s"}
    data = [part.digest for part in (*start.train, *([champion.replay] if champion.replay else []))]
    read = encode((request.network, start.preprocessing, request.pretrained))
    how = [compute.device.name, str(compute.cast), compute.channels_last]
    return digest_json([FORMAT, champion.weights, settings, data, read, how, seed])


def key(origin: str, route: Route) -> str:
    """Name a training, so that a checkpoint of another one is never taken up."""
    return digest_json([origin, encode(route)])


def keeper(key: str, policy: TrainPolicy, tools: Tools) -> Keeper:
    """Make what keeps the checkpoints of the training `key`."""
    return Keeper(tools.folder(tools.scratch), key, tools.clock, policy.checkpoint_s, tools.pulse)
