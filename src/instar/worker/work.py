"""What a task works with: its workspace, its ledger, and the lease on its model line."""

from __future__ import annotations

import functools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from instar.core.codec import decode
from instar.core.errors import BackendError, InputError, InstarError
from instar.core.records import ModelVersion
from instar.core.tools import Tools
from instar.core.update import Update, replay
from instar.ledger.journal import Busy, Journal, LostLease
from instar.ledger.stores import begun, open_journal
from instar.ledger.versions import signed
from instar.pipeline import Guard, Runner, unwatched
from instar.policy import Project

LEASE_S = 15.0


class NoChampion(InputError):
    """Ask for a champion before the first update."""

    code = "update.no_champion"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"a champion of {model}", "none", "take one over: instar adopt WEIGHTS --train DATA"
        )


def ignore(_: InstarError) -> None:
    """Leave a lost lease to the next write, which is refused."""


class Work:
    """One task's surroundings: the workspace, its project, whom to tell, and its ledger.

    The ledger is opened when it is first needed: a task that fails before leaves no trace.

    Args:
        lost: Told when the lease is lost; in a process of its own it ends the process.
        guard: Watches over the work of a stage, which it is given by its key.
    """

    def __init__(
        self,
        root: Path,
        project: Project,
        tools: Tools,
        by: str,
        *,
        lost: Callable[[InstarError], None] = ignore,
        guard: Guard = unwatched,
    ) -> None:
        self.root, self.project, self.tools, self.by = root, project, tools, by
        self.home = root / ".instar"
        self.guard, self._lost = guard, lost
        self.runner: Runner | None = None
        self.interrupted = ""

    @functools.cached_property
    def journal(self) -> Journal:
        return open_journal(self.home, self.project.store)

    @functools.cached_property
    def actor(self) -> str:
        """The pseudonym under which whoever asked for this task stands in the ledger."""
        return self.journal.person(self.by)

    def champion(self) -> ModelVersion:
        """Return the version in service.

        Raises:
            NoChampion: there is none yet.
        """
        entry = (
            self.journal.champion(self.project.model)
            if begun(self.home, self.project.store)
            else None
        )
        if entry is None:
            raise NoChampion(self.project.model)
        return signed(self.journal, self.project.model, decode(ModelVersion, entry.body))

    def updates(self) -> Iterator[tuple[str, Update]]:
        for entry in self.journal.entries(model=self.project.model, kind="request"):
            name = str(entry.update)
            yield name, replay(self.journal.entries(update=name))

    def _acquire(self, model: str, holder: str) -> int:
        """Take the lease, also from a holder of this machine that has died."""
        try:
            return self.journal.acquire(model, holder, LEASE_S, self.tools.clock.now())
        except Busy as error:
            if not _is_dead(error.holder):
                raise
            self.tools.progress("lease", note="takes over from a worker that died")
            now = self.tools.clock.now()
            return self.journal.acquire(model, holder, LEASE_S, now, instead_of=error.holder)

    @contextmanager
    def lease(self) -> Iterator[int]:
        """Hold the model line, renewing the lease until the work is done."""
        model, holder = self.project.model, holder_here()
        epoch = self._acquire(model, holder)
        done = threading.Event()

        def renew() -> None:
            while not done.wait(LEASE_S / 3):
                try:
                    self.journal.renew(model, holder, epoch, LEASE_S, self.tools.clock.now())
                except LostLease as error:
                    self._lost(error)
                    return
                except BackendError as error:  # it may come back before the lease has run out
                    self.tools.progress("lease", note=f"not renewed: {error}")

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield epoch
        finally:
            done.set()
            thread.join()
            self.journal.release(model, holder, epoch)

    def gave_up(self, key: str, reason: str) -> None:
        """Note why an attempt at a stage was ended, and give the lease back."""
        if self.runner is not None and self.runner.epoch is not None:
            model, epoch = self.project.model, self.runner.epoch
            self.runner.ended(key, reason, model)
            self.journal.release(model, holder_here(), epoch)


def holder_here() -> str:
    """Name this process as the holder of a lease."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_dead(holder: str) -> bool:
    """Tell whether a lease's holder was a process of this machine that is gone."""
    host, _, pid = holder.partition(":")
    return host == socket.gethostname() and pid.isdigit() and not Path(f"/proc/{pid}").exists()
