"""Keep a training under way as checkpoints, and take it up again from the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from instar.core.records import Epoch
from instar.core.tools import Clock, Folder, Pulse, Unwatched
from instar.stages.train import checkpoint
from instar.stages.train.checkpoint import Checkpoint
from instar.stages.train.compute import Compute
from instar.stages.train.course import Course
from instar.stages.train.rows import Rows
from instar.stages.train.run import Run, begin
from instar.stages.train.team import Team

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
    scaler: torch.amp.GradScaler
    team: Team | None = None


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

    def keep(self, run: Run, live: Live) -> None:
        """Write down where a training stands; of a team, the leader alone does."""
        if live.team is not None and live.team.rank:
            return
        # Within an epoch the order is dealt anew, so it is kept as it was before the epoch.
        order = run.dealt if run.step else live.order.get_state()
        random = {"torch": torch.get_rng_state(), "order": order}
        if (own := live.compute.device.random()) is not None:
            random["device"] = own
        parts: dict[str, Mapping[str, torch.Tensor]] = {
            "net": live.net.state_dict(),
            "best": run.best,
            "optimizer": checkpoint.pack(live.optimizer),
            "random": random,
            "epoch": {"losses": run.losses, "averaged": run.averaged},
        }
        tensors = {f"{part}/{name}": t for part, own in parts.items() for name, t in own.items()}
        plain = {name: getattr(run, name) for name in _CARRIED}
        plain["scaler"] = live.scaler.state_dict()
        plain["history"] = [
            [e.epoch, e.loss, e.valid_loss, e.metric, e.lr, e.gradient_norm] for e in run.history
        ]
        checkpoint.save(self.folder, Checkpoint(self.key, tensors, plain))

    def resume(self, live: Live, valid: Rows, course: Course) -> Run:
        """Go on from the last checkpoint; where there is none, measure where a training starts."""
        kept, damaged = checkpoint.load(self.folder, self.key)
        if live.team is not None:
            told = live.team.told(checkpoint.packed(kept) if kept else b"")
            kept = checkpoint.opened(told) if told else None
        if kept is None:
            run = begin(live.net, valid, course, live.team)
            run.damaged = damaged
            return run
        return _taken_up(kept, live, damaged)


def _taken_up(kept: Checkpoint, live: Live, damaged: list[str]) -> Run:
    """Put everything back to where it stood when the checkpoint was written."""
    live.net.load_state_dict(kept.part("net"))
    checkpoint.unpack(live.optimizer, kept.part("optimizer"))
    random, epoch, place = kept.part("random"), kept.part("epoch"), live.compute.device.place
    torch.set_rng_state(random["torch"])
    live.order.set_state(random["order"])
    if "device" in random:
        live.compute.device.seed(random["device"])
    live.scaler.load_state_dict(kept.plain["scaler"])
    return Run(
        best=kept.part("best"),
        history=[Epoch(*line) for line in kept.plain["history"]],
        losses=epoch["losses"].to(place),
        averaged=epoch["averaged"].to(place),
        dealt=random["order"],
        damaged=damaged,
        **{name: kept.plain[name] for name in _CARRIED},
    )
