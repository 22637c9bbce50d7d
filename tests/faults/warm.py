"""A warm process that forks one real child for each command, so that a thousand crashes fit.

`import torch` and the first ONNX export cost seconds. This server pays them once; each
`python -m instar...` that a test starts is then a child of it: a process of its own, with its
own pid, session, environment, files and memory, which SIGKILL really kills. Only the imports
are shared (idle threads of libraries are not: a fork has one thread). The product's own
`subprocess.Popen` reaches the server too, so that the worker of a forked command is a fork as
well. So is `python -c CODE` where the code begins with `# warm`; the other code measures what a
process of its own loads or needs.

    python tests/faults/warm.py SOCKET
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import json
import os
import random
import resource
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_SIZE = struct.Struct("<q")
WARM = "# warm\n"  # as the first line of code
LIMIT = "INSTAR_TEST_FILE_LIMIT"  # bytes of one file that a forked process may write


class Server:
    """Fork a child for whoever asks, tell its pid, and at its end its status."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(place)
        self.listener.listen(64)

    def run(self) -> None:
        """Serve until standard input closes."""
        # What is here is no garbage; else every child would look through it all, and so copy it.
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
        while True:
            ready, _, _ = select.select([self.listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            line, _ = self.listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                self.listener.close()
                self.answer(line)
                os._exit(0)
            line.close()

    def answer(self, line: socket.socket) -> None:
        data, given, _, _ = socket.recv_fds(line, 1 << 20, 3)
        (size,) = _SIZE.unpack(data[: _SIZE.size])
        while len(data) < size + _SIZE.size:
            data += line.recv(1 << 20)
        order = json.loads(data[_SIZE.size :])
        if (pid := os.fork()) == 0:
            line.close()
            self.work(order, given)
        for handle in given:
            os.close(handle)
        with contextlib.suppress(BrokenPipeError):  # who asked may be killed by now
            line.sendall(_SIZE.pack(pid))
            line.sendall(_SIZE.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))

    def work(self, order: dict[str, Any], given: list[int]) -> None:
        """Become the process that was asked for."""
        status = 1
        try:
            for number, handle in enumerate(given):
                os.dup2(handle, number)
            os.closerange(3, 64)
            if order["session"]:
                os.setsid()
            os.chdir(order["cwd"])
            os.environ.clear()
            os.environ.update(order["env"])
            if limit := int(os.environ.get(LIMIT, "0")):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            tempfile.tempdir = None
            random.seed()
            subprocess.Popen = popen(lambda: self.place)  # type: ignore[misc]
            sys.stdin, sys.stdout, sys.stderr = (
                os.fdopen(number, mode, encoding="utf-8", closefd=False)
                for number, mode in ((0, "r"), (1, "w"), (2, "w"))
            )
            how, *words = order["args"]
            status = run(code if how == "-c" else module, *words)
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)


def module(name: str, *words: str) -> None:
    """Run a module as `python -m` does."""
    sys.argv = [name, *words]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it is imported already, as meant
        runpy.run_module(name, run_name="__main__", alter_sys=True)


def code(text: str, *words: str) -> None:
    """Run code as `python -c` does."""
    sys.argv = ["-c", *words]
    sys.path.insert(0, "")
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(text, "<string>", "exec"), main.__dict__)


def run(act: Callable[..., None], *words: str) -> int:
    """Run something as the interpreter does, and return its exit status."""
    try:
        act(*words)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 - as the interpreter itself
        traceback.print_exc()
        return 1
    return 0


def popen(place: Callable[[], str]) -> type[subprocess.Popen[Any]]:
    """Make a Popen whose `python -m instar...` is forked from the warm process at a place.

    Args:
        place: Called when there is something to fork, not before.
    """
    real = getattr(subprocess.Popen, "real", subprocess.Popen)  # not one that forks already
    takes = inspect.signature(real._execute_child)  # type: ignore[attr-defined]

    class Forked(real):  # type: ignore[misc, valid-type]
        _line: socket.socket | None = None

        def _execute_child(self, *given: Any) -> None:
            how = takes.bind(self, *given).arguments
            words = [str(word) for word in how["args"]] if not how["shell"] else []
            ours = words[:1] == [sys.executable] and (
                (words[1:2] == ["-m"] and words[2].startswith("instar"))
                or (words[1:2] == ["-c"] and words[2].lstrip().startswith(WARM))
            )
            if not ours or how["preexec_fn"] is not None:
                super()._execute_child(*given)
                return
            order = {
                "args": words[1:],
                "cwd": str(how["cwd"] or Path.cwd()),
                "env": dict(os.environ if how["env"] is None else how["env"]),
                "session": bool(how["start_new_session"]),
            }
            pairs = (("p2cread", 0), ("c2pwrite", 1), ("errwrite", 2))
            handles = [how[name] if how[name] != -1 else own for name, own in pairs]
            data = json.dumps(order).encode()
            self._line = socket.socket(socket.AF_UNIX)
            self._line.connect(place())
            first = _SIZE.pack(len(data))
            socket.send_fds(self._line, [first], handles)
            self._line.sendall(data)
            self.pid = _SIZE.unpack(self._line.recv(_SIZE.size, socket.MSG_WAITALL))[0]
            self._child_created = True
            names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
            self._close_pipe_fds(*(how[name] for name in names))

        def _look(self, timeout: float | None) -> bool:
            if self.returncode is None and self._line is not None:
                if not select.select([self._line], [], [], timeout)[0]:
                    return False
                said = self._line.recv(_SIZE.size, socket.MSG_WAITALL)
                self.returncode = _SIZE.unpack(said)[0] if said else -signal.SIGKILL
                self._line.close()
            return True

        def _internal_poll(self, *given: Any, **more: Any) -> int | None:
            if self._line is None:
                return super()._internal_poll(*given, **more)
            with self._waitpid_lock:
                self._look(0)
            return self.returncode

        def _wait(self, timeout: float | None) -> int:
            if self._line is None:
                return super()._wait(timeout=timeout)
            with self._waitpid_lock:
                if not self._look(timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            return self.returncode

    Forked.real = real
    return Forked


@contextlib.contextmanager
def started() -> Iterator[str]:
    """Start a warm server for the while; yield its socket."""
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:
        place = f"{folder}/socket"
        process = subprocess.Popen(
            [sys.executable, __file__, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin
        assert process.stdout
        try:
            assert process.stdout.readline() == b"warm\n"
            yield place
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait()


def remember_tables() -> None:
    """Have the exporter make its tables of operators once, not from source text for each export."""
    from torch._export import utils
    from torch.onnx._internal.exporter import _registration

    registry = _registration.ONNXRegistry
    registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))
    look = utils._collect_all_valid_cia_ops_for_namespace
    utils._collect_all_valid_cia_ops_for_namespace = functools.cache(look)


def warm_up() -> None:
    """Load what commands load, and let the exporter fill its tables."""
    import onnxruntime  # noqa: F401

    import instar.cli
    import instar.cli.show
    import instar.serving.gateway
    import instar.worker  # noqa: F401
    from instar.core.data import InputSpec
    from instar.core.records import Network
    from instar.models.build import build
    from instar.stages.package.export import export

    remember_tables()
    spec = InputSpec(numbers=1, categories=(3,), outputs=1)
    network = build(Network(family="mlp", options={"hidden": [8]}), spec, Path())
    export(network, spec, 20)
    gc.collect()
    gc.freeze()  # children look through what is theirs alone


if __name__ == "__main__":
    warm_up()
    warm = Server(sys.argv[1])
    print("warm", flush=True)
    warm.run()
