"""What the page says is done to a copy of the source tree; then the check must run in the gate."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
PAGE = (HERE / "docs/how-to/add-a-check.md").read_text("utf-8")
TABLE = "src/instar/stages/admit/checks/__init__.py"
BLOCK = r"\n\n```python\n(.*?)```"

GATE = """
import numpy as np
import polars as pl
from pathlib import Path
from instar.core.finding import Verdict
from instar.core.policy import AdmitPolicy
from instar.core.records import Bundle, ModelVersion, Network, Request
from instar.data.snapshot import take
from instar.stages.admit import admit, checks
from instar.testing.bundles import PREPROCESSING, SCHEMA, TASK, tiny_bundle
from instar.testing.contracts.families import family_files
from instar.testing.tools import fake_tools

def rows(n, seed, **columns):
    rng = np.random.default_rng(seed)
    x, y, red = rng.normal(size=n), rng.normal(size=n), rng.random(n) < 0.5
    p = 1 / (1 + np.exp(-(x - y + np.where(red, 0.5, -0.5))))
    answer = np.where(rng.random(n) < p, "yes", "no")
    colour = np.where(red, "red", "blue")
    frame = pl.DataFrame({"x": x, "y": y, "colour": colour, "answer": answer})
    return frame.with_columns(**columns)

family_files(checks.CHECKS, checks)
tools = fake_tools(Path("."))
store = tools.artifacts
champion = ModelVersion(
    name="v0", task=TASK, network=Network(family="mlp"), schema=SCHEMA, weights="",
    preprocessing=PREPROCESSING,
    bundle=Bundle("v0", tiny_bundle(store), (), "model.onnx", "fp32", Verdict.PASS, ()),
    train=(take(rows(1000, 0), SCHEMA, store, "train"),),
    holdout=(take(rows(300, 1), SCHEMA, store, "holdout"),),
)
for fresh in (rows(500, 2), rows(500, 2, y=pl.lit(0.5))):
    request = Request(
        update="u", model="m", reason="test", by="a", fresh=take(fresh, SCHEMA, store, "fresh"),
        task=TASK, network=champion.network, features=("x", "y", "colour"), policy="", seed=0,
        champion="v0",
    )
    admission = admit(request, champion, policy=AdmitPolicy(), tools=tools)
    [found] = [f for f in admission.findings if f.code == "constant"]
    print(found.verdict.value, admission.verdict.value, found.message)
"""


def block_of(path: str) -> str:
    """Take the code block that stands under a file's name."""
    found = re.search(rf"`{re.escape(path)}`" + BLOCK, PAGE, re.DOTALL)
    assert found, f"no code for {path} on the page"
    return found[1]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package and the gate's tests, and do what the page says."""
    tree = tmp_path_factory.mktemp("tree")
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(HERE / "src", tree / "src", ignore=without)
    shutil.copytree(HERE / "tests/stages/admit", tree / "tests/stages/admit", ignore=without)
    shutil.copy(HERE / "pyproject.toml", tree)
    for path in re.findall(r"^`(\S+\.py)`$", PAGE, re.MULTILINE):
        (tree / path).write_text(block_of(path), "utf-8")
    table = tree / TABLE
    line = re.search(r"is to be asked:" + BLOCK, PAGE, re.DOTALL)
    assert line
    last = "from instar.stages.admit.checks.drift import drift\n"
    own = last.replace("drift", "constant")
    text = table.read_text("utf-8").replace(last, own + last)
    table.write_text(text.replace('        "rows": rows,\n', line[1] + '        "rows": rows,\n'))
    return tree


def python(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the copy in the package's place."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src"), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_page_names_the_file_and_its_test() -> None:
    folder = TABLE.removesuffix("__init__.py")
    named = re.findall(r"^`(\S+\.py)`$", PAGE, re.MULTILINE)
    assert named == [f"{folder}constant.py", "tests/stages/admit/checks/test_constant.py"]


def test_check_from_the_page_refuses_in_the_gate(tree: Path) -> None:
    done = python(tree, "-c", GATE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "pass pass 0 of 3 features have one value in every row",
        "fail fail 1 of 3 features have one value in every row: y",
    ]


def test_check_from_the_page_passes_its_own_tests_and_the_family_s(tree: Path) -> None:
    folder = str(Path("tests") / Path(TABLE).parent.relative_to("src/instar"))
    wanted = ("-m", "pytest", f"--basetemp={tree / 'tmp'}", folder, "-k", "constant or table")
    done = python(tree, *wanted)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


def test_check_without_its_line_is_noticed(tree: Path) -> None:
    folder = Path(TABLE).parent
    (tree / folder / "forgotten.py").write_text('"""Holds no member of the table."""\n', "utf-8")
    try:
        done = python(tree, "-c", GATE)
    finally:
        (tree / folder / "forgotten.py").unlink()
    assert done.returncode == 1
    assert "not in the table of instar.stages.admit.checks: forgotten" in done.stderr
