"""Only the files named here open or join paths; each says why it may.

A name from outside (a request, a manifest, an argument) must never become a path by itself:
`ledger.safedir.SafeDir` resolves it below a handle. Whoever needs a path elsewhere says so here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "instar"

# The one place for names below a folder of ours, and what carries it.
LAYER = {
    "ledger/beneath.py": "resolves names below a handle",
    "ledger/files.py": "the disk itself; paths that the user named",
    "ledger/safedir.py": "the safe directory",
}
# Joins of our own constants below the workspace or the project.
CONSTANTS = {
    "ledger/artifacts.py": "root / a name made of a checked digest, for libraries that want a path",
    "ledger/stores.py": "`ledger.db`, `artifacts`",
    "serving/office.py": "watches route.json by its stat",
    "serving/slots.py": "`serve`",
    "serving/gateway.py": "forks its workers and sees them end",
    "serving/worker.py": "its own output goes where its errors go",
    "serving/log.py": "`serve`",
    "serving/recorder.py": "`serve`",
    "serving/trials.py": "`serve`",
    "serving/shadow.py": "its own output goes where its errors go; its priority",
    "serving/routefile.py": "`serve`",
    "serving/processes.py": "what the kernel says of its own processes, in /proc",
    "serving/monitoring/__init__.py": "our own constants in a folder that the user named",
    "serving/monitoring/__main__.py": "a folder that the user named",
    "pipeline.py": "scratch / a stage key in hex",
    "worker/process.py": "`.instar`, `scratch`, `logs` / a stage key in hex, its own report",
    "worker/work.py": "`.instar`; whether a process lives, in /proc",
    "ledger/artifact_stores.py": "`artifacts`",
    "ledger/checkup.py": "a file of its own, to see whether a folder takes one",
    "ledger/keys.py": "`keys/bundle.pem`, only to see whether it is there",
    "ledger/ready.py": "the names of our own folders",
    "ledger/s3.py": "a file that our own code hands over",
    "ledger/sqlite.py": "the database's copy before a migration",
    "ledger/witnesses/folder.py": "the witness folder that the policy's author named",
    "service/environment.py": "`.instar`",
    "service/doctor.py": "the names of our own files, to tell of their health",
    "retrace.py": "a copy of the project in scratch; modules by identifiers only",
    "provenance.py": "the package's and the project's own source; /proc",
    "metering.py": "the kernel's counters of energy, in /sys",
    "core/clock.py": "the id of this boot, in /proc",
    "foreign/jail.py": "the jail's own folder; /proc",
    "foreign/child.py": "constants, inside the jail",
    "service/__init__.py": "`.instar`, `instar.yaml`",
    "service/child.py": "temporary files of its own; looks for the user's files (`located`)",
    "stages/package/quantise.py": "a file of its own in scratch, which the library wants by path",
    "stages/train/ensembles/__init__.py": "a folder for each member in scratch",
    "stages/train/tuning/search.py": "a folder of its own in scratch, beside the checkpoints",
    "stages/train/tuning/together.py": "folders of its own in scratch, by the numbers of trials",
    "stages/train/workers.py": "a folder of its own where the workers meet; numbers and a constant",
    "stages/train/away.py": "files that the store handed out, by digest, and verified again",
    "models/memory.py": "what a container is given of memory, in /sys",
    "engines/local.py": "ends its own process; opens nothing",
    "models/project.py": "the user's functions: dotted identifiers only, below the project",
    "core/crash.py": "the trace of a test",
}
# The user's own files, named on the command line, read or written as they are.
USERS = {
    "cli/__init__.py": "`report --out`",
    "cli/audit.py": "`audit prove --out`",
    "cli/demo.py": "the demo's folder",
    "cli/options.py": "`--root`",
    "data/read.py": "data sources",
    "data/images.py": "bytes of an image",
    "data/readers/delimited.py": "data sources",
    "data/readers/folder.py": "data sources",
    "demo/acts.py": "the demo's folder",
    "demo/stage.py": "the demo's folder",
    "bundle/folder.py": "a bundle in a folder that the user named, through handles",
    "cli/bundle.py": "shows the folder that was written",
    "foreign/graphs.py": "an ONNX graph's other files, beside it, through handles",
    "service/audit.py": "the export that the user named, and its constant names",
    "service/bundle.py": "the folder that the user named / names that `bundle.format` checked",
    "service/label.py": "the sheets to write that the user named",
    "worker/label.py": "the sheets to write that the user named",
    "worker/export.py": "the file to write that the user named; `serve`",
    "service/convert.py": "the file to write that the user named",
    "worker/__init__.py": "data, weights, preprocessing, signature and keys that the user named",
    "policy/document.py": "instar.yaml",
    "policy/template.py": "instar.yaml",
    "testing/tools.py": "folders of a test",
    "testing/disks.py": "folders of a test",
    "testing/vfs.py": "folders of a test",
}
ALLOWED = LAYER | CONSTANTS | USERS
PURE = ("stats/", "testing/contracts/")  # arithmetic; tests

MAKES = {"Path", "PurePath", "PosixPath", "PurePosixPath"}
OPENS = {"open", "open_beneath"}
METHODS = {
    "joinpath", "with_suffix", "with_name", "read_bytes", "read_text", "write_bytes", "write_text",
    "mkdir", "unlink", "rmdir", "rename", "symlink_to", "hardlink_to", "touch", "iterdir", "glob",
    "rglob", "resolve", "chmod",
}  # fmt: skip
MODULES = {"os", "shutil", "tempfile"}
HARMLESS = ("os.environ", "os.getpid", "os.kill", "os.fstat", "os.close", "os.strerror")


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def is_path(node: ast.expr, paths: set[str]) -> bool:
    """Tell whether an expression is a path, as far as its names and hints say."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return is_path(node.left, paths) or is_text(node.right)
    if isinstance(node, ast.Call):
        return dotted(node.func).rpartition(".")[2] in MAKES
    name = dotted(node).rpartition(".")[2].lstrip("_")
    return name in paths or name in {"parent", "root", "folder", "home", "path", "scratch", "place"}


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def hinted(tree: ast.AST) -> set[str]:
    """The names that a hint calls a Path."""
    found = set()
    for node in ast.walk(tree):
        hint = getattr(node, "annotation", None)
        if hint is not None and "Path" in ast.unparse(hint):
            if isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.AnnAssign):
                found.add(dotted(node.target).rpartition(".")[2])
    return found


def touches(source: str) -> list[str]:
    """What in a file opens, makes or joins a path."""
    tree = ast.parse(source)
    paths, found = hinted(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if is_path(node.left, paths) or is_text(node.right):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            first, _, last = name.rpartition(".")
            module = name.partition(".")[0]
            if (
                name in OPENS
                or last in MAKES
                or (module in MODULES and not name.startswith(HARMLESS))
                or (last in METHODS and first not in {"", "dataclasses"} and is_pathlike(node))
                or (last == "open" and first not in {"ServedBundle", "self._folder"})
            ):
                found.append(f"{node.lineno}: {ast.unparse(node)[:80]}")
    return found


def is_pathlike(node: ast.Call) -> bool:
    # `rename`, `resolve`, `glob` and `open` are methods of other things, too: frames, schemas.
    return dotted(node.func).rpartition(".")[2] not in {"rename", "resolve"}


def test_only_files_with_a_reason_open_or_join_paths() -> None:
    names = (str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))
    judged = sorted(name for name in names if not name.startswith(PURE))
    found = {name: touches((SOURCE / name).read_text("utf-8")) for name in judged}
    assert {name: seen for name, seen in found.items() if seen and name not in ALLOWED} == {}
    assert [name for name in ALLOWED if not found[name]] == [], "an exemption that nobody needs"


@pytest.mark.parametrize(
    "source",
    [
        "def f(root: Path, name): return root / name",
        "def f(name): return Path(name)",
        "import os\ndef f(a, b): return os.path.join(a, b)",
        "def f(self, name): return self.root / name",
        "def f(folder, name): return (folder / name).read_bytes()",
        "def f(where, name): return where / f'{name}.json'",
        "def f(where, name): return where.joinpath(name)",
        "def f(name): return open(name)",
        "def f(found): return found.open('rb')",
        "import shutil\ndef f(name): shutil.rmtree(name)",
    ],
)
def test_a_join_is_seen(source: str) -> None:
    assert touches(source) != []


def test_arithmetic_is_none() -> None:
    assert touches("def f(a, b): return (a + 1) / b") == []
