"""What every artifact store must do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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


class ArtifactsContract:
    """Give the fixtures `artifacts`, an empty store, and `damage`.

    `damage(digest, data)` overwrites what is stored under a digest behind the store's back.
    """

    def test_put_returns_the_digest_of_the_bytes(self, artifacts: Artifacts) -> None:
        assert artifacts.put(b"abc") == digest_bytes(b"abc")

    @pytest.mark.parametrize("data", [b"", b"\x00\xff", b"x" * 3_000_001])
    def test_read_returns_what_was_put(self, artifacts: Artifacts, data: bytes) -> None:
        assert artifacts.read(artifacts.put(data)) == data

    def test_put_twice_keeps_one(self, artifacts: Artifacts) -> None:
        assert artifacts.put(b"abc") == artifacts.put(b"abc")
        assert artifacts.read(digest_bytes(b"abc")) == b"abc"

    def test_put_file_keeps_the_content(self, artifacts: Artifacts, tmp_path: Path) -> None:
        source = tmp_path / "weights.bin"
        source.write_bytes(b"y" * 2_500_000)
        digest = artifacts.put_file(source)
        source.unlink()
        assert digest == digest_bytes(b"y" * 2_500_000)
        assert artifacts.read(digest) == b"y" * 2_500_000

    def test_path_holds_the_bytes_and_is_read_only(self, artifacts: Artifacts) -> None:
        path = artifacts.path(artifacts.put(b"graph"))
        assert path.read_bytes() == b"graph"
        assert path.stat().st_mode & 0o222 == 0

    def test_contains_tells_what_is_there(self, artifacts: Artifacts) -> None:
        assert artifacts.put(b"abc") in artifacts
        assert ABSENT not in artifacts

    def test_absent_artifact_is_an_integrity_error(self, artifacts: Artifacts) -> None:
        for ask in (artifacts.read, artifacts.path):
            with pytest.raises(IntegrityError):
                ask(ABSENT)

    @pytest.mark.parametrize("text", NO_DIGESTS)
    def test_text_that_is_no_digest_is_refused(self, artifacts: Artifacts, text: str) -> None:
        assert text not in artifacts
        for ask in (artifacts.read, artifacts.path):
            with pytest.raises(InputError):
                ask(text)

    @pytest.mark.parametrize("wrong", [b"abd", b"ab", b"abcd", b""])
    def test_damaged_artifact_is_never_returned(
        self, artifacts: Artifacts, damage: Callable[[str, bytes], None], wrong: bytes
    ) -> None:
        digest = artifacts.put(b"abc")
        damage(digest, wrong)
        for ask in (artifacts.read, artifacts.path):
            with pytest.raises(IntegrityError):
                ask(digest)

    def test_put_mends_a_damaged_artifact(
        self, artifacts: Artifacts, damage: Callable[[str, bytes], None]
    ) -> None:
        digest = artifacts.put(b"abc")
        damage(digest, b"abd")
        artifacts.put(b"abc")
        assert artifacts.read(digest) == b"abc"
