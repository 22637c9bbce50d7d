from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from instar.core.digest import digest_bytes
from instar.ledger import files
from instar.ledger.artifacts import ChangedSource, DamagedArtifact, DirectoryArtifacts
from instar.ledger.files import Disk, UnsafeFile
from instar.testing.contracts.artifacts import ArtifactsContract


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def artifacts(root: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(root)


def place(root: Path, digest: str) -> Path:
    name = digest.removeprefix("sha256:")
    return root / name[:2] / name[2:4] / name


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*") if path.is_file())


class TestDirectoryArtifacts(ArtifactsContract):
    @pytest.fixture
    def again(self, root: Path) -> Callable[[], DirectoryArtifacts]:
        return lambda: DirectoryArtifacts(root)

    @pytest.fixture
    def interrupt(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        def arm() -> None:
            def stop(*_: object) -> None:
                raise KeyboardInterrupt

            monkeypatch.setattr(files, "settle_at", stop)

        return arm

    @pytest.fixture
    def damage(self, root: Path) -> Callable[[str, bytes], None]:
        def write(digest: str, data: bytes) -> None:
            place(root, digest).chmod(0o644)
            place(root, digest).write_bytes(data)

        return write


def test_artifact_lies_two_folders_down(artifacts: DirectoryArtifacts, root: Path) -> None:
    assert place(root, artifacts.put(b"abc")).read_bytes() == b"abc"


def test_every_flipped_bit_is_found(artifacts: DirectoryArtifacts, root: Path) -> None:
    digest = artifacts.put(b"weights")
    path = place(root, digest)
    path.chmod(0o644)
    for bit in range(8 * len(b"weights")):
        data = bytearray(b"weights")
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(DamagedArtifact):
            artifacts.read(digest)


def test_put_forces_file_then_name_to_the_disk(artifacts: DirectoryArtifacts, root: Path) -> None:
    digest = digest_bytes(b"abc")
    seen: list[str] = []

    def target(handle: int) -> Path:
        return Path(f"/proc/self/fd/{handle}").readlink()

    class Noting(Disk):
        def fsync(self, handle: int) -> None:
            seen.append("folder" if target(handle).is_dir() else "file")
            super().fsync(handle)

        def rename(self, old: str, new: str, at: int, to: int | None = None) -> None:
            assert target(at) / new == place(root, digest)
            seen.append("rename")
            super().rename(old, new, at, to)

    with files.using(Noting()):
        artifacts.put(b"abc")
        # The root in its parent, two levels below it, then the bytes and their name.
        assert seen == ["folder", "folder", "folder", "file", "rename", "folder"]
        # Whoever put it before may have died before its names were durable.
        seen.clear()
        DirectoryArtifacts(root).put(b"abc")
        assert seen == ["folder", "folder", "folder", "folder"]


def test_put_reads_back_what_the_disk_holds(artifacts: DirectoryArtifacts, root: Path) -> None:
    class Torn(Disk):
        def write(self, handle: int, data: memoryview) -> int:
            super().write(handle, data[:-1])
            return len(data)

    with files.using(Torn()), pytest.raises(DamagedArtifact):
        artifacts.put(b"abc")
    assert names(root) == []


def test_put_file_that_changes_meanwhile_is_refused(
    artifacts: DirectoryArtifacts, root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "growing.bin"
    source.write_bytes(b"abc")

    class Late(Disk):
        def mkdir(self, name: str, mode: int, at: int) -> None:
            source.write_bytes(b"abcd")
            super().mkdir(name, mode, at)

    with files.using(Late()), pytest.raises(ChangedSource, match=r"growing\.bin"):
        artifacts.put_file(source)
    assert names(root) == []


def test_link_in_the_place_of_an_artifact_is_not_followed(
    artifacts: DirectoryArtifacts, root: Path, tmp_path: Path
) -> None:
    digest = artifacts.put(b"abc")
    outside = tmp_path / "outside"
    outside.write_bytes(b"abc")
    place(root, digest).unlink()
    place(root, digest).symlink_to(outside)
    assert digest not in artifacts
    with pytest.raises(UnsafeFile, match="a link"):
        artifacts.read(digest)


def test_large_file_is_kept_in_little_memory(artifacts: DirectoryArtifacts, tmp_path: Path) -> None:
    import tracemalloc

    source = tmp_path / "large.bin"
    with source.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    artifacts.path(artifacts.put_file(source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
