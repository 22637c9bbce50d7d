"""The list of removals names source and tests that are there; running it is `make mutations`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutations", ROOT / "tools/mutations.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutations"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mutation", tool().MUTATIONS, ids=lambda mutation: mutation.name)
def test_removal_finds_its_text_once_and_its_tests(mutation: object) -> None:
    source = (ROOT / mutation.file).read_text("utf-8")  # type: ignore[attr-defined]
    assert source.count(mutation.text) == 1  # type: ignore[attr-defined]
    for test in mutation.tests:  # type: ignore[attr-defined]
        assert (ROOT / test.partition("::")[0]).exists()


def test_names_of_removals_differ() -> None:
    names = [mutation.name for mutation in tool().MUTATIONS]
    assert len(set(names)) == len(names)
