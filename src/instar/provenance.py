"""With which code, on what machine, with which libraries: what a record says of where it was made.

Nothing here names a person, a host or a path.
"""

from __future__ import annotations

import contextlib
import csv
import ctypes.util
import functools
import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from instar import __version__
from instar.core.digest import digest_bytes, digest_json
from instar.core.errors import InputError
from instar.core.records import Environment

LIBRARIES = (
    "alembic",
    "boto3",
    "cryptography",
    "httpx",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pillow",
    "polars",
    "psycopg",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "scipy",
    "sqlalchemy",
    "torch",
)
"""What Instar computes and keeps with; one that is not installed is not listed."""
LOCKS = (
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "pixi.lock",
    "Pipfile.lock",
    "pylock.toml",
    "constraints*.txt",
    "requirements*.txt",
)
_FILES = 5_000  # Python files of a project that are read; a folder with more is no project
_DRIVER = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU as its driver tells it: memory in bytes, power in watts where it tells any."""

    name: str
    memory_bytes: int
    watts: float | None = None


class NoModule(InputError):
    """Refuse a record's word for a network function that no policy could have given."""

    code = "input.no_module"

    def __init__(self, build: str) -> None:
        super().__init__("module:function", repr(build[:80]), "see instar history")


def environment(project: Path) -> Environment:
    """Describe code, machine and libraries as they are now.

    Args:
        project: The folder with `instar.yaml`; its lock files and Python files are digested.
    Example:
        >>> import tempfile
        >>> found = environment(Path(tempfile.mkdtemp()))
        >>> found.instar == __version__, found.cores > 0, found.project
        (True, True, None)
    """
    return Environment(
        instar=__version__,
        source=source(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        accelerators=accelerators(),
        libraries=libraries(),
        locks=_locks(project),
        project=_digest_of(project, python_files(project)),
    )


@functools.cache
def source() -> str:
    """Name the installed package by the digest of its Python files."""
    here = Path(__file__).parent
    return str(_digest_of(here, sorted(here.rglob("*.py"))))


def code() -> dict[str, str]:
    """Name the code that is running: its version, and the digest of its source."""
    return {"version": __version__, "source": source()}


def module_file(build: str, project: Path) -> Path:
    """Say which file a network function, `module:function`, is looked for in.

    Raises:
        NoModule: a record names something that could lie outside the project.
    """
    parts = build.split(":", maxsplit=1)[0].split(".")
    if not all(map(str.isidentifier, parts)):
        raise NoModule(build)
    return project.joinpath(*parts).with_suffix(".py")


def module(build: str, project: Path) -> str | None:
    """Name the file that a network function is written in by its digest; None if it is gone."""
    file = module_file(build, project)
    return digest_bytes(file.read_bytes()) if file.is_file() else None


@functools.cache
def libraries() -> Mapping[str, str]:
    """Give the versions of the libraries that are installed, and of SQLite itself."""
    found = {"sqlite": sqlite3.sqlite_version}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def outdated() -> dict[str, str]:
    """Name the installed libraries that are older than Instar asks for, with what it asks for."""
    found, old = libraries(), {}
    try:
        asked = metadata.requires("instar") or []
    except metadata.PackageNotFoundError:  # it runs from a folder, and asks for nothing
        return {}
    for text in asked:
        wanted = re.match(r"([A-Za-z0-9._-]+)(?:\[.*?\])?[^;]*?>=\s*([0-9.]+)", text)
        if wanted and wanted[1] in found and _release(found[wanted[1]]) < _release(wanted[2]):
            old[wanted[1]] = wanted[2]
    return old


def _release(version: str) -> tuple[int, ...]:
    """Read the numbers at the front of a version, without zeros at their end.

    Example:
        >>> _release("2.13.0+cpu"), _release("2.13"), _release("1.0rc1")
        ((2, 13), (2, 13), (1,))
    """
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    parts = [int(part) for part in numbers[0].split(".")] if numbers else []
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def accelerators() -> tuple[str, ...]:
    """Name the NVIDIA cards that the driver shows; no library is loaded for it."""
    cards = sorted(_DRIVER.glob("*/information")) if _DRIVER.is_dir() else []
    return tuple(_field(card, "Model") or "unknown" for card in cards)


def cards() -> tuple[Card, ...]:
    """Ask the driver's own program about each card; nothing where it is not there or fails."""
    asked = "--query-gpu=name,memory.total,power.draw"
    rows = csv.reader(_smi(asked, "--format=csv,noheader,nounits").splitlines())
    return tuple(
        Card(name.strip(), int((_figure(memory) or 0) * 2**20), _figure(watts))
        for name, memory, watts in (row for row in rows if len(row) == 3)
    )


def cuda() -> str:
    """Name the newest CUDA that the driver serves; empty where none is told.

    Example:
        >>> cuda() == "" or cuda()[0].isdigit()
        True
    """
    found = re.search(r"CUDA Version:\s*([0-9]+(?:\.[0-9]+)*)", _smi())
    return found[1] if found else ""


def cudnn() -> str:
    """Name the installed cuDNN, by its package or its file; empty where there is none."""
    for name in ("nvidia-cudnn-cu13", "nvidia-cudnn-cu12", "nvidia-cudnn-cu11"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    file = ctypes.util.find_library("cudnn") or ""  # libcudnn.so.9
    return file.rpartition(".so.")[2] if ".so." in file else ""


def _smi(*options: str) -> str:
    """Run nvidia-smi where the driver shows a card; a word of failure is no figure."""
    if not accelerators():
        return ""
    try:
        done = subprocess.run(
            ["nvidia-smi", *options], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _figure(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # "[N/A]" where a card does not tell
        return None


def _processor() -> str:
    return _field(Path("/proc/cpuinfo"), "model name") or platform.processor() or "unknown"


def _field(file: Path, name: str) -> str:
    """Read the first `name: value` of a file that the kernel writes."""
    if not file.is_file():
        return ""
    for line in file.read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _locks(project: Path) -> dict[str, str]:
    found = sorted({file for pattern in LOCKS for file in project.glob(pattern)})
    return {file.name: digest_bytes(file.read_bytes()) for file in found if file.is_file()}


def python_files(project: Path) -> list[Path]:
    """List the project's own Python files: hidden folders and virtual environments are not its."""
    found: list[Path] = []
    for file in _walk(project):
        found.append(file)
        if len(found) > _FILES:
            return []
    return sorted(found)


def _walk(project: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(project):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not _foreign(here / name))
        yield from (here / name for name in names if name.endswith(".py"))


def _foreign(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in ("__pycache__", "node_modules")
    return hidden or (folder / "pyvenv.cfg").exists()


def _digest_of(root: Path, files: list[Path]) -> str | None:
    """Name files by their places below a root and by what they hold."""
    named = {
        file.relative_to(root).as_posix(): digest_bytes(file.read_bytes())
        for file in files
        if file.is_file()
    }
    return digest_json(named) if named else None
