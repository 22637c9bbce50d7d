"""Weights that were learnt elsewhere: which of them a network can begin with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from instar.core.errors import InputError
from instar.models import surgery
from instar.models.weights import NotFinite, State

_SHOWN = 5  # names in a message


class NothingMatches(InputError):
    """Refuse pretrained weights of which the network can take none."""

    code = "input.nothing_matches"

    def __init__(self, own: Iterable[str], given: Iterable[str]) -> None:
        super().__init__(
            f"pretrained tensors with a name and a shape of the network's ({_few(own)})",
            _few(given),
            "name a file of the same network's weights in train.pretrained",
        )


@dataclass(frozen=True, slots=True)
class Match:
    """What a network takes from a file: `taken` by its own names; `left` are its others'.

    `share` is that of the network's weights that is taken, a fraction; `given` counts the file's
    tensors.
    """

    taken: State
    left: tuple[str, ...]
    share: float
    given: int


def match(net: nn.Module, given: State) -> Match:
    """Find the tensors that a network can take: of its own names and shapes, its head left out.

    The names in the file may all stand under one part more (`model.`, `module.`, `backbone.`).
    Numbers of another width are taken as the network's.

    Raises:
        NothingMatches: there is none.
        NotFinite: one of them holds NaN or infinite values.
    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> found = match(net, {"model.0.weight": torch.zeros(4, 3), "model.2.bias": torch.ones(1)})
        >>> list(found.taken), found.left
        (['0.weight'], ('0.bias', '2.weight', '2.bias'))
    """
    own, head = net.state_dict(), _head(net)
    body = {name: t for name, t in own.items() if surgery.owner(name) != head}
    tried = [_under(prefix, body, given) for prefix in _prefixes(given)]
    taken = max(tried, key=len)
    if not taken:
        raise NothingMatches([_shaped(n, t) for n, t in body.items()], map(_shaped, *_parts(given)))
    for name, tensor in taken.items():
        if not tensor.isfinite().all():
            raise NotFinite(name)
    whole = sum(tensor.numel() for tensor in own.values())
    return Match(
        taken={name: tensor.to(own[name].dtype) for name, tensor in taken.items()},
        left=tuple(name for name in own if name not in taken),
        share=sum(tensor.numel() for tensor in taken.values()) / whole,
        given=len(given),
    )


def _head(net: nn.Module) -> str | None:
    try:
        return surgery.head(net)
    except surgery.NoHead:
        return None


def _prefixes(given: State) -> list[str]:
    """List what may stand before a network's own names: nothing, or one part."""
    parts = {name.partition(".")[0] for name in given if "." in name}
    return ["", *sorted(f"{part}." for part in parts)]


def _under(prefix: str, own: State, given: State) -> dict[str, torch.Tensor]:
    return {
        name: given[prefix + name]
        for name, tensor in own.items()
        if prefix + name in given
        and given[prefix + name].shape == tensor.shape
        and given[prefix + name].is_floating_point() == tensor.is_floating_point()
    }


def _parts(given: State) -> tuple[list[str], list[torch.Tensor]]:
    return list(given), list(given.values())


def _shaped(name: str, tensor: torch.Tensor) -> str:
    return f"{name} {tuple(tensor.shape)}"


def _few(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return (", ".join(every[:_SHOWN]) or "none") + more
