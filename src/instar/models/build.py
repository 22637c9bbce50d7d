"""Build a network: a family of ours, or the function a user wrote."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import torch
from torch import nn

from instar.core.data import InputSpec
from instar.core.errors import InputError, pathless
from instar.core.records import Network
from instar.models.families import NETWORKS

OWN = "instar_project"
_LONGEST = 200  # characters of a module's name; a file system takes 255 for one part
"""The name under which a user's module is known while it is imported and called."""
_IMPORT = threading.Lock()  # sys.path and sys.modules are shared by the whole process


class NetworkMissing(InputError):
    """Refuse a network that is named nowhere, or whose file or function does not exist."""

    code = "input.network_missing"

    def __init__(self, got: str) -> None:
        super().__init__(
            "a network as `module:function` in the project, or a family",
            got,
            "check `network` in instar.yaml",
        )


class NetworkRaised(InputError):
    """Report that the user's code failed: while imported, called, or run on two rows."""

    code = "input.network_raised"

    def __init__(self, name: str, doing: str, error: BaseException, file: str) -> None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        where = f" at {Path(file).name} line {frames[-1].lineno}" if frames else ""
        text = pathless(str(error).strip().partition("\n")[0])
        got = f"{type(error).__name__}: {text}" if text else type(error).__name__
        super().__init__(f"{name} to {doing}", got + where, "mend the function")


class NotANetwork(InputError):
    """Refuse what a network function returned instead of an `nn.Module`."""

    code = "input.not_a_network"

    def __init__(self, name: str, value: object) -> None:
        kind = type(value).__name__
        super().__init__(f"{name} to return a torch nn.Module", kind, "return the network")


class WrongOutput(InputError):
    """Refuse a network whose answer is not one row of logits for each row of input."""

    code = "input.network_output"

    def __init__(self, name: str, outputs: int, got: str) -> None:
        super().__init__(
            f"{name} to answer two rows with float logits of shape (2, {outputs})",
            got,
            "end the network with a Linear layer of `inputs.outputs` units and no softmax",
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
    """
    if network.family is not None:
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
    _try(module, name, file, inputs)
    return module


def _build_users(network: Network, inputs: InputSpec, project: Path) -> tuple[Any, str]:
    module_name, _, function = str(network.build).partition(":")
    parts = module_name.split(".")
    if not (all(map(str.isidentifier, parts)) and function and len(module_name) <= _LONGEST):
        raise NetworkMissing(f"`{str(network.build)[:80]}`, which is no module:function")
    path = project.joinpath(*parts).with_suffix(".py")
    if not path.is_file():
        raise NetworkMissing(f"`{network.build}`, but no file {path.name} there")
    with _guest(project):
        code = _imported(path, f"`{network.build}`")
        make = getattr(code, function, None)
        if not callable(make):
            raise NetworkMissing(f"`{network.build}`, but no function {function} in {path.name}")
        arguments = (inputs,) if _wants_inputs(make) else ()
        name = f"`{network.build}`"
        return _call(make, name, str(path), arguments, dict(network.options)), str(path)


class _Fresh(SourceFileLoader):
    """Read the source each time: a cached bytecode file can be older than an edit."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


@contextlib.contextmanager
def _guest(project: Path) -> Iterator[None]:
    """Let the project's modules import each other, and forget them afterwards."""
    with _IMPORT:
        before, path = dict(sys.modules), list(sys.path)
        sys.path.insert(0, str(project))
        try:
            yield
        finally:
            sys.path[:] = path
            for name in set(sys.modules) - set(before):
                stem = project.joinpath(*name.split("."))
                file = getattr(sys.modules[name], "__file__", None)
                if file in {str(stem.with_suffix(".py")), str(stem / "__init__.py")}:
                    del sys.modules[name]
            sys.modules.pop(OWN, None)


def _imported(path: Path, name: str) -> ModuleType:
    loader = _Fresh(OWN, str(path))
    spec = importlib.util.spec_from_file_location(OWN, path, loader=loader)
    if spec is None:
        raise NetworkMissing(f"{name}, but {path.name} is no Python file")
    # Dataclasses and pickles look a class's module up in sys.modules while it is being made.
    module = sys.modules[OWN] = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise NetworkRaised(name, "be imported", error, str(path)) from error
    return module


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
            out = module.eval()(*example(inputs))
    except Exception as error:
        raise NetworkRaised(name, "answer two rows", error, file) from error
    if not isinstance(out, torch.Tensor):
        raise WrongOutput(name, inputs.outputs, type(out).__name__)
    if out.shape != (2, inputs.outputs) or not out.is_floating_point():
        raise WrongOutput(name, inputs.outputs, f"{tuple(out.shape)} of {out.dtype}")
    module.train(training)
