"""Ask a network: logits, and the probabilities they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from instar.core.data import Task
from instar.tasks import form_of

Floats: TypeAlias = NDArray[np.float32]
_VALUES = 1 << 24  # of the inputs of one batch
Inputs: TypeAlias = Sequence[NDArray[Any]]


def tensors(inputs: Inputs) -> tuple[torch.Tensor, ...]:
    """Turn a network's call arguments into tensors; read-only arrays are copied."""
    return tuple(torch.from_numpy(np.require(part, requirements="W")) for part in inputs)


def place_of(module: nn.Module) -> torch.device:
    """Say on which device a network is."""
    tensor = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


def logits(module: nn.Module, inputs: Inputs | Sequence[torch.Tensor], batch: int = 4096) -> Floats:
    """Ask a network in evaluation mode, `batch` rows at a time; fewer where memory runs out.

    Args:
        inputs: The network's call arguments, each (n, ...), preprocessed.
    Returns:
        Logits, float32, shape (n, outputs).
    """
    parts = [x if isinstance(x, torch.Tensor) else tensors([x])[0] for x in inputs]
    batch, training = at_once(parts, batch), module.training
    module.eval()
    out = None
    while out is None:
        try:
            out = _asked(module, parts, batch)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
    module.train(training)
    return cast(Floats, out.float().cpu().numpy())


def at_once(parts: Sequence[torch.Tensor], most: int) -> int:
    """Say how many rows to ask for at once: fewer where images are large.

    Example:
        >>> at_once([torch.zeros(1, 3, 512, 512)], 4096)
        21
    """
    largest = max((part[0].numel() for part in parts if len(part)), default=1)
    return max(1, min(most, _VALUES // max(1, largest)))


def _asked(module: nn.Module, parts: Sequence[torch.Tensor], batch: int) -> torch.Tensor:
    place = place_of(module)
    with torch.inference_mode():
        starts = range(0, max(1, len(parts[0])), batch)
        some = ([part[i : i + batch].to(place) for part in parts] for i in starts)
        return torch.cat([module(*one) for one in some])


def probabilities(logits: Floats, task: Task) -> Floats:
    """Turn logits (n, outputs) into what the bundle answers, float32 (n, k).

    Binary: [1 - p, p]; multiclass: softmax, rows sum to 1; regression: the value itself. See
    `instar.tasks`.

    Example:
        >>> from instar.core.data import TaskKind
        >>> task = Task(TaskKind.BINARY, "late", ("no", "yes"))
        >>> probabilities(np.zeros((1, 1), np.float32), task).tolist()
        [[0.5, 0.5]]
    """
    return cast(Floats, form_of(task).scores(logits))
