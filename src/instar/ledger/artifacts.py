"""Artifacts in a directory: each file is named by what it holds."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from instar.core.crash import crashpoint
from instar.core.digest import PREFIX, digest_bytes, is_digest, short
from instar.core.errors import InputError, IntegrityError
from instar.ledger import files


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


def _renew(place: Path) -> bool:
    """Make an artifact young again, see `remove`; another user's is written anew instead."""
    try:
        os.utime(place, follow_symlinks=False)
    except PermissionError:
        return False
    return True


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
        return is_digest(digest) and self._place(digest).is_file()

    def _place(self, digest: str) -> Path:
        if not is_digest(digest):
            raise NotADigest(digest)
        name = digest.removeprefix(PREFIX)
        return self._root / name[:2] / name[2:4] / name

    def _chunks(self, digest: str) -> Iterable[bytes]:
        place = self._place(digest)
        with files.mapped():
            try:
                yield from files.chunks(place)
            except FileNotFoundError as error:
                raise MissingArtifact(digest) from error

    def _keep(
        self,
        digest: str,
        source: Callable[[], Iterable[bytes]],
        torn: Callable[[str], InputError | IntegrityError],
    ) -> None:
        place = self._place(digest)
        with files.mapped():
            files.folder(self._root)
            files.folder(place.parent, below=self._root)
            with self.shared():
                if self._holds(digest) and _renew(place):
                    # Whoever named it may have died before the name was durable.
                    files.sync(place.parent)
                    return
                new = files.write(place.parent, source())
                # What the disk gives back decides, not what was handed to it.
                if (got := _digest(files.chunks(new))) != digest:
                    new.unlink()
                    raise torn(got)
                files.settle(new, place)

    def _holds(self, digest: str) -> bool:
        """Tell whether the artifact is there and right; a damaged one is written anew."""
        try:
            return _digest(self._chunks(digest)) == digest
        except MissingArtifact:
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
        with files.mapped():
            for place in self._root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"):
                digest = PREFIX + place.name
                if is_digest(digest) and place == self._place(digest):
                    yield digest

    def look(self, digest: str) -> Stored | None:
        """Tell how large and how old an artifact is, unverified; None where it is absent."""
        with files.mapped():
            try:
                found = self._place(digest).lstat()
            except FileNotFoundError:
                return None
        return Stored(found.st_size, found.st_mtime)

    def whole(self, digest: str) -> bool:
        """Tell whether an artifact is there and right."""
        return self._holds(digest)

    def remove(self, digest: str, before: float = math.inf) -> bool:
        """Remove an artifact that was not put since `before`; tell whether it was removed.

        Nobody puts meanwhile: who puts an artifact that is there makes it young, and who comes
        later finds it absent and writes it anew.
        """
        with files.mapped(), self.alone():
            found = self.look(digest)
            if found is None or found.at >= before:
                return False
            crashpoint("artifacts.remove")
            self._place(digest).unlink()
            files.sync(self._place(digest).parent)
            crashpoint("artifacts.remove.done")
            return True

    def quarantine(self, digest: str) -> bool:
        """Move an artifact aside if it is damaged; tell whether it was moved.

        It lies in `quarantine/` then, for whoever wants to look at it.
        """
        with files.mapped(), self.alone():
            if self.look(digest) is None or self._holds(digest):  # somebody mended it meanwhile
                return False
            aside = self._root / "quarantine"
            files.folder(aside, below=self._root)
            name = f"{digest.removeprefix(PREFIX)}-{secrets.token_hex(4)}"
            files.settle(self._place(digest), aside / name)
            files.sync(self._place(digest).parent)
            return True

    def leftovers(self, before: float) -> int:
        """Count the files from before that a writer began and never named."""
        with files.mapped():
            return sum(place.lstat().st_mtime < before for place in self._begun())

    def tidy(self, before: float) -> int:
        """Remove the files from before that a writer began and never named; return how many."""
        removed = 0
        with files.mapped(), self.alone():
            for place in self._begun():
                if place.lstat().st_mtime < before:
                    place.unlink()
                    removed += 1
        return removed

    def _begun(self) -> list[Path]:
        return list(self._root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/.new-*"))

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Put beside others; nothing is removed meanwhile."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody puts, and let nobody begin meanwhile."""
        files.folder(self._root)
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        # The folder itself is locked: no file that a sweep would have to know. A lock ends with
        # its process, however that ends.
        handle = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)
