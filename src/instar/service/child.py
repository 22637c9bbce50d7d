"""The worker process: started here, followed to its end, its last word returned or raised."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from instar.core.errors import (
    BackendError,
    InputError,
    InstarError,
    IntegrityError,
    NoSuchFile,
    PolicyError,
    pathless,
)
from instar.core.names import words

Tell = Callable[[Mapping[str, Any]], None]


class WorkerDied(BackendError):
    """Report a worker process that ended without a word."""

    code = "worker.died"

    def __init__(self, status: int, last: str) -> None:
        super().__init__(
            "a result from the worker process",
            f"{_ending(status)}: {last}",
            "see where it stands: instar status; then go on: instar resume UPDATE",
        )


def _ending(status: int) -> str:
    """Say how a process ended.

    Example:
        >>> _ending(-9), _ending(-11), _ending(1)
        ('SIGKILL (memory ran out, or somebody ended it)', 'SIGSEGV', 'exit 1')
    """
    if status >= 0:
        return f"exit {status}"
    name = signal.Signals(-status).name
    return f"{name} (memory ran out, or somebody ended it)" if name == "SIGKILL" else name


def _reported(line: Mapping[str, Any]) -> InstarError:
    base = {
        "policy": PolicyError,
        "input": InputError,
        "backend": BackendError,
        "integrity": IntegrityError,
    }[line["family"]]
    error = base(*line["parts"])
    error.code = line["code"]  # type: ignore[misc]  # the class of the worker's side is not loaded here
    return error


def run_worker(order: Mapping[str, Any], tell: Tell | None) -> dict[str, Any]:
    """Have a worker process do a task; ending this process does not end that one.

    Raises:
        InstarError: what the worker reported.
        WorkerDied: the worker ended without a result.
    """
    handle, out = tempfile.mkstemp(prefix="instar-", suffix=".jsonl")
    os.close(handle)
    log = Path(out + ".log")
    try:
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "instar.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        if process.stdin is not None:
            process.stdin.write(json.dumps({**order, "out": out}).encode())
            process.stdin.close()
        return _follow(process, Path(out), log, tell)
    finally:
        Path(out).unlink(missing_ok=True)
        log.unlink(missing_ok=True)


def _follow(
    process: subprocess.Popen[bytes], out: Path, log: Path, tell: Tell | None
) -> dict[str, Any]:
    """Pass progress on until the worker has ended, and return or raise what it said last."""
    said: dict[str, Any] = {}
    begun = ""
    with out.open(encoding="utf-8") as lines:
        while True:
            ended = process.poll() is not None
            for line in lines:
                begun += line
                if not line.endswith("\n"):
                    continue  # the rest is still being written
                said, begun = json.loads(begun), ""
                if "progress" in said and tell is not None:
                    tell(said["progress"])
            if ended:
                break
            time.sleep(0.05)
    if "result" in said:
        return dict(said["result"])
    if "error" in said:
        raise _reported(said["error"])
    last = log.read_text("utf-8", "replace").strip().splitlines()
    raise WorkerDied(process.returncode, pathless(last[-1]) if last else "no message")


def located(name: str | Path, root: Path) -> str:
    """Find a file, or a pattern's files, here or in the workspace; else the name stays as it is.

    Raises:
        BadWords: the name holds what cannot be seen.
        NoSuchFile: it cannot name a file, or names a pipe or a device, which would be waited for.
    """
    words("file name", str(name), 4096)
    if str(name).startswith(("http:", "https:", "s3:")):
        return str(name)
    try:
        return _found(Path(name), root)
    except (OSError, ValueError, NotImplementedError, IndexError) as error:  # too long, bad pattern
        raise NoSuchFile(str(name)) from error


def _found(name: Path, root: Path) -> str:
    for place in (Path(), root):
        path = place / name
        if path.exists():
            if not (path.is_file() or path.is_dir()):
                raise NoSuchFile(name.name)
            return str(path.resolve())
        if not name.is_absolute() and any(place.glob(str(name))):
            return str(place.resolve() / name)
    return str(name)


@contextmanager
def as_file(source: Any, root: Path) -> Iterator[str]:
    """Give a file name for what the caller holds: a name, or a frame written for the while.

    A name is looked for here, and then in the workspace.
    """
    if isinstance(source, str | Path):
        yield located(source, root)
        return
    with tempfile.TemporaryDirectory(prefix="instar-") as folder:
        file = Path(folder) / "frame.parquet"
        if hasattr(source, "write_parquet"):
            source.write_parquet(file)
        elif hasattr(source, "to_parquet"):
            source.to_parquet(file, index=False)  # the index of a Pandas frame is no column
        else:
            raise InputError("a file or a data frame", type(source).__name__, "give a path")
        yield str(file)
