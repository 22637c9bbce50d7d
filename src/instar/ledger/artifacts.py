"""Artifacts in a directory: each file is named by what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from instar.core.digest import PREFIX, digest_bytes, is_digest, short
from instar.core.errors import InputError, IntegrityError
from instar.ledger import files
from instar.ledger.files import UnsafeFile
from instar.ledger.safedir import SafeDir


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
        return self._root / self._name(digest)

    def __contains__(self, digest: str) -> bool:
        try:
            return is_digest(digest) and self._folder.holds(self._name(digest))
        except UnsafeFile:  # what was planted in its place is not the artifact
            return False

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
        if self._holds(digest):
            # Whoever named it may have died before the name was durable.
            folder = name.rpartition("/")[0]
            self._folder.make(folder)
            self._folder.sync(folder)
            return

        def proof(found: Iterable[bytes]) -> None:
            # What the disk gives back decides, not what was handed to it.
            if (got := _digest(found)) != digest:
                raise torn(got)

        self._folder.keep(name, source(), proof=proof)

    def _holds(self, digest: str) -> bool:
        """Tell whether the artifact is there and right; a damaged one is written anew."""
        try:
            return _digest(self._chunks(digest)) == digest
        except (MissingArtifact, UnsafeFile):
            return False
