"""Remove one safeguard at a time, and see that the tests notice.

A test that cannot fail is decoration.

    python tools/mutations.py [WORD ...]

Each mutation is a piece of the source and what is put in its place. The repository is copied to
a scratch folder, the piece replaced, and the named tests run against the copy: they must fail.
First they are run against the copy as it is: there they must pass. With words, only the
mutations whose name holds one of them. The last line is a JSON object. Exit 1 if a removal
survives, or if a piece is not in the source exactly once, so that this list cannot go stale.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
AT_ONCE = 2
LIMIT_S = 600
PASSED, FAILED = 0, 1  # exit codes of pytest; any other means that nothing was shown
LATE = 124

STORE = "tests/ledger/test_artifacts.py"
FOLDER = "tests/ledger/test_safedir.py"
POWER = "tests/faults/test_power.py::test_work_survives_a_power_cut_at_every_operation"
SQLITE = "tests/ledger/test_sqlite.py"
SWEEP = "tests/ledger/test_sweep.py"
AUDIT = "tests/faults/test_audit.py"
NOTES = "tests/ledger/test_checkpoints.py"
VOTES = "tests/stages/approve/test_approve.py"
BUNDLE = "tests/bundle/test_format.py"
TRAINING = "tests/stages/train/test_checkpoint.py"
ROUTE = "tests/serving/test_routefile.py"
RECALL = "tests/serving/test_recall.py"
REDIS = "tests/serving/test_redis.py"
RUNNER = "tests/test_pipeline.py"
RELEASE = "tests/stages/release/test_release.py"


@dataclass(frozen=True)
class Mutation:
    """A safeguard, where it stands, and which tests must miss it."""

    name: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]


def of(name: str, file: str, text: str, instead: str, *tests: str) -> Mutation:
    return Mutation(name, f"src/instar/{file}", text, instead, tests)


MUTATIONS = (
    # Files: absent, or whole and right.
    of(
        "fsync of a file's bytes",
        "ledger/files.py",
        "            disk().fsync(handle)\n    except",
        "    except",
        STORE,
        POWER,
    ),
    of(
        "fsync of the folder behind a rename",
        "ledger/files.py",
        '    disk().fsync(at)\n    crashpoint("files.settle.done")',
        '    crashpoint("files.settle.done")',
        STORE,
        POWER,
    ),
    of(
        "fsync of each new folder",
        "ledger/files.py",
        "        disk().mkdir(name, mode, at)\n    disk().fsync(at)\n",
        "        disk().mkdir(name, mode, at)\n",
        STORE,
    ),
    of(
        "fsync of the name of an artifact that is there already",
        "ledger/artifacts.py",
        "                self._folder.sync(folder)\n",
        "",
        STORE,
    ),
    of(
        "name only after the bytes were read back",
        "ledger/safedir.py",
        "            new = files.write_at(at, parts, mode)\n            try:",
        "            new = files.write_at(at, parts, mode)\n"
        "            files.settle_at(at, new, leaf)\n"
        "            new = leaf\n"
        "            try:",
        STORE,
    ),
    of(
        "fsync of the root's own name",
        "ledger/safedir.py",
        "                files.folder(self.root)\n",
        "                self.root.mkdir(parents=True, exist_ok=True)\n",
        STORE,
    ),
    of(
        "the same root as when it was opened",
        "ledger/safedir.py",
        "if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):",
        "if False:",
        FOLDER,
    ),
    of(
        "refusal of links on the way",
        "ledger/beneath.py",
        "_BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS",
        "_BENEATH",
        FOLDER,
    ),
    of(
        "removal of what could not be named",
        "ledger/files.py",
        "rename(name, target, at)\n    except BaseException:\n        discard(at, name)\n",
        "rename(name, target, at)\n    except BaseException:\n",
        "tests/faults/test_disk_errors.py",
    ),
    of(
        "hash of what the disk gives back",
        "ledger/artifacts.py",
        "self._folder.keep(name, source(), proof=proof)",
        "self._folder.keep(name, source())",
        STORE,
    ),
    of(
        "hash of every artifact that is read",
        "ledger/artifacts.py",
        "if (got := digest_bytes(data)) != digest:",
        'if (got := digest) == "":',
        STORE,
    ),
    of(
        "hash of every artifact handed out as a file",
        "ledger/artifacts.py",
        "if (got := _digest(self._chunks(digest))) != digest:",
        'if (got := digest) == "":',
        STORE,
    ),
    of(
        "lock between a put and a removal",
        "ledger/safedir.py",
        '                fcntl.flock(held.enter_context(self._at(".")), how)\n',
        "                pass\n",
        "tests/faults/test_store.py::test_put_between_the_last_look_and_the_removal_waits_and_writes_anew",
    ),
    of(
        "new age of an artifact that is put again",
        "ledger/safedir.py",
        '                os.utime(name.rpartition("/")[2], dir_fd=at, follow_symlinks=False)\n',
        "                pass\n",
        "tests/ledger/test_sweep.py::test_artifact_that_is_put_again_is_young_again",
    ),
    of(
        "what an open update names, in a collection",
        "ledger/sweep.py",
        "        if state.open:\n",
        "        if state is None:\n",
        "tests/ledger/test_sweep.py::test_open_update_keeps_all_that_it_named",
    ),
    of(
        "reading back what S3 holds",
        "ledger/s3.py",
        "        if self._differs(digest):\n",
        "        if digest is None:\n",
        "tests/faults/test_s3.py::test_upload_that_is_always_cut_short_leaves_nothing",
    ),
    of(
        "budget of repeats",
        "ledger/patience.py",
        " or not self.budget.repeat()",
        "",
        "tests/ledger/test_patience.py",
    ),
    of("one name a file", "ledger/files.py", "found.st_nlink != 1:", "found.st_nlink < 1:", FOLDER),
    of("refusal of links", "ledger/beneath.py", " | os.O_NOFOLLOW\n", "\n", FOLDER),
    of(
        "removal of a half-written file",
        "ledger/files.py",
        "    except BaseException:\n        discard(at, name)\n        raise\n    return name\n",
        "    except BaseException:\n        raise\n    return name\n",
        "tests/faults/test_disk_errors.py",
    ),
    of("being alone", "ledger/safedir.py", "fcntl.flock(handle, fcntl.LOCK_EX)", "pass", FOLDER),
    of(
        "condition on an object in S3",
        "ledger/s3.py",
        'condition = {"IfNoneMatch": "*"}',
        "condition: dict[str, str] = {}",
        "tests/faults/test_s3.py",
        "tests/ledger/test_s3.py",
    ),
    of(
        "read-back of an object in S3",
        "ledger/s3.py",
        '        if self._differs(digest):\n            raise S3Torn(digest, "others from S3")\n',
        "",
        "tests/faults/test_s3.py",
    ),
    of(
        "versions that are held, in a collection",
        "ledger/sweep.py",
        "        stay = [*made[-keep:], *journal.held(boot, model)]\n",
        "        stay = [*made[-keep:]]\n",
        SWEEP,
    ),
    of(
        "last versions, in a collection",
        "ledger/sweep.py",
        "        stay = [*made[-keep:], *journal",
        "        stay = [*journal",
        SWEEP,
    ),
    of(
        "open updates, in a collection",
        "ledger/sweep.py",
        "    roots = [*opened, *queue",
        "    roots = [*queue",
        SWEEP,
    ),
    of(
        "young artifacts, in a collection",
        "ledger/sweep.py",
        "before = min(now - grace_s, marked.since)",
        "before = math.inf",
        SWEEP,
    ),
    # The ledger: one order, one champion, one writer.
    of(
        "epoch fence in append and promote",
        "ledger/sql.py",
        "        leases.fence(connection, draft.model, draft.epoch)\n",
        "        pass\n",
        SQLITE,
    ),
    of(
        "epoch fence in the count of attempts",
        "ledger/sql.py",
        "            leases.fence(connection, model, epoch)\n            return attempts.begin",
        "            return attempts.begin",
        SQLITE,
    ),
    of(
        "epoch fence in renew",
        "ledger/leases.py",
        "    fence(connection, model, epoch)\n    connection",
        "    connection",
        SQLITE,
    ),
    of("epoch compared", "ledger/leases.py", " or lease.epoch != epoch:", ":", SQLITE),
    of("epoch that grows", "ledger/leases.py", "epoch + 1 if lease", "epoch if lease", SQLITE),
    of(
        "refusal of a lease that is held",
        "ledger/leases.py",
        "and now < lease.expires_at:",
        "and now < 0:",
        SQLITE,
    ),
    of(
        "compare-and-set of the champion",
        "ledger/sql.py",
        "if found != expect:",
        "if False:",
        SQLITE,
    ),
    of(
        "outbox row of a promotion",
        "ledger/sql.py",
        "            connection.execute(\n"
        "                outbox.insert().values(\n"
        "                    seq=entry.seq, kind=kind, "
        "body=rows.text(entry.body), delivered=False\n"
        "                )\n"
        "            )\n",
        "",
        SQLITE,
    ),
    of(
        "hold on the champion before",
        "ledger/sql.py",
        "if hold is not None and expect is not None:",
        "if False:",
        SQLITE,
    ),
    of(
        "end of a hold",
        "ledger/holds.py",
        ", now - holds.c.since < holds.c.seconds)",
        ")",
        SQLITE,
    ),
    of(
        "entry found by its key",
        "ledger/sql.py",
        "    if row is None:\n        return None\n    found",
        "    if True:\n        return None\n    found",
        SQLITE,
    ),
    of(
        "refusal of a key that was made for other work",
        "ledger/sql.py",
        "if (found.kind, found.model, found.update) != (draft.kind, draft.model, draft.update):",
        "if False:",
        SQLITE,
    ),
    of(
        "what an entry forbids",
        "ledger/sql.py",
        "            if unless:",
        "            if False:",
        SQLITE,
    ),
    of(
        "link to the entry before", "ledger/chain.py", "elif before != prev:", "elif False:", SQLITE
    ),
    of("numbers without gaps", "ledger/chain.py", "if here != seq + 1:", "if False:", SQLITE),
    of("seal in the audit", "ledger/chain.py", "if rows.seal(row) != stored or", "if", SQLITE),
    of(
        "seal of every entry that is read",
        "ledger/rows.py",
        "if seal(found) != made.hash or",
        "if",
        SQLITE,
    ),
    of(
        "root of a checkpoint in the audit",
        "ledger/chain.py",
        "if mark.size == seq and frontier.root() == mark.root:",
        "if mark.size == seq:",
        AUDIT,
    ),
    of(
        "signature of a checkpoint in the audit",
        "ledger/checkpoints.py",
        '            return "there is no key to verify it with"\n'
        "        notes.verify(note, self.public)\n",
        '            return "there is no key to verify it with"\n',
        AUDIT,
    ),
    of(
        "end that is known of in the audit",
        "ledger/chain.py",
        "    yield from _beyond(seq, mark, ahead)\n",
        "",
        AUDIT,
    ),
    of(
        "checkpoint beside the database at opening",
        "ledger/checkpoints.py",
        "        if length < note.size:\n",
        "        if False:\n",
        NOTES,
    ),
    of(
        "other entries than at the checkpoint at opening",
        "ledger/checkpoints.py",
        "if _root(connection, note.size) != note.root:",
        "if False:",
        NOTES,
    ),
    of(
        "seals that a checkpoint goes over",
        "ledger/checkpoints.py",
        "if (row[0], row[10], row[11]) != (frontier.size + 1, prev, rows.seal(row)):",
        "if False:",
        NOTES,
    ),
    of(
        "checkpoint at every champion",
        "ledger/checkpoints.py",
        "            or entry.kind in CROWNING\n",
        "",
        NOTES,
    ),
    of("pointer in the audit", "ledger/chain.py", "if points != should:", "if False:", SQLITE),
    of("synchronous=FULL", "ledger/sqlite.py", '"synchronous=FULL"', '"synchronous=OFF"', SQLITE),
    of("no memory mapping", "ledger/sqlite.py", '"mmap_size=0"', '"mmap_size=1000000"', SQLITE),
    of("no WAL where it is lost", "ledger/sqlite.py", "(3, 51, 3)\n", "(3, 7, 0)\n", SQLITE),
    of(
        "quick check at opening",
        "ledger/sqlite.py",
        '            _sound(connection, "quick_check")\n',
        "            pass\n",
        SQLITE,
    ),
    of(
        "check of the indexes in the audit",
        "ledger/sqlite.py",
        '            _sound(connection, "integrity_check")\n',
        "            pass\n",
        "tests/faults/test_torn.py",
    ),
    of("write lock first", "ledger/sqlite.py", '"BEGIN IMMEDIATE"', '"BEGIN"', SQLITE),
    of(
        "refusal of a newer schema",
        "ledger/schema.py",
        "if version > SCHEMA_VERSION:",
        "if False:",
        SQLITE,
    ),
    # People.
    of(
        "digests that a vote binds",
        "stages/approve/votes.py",
        "        if (vote.bundle, vote.validation, vote.policy) != (\n"
        "            self.bundle,\n"
        "            self.validation,\n"
        "            self.policy,\n"
        "        ):\n",
        "        if False:\n",
        VOTES,
    ),
    of("nobody's own update", "stages/approve/votes.py", "== self.requester:", '== "":', VOTES),
    of("age of a vote", "stages/approve/votes.py", "> self.lasts_s:", "> 1e12:", VOTES),
    of(
        "one vote a person",
        "stages/approve/votes.py",
        "    return len({person(vote.by) for vote in meant})",
        "    return len(list(meant))",
        VOTES,
    ),
    *(
        of(
            f"{what} that an approval binds",
            "stages/release/__init__.py",
            f'        "{what}": (approval.{what}, ',
            f'        "{what}": (0, 0) or (',
            RELEASE,
        )
        for what in ("bundle", "validation", "policy")
    ),
    of(
        "end of an approval",
        "stages/release/__init__.py",
        "if last is None and (approval.expires_at or math.inf) < tools.clock.now():",
        "if False:",
        RELEASE,
    ),
    # Bundles and checkpoints.
    of(
        "hash of every file of a bundle",
        "bundle/format.py",
        "if len(data) != file.size or digest.digest_bytes(data) != file.digest:",
        "if False:",
        BUNDLE,
    ),
    of(
        "hash of a bundle's manifest",
        "bundle/format.py",
        "if digest.digest_bytes(data) != wanted:",
        "if False:",
        BUNDLE,
    ),
    of(
        "signature of a bundle",
        "bundle/signature.py",
        "        key.verify(sig, _encoding(payload), ECDSA(sized[key.key_size]))\n",
        "        pass\n",
        "tests/bundle/test_signature.py",
    ),
    of(
        "signature asked for at load",
        "bundle/runtime.py",
        "        trust.check(artifacts, manifest, sealed, signature, keys)\n",
        "",
        "tests/bundle/test_trust.py",
    ),
    of(
        "signature asked for before a promotion",
        "pipeline.py",
        "        trust.verify(self.tools.artifacts, bundle.manifest, bundle.signature, keys)\n",
        "",
        RUNNER,
    ),
    of(
        "file that nobody signed",
        "bundle/signature.py",
        '            raise SignatureMismatch(name, "which was not signed")\n',
        "            continue\n",
        "tests/bundle/test_signature.py",
    ),
    of(
        "hash of a training checkpoint",
        "stages/train/checkpoint.py",
        'data if raw[:_LINE] == f"{digest_bytes(data)}\\n".encode() else None',
        "data",
        TRAINING,
    ),
    of(
        "key of a training checkpoint",
        "stages/train/checkpoint.py",
        "if kept.key == key:",
        "if True:",
        TRAINING,
    ),
    of(
        "checkpoint before the last",
        "stages/train/checkpoint.py",
        "for name in (NAME, BEFORE):",
        "for name in (NAME,):",
        TRAINING,
    ),
    # Traffic.
    of(
        "epoch fence of the route",
        "serving/routefile.py",
        "known.epoch > route.epoch:",
        "False:",
        ROUTE,
    ),
    of(
        "generation that grows",
        "serving/routefile.py",
        "known.generation >= route.generation:",
        "False:",
        ROUTE,
    ),
    # Answers that workers share.
    of(
        "checksum of a shared answer",
        "serving/recall.py",
        "value[:begin] != _MAGIC + _sum(key, manifest, body) or not body",
        "not body",
        RECALL,
    ),
    of(
        "equal questions computed once",
        "serving/recall.py",
        "elif key in self._flights:",
        "elif False:",
        RECALL,
    ),
    of(
        "answers for who waits for a question that fails",
        "serving/recall.py",
        "            self._compute(waiting)\n",
        "            pass\n",
        RECALL,
    ),
    of(
        "end of a connection that is out of step",
        "serving/redis.py",
        '            self.end(f"no answer within {1000 * self._patience_s:g} ms")\n',
        "            pass\n",
        REDIS,
    ),
    of(
        "answers that come later than the loop",
        "serving/redis.py",
        "self._loop.call_soon(self._loop.call_soon, self._late, oldest)",
        "self._late(oldest)",
        REDIS,
    ),
    of(
        "jobs that wait on a route that goes",
        "serving/batching.py",
        "        self._closed = True\n        self._rest()\n",
        "        if self._thread:\n            self._thread.shutdown(wait=False)\n",
        RECALL,
    ),
    of(
        "champion that the update was held against",
        "pipeline.py",
        "if entry is None or name != request.champion:",
        "if entry is None:",
        RUNNER,
    ),
    of(
        "no traffic behind somebody's rollback",
        "pipeline.py",
        "            self._still_champion(request, state.records[Bundle].version)\n",
        "",
        RUNNER,
    ),
    of(
        "end of the attempts",
        "pipeline.py",
        "if attempt.number > allowed:",
        "if False:",
        RUNNER,
    ),
)


@dataclass(frozen=True)
class Outcome:
    mutation: Mutation
    said: str
    seconds: float

    @property
    def caught(self) -> bool:
        return self.said == "caught"


def copied(folder: Path) -> Path:
    """Copy the repository, less what is hidden and what tools leave behind."""
    passing = shutil.ignore_patterns(".*", "__pycache__")
    return Path(shutil.copytree(ROOT, folder, ignore=passing))


def tested(folder: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Run tests against a copy; return the exit code of pytest, LATE where they hang, and words."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", *tests]
    paths = {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{folder}", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | paths,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return LATE, ""
    return done.returncode, done.stdout


def tried(mutation: Mutation, folder: Path) -> Outcome:
    """Apply one mutation to a copy, run its tests, and put the source back."""
    began = time.monotonic()
    file = folder / mutation.file
    source = file.read_text("utf-8") if file.exists() else ""
    if source.count(mutation.text) != 1:
        said = f"its text is in the source {source.count(mutation.text)} times"
        return Outcome(mutation, said, 0.0)
    file.write_text(source.replace(mutation.text, mutation.instead), "utf-8")
    try:
        code, _ = tested(folder, mutation.tests)
    finally:
        file.write_text(source, "utf-8")
    said = {FAILED: "caught", PASSED: "SURVIVED"}.get(code, f"pytest ended with {code}")
    return Outcome(mutation, said, time.monotonic() - began)


def outcomes(chosen: list[Mutation], scratch: Path) -> Iterator[Outcome]:
    """Try mutations side by side, each worker in a copy of its own."""
    free = [copied(scratch / str(number)) for number in range(AT_ONCE)]
    tests = tuple(dict.fromkeys(test for mutation in chosen for test in mutation.tests))
    code, said = tested(free[0], tests)
    if code != PASSED:
        sys.exit(f"the tests do not pass as things are: pytest ended with {code}\n{said}")

    def one(mutation: Mutation) -> Outcome:
        folder = free.pop()
        try:
            return tried(mutation, folder)
        finally:
            free.append(folder)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(one, chosen)


def main() -> None:
    words = sys.argv[1:]
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    print(f"{'removed':<58}{'seen by':<40}s")
    done = []
    with tempfile.TemporaryDirectory(prefix="mutations-") as scratch:
        for outcome in outcomes(chosen, Path(scratch)):
            seen = outcome.mutation.tests[0] if outcome.caught else outcome.said
            print(f"{outcome.mutation.name:<58}{seen:<40}{outcome.seconds:.0f}", flush=True)
            done.append(outcome)
    missed = [outcome.mutation.name for outcome in done if not outcome.caught]
    print(f"{len(done) - len(missed)} of {len(done)} removals were caught")
    print(json.dumps({"removed": len(done), "caught": len(done) - len(missed), "missed": missed}))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
