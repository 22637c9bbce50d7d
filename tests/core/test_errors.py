from __future__ import annotations

import importlib
import pkgutil

import instar
from instar.core.errors import (
    BackendError,
    InputError,
    InstarError,
    IntegrityError,
    PolicyError,
)

BRANCHES = (PolicyError, InputError, BackendError, IntegrityError)


def classes() -> set[type[InstarError]]:
    for module in pkgutil.walk_packages(instar.__path__, "instar."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[InstarError]] = set()
    left: list[type[InstarError]] = [InstarError]
    while left:
        one = left.pop()
        found.add(one)
        left += one.__subclasses__()
    fakes = "instar.testing"  # a fake speaks with the code of what it stands for
    return {
        one
        for one in found
        if one.__module__.startswith("instar.") and not one.__module__.startswith(fakes)
    }


def test_every_error_belongs_to_one_branch_and_has_its_own_code() -> None:
    mistakes = classes() - {InstarError, *BRANCHES}
    assert len(mistakes) > 50
    for one in mistakes:
        assert sum(issubclass(one, branch) for branch in BRANCHES) == 1, one
        assert "code" in vars(one), f"{one} has the code of its parent"
    codes = sorted(one.code for one in mistakes)
    assert len(codes) == len(set(codes)), [code for code in codes if codes.count(code) > 1]


def test_message_is_one_line() -> None:
    error = InputError("a table", "two\nlines  of text", "mend it")
    assert str(error) == "wanted a table; got two lines of text; mend it"
