from __future__ import annotations

import os
from pathlib import Path

import pytest

from instar.bundle import folder
from instar.bundle import signature as oms
from instar.bundle.errors import OddFile, SignatureMismatch, TooManyFiles
from instar.core.errors import NoSuchFile
from tests.bundle.folders import DIGESTS, FILES, OMS, SIGNER, write

KEYS = [(OMS / "p256.pub").read_bytes()]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return write(tmp_path / "model")


def test_every_file_is_named_by_its_digest(place: Path) -> None:
    assert folder.digests(place) == DIGESTS


def test_folder_that_the_library_signed_is_verified(place: Path) -> None:
    root, found = folder.verify(place, (OMS / "p256.sig").read_bytes(), KEYS)
    assert found == DIGESTS
    assert root.startswith("sha256:")


def test_signature_in_the_folder_is_left_out_and_nothing_else(place: Path) -> None:
    signature = (OMS / "inside.sig").read_bytes()
    (place / "model.sig").write_bytes(signature)
    assert folder.verify(place, signature, KEYS, "model.sig")[1] == DIGESTS
    (place / "sub" / "model.sig").write_bytes(signature)
    with pytest.raises(SignatureMismatch, match=r"sub/model\.sig"):
        folder.verify(place, signature, KEYS, "model.sig")


def test_one_file_is_verified_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "renamed.bin").write_bytes(FILES["weights.bin"])
    signature = (OMS / "single.sig").read_bytes()
    assert list(folder.verify(tmp_path / "renamed.bin", signature, KEYS)[1]) == ["renamed.bin"]
    (tmp_path / "renamed.bin").write_bytes(b"other")
    with pytest.raises(SignatureMismatch, match=r"renamed\.bin"):
        folder.verify(tmp_path / "renamed.bin", signature, KEYS)


def test_one_file_under_its_own_name_is_verified_by_that_name(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(FILES["weights.bin"])
    made = oms.sign({"weights.bin": DIGESTS["weights.bin"]}, "weights.bin", SIGNER)
    folder.verify(tmp_path / "weights.bin", made, SIGNER.trusted)
    (tmp_path / "weights.bin").rename(tmp_path / "Weights.bin")
    with pytest.raises(SignatureMismatch):
        folder.verify(tmp_path / "Weights.bin", made, SIGNER.trusted)


@pytest.mark.parametrize("name", [".git/hooks/x", ".gitignore", ".github/x.yml", "__pycache__/x"])
def test_planted_file_is_found_wherever_it_hides(place: Path, name: str) -> None:
    write(place, {name: b"planted"})
    with pytest.raises(SignatureMismatch, match="not signed"):
        folder.verify(place, (OMS / "p256.sig").read_bytes(), KEYS)


def test_link_is_never_followed(place: Path, tmp_path: Path) -> None:
    (tmp_path / "twin").write_bytes(FILES["config.json"])
    (place / "config.json").unlink()
    (place / "config.json").symlink_to(tmp_path / "twin")
    with pytest.raises(OddFile, match=r"config\.json"):
        folder.digests(place)


@pytest.mark.parametrize("target", ["..", "/", "nowhere"])
def test_link_to_a_folder_is_never_followed(place: Path, target: str) -> None:
    (place / "more").symlink_to(target)
    with pytest.raises(OddFile, match="more"):
        folder.digests(place)


def test_folder_that_is_a_link_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(place)
    with pytest.raises(OddFile):
        folder.digests(tmp_path / "other")


def test_second_name_of_a_file_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").hardlink_to(place / "weights.bin")
    with pytest.raises(OddFile, match="second name"):
        folder.digests(place)


def test_pipe_is_refused_and_nobody_waits(place: Path) -> None:
    os.mkfifo(place / "pipe")
    with pytest.raises(OddFile, match="no regular file"):
        folder.digests(place)


def test_name_that_is_no_text_is_refused(place: Path) -> None:
    (Path(os.fsdecode(bytes(place) + b"/\xff\xfe"))).write_bytes(b"")
    with pytest.raises(OddFile, match="written down"):
        folder.digests(place)


def test_endless_folders_are_refused(place: Path) -> None:
    deep = place.joinpath(*["d"] * (folder.DEEPEST + 2))
    deep.mkdir(parents=True)
    with pytest.raises(TooManyFiles):
        folder.digests(place)


def test_too_many_files_are_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST", 3)
    with pytest.raises(TooManyFiles):
        folder.digests(place)


def test_missing_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile) as caught:
        folder.digests(tmp_path / "nothing")
    assert str(tmp_path) not in str(caught.value)


def test_small_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"12345")
    assert folder.read(tmp_path / "key", 5) == b"12345"
    with pytest.raises(OddFile, match="more than 4"):
        folder.read(tmp_path / "key", 4)
    with pytest.raises(NoSuchFile):
        folder.read(tmp_path / "no", 4)
    with pytest.raises(OddFile):
        folder.read(tmp_path, 4)
