"""What a training needs in another process: all by value, artifacts as files of this machine.

An engine on other machines would carry the files along; nothing else here would change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from instar.core.clock import SystemClock
from instar.core.digest import digest_bytes
from instar.core.errors import IntegrityError
from instar.core.records import Admission, ModelVersion, Request
from instar.core.tools import Folder, Machine, Tools
from instar.engines.local import Local
from instar.stages.train import devices
from instar.stages.train.attempt import Given


class NotHere(IntegrityError):
    """Report an artifact that a worker was not given, or that is another one by now."""

    code = "integrity.not_here"

    def __init__(self, digest: str) -> None:
        super().__init__("an artifact that the worker was given", digest, "run the stage again")


@dataclass(frozen=True, slots=True)
class Nearby:
    """Artifacts that lie in files of this machine; nothing is written."""

    files: Mapping[str, Path]

    def put(self, data: bytes) -> str:
        raise NotHere(digest_bytes(data))

    def put_file(self, path: Path) -> str:
        raise NotHere(path.name)

    def read(self, digest: str) -> bytes:
        data = self.path(digest).read_bytes()
        if digest_bytes(data) != digest:
            raise NotHere(digest)
        return data

    def path(self, digest: str) -> Path:
        if digest not in self.files:
            raise NotHere(digest)
        return self.files[digest]

    def __contains__(self, digest: str) -> bool:
        return digest in self.files


@dataclass(frozen=True, slots=True)
class Parcel:
    """A `Given` that can be sent to another process; `scratch` is the worker's own folder there."""

    request: Request
    champion: ModelVersion
    admission: Admission
    files: Mapping[str, Path]
    project: Path
    seed: int
    machine: Machine
    scratch: Path
    folder: Callable[[Path], Folder]

    def opened(self) -> Given:
        """Make what was sent usable where it arrived."""
        tools = Tools(
            artifacts=Nearby(self.files),
            clock=SystemClock(),
            progress=_silent,
            engine=Local(),
            scratch=self.scratch,
            folder=self.folder,
            project=self.project,
            seed=self.seed,
            machine=self.machine,
        )
        device = devices.choose(self.machine)
        return Given(self.request, self.champion, self.admission, tools, device)


def pack(given: Given, scratch: Path, allowed: int) -> Parcel:
    """Make what another process needs to do as this one would.

    Args:
        scratch: The worker's own folder.
        allowed: The bytes that rows may take, as they were found here.
    """
    artifacts, champion, split = given.tools.artifacts, given.champion, given.admission.split
    wanted = [champion.weights, champion.replay_logits]
    wanted += [part.digest for part in champion.train]
    wanted += [part.digest for part in (champion.replay,) if part]
    wanted += [part.digest for part in (split.train, split.valid)] if split else []
    files = {name: artifacts.path(name) for name in wanted if name and name in artifacts}
    return Parcel(
        request=given.request,
        champion=champion,
        admission=given.admission,
        files=files,
        project=given.tools.project,
        seed=given.tools.seed,
        machine=Machine(given.device.name, allowed),
        scratch=scratch,
        folder=given.tools.folder,
    )


def _silent(what: str, done: float = 0, total: float = 0, note: str = "") -> None:
    """Tell nobody: whoever sent the work tells how far it is."""
