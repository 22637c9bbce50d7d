"""What every family must be: a table that knows every file beside it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

import pytest

from instar.core.errors import UnknownName
from instar.core.family import Family


def family_files(
    family: Mapping[str, Any], package: ModuleType, *, besides: Collection[str] = ()
) -> None:
    """Assert that every file in a family's folder holds a member that the table names.

    Args:
        package: The package whose `__init__.py` holds the table.
        besides: Names of files there that hold no member.
    """
    files = {module.name for module in pkgutil.iter_modules(package.__path__)}
    strangers = sorted(set(besides) - files)
    assert not strangers, f"no such file in {package.__name__}: {', '.join(strangers)}"
    homes = {name: importlib.import_module(f"{package.__name__}.{name}") for name in sorted(files)}
    named = {file for file, home in homes.items() if _holds(home, family.values())}
    forgotten = sorted(files - named - set(besides))
    assert not forgotten, f"not in the table of {package.__name__}: {', '.join(forgotten)}"
    both = sorted(named & set(besides))
    assert not both, f"in the table of {package.__name__} after all: {', '.join(both)}"


def _holds(home: ModuleType, members: Collection[Any]) -> bool:
    """Tell whether a member was made in a module; one that it only imports does not count."""
    return any(
        home.__name__ == getattr(member, "__module__", None)
        or (
            # An instance bears its class's module: it is at home where it has a name.
            not isinstance(member, type)
            and not hasattr(member, "__qualname__")
            and any(value is member for value in vars(home).values())
        )
        for member in members
    )


def unknown_name(family: Family[Any]) -> None:
    """Assert that a family names what it knows when it is asked for what it does not."""
    with pytest.raises(UnknownName) as caught:
        family["no such member"]
    assert all(name in caught.value.wanted for name in family)
