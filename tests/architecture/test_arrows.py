"""Who may import whom: the arrows of docs/architecture.md, proved on the source itself."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "instar"

# Each part, and the parts it may import. What is not listed is not allowed.
ARROWS: dict[str, set[str]] = {
    "core": set(),
    "tasks": {"core"},
    "stats": {"core", "tasks"},
    "policy": {"core"},
    "ledger": {"core"},
    "bundle": {"core"},
    "report": {"core"},
    "need": {"core"},
    "data": {"core", "stats"},
    "models": {"core", "bundle", "tasks"},
    "engines": {"core"},
    "foreign": {"core", "bundle"},
    "provenance": {"core"},
    "metering": {"core", "provenance"},
    "stages": {
        "core",
        "data",
        "models",
        "bundle",
        "stats",
        "engines",
        "foreign",
        "provenance",
        "metering",
        "tasks",
    },
    "labels": {"core", "data", "models", "bundle"},
    "serving": {"core", "ledger", "stats", "bundle", "tasks"},
    "watchdog": {"core"},
    "outbox": {"core", "ledger"},
    "pipeline": {"core", "ledger", "stages", "provenance", "bundle"},
    "intake": {
        "core",
        "bundle",
        "data",
        "models",
        "stats",
        "policy",
        "stages",
        "tasks",
        "provenance",
    },
    "retrace": {"core", "ledger", "models", "pipeline", "provenance", "stages"},
    "worker": {
        "core",
        "ledger",
        "policy",
        "engines",
        "serving",
        "stages",
        "pipeline",
        "intake",
        "watchdog",
        "outbox",
        "provenance",
        "retrace",
        "labels",
        "data",
    },
    "service": {"core", "ledger", "policy", "report", "serving", "provenance", "bundle", "need"},
    "demo": {"core", "service"},
    "cli": {"core", "service", "web", "demo"},
    "web": {"core", "service", "report"},
    "testing": {"core", "bundle", "ledger"},
}
# What a part may take from outside the standard library. None: as it needs.
LIBRARIES: dict[str, set[str] | None] = {
    "core": set(),
    "tasks": {"numpy"},
    "policy": {"pydantic", "yaml"},
    "ledger": {"sqlalchemy", "alembic", "cryptography", "psycopg", "boto3", "botocore"},
    "report": {"jinja2", "markupsafe"},
    "bundle": {"numpy", "onnxruntime", "cryptography"},
    "need": set(),
    "service": set(),
    "provenance": set(),
    "metering": set(),
}
HEAVY = (
    "torch",
    "onnxruntime",
    "polars",
    "ray",
    "numpy",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "cryptography",
    "boto3",
    "optuna",
)


MODULES = sorted(SOURCE.rglob("*.py"))


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def part(name: str) -> str:
    """`instar.stages.admit.checks` belongs to `stages`; the package itself to itself."""
    pieces = name.split(".")
    return pieces[1] if len(pieces) > 1 else "instar"


def dotted(path: Path) -> str:
    name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


@functools.cache
def imports(path: Path) -> set[str]:
    """Every absolute module that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def wrong(look: Callable[[Path], set[str]]) -> dict[str, set[str]]:
    """What a rule finds in the modules that break it."""
    return {dotted(path): found for path in MODULES if (found := look(path))}


def test_module_imports_only_what_its_part_may() -> None:
    def beyond(path: Path) -> set[str]:
        mine = part(dotted(path))
        if mine in ("instar", "__main__"):
            return set()
        seen = {part(name) for name in imports(path) if name.startswith("instar.")}
        return (seen & ARROWS.keys()) - {mine} - ARROWS[mine]

    assert wrong(beyond) == {}


def test_module_loads_only_libraries_its_part_may() -> None:
    def beyond(path: Path) -> set[str]:
        allowed = LIBRARIES.get(part(dotted(path)))
        outside = {name.split(".")[0] for name in imports(path)}
        return (
            set() if allowed is None else outside - sys.stdlib_module_names - {"instar"} - allowed
        )

    assert wrong(beyond) == {}


def test_stage_does_not_know_its_siblings() -> None:
    def others(path: Path) -> set[str]:
        name = dotted(path)
        if part(name) != "stages" or name == "instar.stages":
            return set()
        found = [seen.split(".") for seen in imports(path) if seen.startswith("instar.stages.")]
        return {seen[2] for seen in found if len(seen) > 2} - {name.split(".")[2]}

    assert wrong(others) == {}


def test_every_part_has_its_arrows() -> None:
    parts = {part(dotted(path)) for path in MODULES} - {"instar", "__main__"}
    assert parts == ARROWS.keys()


def test_parts_form_no_cycle() -> None:
    order: list[str] = []
    left = {name: set(targets) for name, targets in ARROWS.items()}
    while left:
        free = [name for name, targets in left.items() if targets <= set(order)]
        assert free, f"a cycle among {sorted(left)}"
        order += free
        left = {name: targets for name, targets in left.items() if name not in free}


def graph() -> dict[str, set[str]]:
    """The modules that each module imports at its top, packages standing for their __init__."""
    names = {dotted(path): path for path in MODULES}
    edges: dict[str, set[str]] = {}
    for name, path in names.items():
        top = [node for node in tree(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
        found: set[str] = set()
        for node in top:
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            else:
                module = str(node.module)
                inner = {f"{module}.{alias.name}" for alias in node.names}
                modules_named = inner & names.keys()
                found |= modules_named if modules_named == inner else {module, *modules_named}
        edges[name] = {target for target in found if target in names and target != name}
    return edges


def test_modules_form_no_cycle() -> None:
    left = graph()
    done: set[str] = set()
    while left:
        free = {name for name, targets in left.items() if targets <= done}
        assert free, f"an import cycle among {sorted(left)}"
        done |= free
        left = {name: targets for name, targets in left.items() if name not in free}


def test_guard_is_never_an_assert() -> None:
    def asserts(path: Path) -> set[str]:
        found = [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)]
        return {str(line) for line in found if part(dotted(path)) != "testing"}

    assert wrong(asserts) == {}


def test_no_junk_drawer() -> None:
    drawers = {"utils", "common", "helpers", "misc", "util", "base"}
    assert wrong(lambda path: {path.stem} & drawers) == {}


@pytest.mark.parametrize("statement", ["instar.cli", "instar", "instar.service"])
def test_door_loads_nothing_heavy(statement: str) -> None:
    code = f"import sys, {statement}; print(' '.join(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['instar', '--help']\n"
        "from instar.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', *(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize("module", ["instar.serving.gateway", "instar.bundle.runtime"])
def test_gateway_loads_no_training_library(module: str) -> None:
    heavy = {"torch", "polars", "sklearn", "onnx", "scipy.stats", "sqlalchemy", "boto3"}
    # Dozens of records that a gateway never makes cost its start more than all of its own code.
    heavy |= {"pydantic", "pyarrow", "grpc", "instar.core.records", "instar.core.policy"}
    code = f"import sys, {module}; print(' '.join(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
