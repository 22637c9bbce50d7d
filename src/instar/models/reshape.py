"""Give a network of a family of ours another shape that begins with the same answers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from instar.core.data import InputSpec
from instar.core.errors import InputError
from instar.core.records import Network
from instar.models import build, grow
from instar.models.ensemble import Ensemble, joined
from instar.models.families import NETWORKS

_DENSE: Mapping[str, str] = {"mlp": "body.", "cnn": "dense."}
"""Where the hidden dense layers of a family stand: what can become wider, and more."""


class NotReshapable(InputError):
    """Refuse to give a network another shape that is not of a family which can have it."""

    code = "input.not_reshapable"

    def __init__(self, wanted: str, network: Network) -> None:
        own = network.build is not None
        got = f"your own, `{network.build}`" if own else f"the family {network.family}"
        todo = "change the function, and train it with plan.strategy: full"
        super().__init__(wanted, got, todo if own else "change the options beside `network`")


@dataclass(frozen=True, slots=True)
class Change:
    """How the shape changes.

    `widen` is by how many times hidden layers get wider, `deepen` how many more of them there
    are, `dropout` the fraction that is dropped while training; None: as before.
    """

    widen: float = 1.0
    deepen: int = 0
    dropout: float | None = None


@dataclass(frozen=True, slots=True)
class Reshaped:
    """A network in its new shape: where it comes from, its weights, how many there are."""

    network: Network
    state: dict[str, torch.Tensor]
    weights: int


def reshape(
    network: Network, net: nn.Module, inputs: InputSpec, change: Change, project: Path, seed: int
) -> Reshaped:
    """Change the shape of a network that keeps its answers.

    Args:
        network: Where `net` comes from.
        net: It with its weights; it stays as it is.
        seed: Of how copies of units share what they pass on.
    Raises:
        NotReshapable: it is the user's own, or its family has no such layers.
        NotGrowable: the answers would change; see `grow`.
    Example:
        >>> mlp = Network(family="mlp", options={"hidden": [4]})
        >>> inputs = InputSpec(numbers=2)
        >>> net = build.build(mlp, inputs, Path())
        >>> change = Change(widen=1.5, deepen=1, dropout=0.3)
        >>> dict(reshape(mlp, net, inputs, change, Path(), 0).network.options)
        {'hidden': [6, 6], 'dropout': 0.3}
    """
    if network.family is None:
        raise NotReshapable("a network of a family, to give it another shape", network)
    if isinstance(net, Ensemble):
        each = [
            reshape(network.alone(), member, inputs, change, project, seed)
            for member in net.members
        ]
        whole = joined([one.state for one in each], dict(net.combined.state_dict()))
        spec = replace(each[0].network, ensemble=network.ensemble)
        return Reshaped(spec, whole, sum(one.weights for one in each))
    options: dict[str, Any] = dict(network.options)
    grown = net
    if change.widen != 1 or change.deepen:
        grown, options["hidden"] = _grown(network, net, inputs, change, seed)
    if change.dropout is not None:
        if "dropout" not in inspect.signature(NETWORKS[network.family]).parameters:
            raise NotReshapable("a family with the option dropout", network)
        options["dropout"] = change.dropout
    after = replace(network, options=options)
    with torch.random.fork_rng(devices=[]):
        made = build.build(after, inputs, project)
    _carry(grown, made)
    grow.same(net, made, inputs)
    state = {name: tensor.detach().clone() for name, tensor in made.state_dict().items()}
    return Reshaped(after, state, sum(p.numel() for p in made.parameters()))


def _grown(
    network: Network, net: nn.Module, inputs: InputSpec, change: Change, seed: int
) -> tuple[nn.Module, int | list[int]]:
    """Make the hidden dense layers wider, and more; give their widths as the option names them."""
    above = _DENSE.get(str(network.family))
    if above is None:
        known = ", ".join(_DENSE)
        raise NotReshapable(f"a family with hidden dense layers ({known}), to grow them", network)
    grown = net
    for name, layer in _hidden(net, above).items():
        units = round(layer.out_features * change.widen)
        grown = grow.widen(grown, name, units, inputs, seed=seed)
    for _ in range(change.deepen):
        *_, last = _hidden(grown, above)
        grown = grow.deepen(grown, last, inputs)
    widths = [layer.out_features for layer in _hidden(grown, above).values()]
    alone = len(widths) == 1 and not isinstance(network.options.get("hidden", []), list)
    return grown, widths[0] if alone else widths


def _hidden(net: nn.Module, above: str) -> dict[str, nn.Linear]:
    return {
        name: part
        for name, part in net.named_modules()
        if name.startswith(above) and isinstance(part, nn.Linear)
    }


def _carry(before: nn.Module, after: nn.Module) -> None:
    """Copy weights layer by layer: dropout shifts the names, not the order."""
    with torch.no_grad():
        for old, new in zip(_stateful(before), _stateful(after), strict=True):
            for name, tensor in new.items():
                tensor.copy_(old[name])


def _stateful(net: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """List what each layer holds itself: its parameters and buffers, by name."""
    for part in net.modules():
        own: dict[str, torch.Tensor] = dict(part.named_parameters(recurse=False))
        if own := own | dict(part.named_buffers(recurse=False)):
            yield own
