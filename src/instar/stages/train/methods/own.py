"""The user's own training method: a function in the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from instar.core.errors import InputError
from instar.core.policy import TrainPolicy
from instar.models.project import FunctionMissing, FunctionRaised, function
from instar.stages.train.methods.part import Ground, Part


class MethodMissing(FunctionMissing):
    """Refuse a method of the user's whose file or function does not exist."""

    code = "input.method_missing"
    what = "a training method as `module:function` in the project, or the name of one of ours"
    setting = "policy.train.methods"


class MethodRaised(FunctionRaised):
    """Report that the user's method failed: while imported, or called."""

    code = "input.method_raised"


class NotAMethod(InputError):
    """Refuse a user's method that answers with something else than a Part."""

    code = "input.not_a_method"

    def __init__(self, name: str, got: str) -> None:
        super().__init__(
            f"{name} to return an instar.stages.train.methods.part.Part", got, "return Part(...)"
        )


def own(name: str, ground: Ground, policy: TrainPolicy, project: Path) -> Part:
    """Import a method from the project, and ask it for its part.

    Raises:
        MethodMissing, MethodRaised, NotAMethod: it is not there, fails, or is none.
    """
    made, file = function(name, project, missing=MethodMissing, raised=MethodRaised)
    try:
        part: Any = made(ground, policy)
    except Exception as error:
        raise MethodRaised(f"`{name}`", "make its part", error, file) from error
    if not isinstance(part, Part):
        raise NotAMethod(f"`{name}`", type(part).__name__)
    return part
