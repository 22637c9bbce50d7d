"""What every artifact store must do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import pytest

from instar.core.digest import digest_bytes
from instar.core.errors import InputError, IntegrityError
from instar.core.tools import Artifacts

ABSENT = digest_bytes(b"never put")
NO_DIGESTS = (
    "",
    "../../etc/passwd",
    "sha256:../../etc/passwd",
    "sha256:" + "0" * 63,
    "sha256:" + "0" * 65,
    "sha256:" + "A" * 64,
    "sha256:" + "0" * 62 + "/x",
    "sha256:" + "0" * 63 + "\n",
    "md5:" + "0" * 64,
)
EDGE = 8 << 20  # where stores change how they send, and readers how they read


class Sweepable(Artifacts, Protocol):
    """What a store must have besides, so that it can be kept clean."""

    def digests(self) -> Iterator[str]: ...
    def remove(self, digest: str, before: float = ...) -> bool: ...


class ArtifactsContract:
    """Give the fixtures `artifacts`, an empty store, `again`, and `damage`.

    `again()` opens the same store once more, as another process would. `damage(digest, data)`
    overwrites what is stored under a digest behind the store's back, wherever it is kept.
    """

    def test_put_returns_the_digest_of_the_bytes(self, artifacts: Sweepable) -> None:
        assert artifacts.put(b"abc") == digest_bytes(b"abc")

    @pytest.mark.parametrize("size", [0, 1, 3_000_001, EDGE, EDGE + 1])
    def test_read_returns_what_was_put(
        self, artifacts: Sweepable, again: Callable[[], Sweepable], size: int
    ) -> None:
        data = (b"\x00\xff" * (size // 2 + 1))[:size]
        digest = artifacts.put(data)
        assert artifacts.read(digest) == data
        assert again().read(digest) == data

    def test_put_twice_keeps_one(self, artifacts: Sweepable) -> None:
        assert artifacts.put(b"abc") == artifacts.put(b"abc")
        assert artifacts.read(digest_bytes(b"abc")) == b"abc"
        assert list(artifacts.digests()) == [digest_bytes(b"abc")]

    @pytest.mark.parametrize("size", [0, 2_500_000, EDGE + 1])
    def test_put_file_keeps_the_content(
        self, artifacts: Sweepable, tmp_path: Path, size: int
    ) -> None:
        source = tmp_path / "weights.bin"
        source.write_bytes(b"y" * size)
        digest = artifacts.put_file(source)
        source.unlink()
        assert digest == digest_bytes(b"y" * size)
        assert artifacts.read(digest) == b"y" * size

    def test_file_that_changes_meanwhile_is_refused_or_kept_as_it_was_once(
        self, artifacts: Sweepable, tmp_path: Path
    ) -> None:
        source = tmp_path / "growing.bin"
        source.write_bytes(b"0" * 300_000)
        ended = threading.Event()

        def write() -> None:
            with source.open("r+b") as file:
                while not ended.is_set():
                    for letter in b"ab":
                        file.seek(0)
                        file.write(bytes([letter]) * 300_000)
                        file.flush()

        writer = threading.Thread(target=write)
        writer.start()
        kept = set()
        try:
            for _ in range(8):
                with contextlib.suppress(InputError):
                    kept.add(artifacts.put_file(source))
        finally:
            ended.set()
            writer.join()
        assert set(artifacts.digests()) == kept
        for digest in kept:
            assert digest_bytes(artifacts.read(digest)) == digest

    def test_many_who_put_the_same_bytes_keep_one(
        self, artifacts: Sweepable, again: Callable[[], Sweepable]
    ) -> None:
        stores = [artifacts, *(again() for _ in range(5))]
        with ThreadPoolExecutor(len(stores)) as pool:
            found = set(pool.map(lambda store: store.put(b"z" * 100_000), stores))
        assert found == {digest_bytes(b"z" * 100_000)} == set(artifacts.digests())
        assert all(store.read(digest) for store in stores for digest in found)

    def test_put_that_is_interrupted_leaves_nothing_to_be_found(
        self, artifacts: Sweepable, tmp_path: Path, interrupt: Callable[[], None]
    ) -> None:
        source = tmp_path / "weights.bin"
        source.write_bytes(b"w" * (EDGE + 1))
        digest = digest_bytes(b"w" * (EDGE + 1))
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            artifacts.put_file(source)
        assert digest not in artifacts
        assert list(artifacts.digests()) == []

    def test_path_holds_the_bytes_and_is_read_only(self, artifacts: Sweepable) -> None:
        path = artifacts.path(artifacts.put(b"graph"))
        assert path.read_bytes() == b"graph"
        assert path.stat().st_mode & 0o222 == 0

    def test_contains_tells_what_is_there(self, artifacts: Sweepable) -> None:
        assert artifacts.put(b"abc") in artifacts
        assert ABSENT not in artifacts

    def test_digests_list_what_is_there(self, artifacts: Sweepable) -> None:
        assert list(artifacts.digests()) == []
        put = {artifacts.put(bytes([n])) for n in range(5)}
        found = list(artifacts.digests())
        assert len(found) == len(put)
        assert set(found) == put

    def test_remove_takes_one_away(
        self, artifacts: Sweepable, again: Callable[[], Sweepable]
    ) -> None:
        digest, other = artifacts.put(b"abc"), artifacts.put(b"def")
        assert artifacts.remove(digest)
        assert not artifacts.remove(digest)
        assert digest not in artifacts
        assert set(again().digests()) == {other}
        assert artifacts.read(other) == b"def"
        artifacts.put(b"abc")
        assert again().read(digest) == b"abc"

    def test_remove_spares_what_is_younger(self, artifacts: Sweepable) -> None:
        digest = artifacts.put(b"abc")
        assert not artifacts.remove(digest, before=0)
        assert artifacts.read(digest) == b"abc"
        assert artifacts.remove(digest, before=time.time() + 3600)

    def test_absent_artifact_is_an_integrity_error(self, artifacts: Sweepable) -> None:
        for ask in (artifacts.read, artifacts.path):
            with pytest.raises(IntegrityError):
                ask(ABSENT)

    @pytest.mark.parametrize("text", NO_DIGESTS)
    def test_text_that_is_no_digest_is_refused(self, artifacts: Sweepable, text: str) -> None:
        assert text not in artifacts
        for ask in (artifacts.read, artifacts.path):
            with pytest.raises(InputError):
                ask(text)

    @pytest.mark.parametrize("wrong", [b"abd", b"ab", b"abcd", b""])
    def test_damaged_artifact_is_never_returned(
        self, artifacts: Sweepable, damage: Callable[[str, bytes], None], wrong: bytes
    ) -> None:
        digest = artifacts.put(b"abc")
        damage(digest, wrong)
        for ask in (artifacts.read, artifacts.path):
            with pytest.raises(IntegrityError):
                ask(digest)

    def test_put_mends_a_damaged_artifact(
        self,
        artifacts: Sweepable,
        again: Callable[[], Sweepable],
        damage: Callable[[str, bytes], None],
    ) -> None:
        digest = artifacts.put(b"abc")
        damage(digest, b"abd")
        artifacts.put(b"abc")
        assert artifacts.read(digest) == b"abc"
        assert again().read(digest) == b"abc"
