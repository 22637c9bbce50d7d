"""The worker as a process: what it tells, and the ways in which it ends early."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import tempfile
import threading
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn, TextIO

from instar import outbox
from instar.core.clock import SystemClock
from instar.core.errors import (
    BackendError,
    InputError,
    InstarError,
    IntegrityError,
    PolicyError,
)
from instar.core.tools import Tools
from instar.engines import ENGINES
from instar.ledger import ready
from instar.ledger.keys import bundle_signer
from instar.ledger.safedir import SafeDir
from instar.ledger.stores import begun, open_artifacts
from instar.policy import read
from instar.watchdog import Watchdog
from instar.worker import TASKS
from instar.worker.work import Work

FAMILIES = (
    ("policy", PolicyError),
    ("input", InputError),
    ("integrity", IntegrityError),
    ("backend", BackendError),
)
KEPT = ("update", "queued", "resume", "release")


class Stalled(BackendError):
    """Report a stage that gave no sign of life; its process was ended."""

    code = "update.stalled"

    def __init__(self, seconds: float, log: str) -> None:
        super().__init__(
            f"a sign of life within {seconds:g} s",
            "none",
            f"see where it hung in .instar/{log}; a slow stage wants more policy.run.stall_s",
        )


class Process:
    """The worker as a process: what it tells, and the three ways in which it ends early."""

    def __init__(self, out: TextIO, root: Path) -> None:
        self._out, self._home = out, root / ".instar"
        self._lock = threading.Lock()
        self.dog = Watchdog(0.0, self.hung)
        self.work: Work | None = None

    def tell(self, **line: Any) -> None:
        """Write one line of the report."""
        with self._lock:
            self._out.write(json.dumps(line) + "\n")
            self._out.flush()

    def progress(self, what: str, done: float = 0, total: float = 0, note: str = "") -> None:
        self.dog.told()
        self.tell(progress={"what": what, "done": done, "total": total, "note": note})

    def report(self, error: InstarError) -> None:
        """Write the last line of a task that could not be done."""
        family = next(name for name, base in FAMILIES if isinstance(error, base))
        parts = [error.wanted, error.got, error.todo]
        self.tell(error={"code": error.code, "family": family, "parts": parts})

    def end(self, error: InstarError) -> NoReturn:
        """Say why, and be gone, with every process that was started: nothing counts any more."""
        self.report(error)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    def hung(self, key: str, seconds: float) -> None:
        """End a stage that gives no sign of life; where it hung is written down first."""
        log = self._home / "logs" / f"stalled-{key.removeprefix('sha256:')[:16]}.txt"
        error = Stalled(seconds, f"logs/{log.name}")
        try:
            log.parent.mkdir(exist_ok=True)
            with log.open("w", encoding="utf-8") as file:
                faulthandler.dump_traceback(file)
            if self.work is not None:
                self.work.gave_up(key, str(error))
        except (OSError, InstarError) as trouble:  # it must end, whatever the disk says
            self.progress("stalled", note=f"not noted: {trouble}")
        finally:
            self.end(error)


def main() -> None:
    """Do the task that standard input names."""
    faulthandler.enable()
    task = json.load(sys.stdin)
    with ExitStack() as stack:
        out = stack.enter_context(Path(task["out"]).open("a", encoding="utf-8"))
        root = Path(task["root"])
        process = Process(out, root)
        try:
            project = read(root / "instar.yaml", overrides=task["set"])
            passing = stack.enter_context(tempfile.TemporaryDirectory(prefix="instar-"))
            kept = task["do"] in KEPT
            process.dog = dog = Watchdog(project.policy.run.stall_s, process.hung)
            if kept:
                signal.signal(signal.SIGTERM, lambda *_: dog.stop())
            tools = Tools(
                artifacts=open_artifacts(root / ".instar", project.store),
                clock=SystemClock(),
                progress=process.progress,
                engine=ENGINES["local"](1),
                scratch=root / ".instar" / "scratch" if kept else Path(passing),
                folder=SafeDir,
                project=root,
                pulse=dog,
                signer=bundle_signer(root / ".instar"),
            )
            work = Work(root, project, tools, task["by"], lost=process.end, guard=dog.over)
            process.work = work
            if kept or task["do"] == "adopt":
                ready.writable(work.home)
            result = TASKS[task["do"]](work, **task["args"])
            told(work)
            signed(work)
            process.tell(result=result)
        except InstarError as error:
            process.report(error)
        except Exception:
            traceback.print_exc()
            raise


def signed(work: Work) -> None:
    """Sign what the ledger holds now; the next checkpoint covers it if this one cannot be told."""
    if not begun(work.home, work.project.store):
        return
    try:
        work.journal.checkpoint()
    except BackendError as error:
        work.tools.progress("checkpoint", note=str(error))


def told(work: Work) -> None:
    """Tell the outside what is still to be told; that it cannot be told holds nothing up."""
    if not begun(work.home, work.project.store):
        return
    try:
        outbox.deliver(work.journal, work.project.policy.run.notify, work.tools.progress)
    except BackendError as error:
        work.tools.progress("notify", note=str(error))
