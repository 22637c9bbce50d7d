"""Open a name below a directory handle, and nowhere else.

`openat2` lets the kernel itself refuse `..`, absolute names and links on the way, in one step
that nobody can slip between. Where it is missing (before Linux 5.6, or under a filter that does
not know it) the name is walked part by part, each opened below the one before and never through
a link.

Source:
    openat2(2), RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform

from instar.core.names import is_plain

_NUMBER = 437  # the same on x86_64 and aarch64: calls of 2019 and later share their numbers
_MACHINES = ("x86_64", "aarch64")
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_TRIES = 16  # the kernel says EAGAIN where somebody renames folders meanwhile


class _How(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def has_openat2() -> bool:
    """Tell whether the kernel has the call and lets us use it."""
    if platform.system() != "Linux" or platform.machine() not in _MACHINES:
        return False
    try:
        os.close(_openat2(-100, ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, 0))  # AT_FDCWD
    except OSError:
        return False
    return True


def open_beneath(root: int, name: str, flags: int, mode: int = 0) -> int:
    """Open a name below a directory handle and return the new handle.

    Args:
        root: Handle of a directory.
        name: Relative; see `is_plain`. `.` is the directory itself.
        flags: As for `os.open`; a link is never followed.
        mode: Rights of a file that is made.
    Raises:
        OSError: there is no such file, a link is on the way, or the name leads outside.
    """
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW
    if not has_openat2():
        return _walk(root, name, flags, mode)
    for _ in range(_TRIES):
        try:
            return _openat2(root, name, flags, mode)
        except BlockingIOError:
            continue
    return _walk(root, name, flags, mode)


def _openat2(root: int, name: str, flags: int, mode: int) -> int:
    how = _How(flags, mode, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    # The variable arguments of `syscall` are words; a Python int would be passed as a C int.
    words = (ctypes.c_long(_NUMBER), ctypes.c_long(root), ctypes.c_char_p(os.fsencode(name)))
    handle = int(_libc().syscall(*words, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))))
    if handle < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return handle


def _walk(root: int, name: str, flags: int, mode: int) -> int:
    if name != "." and not is_plain(name):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    *folders, last = name.split("/")
    here = os.dup(root)
    try:
        for part in folders:
            step = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(part, step, dir_fd=here)
            os.close(here)
            here = below
        return os.open(last, flags, mode, dir_fd=here)
    finally:
        os.close(here)
