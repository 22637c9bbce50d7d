"""Take a network apart: its layers, its head, what the head receives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from instar.core.errors import InputError
from instar.models import predict

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

_NAMED = "head_layer"


class NoHead(InputError):
    """Refuse surgery on a network without a head: a layer whose output is its answer.

    That is a Linear layer, or a convolution at the end of a network that answers for pixels.
    """

    code = "input.no_head"

    def __init__(self, layers: Iterable[str], tried: str = "") -> None:
        got = f"the layers {', '.join(layers) or 'none'}"
        super().__init__(
            "a network that ends in a Linear layer",
            f"{got}, and {tried} makes another output than the answer" if tried else got,
            "name its last one, `head` under `network` in instar.yaml, end it with nn.Linear, or "
            "choose the strategy incremental or full",
        )


class WrongHead(InputError):
    """Refuse the name of a head that is no Linear layer of the network."""

    code = "input.wrong_head"

    def __init__(self, named: str, module: nn.Module) -> None:
        linear = dense(module)
        known = f"a dense layer out of {', '.join(linear)}"
        wanted = known if linear else "no network.head, since the network has no dense layer"
        layer = dict(module.named_modules()).get(named)
        got = f"{named!r}, a {type(layer).__name__}" if layer is not None else repr(named)
        super().__init__(wanted, got, "correct `head` under `network` in instar.yaml")


def blocks(module: nn.Module) -> tuple[str, ...]:
    """Name the layers with parameters of their own, in the order in which they were declared.

    Example:
        >>> blocks(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
        ('0', '2')
    """
    return tuple(
        name
        for name, layer in module.named_modules()
        if any(p.requires_grad for p in layer.parameters(recurse=False))
    )


def stacks(module: nn.Module) -> list[tuple[str, ...]]:
    """Name the layers with parameters of their own, stack by stack, each from the bottom up.

    A network is one stack, and so is each member of an ensemble.
    """
    names, prefixes = blocks(module), getattr(module, "stacks", ())
    parts = [tuple(name for name in names if name.startswith(prefix)) for prefix in prefixes]
    rest = tuple(name for name in names if not name.startswith(tuple(prefixes)))
    return [part for part in (*parts, rest) if part]


def dense(module: nn.Module) -> tuple[str, ...]:
    """Name the Linear layers, in the order in which they were declared.

    Example:
        >>> dense(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
        ('0', '2')
    """
    return tuple(n for n, layer in module.named_modules() if isinstance(layer, nn.Linear))


def name_head(module: nn.Module, name: str) -> None:
    """Say which layer makes the logits, where it is not the one that is declared last.

    Raises:
        WrongHead: it is no Linear layer of the network.
    Example:
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
        >>> name_head(net, "0")
        >>> head(net)
        '0'
    """
    if name not in dense(module):
        raise WrongHead(name, module)
    setattr(module, _NAMED, name)


def head(module: nn.Module) -> str:
    """Name the last Linear layer, the one that makes the logits.

    A module may say which layer it is by an attribute `head_layer`; empty: there is none. Without
    any Linear layer, it is the last part, where that is a convolution, which makes pixels' logits.

    Raises:
        NoHead: there is neither.
    Example:
        >>> head(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
        '2'
    """
    if (named := getattr(module, _NAMED, None)) is not None:
        if not named:
            raise NoHead(blocks(module))
        return str(named)
    if linear := dense(module):
        return linear[-1]
    parts = dict(module.named_modules())
    name: str = next(reversed(parts))
    if not isinstance(parts[name], _CONVOLUTIONS):
        raise NoHead(blocks(module))
    return name


def owner(parameter: str) -> str:
    """Name the layer that a parameter belongs to.

    Example:
        >>> owner("body.0.weight"), owner("scale")
        ('body.0', '')
    """
    layer, _, _ = parameter.rpartition(".")
    return layer


def features(module: nn.Module, inputs: Sequence[torch.Tensor], batch: int = 4096) -> torch.Tensor:
    """Compute what the head receives, in evaluation mode: float32, shape (n, width).

    Of a convolution that makes the logits of pixels, it is (n, channels, height, width).

    Raises:
        NoHead: the head's output is not the network's answer, row for row.
    """
    name = head(module)
    layer, batch = module.get_submodule(name), predict.at_once(inputs, batch)
    caught: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    training, place = module.training, predict.place_of(module)
    module.eval()
    try:
        with torch.no_grad():
            starts = range(0, len(inputs[0]), batch)
            asked = ([part[i : i + batch].to(place) for part in inputs] for i in starts)
            answers = [module(*some) for some in asked]
    finally:
        hook.remove()
        module.train(training)
    found, out = torch.cat(caught), torch.cat(answers)
    if found.dim() not in (2, 4) or len(found) != len(out) or not _answers(layer, found, out):
        raise NoHead(blocks(module), name)
    return found


def _answers(layer: nn.Module, found: torch.Tensor, out: torch.Tensor) -> bool:
    with torch.no_grad():
        made = layer(found)
    return made.shape == out.shape and torch.allclose(made, out, rtol=1e-4, atol=1e-5)
