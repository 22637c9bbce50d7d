"""Change a network's shape and keep what it answers: wider, deeper, more outputs.

Each function leaves the network that it is given alone, and returns another one. Names of layers
stay, or become those that a family of ours gives to a network of the new shape.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import takewhile
from typing import cast

import torch
from torch import nn

from instar.core.data import InputSpec
from instar.core.errors import InputError
from instar.models import surgery
from instar.models.ensemble import Ensemble, Linear

_REPEATABLE = (nn.ReLU, nn.Dropout, nn.Identity)  # twice is the same as once, in evaluation mode
_ROWS = 8  # that the answers before and after are compared on


class NotGrowable(InputError):
    """Refuse a change of shape that would change the answers."""

    code = "input.not_growable"

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(wanted, got, "choose another layer, or train a network of the new shape")


def widen(
    module: nn.Module, layer: str, units: int, inputs: InputSpec, *, seed: int = 0
) -> nn.Module:
    """Give a dense layer more units: copies of its own, whose outgoing weights are shared out.

    The shares are drawn, so that copies do not learn in step for ever.

    Args:
        layer: Name of a dense layer that feeds another one through an activation.
        units: How many it shall have, at least as many as it has.
        inputs: What the network is called with; answers before and after are compared.
    Raises:
        NotGrowable: there is no such pair of layers, or the answers would change.
    Source:
        Chen, Goodfellow and Shlens 2016, "Net2Net", section 2.2; drawn shares in place of noise.
    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> [part.out_features for part in widen(net, "0", 6, InputSpec(numbers=3))[::2]]
        [6, 1]
    """
    grown = copy.deepcopy(module)
    first, second = _pair(grown, layer)
    old = first.out_features
    if units < old:
        raise NotGrowable(f"at least the {old} units that {layer} has", str(units))
    random = torch.Generator().manual_seed(seed)
    places = torch.cat([torch.arange(old), torch.randint(old, (units - old,), generator=random)])
    shares = 0.5 + torch.rand(units, generator=random)
    shares /= torch.zeros(old).index_add_(0, places, shares)[places]  # those of one unit make 1
    first.weight = nn.Parameter(first.weight.detach()[places])
    if first.bias is not None:
        first.bias = nn.Parameter(first.bias.detach()[places])
    second.weight = nn.Parameter(second.weight.detach()[:, places] * shares)
    first.out_features = second.in_features = units
    return same(module, grown, inputs)


def deepen(module: nn.Module, layer: str, inputs: InputSpec) -> nn.Module:
    """Put a dense layer that changes nothing behind one of an `nn.Sequential`, and its ReLU.

    Args:
        layer: Name of a hidden dense layer.
        inputs: What the network is called with; answers before and after are compared.
    Raises:
        NotGrowable: there is no such layer, or another activation than ReLU follows it.
    Source:
        Chen, Goodfellow and Shlens 2016, "Net2Net", section 2.3.
    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> [type(part).__name__ for part in deepen(net, "0", InputSpec(numbers=3))]
        ['Linear', 'ReLU', 'Linear', 'ReLU', 'Linear']
    """
    grown = copy.deepcopy(module)
    above, _, place = layer.rpartition(".")
    stack = dict(grown.named_modules()).get(above)
    dense = _dense(grown, layer)
    if not isinstance(stack, nn.Sequential) or layer == surgery.head(grown):
        raise NotGrowable("a hidden layer of an nn.Sequential", layer)
    parts = list(stack)
    at = list(stack._modules).index(place)  # noqa: SLF001  # the names in their order
    follows = list(takewhile(lambda part: not isinstance(part, nn.Linear), parts[at + 1 :]))
    for part in follows:
        if not isinstance(part, _REPEATABLE):
            raise NotGrowable(f"ReLU and dropout behind {layer}", type(part).__name__)
    idle = copy.deepcopy(dense)
    idle.weight = nn.Parameter(torch.eye(dense.out_features).to(dense.weight))
    idle.bias = nn.Parameter(dense.weight.new_zeros(dense.out_features))
    idle.in_features = dense.out_features
    behind = at + 1 + len(follows)
    deeper = nn.Sequential(*parts[:behind], idle, *copy.deepcopy(follows), *parts[behind:])
    if not above:
        return same(module, deeper.train(module.training), inputs)
    grown.set_submodule(above, deeper.train(stack.training))
    return same(module, grown, inputs)


def replace_head(module: nn.Module, known: Sequence[int | None]) -> nn.Module:
    """Give the head other outputs: known ones keep their weights, new ones answer zero.

    Args:
        known: For each new output, the place of the old one whose weights it takes, or None.
    Raises:
        NotGrowable: there is no such old output, or none at all are wanted.
        NoHead: the network does not end in a dense layer.
    Example:
        >>> net = replace_head(nn.Sequential(nn.Linear(3, 2)), [1, 0, None])
        >>> net(torch.ones(1, 3))[0, 2].item()
        0.0
    """
    grown = copy.deepcopy(module)
    if isinstance(grown, Ensemble):
        return _each_head(grown, known)
    head = _dense(grown, surgery.head(grown))
    old = head.out_features
    wrong = [place for place in known if place is not None and not 0 <= place < old]
    if wrong or not known:
        raise NotGrowable(f"outputs out of the {old} there are, or new ones", str(list(known)))
    rows = [place for place, kept in enumerate(known) if kept is not None]
    kept = [place for place in known if place is not None]
    with torch.no_grad():
        weight = head.weight.new_zeros(len(known), head.in_features)
        weight[rows] = head.weight[kept]
        bias = head.weight.new_zeros(len(known)) if head.bias is not None else None
        if bias is not None:
            bias[rows] = head.bias[kept]
    other = copy.deepcopy(head)
    other.out_features = len(known)
    return _with_head(grown, other, weight, bias)


def _each_head(module: Ensemble, known: Sequence[int | None]) -> Ensemble:
    """Give each member other outputs; what combines them linearly takes new ones as their mean."""
    members = [replace_head(member, known) for member in module.members]
    grown = Ensemble(members, module.spec, len(known)).train(module.training)
    if isinstance(module.combined, Linear) and isinstance(grown.combined, Linear):
        before, layer = module.combined.layer, grown.combined.layer
        count, old = len(members), before.out_features
        rows = [place for place, kept in enumerate(known) if kept is not None]
        kept = [place for place in known if place is not None]
        with torch.no_grad():
            weight = layer.weight.reshape(len(known), count, len(known))
            weight[rows] = 0.0
            taken = before.weight.reshape(old, count, old)[kept][:, :, kept]
            weight[torch.tensor(rows)[:, None], :, torch.tensor(rows)] = taken.transpose(1, 2)
            layer.bias[rows] = before.bias[kept]
    elif not isinstance(module.combined, Linear):
        grown.combined.load_state_dict(module.combined.state_dict())
    return grown


def _with_head(
    module: nn.Module, head: nn.Linear, weight: torch.Tensor, bias: torch.Tensor | None
) -> nn.Module:
    head.weight = nn.Parameter(weight.detach())
    if bias is not None:
        head.bias = nn.Parameter(bias.detach())
    name = surgery.head(module)
    if not name:
        return head.train(module.training)
    module.set_submodule(name, head.train(module.training))
    return module


def _dense(module: nn.Module, name: str) -> nn.Linear:
    layer = dict(module.named_modules()).get(name)
    if not isinstance(layer, nn.Linear):
        dense = [n for n, part in module.named_modules() if isinstance(part, nn.Linear)]
        raise NotGrowable(f"a dense layer out of {', '.join(dense) or 'none'}", name)
    return layer


def _pair(module: nn.Module, name: str) -> tuple[nn.Linear, nn.Linear]:
    """Find a dense layer and the one that it feeds; PReLU's one slope may stand between."""
    first = _dense(module, name)
    others = [n for n in surgery.blocks(module) if not _is_slope(module.get_submodule(n))]
    behind = others[others.index(name) + 1 :][:1]
    second = module.get_submodule(behind[0]) if behind else None
    if not isinstance(second, nn.Linear) or second.in_features != first.out_features:
        kind = type(second).__name__ if second is not None else "nothing"
        raise NotGrowable(f"a dense layer that {name} feeds", f"{kind} behind it")
    return first, second


def _is_slope(layer: nn.Module) -> bool:
    return isinstance(layer, nn.PReLU) and layer.num_parameters == 1


def same(before: nn.Module, after: nn.Module, inputs: InputSpec) -> nn.Module:
    """Return the network after a change, if it answers drawn rows as the one before.

    Raises:
        NotGrowable: it does not.
    """
    parts = _rows(inputs)
    old = _asked(before, parts)
    try:
        same = torch.allclose(old, _asked(after, parts), rtol=1e-4, atol=1e-5)
    except RuntimeError:  # shapes that do not fit: the layer feeds yet another one
        same = False
    if not same:
        raise NotGrowable("the same answers as before", "others: its layers are not in a row")
    return after


def _rows(inputs: InputSpec) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    parts = [torch.randn(_ROWS, inputs.numbers, generator=random)] if inputs.numbers else []
    if inputs.categories:
        codes = [torch.randint(0, n, (_ROWS,), generator=random) for n in inputs.categories]
        parts.append(torch.stack(codes, dim=1))
    return parts + ([torch.randn(_ROWS, *inputs.image, generator=random)] if inputs.image else [])


def _asked(net: nn.Module, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    training = net.training
    with torch.no_grad():
        out = net.eval()(*parts)
    net.train(training)
    return cast(torch.Tensor, out)
