"""Look into a network: parameters, FLOPs and time of each layer, and units that never fire."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from instar.core.records import Layer
from instar.models.predict import Inputs, tensors

_ROUNDS = 3  # the fastest of these many passes is kept: the others were disturbed
_TIMED = 256  # rows; what a row costs is known from these, which units fire is not
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def layers(module: nn.Module, inputs: Inputs) -> tuple[Layer, ...]:
    """Measure each layer on the given rows: all of them are used, so a few thousand will do.

    FLOPs count matrix products and convolutions, two per multiply-add. Time is wall time of the
    forward pass; both are measured on the first rows. `dead` is known for dense and convolutional
    layers that feed a ReLU.

    Args:
        inputs: The network's call arguments, each (n, ...), preprocessed; n at least 1.
    """
    parts = tensors(inputs)
    few = tuple(part[:_TIMED] for part in parts)
    rows = len(few[0])
    training = module.training
    module.eval()
    with torch.no_grad():
        flops = _flops(module, few)
        seconds = _seconds(module, few)
        dead = _dead_units(module, parts)
    module.train(training)
    return tuple(
        Layer(
            name=name,
            kind=type(layer).__name__,
            parameters=sum(p.numel() for p in layer.parameters(recurse=False)),
            flops=flops.get(name, 0) / rows,
            time_us=seconds.get(name, 0.0) / rows * 1e6,
            dead=dead.get(name),
        )
        for name, layer in leaves(module)
    )


def leaves(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """List layers without parts, and containers with parameters of their own."""
    return [
        (name, layer)
        for name, layer in module.named_modules()
        if not any(True for _ in layer.children()) or any(True for _ in layer.parameters(False))
    ]


def _flops(module: nn.Module, parts: Sequence[torch.Tensor]) -> dict[str, int]:
    with FlopCounterMode(display=False) as counter:
        module(*parts)
    root = type(module).__name__
    return {
        name.removeprefix(root).removeprefix("."): sum(by_operator.values())
        for name, by_operator in counter.get_flop_counts().items()
    }


def _seconds(module: nn.Module, parts: Sequence[torch.Tensor]) -> dict[str, float]:
    rounds = []
    for _ in range(_ROUNDS):
        began: dict[str, float] = {}
        took: dict[str, float] = {}

        def enter(name: str, began: dict[str, float] = began) -> None:
            began[name] = time.perf_counter()

        def leave(
            name: str, began: dict[str, float] = began, took: dict[str, float] = took
        ) -> None:
            took[name] = took.get(name, 0.0) + time.perf_counter() - began[name]

        with _Hooks(module, enter, leave):
            module(*parts)
        rounds.append(took)
    return {name: min(took[name] for took in rounds) for name in rounds[0]}


class _Hooks:
    """Call `enter(name)` and `leave(name)` around each layer while the context lasts."""

    def __init__(
        self,
        module: nn.Module,
        enter: Callable[[str], None],
        leave: Callable[[str], None],
    ) -> None:
        self.handles: list[Any] = []
        for name, layer in leaves(module):
            before = layer.register_forward_pre_hook(lambda *_, name=name: enter(name))
            after = layer.register_forward_hook(lambda *_, name=name: leave(name))
            self.handles += [before, after]

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()


class _Rectified(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch is untyped here
    """See every ReLU, whether it is a layer or a function call in the user's `forward`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch is untyped here
        self.layer = ""
        self.dead: dict[str, float] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._schema.name in {"aten::relu", "aten::relu_"} and self.layer:  # noqa: SLF001
            units = out.movedim(1 if out.dim() in {3, 4, 5} else -1, 0).flatten(1)  # (units, n)
            self.dead[self.layer] = (units <= 0).all(dim=1).double().mean().item()
        return out


def _dead_units(module: nn.Module, parts: Sequence[torch.Tensor]) -> dict[str, float]:
    weighted = {name for name, layer in leaves(module) if isinstance(layer, WEIGHTED)}
    seen = _Rectified()

    def leave(name: str) -> None:
        seen.layer = name if name in weighted else seen.layer

    with _Hooks(module, lambda _: None, leave), seen:
        module(*parts)
    return seen.dead
