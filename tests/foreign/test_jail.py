"""What code could do that got past everything else: each try runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """
import ctypes, json, os, socket, subprocess, sys, threading
from pathlib import Path
from instar.foreign import jail
inside, outside = Path(sys.argv[1]), Path(sys.argv[2])
done = jail.apart()
done += jail.lock(inside, memory=1 << 28, seconds=4, size=1 << 20)
try:
    said = ["done", repr(eval(sys.argv[3]))]
except BaseException as error:
    said = ["denied", type(error).__name__]
os.write(1, json.dumps([said[0], said[1], done]).encode())
"""


def tried(folder: Path, what: str) -> tuple[str, str, list[str], int]:
    inside, outside = folder / "in", folder / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("a secret")
    done = subprocess.run(
        [sys.executable, "-c", HEAD, str(inside), str(outside), what],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert sorted(p.name for p in outside.iterdir()) == ["secret"]
    assert (outside / "secret").stat().st_mode & 0o777 == 0o644
    if not done.stdout:
        return "ended", done.stderr[-300:], [], done.returncode
    said, how, jail = json.loads(done.stdout)
    return said, how, jail, done.returncode


def test_process_is_locked_in_by_all_that_there_is(tmp_path: Path) -> None:
    said, how, jail, _ = tried(tmp_path, "7")
    assert (said, how) == ("done", "7")
    assert set(jail) >= {"limits", "landlock", "seccomp", "audit"}


@pytest.mark.parametrize(
    "what",
    [
        "(inside / 'x').write_text('hi'), (inside / 'x').read_text()",
        "[t.start() or t.join() for t in [threading.Thread(target=int)]]",
        "bytearray(1 << 20)[:1]",
    ],
)
def test_work_goes_on_in_its_own_folder(tmp_path: Path, what: str) -> None:
    assert tried(tmp_path, what)[0] == "done"


DENIED = {
    "read a file": "(outside / 'secret').read_text()",
    "read the passwords": "open('/etc/passwd').read()",
    "read the environment": "open('/proc/self/environ').read()",
    "read the parent": "open(f'/proc/{os.getppid()}/environ').read()",
    "list a folder": "os.listdir(outside)",
    "write a file": "(outside / 'x').write_text('x')",
    "remove a file": "(outside / 'secret').unlink()",
    "rename a file": "(outside / 'secret').rename(inside / 'x')",
    "link a file": "os.link(outside / 'secret', inside / 'x')",
    "cut a file": "os.truncate(outside / 'secret', 0)",
    "change rights": "os.chmod(outside / 'secret', 0o777)",
    "change an owner": "os.chown(outside / 'secret', 1, 1)",
    "change a time": "os.utime(outside / 'secret', (0, 0))",
    "make a socket": "socket.socket()",
    "make a local socket": "socket.socketpair()",
    "run a program": "os.system('true')",
    "start a process": "subprocess.run(['true'])",
    "become a program": "os.execv('/bin/true', ['true'])",
    "fork": "os.fork()",
    "kill the parent": "os.kill(os.getppid(), 9)",
    "take memory": "bytearray(1 << 30)",
    "fill the disk": "(inside / 'x').write_bytes(bytes(1 << 22))",
    "open files without end": "[open(inside / str(i), 'w') for i in range(100)]",
    "load a library": "ctypes.CDLL('libc.so.6')",
}


@pytest.mark.parametrize("name", DENIED)
def test_hostile_code_has_no_effect(name: str, tmp_path: Path) -> None:
    assert tried(tmp_path, DENIED[name])[0] == "denied"


# Past Python: the kernel is asked at once. The audit hook is in the way of a new library handle, so
# the one that the jail itself holds is taken.
CALLS = {
    "tgkill": (234, 131),
    "socket": (41, 198),
    "fork": (57, -1),
    "execve": (59, 221),
    "ptrace": (101, 117),
}


@pytest.mark.parametrize("name", CALLS)
def test_kernel_says_no_as_well(name: str, tmp_path: Path) -> None:
    import platform

    number = CALLS[name][platform.machine() == "aarch64"]
    what = f"jail._libc.syscall({number}, 0, 0, 0, 0), ctypes.get_errno()"
    if number >= 0:
        said, how, _, _ = tried(tmp_path, what)
        assert (said, how) in (("done", "(-1, 1)"), ("denied", "PermissionError"))


def test_endless_work_is_ended(tmp_path: Path) -> None:
    said, _, _, status = tried(tmp_path, "all(x == 0 for x in iter(int, 1))")
    assert (said, status < 0) == ("ended", True)
