"""What a training came to, on disk: one that has ended need not be run again."""

from __future__ import annotations

from instar.core.codec import decode, encode
from instar.core.finding import Finding
from instar.core.records import Epoch
from instar.core.tools import Folder
from instar.stages.train import checkpoint
from instar.stages.train.attempt import Ended
from instar.stages.train.run import Run

_PLAIN = (
    *("epoch", "steps", "passes", "best_epoch", "best_loss", "first_loss", "first_metric"),
    "began",
    *("norms", "layers", "broken", "broken_at", "broken_batch", "damaged"),
)


def keep(folder: Folder, key: str, ended: Ended) -> None:
    """Write what the training `key` came to, as a checkpoint is written."""
    run = ended.run
    plain = {name: getattr(run, name) for name in _PLAIN}
    plain["history"] = encode(run.history)
    plain |= {"learnt": ended.learnt, "findings": encode(ended.findings)}
    tensors = {f"state/{name}": tensor for name, tensor in ended.state.items()}
    checkpoint.save(folder, checkpoint.Checkpoint(key, tensors, plain))


def read(folder: Folder, key: str) -> Ended | None:
    """Read what the training `key` came to; None where the disk does not have it (any more)."""
    kept, _ = checkpoint.load(folder, key)
    if kept is None:
        return None
    plain, state = kept.plain, kept.part("state")
    history = [decode(Epoch, line) for line in plain["history"]]
    run = Run(best=state, history=history, **{name: plain[name] for name in _PLAIN})
    findings = tuple(decode(Finding, one) for one in plain["findings"])
    return Ended(run, plain["learnt"], state, findings)
