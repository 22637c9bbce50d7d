from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from instar.core.family import Family
from instar.testing.contracts.families import family_files, unknown_name

FILES = {
    "__init__.py": "",
    "square.py": "def square(): ...\n",
    "circle.py": "class Circle: ...\n\ncircle = Circle()\n",
    "words.py": "from {name}.square import square\n",
}


@pytest.fixture
def package(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    name = f"shapes_{abs(hash(request.node.name))}"
    (tmp_path / name).mkdir()
    for file, text in FILES.items():
        (tmp_path / name / file).write_text(text.replace("{name}", name))
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module(name)


@pytest.fixture
def members(package: ModuleType) -> dict[str, object]:
    return {
        name: getattr(importlib.import_module(f"{package.__name__}.{name}"), name)
        for name in ("square", "circle")
    }


def test_family_files_accepts_a_table_that_knows_every_file(
    package: ModuleType, members: dict[str, object]
) -> None:
    family_files(members, package, besides=("words",))


@pytest.mark.parametrize("forgotten", ["square", "circle"])
def test_family_files_names_a_file_that_the_table_forgot(
    package: ModuleType, members: dict[str, object], forgotten: str
) -> None:
    del members[forgotten]
    with pytest.raises(AssertionError, match=f"not in the table.*: {forgotten}$"):
        family_files(members, package, besides=("words",))


def test_family_files_is_not_content_with_an_import(
    package: ModuleType, members: dict[str, object]
) -> None:
    with pytest.raises(AssertionError, match="words"):
        family_files(members, package)


@pytest.mark.parametrize(
    ("besides", "said"), [("words square", "after all"), ("words no", "no such")]
)
def test_family_files_refuses_a_wrong_exemption(
    package: ModuleType, members: dict[str, object], besides: str, said: str
) -> None:
    with pytest.raises(AssertionError, match=said):
        family_files(members, package, besides=besides.split())


def test_unknown_name_accepts_a_family_that_lists_its_members() -> None:
    unknown_name(Family("shape", {"round": 1}))


def test_unknown_name_refuses_a_family_with_a_default() -> None:
    class Lax(Family[int]):
        def __getitem__(self, name: str) -> int:
            return 1

    with pytest.raises(pytest.fail.Exception):
        unknown_name(Lax("shape", {"round": 1}))
