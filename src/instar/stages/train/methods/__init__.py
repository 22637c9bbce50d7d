"""Training methods: what a strategy composes.

A method is one function `(ground, policy) -> Part`. To add one, copy `replay.py` and add a line; a
user's own is named as `module:function` in `train.methods`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from instar.core.family import Family
from instar.core.policy import TrainPolicy
from instar.stages.train.methods.augment import augment
from instar.stages.train.methods.average import average
from instar.stages.train.methods.discriminate import discriminate
from instar.stages.train.methods.distill import distill
from instar.stages.train.methods.ewc import ewc
from instar.stages.train.methods.focal import focal
from instar.stages.train.methods.freeze import freeze
from instar.stages.train.methods.head_first import head_first
from instar.stages.train.methods.interpolate import interpolate
from instar.stages.train.methods.interpolate_blind import interpolate_blind
from instar.stages.train.methods.interpolate_stable import interpolate_stable
from instar.stages.train.methods.l2sp import l2sp
from instar.stages.train.methods.logits import logits
from instar.stages.train.methods.low_rank import low_rank
from instar.stages.train.methods.lwf import lwf
from instar.stages.train.methods.own import own
from instar.stages.train.methods.part import Ground, Part
from instar.stages.train.methods.pretrained import pretrained
from instar.stages.train.methods.replay import replay
from instar.stages.train.methods.replay_balanced import replay_balanced
from instar.stages.train.methods.shrink import shrink
from instar.stages.train.methods.statistics import statistics
from instar.stages.train.methods.thaw import thaw

Method: TypeAlias = Callable[[Ground, TrainPolicy], Part]

METHODS: Family[Method] = Family(
    "method",
    {
        "augment": augment,
        "replay": replay,
        "replay_balanced": replay_balanced,
        "distill": distill,
        "focal": focal,
        "lwf": lwf,
        "logits": logits,
        "ewc": ewc,
        "l2sp": l2sp,
        "interpolate": interpolate,
        "interpolate_stable": interpolate_stable,
        "interpolate_blind": interpolate_blind,
        "average": average,
        "shrink": shrink,
        "freeze": freeze,
        "discriminate": discriminate,
        "head_first": head_first,
        "thaw": thaw,
        "statistics": statistics,
        "low_rank": low_rank,
        "pretrained": pretrained,
    },
)


def ask(name: str, ground: Ground, policy: TrainPolicy, project: Path) -> Part:
    """Ask a method for its part: one of ours, or `module:function` of the project.

    Raises:
        UnknownName: there is no such method.
        MethodMissing, MethodRaised, NotAMethod: the user's own is not there, fails, or is none.
    """
    return own(name, ground, policy, project) if ":" in name else METHODS[name](ground, policy)
