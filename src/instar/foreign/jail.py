"""Take a process's means away before it reads what a stranger wrote. Linux; standard library only.

Two steps, since libraries must be loaded between them: `apart` before any thread exists, `lock`
when everything is there. Nothing here can be undone by the process. What the kernel offers is
used, all of it, and told by name:

    namespace  a network of its own, with nothing in it, and no rights over files of others
    limits     memory, CPU time, size and number of files, core dumps
    landlock   files: one folder to write, none to read but what is open already; no TCP
    seccomp    no sockets, no programs, no processes, no looking into others, no mounts
    audit      the same once more, inside Python, for whoever gets past its own rules

Source: the manual pages landlock(7), seccomp(2), unshare(2), setrlimit(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from pathlib import Path
from typing import Any

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_RULESET, _RULE, _RESTRICT = 444, 445, 446  # landlock, the same on every machine
# Rights over files by the version of landlock that knows them.
_EXECUTE, _READ = 1, 4 | 8
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_ALLOW, _KILL, _DENY, _UNKNOWN = 0x7FFF0000, 0x80000000, 0x00050000, 0x00050000 | errno.ENOSYS
_THREAD = 0x10000
# Name and numbers of calls on x86-64 and on 64-bit ARM; -1: there is none.
_CALLS = {
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "sendto": (44, 206),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "ptrace": (101, 117),
    "chroot": (161, 51),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "umount2": (166, 39),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "accept4": (288, 242),
    "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "finit_module": (313, 273),
    "bpf": (321, 280),
    "execveat": (322, 281),
    "userfaultfd": (323, 282),
    "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
}
_CLONE = (56, 220)
_PRLIMIT = (302, 261)  # of this process: the library asks for it when it makes a thread
_CLONE3 = 435
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_EVENTS = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "ctypes.")

_libc = ctypes.CDLL(None, use_errno=True)


class NoJailError(RuntimeError):
    """Say that this machine cannot hold a stranger's file; nothing was read."""


def apart() -> tuple[str, ...]:
    """Leave the network, before there are threads; return what was done."""
    if _libc.unshare(_NEW_USER | _NEW_NET):
        return ()
    return ("namespace",)


def lock(
    folder: Path, *, memory: int, seconds: int, size: int, beside: Path | None = None
) -> tuple[str, ...]:
    """Give up everything but what is open, the processor, and one folder.

    Args:
        folder: The only place to write to.
        beside: The only other place to read from, if any.
        memory: Bytes beyond what is in use now.
        seconds: Of CPU time.
        size: Bytes of the largest file.
    Returns:
        What was done: `limits`, `landlock`, `seccomp`, `audit`.
    Raises:
        NoJailError: the kernel keeps nobody from files or from the network.
    """
    _limit(memory, seconds, size)
    if _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise NoJailError
    done = ["limits"]
    if _landlock(folder, beside):
        done.append("landlock")
    if _seccomp():
        done.append("seccomp")
    if len(done) != 3:
        raise NoJailError
    sys.addaudithook(_audit)
    return (*done, "audit")


def _limit(memory: int, seconds: int, size: int) -> None:
    used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, used + memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, size),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 64),  # threads; new processes are denied by seccomp
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


def _landlock(folder: Path, beside: Path | None) -> bool:
    version = _libc.syscall(_RULESET, None, 0, 1)
    if version < 1:
        return False
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    # TCP from version 4 on, signals and abstract sockets from version 6 on.
    attributes = struct.pack("QQQ", rights, 3, 3)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = _libc.syscall(_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        allowed = _permit(ruleset, folder, rights & ~_EXECUTE)
        if beside is not None:
            allowed = allowed and _permit(ruleset, beside, _READ)
        return bool(allowed and _libc.syscall(_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _permit(ruleset: int, folder: Path, rights: int) -> bool:
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return bool(_libc.syscall(_RULE, ruleset, 1, struct.pack("=Qi", rights, handle), 0) == 0)
    finally:
        os.close(handle)


def _seccomp() -> bool:
    machine = _MACHINES.get(platform.machine())
    if machine is None or sys.byteorder != "little":
        return False
    mark, column = machine
    program = [_load(4), _if(mark, 0, 1), _jump(1), _return(_KILL), _load(0)]
    if column == 0:  # the other table of calls that x86-64 has
        program += [_step(0x35, 0, 1, 0x40000000), _return(_DENY | errno.EPERM)]
    for numbers in _CALLS.values():
        if numbers[column] >= 0:
            program += [_if(numbers[column], 0, 1), _return(_DENY | errno.EPERM)]
    program += [_if(_CLONE3, 0, 1), _return(_UNKNOWN)]  # so that the library falls back to clone
    program += [_if(_CLONE[column], 0, 3), _load(16), _step(0x45, 5, 0, _THREAD)]
    program += [_return(_DENY | errno.EPERM)]
    program += [_if(_PRLIMIT[column], 0, 3), _load(16), _if(0, 1, 0)]
    program += [_return(_DENY | errno.EPERM), _return(_ALLOW)]
    filters = ctypes.create_string_buffer(b"".join(program))
    given = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(filters))
    return bool(_libc.prctl(_SECCOMP, _FILTER, given, 0, 0) == 0)


def _step(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def _load(offset: int) -> bytes:
    return _step(0x20, 0, 0, offset)


def _if(value: int, yes: int, no: int) -> bytes:
    return _step(0x15, yes, no, value)


def _jump(steps: int) -> bytes:
    return _step(0x05, 0, 0, steps)


def _return(value: int) -> bytes:
    return _step(0x06, 0, 0, value)


def _audit(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith(_EVENTS):
        raise PermissionError(errno.EPERM, "not here")
