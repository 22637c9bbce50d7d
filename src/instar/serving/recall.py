"""An answer is looked for before it is computed: here, among those under way, then in Redis.

Of equal questions one is computed and the others get its answer, so that everybody who asks at
once after a promotion costs one run. Where a row is dear, so that waiting is cheaper than
computing, the workers agree by a claim in Redis which of them computes.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import struct
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from instar.core.errors import InstarError
from instar.serving.batching import Job, Scores
from instar.serving.cache import Cache
from instar.serving.redis import MOST_BYTES, Redis

KEPT_S = 24 * 3600  # that Redis keeps an answer; it never gets wrong, but versions go
_CLAIM = 4  # costs of an answer that a claim holds, and that others wait for it
_SHORTEST_S = 0.02  # of a claim
_LOOK_S = 0.002  # at least between two looks for an answer that somebody else computes

_MAGIC = b"instar1\0"
_SUM = 16  # bytes of the checksum
_MOST_DIMENSIONS = 8


class Recall:
    """Find answers, and remember them.

    Args:
        cache: Where this worker keeps its own.
        redis: Where all workers keep theirs; None: nowhere.
        found: Takes a job and its answer.
        refuse: Takes a job that would have to wait too long, and why.
    """

    def __init__(
        self,
        cache: Cache,
        redis: Redis | None,
        found: Callable[[Job, Scores], None],
        refuse: Callable[[Job, InstarError], None],
    ) -> None:
        self._cache, self._redis = cache, redis
        self._found, self._refuse = found, refuse
        self._flights: dict[bytes, list[Job]] = {}
        self._claims: set[bytes] = set()
        self._me = secrets.token_hex(8).encode()

    def ask(self, job: Job) -> None:
        """Have a job answered, at once or later.

        Raises:
            Overloaded: it has to be computed, and would wait too long.
        """
        cache = self._cache
        key = cache.key(job.arm.version.manifest, job.piece)
        if not key:
            job.arm.runner.submit(job)
        elif (scores := cache.get(key)) is not None:
            self._found(job, scores)
        elif key in self._flights:
            cache.seen["joined"] += 1
            self._flights[key].append(job)
        else:
            self._flights[key], job.key = [], key
            if self._redis and self._redis.up:
                self._look(job)
                return
            if self._redis:
                cache.seen["away"] += 1
            try:
                job.arm.runner.submit(job)
            except InstarError:
                self.lost(job)
                raise

    def landed(self, job: Job, scores: Scores) -> None:
        """Take the answer of a job that had to be computed, for others that ask the same."""
        key, manifest = job.key, job.arm.version.manifest
        if self._redis:
            value = pack(key, manifest, scores)
            if len(value) <= MOST_BYTES:
                self._redis.tell(b"SET", name(key, manifest), value, b"EX", b"%d" % KEPT_S)
        self._end(job, scores)

    def lost(self, job: Job) -> None:
        """Give up on a job: those that wait for its answer are computed each by itself."""
        for waiting in self._over(job):
            self._compute(waiting)

    def _end(self, job: Job, scores: Scores) -> None:
        self._cache.put(job.key, scores)
        for waiting in self._over(job):
            self._found(waiting, scores)

    def _over(self, job: Job) -> list[Job]:
        key, job.key = job.key, b""
        if key in self._claims and self._redis:
            self._claims.discard(key)
            self._redis.tell(b"DEL", _claim(key, job))
        return self._flights.pop(key, [])

    def _compute(self, job: Job) -> None:
        try:
            job.arm.runner.submit(job)
        except InstarError as error:
            if job.key:
                self.lost(job)
            self._refuse(job, error)

    # --- what all workers share ---------------------------------------------------------------

    def _look(self, job: Job, until: float = 0.0) -> None:
        """Ask Redis; no more than a value may hold, whatever stands there."""
        if self._redis is None or not self._redis.up:
            self._compute(job)
            return
        key = name(job.key, job.arm.version.manifest)
        self._redis.ask(
            partial(self._heard, job, until), b"GETRANGE", key, b"0", b"%d" % MOST_BYTES
        )

    def _heard(self, job: Job, until: float, value: bytes | None) -> None:
        if value:
            scores = unpack(job.key, job.arm.version.manifest, value)
            if scores is not None and len(scores) == job.piece.rows:
                self._cache.seen["shared"] += 1
                self._take(job, scores)
                return
            self._cache.seen["garbled"] += 1
        elif not until:
            self._cache.seen["unshared"] += 1
        self._miss(job, until)

    def _take(self, job: Job, scores: Scores) -> None:
        self._cache.put(job.key, scores)
        for one in (job, *self._over(job)):
            self._found(one, scores)

    def _miss(self, job: Job, until: float) -> None:
        """Compute it, or wait for whoever does."""
        now = time.monotonic()
        redis, cost_s = self._redis, job.arm.version.cost_s * job.piece.rows
        if redis is None or not redis.up or not job.arm.runner.heavy or now > until > 0:
            self._compute(job)
        elif until:
            pause_s = max(_LOOK_S, cost_s / _CLAIM)
            asyncio.get_running_loop().call_later(pause_s, self._look, job, until)
        else:
            hold_s = max(_SHORTEST_S, _CLAIM * cost_s)
            until = now + min(hold_s, job.patience_s)
            words = (_claim(job.key, job), self._me, b"NX", b"PX", b"%d" % (1000 * hold_s))
            redis.ask(partial(self._claimed, job, until), b"SET", *words)

    def _claimed(self, job: Job, until: float, reply: bytes | None) -> None:
        if reply == b"OK":
            self._claims.add(job.key)
            self._compute(job)
        else:
            self._cache.seen["waited"] += 1
            self._miss(job, until)


def name(key: bytes, manifest: str) -> bytes:
    """Name an answer in Redis: whose it is, for people who look, and the question."""
    return b"instar:%b:%b" % (manifest.rpartition(":")[2][:16].encode(), key.hex().encode())


def _claim(key: bytes, job: Job) -> bytes:
    return name(key, job.arm.version.manifest) + b":claim"


def pack(key: bytes, manifest: str, scores: Scores) -> bytes:
    """Write an answer so that only its own question to its own bundle takes it for one.

    Example:
        >>> value = pack(b"key", "sha256:0", np.ones((1, 2), np.float32))
        >>> unpack(b"key", "sha256:0", value)
        array([[1., 1.]], dtype=float32)
        >>> unpack(b"key", "sha256:1", value) is unpack(b"other", "sha256:0", value) is None
        True
    """
    shape = struct.pack(f"<B{scores.ndim}I", scores.ndim, *scores.shape)
    body = shape + np.ascontiguousarray(scores, "<f4").tobytes()
    return _MAGIC + _sum(key, manifest, body) + body


def unpack(key: bytes, manifest: str, value: bytes) -> Scores | None:
    """Read an answer; None where it is none, or that of another question or bundle."""
    begin = len(_MAGIC) + _SUM
    body = value[begin:]
    if value[:begin] != _MAGIC + _sum(key, manifest, body) or not body:
        return None
    count = body[0]
    if not 1 <= count <= _MOST_DIMENSIONS or len(body) < 1 + 4 * count:
        return None
    shape = struct.unpack_from(f"<{count}I", body, 1)
    flat = np.frombuffer(body, "<f4", offset=1 + 4 * count)
    return flat.reshape(shape)


def _sum(key: bytes, manifest: str, body: bytes) -> bytes:
    parts = (manifest.encode(), key, body)
    digest = hashlib.blake2b(digest_size=_SUM)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()
