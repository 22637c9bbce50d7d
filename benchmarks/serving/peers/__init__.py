"""The servers that the gateway is held against, each packaged one in an environment of its own.

    python -m benchmarks.serving.peers

makes the environments, with the versions below, in a cache folder outside of the repository. One
that cannot be made is named and left out. All run the same graph, answer the same request, and
use as many processes as they can of those they are given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.serving import cases
from benchmarks.serving.cases import PATH, Case

HERE = Path(__file__).parent
_INSTALL_S, _START_S = 300, 60


@dataclass(frozen=True)
class Peer:
    """A packaged server: what pip installs, and where it answers."""

    name: str
    wanted: tuple[str, ...]
    path: str = PATH

    @property
    def folder(self) -> Path:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return Path(cache) / "instar-benchmarks" / f"{self.name}-{python}"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


_BESIDE = (f"onnxruntime=={version('onnxruntime')}", "numpy")  # the runtime is ours
PACKAGED = {
    "mlserver": Peer("mlserver", ("mlserver==1.7.1", *_BESIDE)),
    "litserve": Peer("litserve", ("litserve==0.2.19", *_BESIDE)),
    "bentoml": Peer("bentoml", ("bentoml==1.4.39", *_BESIDE), "/infer"),
}
# In this environment, see `twin`, and what each needs of it.
OURS = {"bare": (), "fastapi": ("fastapi",), "fastapi+pandas": ("fastapi", "pandas")}


def install(peer: Peer) -> str:
    """Make a peer's environment, unless it is there; return why it cannot be made."""
    done = peer.folder / "installed"
    wanted = "\n".join(peer.wanted)
    if done.exists() and done.read_text() == wanted:
        return ""
    print(f"{peer.name}: pip installs {', '.join(peer.wanted)}", file=sys.stderr, flush=True)
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(peer.folder)],
        [
            str(peer.python),
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            *peer.wanted,
        ],
    )
    for step in steps:
        try:
            made = subprocess.run(
                step, capture_output=True, text=True, timeout=_INSTALL_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"not installed: {type(error).__name__}"
        if made.returncode:
            last = (made.stderr.strip() or made.stdout.strip()).splitlines()[-1:]
            return f"not installed: {' '.join(last)[:150]}"
    done.write_text(wanted)
    return ""


def missing(name: str) -> str:
    """Say why a peer cannot be measured; empty where it can."""
    if name in PACKAGED:
        return install(PACKAGED[name])
    lacking = [one for one in OURS[name] if importlib.util.find_spec(one) is None]
    return f"{', '.join(lacking)} not installed" if lacking else ""


def asked(name: str, case: Case) -> tuple[str, Case]:
    """Say where a peer answers, and the request in its own words."""
    if name == "bentoml":  # it knows no Open Inference Protocol
        return PACKAGED[name].path, replace(case, body=cases.plain())
    return PATH, case


@contextlib.contextmanager
def serving(name: str, case: Case, root: Path, workers: int) -> Iterator[tuple[str, int]]:
    """Run a peer in processes of its own; yield its address and its first process."""
    if name in OURS:
        with _twin(name, case, root, workers) as found:
            yield found
        return
    graph = root / "model.onnx"
    graph.write_bytes(cases.graph_of(case.name))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(PACKAGED[name].python), str(HERE / f"{name}_app.py")]
    quiet = {"BENTOML_DO_NOT_TRACK": "True", "GRAPH": str(graph), "OMP_NUM_THREADS": "1"}
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, str(graph), str(port), str(workers)],
            env=clean | quiet | {"BENTOML_HOME": str(root)},
            cwd=root,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(process, url, *asked(name, case))
            yield url, process.pid
        except SystemExit:
            said.seek(0)
            print(said.read().decode(errors="replace")[-800:], file=sys.stderr)
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


@contextlib.contextmanager
def _twin(name: str, case: Case, root: Path, workers: int) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "benchmarks.serving.peers.twin"]
    process = subprocess.Popen(
        [*command, name, case.name, str(root), str(workers)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield str(process.stdout.readline()).strip() if process.stdout else "", process.pid
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _wait(process: subprocess.Popen[bytes], url: str, path: str, case: Case) -> None:
    request = urllib.request.Request(url + path, case.body, {"content-type": "application/json"})
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise SystemExit(f"{url}: no answer; status {process.poll()}")
