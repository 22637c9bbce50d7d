"""Memory and time of keeping and loading a large artifact, beside a bare durable copy and hash.

    python -m benchmarks.ledger.artifacts [MB]

Each side puts one file of 1,000 MB (or as many as are said) into an empty store and loads it as a
path, as another machine would, in a process of its own, whose peak of resident memory is read from
the system. S3 is moto's server on this machine, in a process of its own: its speed is moto's, the
memory and CPU are ours. The bare side copies the file, forces it to the disk and hashes the copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

LIMIT_MB = 100
CHUNK = 1 << 20


def bare(source: Path, folder: Path) -> None:
    """Copy durably, and hash the copy."""
    target = folder / "copy"
    with source.open("rb") as old, target.open("wb") as new:
        shutil.copyfileobj(old, new, CHUNK)
        new.flush()
        os.fsync(new.fileno())
    seen = hashlib.sha256()
    with target.open("rb") as copy:
        while chunk := copy.read(CHUNK):
            seen.update(chunk)


def directory(source: Path, folder: Path) -> None:
    from instar.ledger.artifacts import DirectoryArtifacts

    artifacts = DirectoryArtifacts(folder / "artifacts")
    artifacts.path(artifacts.put_file(source))


def s3(source: Path, folder: Path, endpoint: str) -> None:
    from instar.ledger.artifacts import DirectoryArtifacts
    from instar.ledger.s3 import S3Artifacts, locate

    place = locate(f"s3://models/{uuid.uuid4().hex}?endpoint={endpoint}")
    digest = S3Artifacts(place, DirectoryArtifacts(folder / "here")).put_file(source)
    shutil.rmtree(folder / "here")
    S3Artifacts(place, DirectoryArtifacts(folder / "there")).path(digest)


def child(side: str, source: str, folder: str, endpoint: str) -> None:
    """Do one side's work, and print what it took."""
    began, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    match side:
        case "bare":
            bare(Path(source), Path(folder))
        case "directory":
            directory(Path(source), Path(folder))
        case _:
            s3(Path(source), Path(folder), endpoint)
    wall = time.perf_counter() - wall
    ended = resource.getrusage(resource.RUSAGE_SELF)
    cpu = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    # Not `ru_maxrss`, which remembers the process that this one was forked from.
    status = Path("/proc/self/status").read_text("utf-8")
    peak_kb = int(status.split("VmHWM:")[1].split()[0])
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "peak_mb": peak_kb * 1024 / 1e6}))


def measured(side: str, source: Path, endpoint: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        command = [sys.executable, "-m", "benchmarks.ledger.artifacts", "child", side]
        done = subprocess.run(
            [*command, str(source), folder, endpoint], stdout=subprocess.PIPE, text=True, check=True
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(megabytes: int) -> None:
    from tests.servers.s3 import KEYS, server

    os.environ.update(KEYS)
    gigabytes = megabytes / 1000
    # Beside the code, not in /tmp, which may lie in memory, where nothing is durable.
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, server() as served:
        source = Path(folder) / "weights.bin"
        with source.open("wb") as file:
            for _ in range(megabytes):
                file.write(os.urandom(1_000_000))
        figures = {}
        print(f"{megabytes} MB{'':<10}{'peak MB':>9}{'CPU s/GB':>10}{'MB/s':>8}")
        for side in ("bare", "directory", "s3"):
            found = measured(side, source, served.endpoint)
            figures[side] = {
                "peak_mb": round(found["peak_mb"], 1),
                "cpu_s_per_gb": round(found["cpu_s"] / gigabytes, 2),
                "mb_per_s": round(megabytes / found["wall_s"]),
            }
            peak, cpu, speed = figures[side].values()
            print(f"{side:<15}{peak:>9.1f}{cpu:>10.2f}{speed:>8.0f}")
    print(json.dumps({**figures, "mb": megabytes, "limit_peak_mb": LIMIT_MB}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
