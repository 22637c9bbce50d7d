from __future__ import annotations

import contextlib
import gc
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from instar.ledger import beneath, files
from instar.ledger.files import StoreFailed, UnsafeFile
from instar.ledger.safedir import MovedFolder, SafeDir, UnsafeName


@pytest.fixture(params=["openat2", "walk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once as the kernel does it, once part by part."""
    if request.param == "walk":
        monkeypatch.setattr(beneath, "has_openat2", lambda: False)
    elif not beneath.has_openat2():
        pytest.skip("this kernel has no openat2")
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def place(way: str, root: Path) -> SafeDir:
    made = SafeDir(root)
    made.keep("deep/er/file", [b"inside"])
    return made


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.write_bytes(b"secret")
    return path


def test_kept_file_is_read_listed_and_removed(place: SafeDir) -> None:
    place.keep("deep/a", [b"1", b"2"])
    place.keep("deep/a", [b"34"])
    assert place.read("deep/a") == b"34"
    assert place.list("deep") == ["a", "er"]
    place.remove("deep/a")
    place.remove("deep/a")
    assert place.list("deep") == ["er"]
    assert place.list("nowhere") == []
    assert not place.holds("deep/a")
    assert place.holds("deep/er/file")


def test_missing_file_is_told_as_such(place: SafeDir, tmp_path: Path) -> None:
    for ask in (place.read, place.open, lambda name: list(place.chunks(name))):
        with pytest.raises(FileNotFoundError):
            ask("nothing")
    with pytest.raises(FileNotFoundError):
        SafeDir(tmp_path / "nowhere").read("nothing")


def test_appended_bytes_come_after_those_before(place: SafeDir) -> None:
    assert place.append("log", b"one\n") == 4
    assert place.append("log", b"two\n") == 8
    place.rename("log", "log.1")
    with place.open("log.1") as file:
        assert file.readlines() == [b"one\n", b"two\n"]


NAMES = ("", ".", "..", "../outside", "deep/../file", "/etc/passwd", "a//b", "a/", "a\0b", "a\nb")
NAMES += ("~", "a b", "a\\b", "é", "x" * 256, "\u202efile", "a/./b", "-\x1b[2J", "%2e%2e/a")


@pytest.mark.parametrize("name", NAMES)
def test_name_that_could_mean_another_place_is_refused(place: SafeDir, name: str) -> None:
    asks = (place.read, place.open, place.holds, place.remove, lambda n: place.keep(n, [b""]))
    for ask in (*asks, lambda n: place.append(n, b""), lambda n: place.rename("deep/er/file", n)):
        with pytest.raises(UnsafeName):
            ask(name)
    assert place.read("deep/er/file") == b"inside"


@pytest.mark.parametrize("name", ["..", "../outside", "deep/../../outside", "/etc/passwd", "deep"])
def test_handle_is_left_by_no_name(place: SafeDir, root: Path, outside: Path, name: str) -> None:
    """Below the check of names, the opening itself holds."""
    with files.opened(os.open(root, os.O_RDONLY)) as handle, pytest.raises(OSError):
        os.close(beneath.open_beneath(handle, name, os.O_WRONLY))


def _socket(path: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(path.parent):
        listener.bind(path.name)


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda path, outside: path.symlink_to(outside),
    "hard link": lambda path, outside: path.hardlink_to(outside),
    "pipe": lambda path, outside: os.mkfifo(path),
    "folder": lambda path, outside: path.mkdir(),
    "loop": lambda path, outside: path.symlink_to(path),
    "device": lambda path, outside: path.symlink_to("/dev/zero"),
    "itself, through /proc": lambda path, outside: path.symlink_to("/proc/self/exe"),
    "socket": _socket,
}


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_no_plain_file_is_refused_at_once(
    place: SafeDir, root: Path, outside: Path, kind: str
) -> None:
    path = root / "deep/er/file"
    path.unlink()
    PLANTED[kind](path, outside)
    before = open_handles()
    for ask in (place.read, place.open, lambda name: place.append(name, b"x")):
        with pytest.raises(UnsafeFile) as caught:
            ask("deep/er/file")
        assert str(root) not in str(caught.value)
    with pytest.raises(UnsafeFile):
        place.holds("deep/er/file")
    assert outside.read_bytes() == b"secret"
    assert open_handles() <= before


@pytest.mark.parametrize("folder", ["deep", "deep/er"])
def test_link_on_the_way_is_refused(
    place: SafeDir, root: Path, tmp_path: Path, folder: str
) -> None:
    shutil.move(root / folder, tmp_path / "moved")
    (root / folder).symlink_to(tmp_path / "moved")
    before = sorted(tmp_path.rglob("*"))
    asks = (place.read, lambda name: place.keep(name, [b"x"]), place.remove, place.open)
    for ask in asks:
        with pytest.raises(UnsafeFile):
            ask("deep/er/file")
    assert sorted(tmp_path.rglob("*")) == before


def test_link_on_the_way_is_refused_even_where_it_stays_below(place: SafeDir, root: Path) -> None:
    (root / "alias").symlink_to("deep")
    (root / "deep/alias").symlink_to("../deep/er")
    for name in ("alias/er/file", "deep/alias/file"):
        with pytest.raises(UnsafeFile):
            place.read(name)


def test_kept_file_replaces_a_link_and_not_what_it_names(
    place: SafeDir, root: Path, outside: Path
) -> None:
    (root / "deep/er/file").unlink()
    (root / "deep/er/file").symlink_to(outside)
    place.keep("deep/er/file", [b"new"])
    assert place.read("deep/er/file") == b"new"
    assert outside.read_bytes() == b"secret"


def test_swap_between_two_looks_leads_nowhere(place: SafeDir, root: Path, outside: Path) -> None:
    """A file that turns into a link and back, as fast as it can, is whole or refused."""
    path, done = root / "deep/er/file", threading.Event()

    def swap() -> None:
        link, plain = root / "link", root / "plain"
        while not done.is_set():
            link.symlink_to(outside)
            link.replace(path)
            plain.write_bytes(b"inside")
            plain.replace(path)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(2_000):
            try:
                seen.add(place.read("deep/er/file"))
            except UnsafeFile:
                seen.add(b"refused")
    finally:
        done.set()
        thread.join()
    assert seen <= {b"inside", b"refused"}


@pytest.mark.parametrize("how", ["removed", "replaced", "a link", "a file"])
def test_root_that_is_another_one_by_now_is_refused(
    place: SafeDir, root: Path, tmp_path: Path, how: str
) -> None:
    shutil.move(root, tmp_path / "moved")
    if how == "replaced":
        shutil.copytree(tmp_path / "moved", root)
    elif how == "a link":
        root.symlink_to(tmp_path / "moved")
    elif how == "a file":
        root.write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    asks = (place.read, place.holds, place.make, lambda name: place.keep(name, [b"x"]))
    for ask in (*asks, place.remove, lambda name: place.append(name, b""), place.list):
        with pytest.raises(MovedFolder) as caught:
            ask("deep/er/file")
        assert str(tmp_path) not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_root_that_is_a_link_from_the_start_is_refused(way: str, root: Path) -> None:
    root.symlink_to(root.parent)
    with pytest.raises(MovedFolder):
        SafeDir(root).read("file")


def test_root_that_is_a_file_is_a_failed_store(way: str, root: Path) -> None:
    root.write_bytes(b"")
    with pytest.raises((StoreFailed, UnsafeFile)):
        SafeDir(root).keep("file", [b""])


def test_handle_goes_with_the_folder(place: SafeDir, root: Path) -> None:
    before = open_handles()
    for _ in range(5):
        other = SafeDir(root)
        other.keep("file", [b"x"])
        other.read("file")
        del other
    assert open_handles() <= before


def test_only_one_is_alone(place: SafeDir, root: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(n: int) -> None:
        with SafeDir(root).alone("lock"):
            inside.append(n)
            time.sleep(0.01)  # long enough for another one to come in
            most.append(len(inside))
            inside.remove(n)

    threads = [threading.Thread(target=enter, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_walk_and_openat2_agree_on_what_there_is(root: Path) -> None:
    SafeDir(root).keep("a/b", [b"x"])
    with files.opened(os.open(root, os.O_RDONLY)) as handle:
        for name in ("a/b", "a", "nothing", "a/b/c", ".."):
            told = []
            for open_ in (beneath._openat2, beneath._walk):
                try:
                    os.close(open_(handle, name, os.O_RDONLY | os.O_CLOEXEC, 0))
                    told.append(0)
                except OSError as error:
                    told.append(error.errno or -1)
            assert told[0] == told[1], name


def open_handles() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))
