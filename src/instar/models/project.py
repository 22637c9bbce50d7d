"""Borrow a function that the user wrote, by its name in the project folder."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, ClassVar

from instar.core.errors import InputError, pathless

OWN = "instar_project"
"""The name under which a user's module is known while it is imported and called."""
_LONGEST = 200  # characters of a module's name; a file system takes 255 for one part
_IMPORT = threading.Lock()  # sys.path and sys.modules are shared by the whole process


class FunctionMissing(InputError):
    """Refuse a function that is named nowhere, or whose file does not hold it."""

    code = "input.function_missing"
    what: ClassVar[str] = "a function as `module:function` in the project"
    setting: ClassVar[str] = "the name"

    def __init__(self, got: str) -> None:
        super().__init__(self.what, got, f"check {self.setting} in instar.yaml")


class FunctionRaised(InputError):
    """Report that the user's code failed: while imported, or called."""

    code = "input.function_raised"

    def __init__(self, name: str, doing: str, error: BaseException, file: str) -> None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        where = f" at {Path(file).name} line {frames[-1].lineno}" if frames else ""
        text = pathless(str(error).strip().partition("\n")[0])
        got = f"{type(error).__name__}: {text}" if text else type(error).__name__
        super().__init__(f"{name} to {doing}", got + where, "mend the function")


def function(
    name: str,
    project: Path,
    *,
    missing: type[FunctionMissing] = FunctionMissing,
    raised: type[FunctionRaised] = FunctionRaised,
) -> tuple[Callable[..., Any], str]:
    """Import a function for keeps; the interpreter is left as it was.

    What the function itself imports while it runs has to be installed: the project's own modules
    are found while its module is imported only.

    Args:
        name: `module:function`, the module's parts divided by dots.
        missing: What to raise where it is not there.
        raised: What to raise where its module cannot be imported.
    Returns:
        The function and the file that holds it.
    """
    with lent(name, project, missing=missing, raised=raised) as found:
        return found


@contextlib.contextmanager
def lent(
    name: str, project: Path, *, missing: type[FunctionMissing], raised: type[FunctionRaised]
) -> Iterator[tuple[Callable[..., Any], str]]:
    """Import a function afresh and lend it: the project's modules import each other meanwhile."""
    module, _, wanted = name.partition(":")
    parts = module.split(".")
    if not (all(map(str.isidentifier, parts)) and wanted and len(module) <= _LONGEST):
        raise missing(f"`{name[:80]}`, which is no module:function")
    path = project.joinpath(*parts).with_suffix(".py")
    if not path.is_file():
        raise missing(f"`{name}`, but no file {path.name} there")
    with _guest(project):
        found = getattr(_imported(path, f"`{name}`", missing, raised), wanted, None)
        if not callable(found):
            raise missing(f"`{name}`, but no function {wanted} in {path.name}")
        yield found, str(path)


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


def _imported(
    path: Path, name: str, missing: type[FunctionMissing], raised: type[FunctionRaised]
) -> ModuleType:
    loader = _Fresh(OWN, str(path))
    spec = importlib.util.spec_from_file_location(OWN, path, loader=loader)
    if spec is None:
        raise missing(f"{name}, but {path.name} is no Python file")
    # Dataclasses and pickles look a class's module up in sys.modules while it is being made.
    module = sys.modules[OWN] = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise raised(name, "be imported", error, str(path)) from error
    return module
