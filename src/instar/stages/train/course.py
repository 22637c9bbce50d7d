"""Chart a training: the policy's names become functions, and the whole gets a name of its own."""

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
from instar.stages.train import losses
from instar.stages.train.checkpoint import FORMAT
from instar.stages.train.loop import Course, Group, Keeper
from instar.stages.train.losses import Loss
from instar.stages.train.methods.part import Part
from instar.stages.train.optimizers import OPTIMIZERS
from instar.stages.train.schedules import SCHEDULES
from instar.stages.train.start import Start
from instar.stages.train.strategies.route import Route
from instar.stats.metrics import METRICS, primary


def chart(
    task: Task, loss: Loss, route: Route, parts: Sequence[Part], policy: TrainPolicy, seed: int
) -> Course:
    """Put a course together.

    Raises:
        UnknownName: the policy names an optimiser or schedule that does not exist.
    """
    return Course(
        rule=OPTIMIZERS[policy.optimizer],
        schedule=SCHEDULES[policy.schedule],
        loss=loss,
        terms=tuple(part.term for part in parts if part.term),
        metric=_metric(task),
        lr=route.recipe.lr,
        batch=0 if policy.batch == 0 else route.recipe.batch,
        epochs=route.recipe.epochs,
        replay_ratio=sum(part.ratio for part in parts),
        weight_decay=policy.weight_decay,
        patience=policy.patience,
        clip=policy.clip,
        seed=seed,
        period=policy.period,
        l1=policy.l1,
        l2=policy.l2,
    )


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
    metric = METRICS[primary(task.kind)]
    return lambda out, labels: metric(predict.probabilities(out, task), labels.flatten().numpy())


def groups(net: nn.Module, route: Route) -> list[Group]:
    """Group the parameters by their share of the peak rate."""
    fast = surgery.top(net, route.top) if route.top else surgery.blocks(net)
    sides: dict[float, list[nn.Parameter]] = {1.0: [], route.below: []}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            sides[1.0 if surgery.owner(name) in fast else route.below].append(parameter)
    return [Group(side, scale) for scale, side in sides.items() if side]


def keeper(
    request: Request,
    champion: ModelVersion,
    start: Start,
    route: Route,
    policy: TrainPolicy,
    tools: Tools,
) -> Keeper:
    """Name the training, so that a checkpoint of another one is never taken up."""
    settings = {k: v for k, v in encode(policy).items() if k != "checkpoint_s"}
    data = [part.digest for part in (*start.train, *([champion.replay] if champion.replay else []))]
    read = encode((request.network, start.preprocessing))
    key = digest_json([FORMAT, champion.weights, encode(route), settings, data, read, tools.seed])
    return Keeper(tools.folder(tools.scratch), key, tools.clock, policy.checkpoint_s, tools.pulse)
