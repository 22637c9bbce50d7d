"""Head first: the head is refitted before the first step, so that the body need not follow it."""

from __future__ import annotations

from torch import nn

from instar.core.policy import TrainPolicy
from instar.models import surgery
from instar.models.head import refit
from instar.models.tasks import lesson_of
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.rows import Rows, join


def head_first(ground: Ground, policy: TrainPolicy) -> Part:
    """Fit the head to fresh and replayed rows on cached features, then train on from there.

    A network that does not end in a Linear layer begins as it is.

    Source:
        Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features" (LP-FT).
    """

    def begin(net: nn.Module) -> None:
        rows = Rows(ground.learn.inputs, ground.learn.labels)
        if ground.replay is not None:
            rows = join(rows, Rows(ground.replay.inputs, ground.replay.labels))
        try:
            cached = surgery.features(net, rows.inputs)  # (n, width)
        except surgery.NoHead:
            return
        layer = net.get_submodule(surgery.head(net))
        labels = lesson_of(ground.task).truth(rows.labels)
        fitted = refit(layer, cached, labels, ground.task.kind)
        layer.load_state_dict(fitted.state_dict())

    return Part(begin=begin)
