"""Files from outside made safe, by a child process that could do no harm if it were taken over."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from instar.core.errors import BackendError, InputError

LARGEST = 4 << 30  # bytes, of what goes in and of what comes out
PATIENCE_S = 300.0
_BOOT = (
    "import json, sys; what, beside, path = sys.argv[1:]; sys.path[:] = json.loads(path)\n"
    "from instar.foreign.child import main; main(what, beside)"
)


class NoJail(BackendError):
    """Report a machine that cannot hold a stranger's file: nothing was read."""

    code = "backend.no_jail"

    def __init__(self) -> None:
        super().__init__(
            "a Linux kernel with landlock and seccomp", "none here", "convert it on another machine"
        )


class ConversionEnded(InputError):
    """Refuse a file whose reading ended the child process: by its limits, or by a crash."""

    code = "input.conversion_ended"

    def __init__(self) -> None:
        super().__init__(
            "a file that is read within limits of memory, time and size",
            "the end of the process that read it",
            "do not trust this file",
        )


class TakenFile(InputError):
    """Refuse to write over a file, or into a folder that is not there."""

    code = "input.taken_file"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__("the name of a new file", f"{name!r}, {problem}", "choose another one")


def import_legacy(source: Path, out: Path) -> dict[str, Any]:
    """Turn a torch pickle into safetensors, in a child process without means.

    Raises:
        LegacyRefused: it holds more than tensors by name.
        NotSafetensors: what the child wrote is not to be trusted.
        ConversionEnded, NoJail, NoSuchFile, OddFile, TakenFile: see there.
    """
    from instar.bundle.tensors import header

    data, jail = _converted("legacy", source, out)
    places = header(data)
    return {**_kept(data, out), "tensors": len(places), "jail": jail}


def import_graph(source: Path, out: Path) -> dict[str, Any]:
    """Make an ONNX file whole: weights that lie in files beside it are put in.

    Raises:
        RefusedGraph: it is no sound ONNX file, asks for too much, or names files elsewhere.
        ConversionEnded, NoJail, NoSuchFile, OddFile, TakenFile: see there.
    """
    data, jail = _converted("graph", source, out)
    return {**_kept(data, out), "jail": jail}


def _converted(what: str, source: Path, out: Path) -> tuple[bytes, list[str]]:
    """Have a child convert a file; return what it wrote, and how it was locked in."""
    from instar.bundle import folder

    if os.path.lexists(out):
        raise TakenFile(out.name, "which is there already")
    if not out.absolute().parent.is_dir():
        raise TakenFile(out.name, "in a folder that does not exist")
    with tempfile.TemporaryDirectory(prefix="instar-") as scratch:
        told = _child(what, source, Path(scratch))
        if told.get("free"):
            raise NoJail
        if "parts" in told:
            error = InputError(*(_plain(part) for part in told["parts"]))
            error.code = _plain(told["code"])  # type: ignore[misc] # the child's class is not loaded here
            raise error
        return folder.read(Path(scratch) / "out", LARGEST), [_plain(name) for name in told["jail"]]


def _child(what: str, source: Path, scratch: Path) -> dict[str, Any]:
    from instar.bundle import folder
    from instar.bundle.errors import OddFile

    beside = str(source.absolute().parent)
    search = json.dumps([str(Path(place).absolute()) for place in sys.path if place])
    with folder.opened(source) as handle:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OddFile(source.name, "no regular file")
        if found.st_size > LARGEST:
            raise OddFile(source.name, f"more than {LARGEST >> 30} GiB")
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", "-c", _BOOT, what, beside, search],
                stdin=handle,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # whatever a library says there may name places
                cwd=scratch,
                env={"OMP_NUM_THREADS": "1"},  # nothing of this process's own: no secrets
                start_new_session=True,
                timeout=PATIENCE_S,
                check=False,
            )
            told: dict[str, Any] = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError) as error:
            raise ConversionEnded from error
    if not isinstance(told, dict) or done.returncode:
        raise ConversionEnded
    return told


def _plain(text: Any) -> str:
    """Show a child's words, which a stranger may have had a hand in, as short plain text."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(text)[:300])


def _kept(data: bytes, out: Path) -> dict[str, Any]:
    from instar.core.digest import digest_bytes
    from instar.ledger import files

    with files.mapped():
        files.settle(files.write(out.absolute().parent, [data]), out)
    return {"file": str(out), "bytes": len(data), "digest": digest_bytes(data)}
