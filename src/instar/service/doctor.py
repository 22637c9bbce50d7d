"""Examine a machine and a workspace: what Instar stands on, and what to do where it is weak.

Nothing is made or mended here, and nothing but short words of the system is told: no path.
"""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from instar import __version__, provenance
from instar.core.digest import short
from instar.core.errors import BackendError, InstarError, PolicyError
from instar.core.policy import EnvironmentRule
from instar.service import environment
from instar.service.dates import written

if TYPE_CHECKING:
    from instar.policy import Project

PASS, WARN, FAIL = "pass", "warn", "fail"
PYTHON = (3, 11)
FREE = 200 << 20  # bytes of free disk below which work fails
NEEDED = ("cryptography", "pydantic", "sqlalchemy")
TRAINS = ("numpy", "onnx", "onnxruntime", "polars", "safetensors", "scikit-learn", "scipy", "torch")
KEYS = ("ledger", "bundle")
_EPOCH = 1_700_000_000.0  # no clock of a machine that runs this code is earlier


class Line(NamedTuple):
    """One thing examined: `verdict` is pass, warn or fail; `store` where a store is at fault."""

    what: str
    verdict: str
    found: str
    todo: str = ""
    store: bool = False


def examine(root: Path, overrides: Mapping[str, str]) -> Iterator[Line]:
    """Examine everything, one line each, with and without a workspace at `root`."""
    yield from _machine(root)
    yield from _libraries()
    yield _sqlite()
    yield _openat2()
    project, line = _policy(root, overrides)
    yield line
    yield from _wanted(root, project)
    if project is not None:
        yield from _stores(root / ".instar", project)
        yield from _keys(root / ".instar" / "keys")


def exit_code(lines: list[dict[str, object]]) -> int:
    """Turn an examination into an exit code: 0 can work, 1 cannot, 5 a store is at fault.

    Example:
        >>> exit_code([{"verdict": "warn", "store": True}, {"verdict": "fail", "store": False}])
        1
    """
    failed = [line for line in lines if line["verdict"] == FAIL]
    if any(line["store"] for line in failed):
        return 5
    return 1 if failed else 0


def _machine(root: Path) -> Iterator[Line]:
    here = provenance.environment(root)
    code = f"{__version__}, source {short(here.source)}"
    yield Line("instar", PASS, code)
    old = sys.version_info < PYTHON
    yield Line("python", FAIL if old else PASS, here.python, "install 3.11 or later" if old else "")
    cards = ", ".join(here.accelerators) or "no accelerator"
    yield Line("machine", PASS, f"{here.system}, {here.processor}, {cards}")


def _wanted(root: Path, project: Project | None) -> Iterator[Line]:
    """Say where the machine is less than the policy wants; without one, than its defaults."""
    rule = project.policy.run.environment if project else EnvironmentRule()
    for need in environment.needs(root, rule, project):
        if need.what == "disk" and environment.free(root) < FREE:
            yield Line("disk", FAIL, need.found, environment.ROOM, store=True)
        elif need.todo:
            said = f"{need.found}; wanted: {need.wanted}"
            yield Line(need.what, FAIL if rule.refuse else WARN, said, need.todo)
        else:
            yield Line(need.what, PASS, need.found)


def _libraries() -> Iterator[Line]:
    found = provenance.libraries()
    said = ", ".join(f"{name} {number}" for name, number in found.items() if name != "sqlite")
    if missing := [name for name in NEEDED if name not in found]:
        yield Line("libraries", FAIL, f"no {', '.join(missing)}", "pip install instar")
    elif missing := [name for name in TRAINS if name not in found]:
        todo = "this machine can serve and read, not train: pip install 'instar[train]'"
        yield Line("libraries", WARN, f"{said}; no {', '.join(missing)}", todo)
    elif old := provenance.outdated():
        least = ", ".join(f"{name}>={number}" for name, number in old.items())
        yield Line("libraries", WARN, said, f"older than Instar is made for: pip install '{least}'")
    else:
        yield Line("libraries", PASS, said)


def _sqlite() -> Line:
    from instar.ledger.sqlite import verdict

    found = verdict()
    return Line("sqlite", PASS, f"{found.version}, journal mode {found.mode}: {found.why}")


def _openat2() -> Line:
    from instar.ledger.beneath import has_openat2

    if has_openat2():
        return Line("openat2", PASS, "the kernel opens files below a folder whatever links say")
    todo = "names are walked one by one instead; Linux 5.6 or later does it in one step"
    return Line("openat2", WARN, "not on this kernel", todo)


def _policy(root: Path, overrides: Mapping[str, str]) -> tuple[Project | None, Line]:
    from instar.policy import read

    if not (root / "instar.yaml").is_file():
        return None, Line("policy", WARN, "no instar.yaml here", "begin: instar init MODEL --help")
    try:
        project = read(root / "instar.yaml", overrides=overrides)
    except PolicyError as error:
        return None, Line("policy", FAIL, f"{error.got} in place of {error.wanted}", error.todo)
    return project, Line("policy", PASS, f"{project.model}, {short(project.digest)}")


def _stores(home: Path, project: Project) -> Iterator[Line]:
    from instar.ledger.stores import begun

    store = project.store
    if not begun(home, store):
        yield Line("journal", PASS, "none yet: the first adoption makes it")
    elif store.journal:
        yield _remote_journal(home, project)
    else:
        yield from _journal(home, project)
    if store.artifacts:
        yield _remote_artifacts(home, project)
    else:
        yield _folder("artifacts", home / "artifacts")


def _remote_journal(home: Path, project: Project) -> Line:
    from instar.ledger.stores import open_journal

    try:
        journal = open_journal(home, project.store)
        journal.entries(limit=1)
        journal.close()
    except InstarError as error:
        return _broken("journal", error)
    return Line("journal", PASS, "the server answers")


def _remote_artifacts(home: Path, project: Project) -> Line:
    from instar.ledger.stores import open_artifacts

    try:
        _ = "sha256:" + "0" * 64 in open_artifacts(home, project.store)
    except InstarError as error:
        return _broken("artifacts", error)
    return Line("artifacts", PASS, "the store answers")


def _broken(what: str, error: InstarError) -> Line:
    store = isinstance(error, BackendError)
    return Line(what, FAIL, f"{error.got} in place of {error.wanted}", error.todo, store=store)


def _journal(home: Path, project: Project) -> Iterator[Line]:
    from instar.ledger.checkup import database, writable
    from instar.ledger.stores import open_journal

    path = home / "ledger.db"
    if not path.exists():
        yield Line("journal", FAIL, "no database where there was one", _RESTORE, store=True)
        return
    # The folder too: beside the file SQLite keeps the journal that makes a commit whole.
    if problem := writable(path) or writable(home):
        yield Line("journal", FAIL, problem, _RIGHTS, store=True)
        return
    try:
        open_journal(home, project.store).close()  # it is held against its last checkpoint
        found = database(path)
    except InstarError as error:
        yield _broken("journal", error)
        return
    kept = f"schema {found.schema}, {found.mode}, synchronous {found.synchronous}, "
    sound = found.synchronous in ("FULL", "EXTRA") and found.mmap == 0
    yield Line(
        "journal",
        PASS if sound else FAIL,
        f"{kept}{'no memory map' if not found.mmap else 'memory mapped'}, quick check ok",
        "" if sound else "tell the authors of Instar: a commit may be lost with the power",
    )
    head = found.head
    if head is None:
        yield Line("chain", PASS, "no entry yet")
        return
    covered = found.checkpoint
    yield Line(
        "chain",
        PASS if covered else WARN,
        f"entry {head.seq}, {short(head.hash)}; "
        + (f"the last checkpoint covers {covered}" if covered else "no checkpoint"),
        "" if covered else "that the end was not cut off is known by an export alone",
    )
    yield _clock(head.at)


def _clock(newest: float) -> Line:
    now = time.time()
    todo = "set the clock: dates inform people, and approvals expire by them"
    if now < _EPOCH:
        return Line("clock", WARN, f"{written(now)} UTC, long past", todo)
    if now < newest:
        return Line("clock", WARN, f"{newest - now:,.0f} s behind the newest entry", todo)
    return Line("clock", PASS, f"{written(now)} UTC, after the newest entry")


_RESTORE = "restore the ledger from a backup"
_RIGHTS = "give it back to the user that runs Instar, and let that user write: chown, chmod u+w"


def _folder(what: str, place: Path) -> Line:
    from instar.ledger.checkup import writable

    if not place.exists():
        return Line(what, PASS, "none yet: the first adoption makes it")
    if place.is_symlink() or not place.is_dir():
        return Line(what, FAIL, "no folder of its own", "put the folder back", store=True)
    problem = writable(place)
    return Line(
        what,
        FAIL if problem else PASS,
        problem or "the folder takes files",
        _RIGHTS if problem else "",
        store=bool(problem),
    )


def _keys(place: Path) -> Iterator[Line]:
    for name in KEYS:
        private, public = place / f"{name}.pem", place / f"{name}.pub"
        if not private.exists():
            yield Line(f"{name} key", PASS, "none yet: made when it is first needed")
            continue
        seen = [stat.S_IMODE(file.stat().st_mode) for file in (place, private)]
        if any(mode & 0o077 for mode in seen):
            todo = "take the rights away: chmod 700 the folder, chmod 400 the key"
            yield Line(f"{name} key", FAIL, "others than its owner can read it", todo)
        elif not public.exists():
            yield Line(
                f"{name} key", WARN, "its public half is missing", "restore it for verifiers"
            )
        else:
            yield Line(f"{name} key", PASS, "its owner alone reads it")
