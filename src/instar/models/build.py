"""Build a network: a family of ours, or the function a user wrote."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from instar.core.data import InputSpec
from instar.core.errors import InputError
from instar.core.records import Network
from instar.models import detector, surgery
from instar.models.ensemble import Ensemble
from instar.models.families import NETWORKS
from instar.models.project import FunctionMissing, FunctionRaised, lent

_LINEAR = "Linear layer of `inputs.outputs` units"


class NetworkMissing(FunctionMissing):
    """Refuse a network that is named nowhere, or whose file or function does not exist."""

    code = "input.network_missing"
    what = "a network as `module:function` in the project, or a family"
    setting = "`network`"


class NetworkRaised(FunctionRaised):
    """Report that the user's code failed: while imported, called, or run on two rows."""

    code = "input.network_raised"


class NotANetwork(InputError):
    """Refuse what a network function returned instead of an `nn.Module`."""

    code = "input.not_a_network"

    def __init__(self, name: str, value: object) -> None:
        kind = type(value).__name__
        super().__init__(f"{name} to return a torch nn.Module", kind, "return the network")


class WrongOutput(InputError):
    """Refuse a network whose answer is not one row of logits for each row of input."""

    code = "input.network_output"

    def __init__(self, name: str, inputs: InputSpec, got: str) -> None:
        last = "Conv2d layer of `inputs.outputs` channels" if inputs.dense else _LINEAR
        super().__init__(
            f"{name} to answer two rows with float logits of shape {(2, *inputs.answer)}",
            got,
            f"end the network with a {last} and no softmax",
        )


class WrongOption(InputError):
    """Refuse options that a family or function does not take."""

    code = "input.network_option"

    def __init__(self, name: str, problem: str, known: str) -> None:
        super().__init__(f"options of {name} out of {known or 'none'}", problem, "correct it")


def build(network: Network, inputs: InputSpec, project: Path) -> nn.Module:
    """Build a network and try it on two rows of zeros.

    A user's function is imported afresh from the project folder; the interpreter is left as it
    was. It is called with the InputSpec if it has a required argument or one named `inputs`.

    Raises:
        NetworkMissing: there is no such file or function, or none is named.
        UnknownName: there is no such family.
        WrongOption: an option is unknown.
        NetworkRaised: the code failed.
        NotANetwork, WrongOutput: it returned something else, or answers in another shape.
        NotADetector, OnlyImages: it does not speak as a detector does, where one is wanted.
        WrongHead: the layer that is named as its head is not there.
    """
    if inputs.objects:
        detector.refuse(network, inputs)
    if network.ensemble is not None:
        name, file = f"an ensemble of {network.build or network.family}", ""
        alone = network.alone()
        members = [build(alone, inputs, project) for _ in range(network.ensemble.members)]
        module: Any = Ensemble(members, network.ensemble, inputs.outputs)
    elif network.family is not None:
        name, file = f"the family {network.family}", ""
        make: Callable[..., Any] = NETWORKS[network.family]
        module = _call(make, name, file, (inputs,), dict(network.options))
    elif network.build:
        name = f"`{network.build}`"
        module, file = _build_users(network, inputs, project)
    else:
        raise NetworkMissing("neither")
    if not isinstance(module, nn.Module):
        raise NotANetwork(name, module)
    if inputs.objects:
        detector.dress(module, inputs)
    _try(module, name, file, inputs)
    if network.head is not None and network.ensemble is None:  # its members are built here, too
        surgery.name_head(module, network.head)
    return module


def _build_users(network: Network, inputs: InputSpec, project: Path) -> tuple[Any, str]:
    called = str(network.build)
    with lent(called, project, missing=NetworkMissing, raised=NetworkRaised) as (make, file):
        arguments = (inputs,) if _wants_inputs(make) else ()
        return _call(make, f"`{called}`", file, arguments, dict(network.options)), file


def _wants_inputs(make: Callable[..., Any]) -> bool:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [p for p in inspect.signature(make).parameters.values() if p.kind in positional]
    first = parameters[0] if parameters else None
    return first is not None and (first.default is first.empty or first.name == "inputs")


def _call(
    make: Callable[..., Any], name: str, file: str, given: tuple[InputSpec, ...], options: Any
) -> Any:
    signature = inspect.signature(make)
    try:
        signature.bind(*given, **options)
    except TypeError as error:
        raise WrongOption(name, str(error), ", ".join(list(signature.parameters)[1:])) from error
    try:
        return make(*given, **options)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise NetworkRaised(name, "build a network", error, file) from error


def example(inputs: InputSpec, rows: int = 2) -> tuple[torch.Tensor, ...]:
    """Make call arguments of zeros, in the order of the InputSpec.

    Example:
        >>> [tuple(part.shape) for part in example(InputSpec(numbers=3, categories=(4, 5)))]
        [(2, 3), (2, 2)]
    """
    parts = [torch.zeros(rows, inputs.numbers)] if inputs.numbers else []
    parts += [torch.zeros(rows, len(inputs.categories), dtype=torch.int64)][
        : bool(inputs.categories)
    ]
    parts += [torch.zeros(rows, *inputs.image)] if inputs.image else []
    return tuple(parts)


def _try(module: nn.Module, name: str, file: str, inputs: InputSpec) -> None:
    training = module.training
    try:
        with torch.no_grad():
            parts = example(inputs)
            out = detector.tried(module, *parts) if inputs.objects else module.eval()(*parts)
    except detector.NotADetector:
        raise
    except Exception as error:
        raise NetworkRaised(name, "answer two rows", error, file) from error
    if not isinstance(out, torch.Tensor):
        raise WrongOutput(name, inputs, type(out).__name__)
    if out.shape != (2, *inputs.answer) or not out.is_floating_point():
        raise WrongOutput(name, inputs, f"{tuple(out.shape)} of {out.dtype}")
    module.train(training)
