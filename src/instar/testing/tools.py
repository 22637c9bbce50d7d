"""What the world lends a stage, in memory: for tests of stages, ours and yours."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, derive_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from instar.core.digest import PREFIX, digest_bytes, is_digest
from instar.core.tools import Tools, Traffic
from instar.ledger.artifacts import DamagedArtifact, MissingArtifact, NotADigest, Stored
from instar.ledger.safedir import SafeDir

T = TypeVar("T")
R = TypeVar("R")


class MemoryArtifacts:
    """Keep artifacts in a mapping; `path` writes them below `folder`.

    Example:
        >>> artifacts = MemoryArtifacts()
        >>> digest = artifacts.put(b"weights")
        >>> artifacts.read(digest), digest in artifacts, len(artifacts.kept)
        (b'weights', True, 1)
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.kept: dict[str, bytes] = {}
        self._folder = folder

    def put(self, data: bytes) -> str:
        digest = digest_bytes(data)
        self.kept[digest] = bytes(data)
        return digest

    def put_file(self, path: Path) -> str:
        return self.put(path.read_bytes())

    def read(self, digest: str) -> bytes:
        if not is_digest(digest):
            raise NotADigest(digest)
        if digest not in self.kept:
            raise MissingArtifact(digest)
        if (got := digest_bytes(self.kept[digest])) != digest:
            raise DamagedArtifact(digest, got)
        return self.kept[digest]

    def path(self, digest: str) -> Path:
        data = self.read(digest)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="instar-"))
        path = self._folder / digest.removeprefix(PREFIX)
        if not path.exists():
            path.write_bytes(data)
            path.chmod(0o444)
        return path

    def __contains__(self, digest: str) -> bool:
        return digest in self.kept

    def digests(self) -> Iterator[str]:
        return iter(tuple(self.kept))

    def look(self, digest: str) -> Stored | None:
        """Tell how large an artifact is; here all are as old as can be."""
        return Stored(len(self.kept[digest]), 0.0) if digest in self.kept else None

    def remove(self, digest: str, before: float = math.inf) -> bool:
        return before > 0 and self.kept.pop(digest, None) is not None


@dataclass
class FakeClock:
    """Stand still until somebody sleeps; `slept` keeps how long, in seconds.

    Example:
        >>> clock = FakeClock()
        >>> clock.sleep(2.5); clock.monotonic()
        2.5
    """

    at: float = 1_800_000_000.0
    elapsed: float = 0.0
    started: str = "first boot"
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.elapsed

    def boot(self) -> tuple[str, float]:
        return self.started, self.elapsed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds
        self.elapsed += seconds


def silent(what: str, done: float = 0, total: float = 0, note: str = "") -> None:
    """Tell nobody how far the work is."""


class InlineJob(Generic[R]):
    """Work that was done when it was begun."""

    def __init__(self, fn: Callable[[T], R], item: T) -> None:
        self._made: list[R] = []
        self._failed: Exception | None = None
        try:
            self._made.append(fn(item))
        except Exception as error:  # noqa: BLE001  # whoever asks for the result shall have it
            self._failed = error

    def done(self) -> bool:
        return True

    def result(self) -> R:
        if self._failed is not None:
            raise self._failed
        return self._made[0]

    def end(self) -> None:
        """Do nothing: it has ended."""


class InlineGroup:
    """Workers that are done, each after the other."""

    def __init__(self, jobs: Sequence[InlineJob[object]]) -> None:
        self._jobs = jobs

    def check(self, within_s: float = 0.0) -> None:
        for job in self._jobs:
            job.result()


class InlineEngine:
    """Run everything here and now, in order; nothing that has to meet can."""

    def map(self, fn: Callable[[T], R], items: Iterable[T]) -> list[R]:
        return [fn(item) for item in items]

    def submit(self, fn: Callable[[T], R], item: T) -> InlineJob[R]:
        return InlineJob(fn, item)

    @contextlib.contextmanager
    def group(self, fn: Callable[[T], object], items: Sequence[T]) -> Iterator[InlineGroup]:
        yield InlineGroup([InlineJob(fn, item) for item in items])


class FakeSigner:
    """Sign with a key made from a number, which is the only one trusted; needs `cryptography`.

    Example:
        >>> one, same, other = (FakeSigner(number).public for number in (1, 1, 2))
        >>> one == same, one == other
        (True, False)
    """

    def __init__(self, number: int = 1) -> None:
        self._key = derive_private_key(number, SECP256R1())
        self.public = self._key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        self.trusted: tuple[bytes, ...] = (self.public,)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, ECDSA(SHA256()))


def fake_tools(folder: Path, *, seed: int = 0, traffic: Traffic | None = None) -> Tools:
    """Lend a stage the world in memory; its `scratch` and `project` are made below `folder`.

    Example:
        >>> tools = fake_tools(Path(tempfile.mkdtemp()))
        >>> tools.artifacts.read(tools.artifacts.put(b"x")), tools.clock.now()
        (b'x', 1800000000.0)
    """
    scratch, project = folder / "scratch", folder / "project"
    scratch.mkdir(exist_ok=True)
    project.mkdir(exist_ok=True)
    return Tools(
        artifacts=MemoryArtifacts(),
        clock=FakeClock(),
        progress=silent,
        engine=InlineEngine(),
        scratch=scratch,
        folder=SafeDir,
        project=project,
        seed=seed,
        traffic=traffic,
    )
