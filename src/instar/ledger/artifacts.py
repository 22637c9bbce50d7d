"""Artifacts in a directory: each file is named by what it holds."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from instar.core.crash import crashpoint
from instar.core.digest import PREFIX, digest_bytes, is_digest, short
from instar.core.errors import InputError, IntegrityError
from instar.ledger import files
from instar.ledger.files import UnsafeFile
from instar.ledger.safedir import SafeDir

_PAIR = re.compile(r"[0-9a-f]{2}")


class NotADigest(InputError):
    """Refuse a text that cannot name an artifact, before it touches a path."""

    code = "input.not_a_digest"

    def __init__(self, text: str) -> None:
        super().__init__("a digest, sha256: and 64 hex digits", repr(text[:80]), "copy it whole")


class MissingArtifact(IntegrityError):
    """Report an artifact that a record names and the store does not hold."""

    code = "integrity.missing_artifact"

    def __init__(self, digest: str) -> None:
        super().__init__(f"the artifact {short(digest)}", "nothing", "restore it from a backup")


class DamagedArtifact(IntegrityError):
    """Report bytes that are not what their name says."""

    code = "integrity.damaged_artifact"

    def __init__(self, digest: str, got: str) -> None:
        self.found = got
        super().__init__(
            f"the artifact {short(digest)}",
            f"bytes of digest {short(got)}",
            "restore it from a backup",
        )


class ChangedSource(InputError):
    """Refuse a file that somebody wrote to while it was copied."""

    code = "input.changed_source"

    def __init__(self, name: str) -> None:
        super().__init__(
            "a file that holds still", f"{name!r}, which changed meanwhile", "wait for its writer"
        )


def _digest(parts: Iterable[bytes]) -> str:
    seen = hashlib.sha256()
    for part in parts:
        seen.update(part)
    return PREFIX + seen.hexdigest()


@dataclass(frozen=True, slots=True)
class Stored:
    """How large an artifact is (bytes), and when it was last put (seconds since the epoch)."""

    size: int
    at: float


class DirectoryArtifacts:
    """Keep bytes as read-only files `ab/cd/<hex digest>` below a root.

    An artifact is absent, or whole and right: it is written beside its place, forced to the
    disk, read back, and only then named. Every read is verified.

    Example:
        >>> import tempfile
        >>> artifacts = DirectoryArtifacts(Path(tempfile.mkdtemp()))
        >>> artifacts.read(artifacts.put(b"weights"))
        b'weights'
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = SafeDir(root)

    def put(self, data: bytes) -> str:
        """Keep bytes and return their digest."""
        digest = digest_bytes(data)
        self._keep(digest, lambda: (data,), lambda got: DamagedArtifact(digest, got))
        return digest

    def put_file(self, path: Path) -> str:
        """Keep a file's content and return its digest; the file is read twice, in chunks.

        Raises:
            ChangedSource: the file was written to meanwhile.
        """
        with files.mapped():
            digest = _digest(files.chunks(path))
        self._keep(digest, lambda: files.chunks(path), lambda _: ChangedSource(path.name))
        return digest

    def read(self, digest: str) -> bytes:
        """Return the bytes, verified against their digest.

        Raises:
            MissingArtifact: the store does not hold it.
            DamagedArtifact: the store holds other bytes under this name.
        """
        data = b"".join(self._chunks(digest))
        if (got := digest_bytes(data)) != digest:
            raise DamagedArtifact(digest, got)
        return data

    def path(self, digest: str) -> Path:
        """Return a local file with the bytes, verified; read-only for the caller."""
        if (got := _digest(self._chunks(digest))) != digest:
            raise DamagedArtifact(digest, got)
        return self._place(digest)

    def __contains__(self, digest: str) -> bool:
        try:
            return is_digest(digest) and self._folder.holds(self._name(digest))
        except UnsafeFile:  # what was planted in its place is not the artifact
            return False

    def _place(self, digest: str) -> Path:
        return self._root / self._name(digest)

    def _name(self, digest: str) -> str:
        """Say where below the root an artifact lies."""
        if not is_digest(digest):
            raise NotADigest(digest)
        name = digest.removeprefix(PREFIX)
        return f"{name[:2]}/{name[2:4]}/{name}"

    def _chunks(self, digest: str) -> Iterable[bytes]:
        try:
            yield from self._folder.chunks(self._name(digest))
        except FileNotFoundError as error:
            raise MissingArtifact(digest) from error

    def _keep(
        self,
        digest: str,
        source: Callable[[], Iterable[bytes]],
        torn: Callable[[str], InputError | IntegrityError],
    ) -> None:
        name = self._name(digest)
        folder = name.rpartition("/")[0]

        def proof(found: Iterable[bytes]) -> None:
            # What the disk gives back decides, not what was handed to it.
            if (got := _digest(found)) != digest:
                raise torn(got)

        with self.shared():
            if self._holds(digest) and self._folder.renew(name):
                # Whoever named it may have died before the name was durable.
                self._folder.make(folder)
                self._folder.sync(folder)
                return
            self._folder.keep(name, source(), proof=proof)

    def _holds(self, digest: str) -> bool:
        """Tell whether the artifact is there and right; a damaged one is written anew."""
        try:
            return _digest(self._chunks(digest)) == digest
        except (MissingArtifact, UnsafeFile):
            return False

    # For the sweep, and for a store elsewhere that keeps its copies here.

    @property
    def copies(self) -> tuple[DirectoryArtifacts, ...]:
        """List the other places that hold copies of this: none."""
        return ()

    def fill(self, digest: str, source: Callable[[], Iterable[bytes]]) -> None:
        """Keep bytes that come from elsewhere, under the digest that they must have.

        Raises:
            DamagedArtifact: they are others.
        """
        self._keep(digest, source, lambda got: DamagedArtifact(digest, got))

    def digests(self) -> Iterator[str]:
        """Name everything that is there, whole or not, in no order."""
        for folder in self._folders():
            for leaf in self._folder.list(folder):
                digest = PREFIX + leaf
                if is_digest(digest) and self._name(digest) == f"{folder}/{leaf}":
                    yield digest

    def look(self, digest: str) -> Stored | None:
        """Tell how large and how old an artifact is, unverified; None where it is absent."""
        return self._look(self._name(digest))

    def whole(self, digest: str) -> bool:
        """Tell whether an artifact is there and right."""
        return self._holds(digest)

    def remove(self, digest: str, before: float = math.inf) -> bool:
        """Remove an artifact that was not put since `before`; tell whether it was removed.

        Nobody puts meanwhile: who puts an artifact that is there makes it young, and who comes
        later finds it absent and writes it anew.
        """
        with self.alone():
            found = self.look(digest)
            if found is None or found.at >= before:
                return False
            crashpoint("artifacts.remove")
            self._folder.remove(self._name(digest))
            crashpoint("artifacts.remove.done")
            return True

    def quarantine(self, digest: str) -> bool:
        """Move an artifact aside if it is damaged; tell whether it was moved.

        It lies in `quarantine/` then, for whoever wants to look at it.
        """
        with self.alone():
            if self.look(digest) is None or self._holds(digest):  # somebody mended it meanwhile
                return False
            aside = f"quarantine/{digest.removeprefix(PREFIX)}-{secrets.token_hex(4)}"
            self._folder.move(self._name(digest), aside)
            return True

    def leftovers(self, before: float) -> int:
        """Count the files from before that a writer began and never named."""
        return len(self._begun(before))

    def tidy(self, before: float) -> int:
        """Remove the files from before that a writer began and never named; return how many."""
        with self.alone():
            found = self._begun(before)
            for name in found:
                self._folder.remove(name)
        return len(found)

    def _begun(self, before: float) -> list[str]:
        names = [
            f"{folder}/{leaf}"
            for folder in self._folders()
            for leaf in self._folder.list(folder)
            if leaf.startswith(files.NEW)
        ]
        return [name for name in names if (seen := self._look(name)) and seen.at < before]

    def _look(self, name: str) -> Stored | None:
        try:
            found = self._folder.look(name)
        except FileNotFoundError:
            return None
        return Stored(found.st_size, found.st_mtime)

    def _folders(self) -> Iterator[str]:
        for first in filter(_PAIR.fullmatch, self._folder.list()):
            for second in filter(_PAIR.fullmatch, self._folder.list(first)):
                yield f"{first}/{second}"

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Put beside others; nothing is removed meanwhile."""
        with self._folder.locked(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody puts, and let nobody begin meanwhile."""
        with self._folder.locked(fcntl.LOCK_EX):
            yield
