"""What the world lends a stage. Tests lend fakes (`instar.testing`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from instar.core.errors import BackendError

if TYPE_CHECKING:  # a gateway starts without the policy's sections
    from instar.core.policy import RunPolicy

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Artifacts(Protocol):
    """Bytes by digest: absent, or whole and right."""

    def put(self, data: bytes) -> str:
        """Keep bytes and return their digest."""
        ...

    def put_file(self, path: Path) -> str:
        """Keep a file's content and return its digest."""
        ...

    def read(self, digest: str) -> bytes:
        """Return the bytes, verified against their digest."""
        ...

    def path(self, digest: str) -> Path:
        """Return a local file with the bytes, verified; read-only for the caller."""
        ...

    def __contains__(self, digest: str) -> bool: ...


class Folder(Protocol):
    """A folder whose files are absent, or whole: replaced at once, and durable."""

    def keep(self, name: str, parts: Iterable[bytes]) -> None:
        """Put a file in the place of the last one of that name."""
        ...

    def read(self, name: str) -> bytes:
        """Read a file; raises FileNotFoundError where there is none."""
        ...

    def list(self) -> list[str]:
        """List the names, sorted."""
        ...

    def rename(self, name: str, to: str) -> None:
        """Give a file another name; durable once a file was kept after it."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, durably; one that is not there changes nothing."""
        ...


class Signer(Protocol):
    """The key that signs bundles here, and the keys whose signatures count here."""

    @property
    def public(self) -> bytes:
        """Return the public half of the signing key, as PEM."""
        ...

    @property
    def trusted(self) -> Sequence[bytes]:
        """Return the public keys whose signatures count, as PEM; the own one is among them."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign a message: ECDSA on P-256 with SHA-256, as DER."""
        ...


class Clock(Protocol):
    """Durations come from `monotonic`, dates from `now`; both in seconds.

    A duration that outlives the process comes from `boot`: which start of the machine this is,
    and the seconds since, sleep of the machine included. No change of the date moves it.
    """

    def now(self) -> float: ...
    def monotonic(self) -> float: ...
    def boot(self) -> tuple[str, float]: ...
    def sleep(self, seconds: float) -> None: ...


class Pulse(Protocol):
    """The two signs between long work and whoever runs it."""

    def beat(self) -> None:
        """Show that the work goes on; cheap enough for every step of a training."""
        ...

    def stopping(self) -> bool:
        """Tell whether the work is to be left at the next good moment, to go on later."""
        ...


class Unwatched:
    """The pulse of work that nobody watches and nobody stops."""

    def beat(self) -> None:
        """Do nothing."""

    def stopping(self) -> bool:
        return False


class Progress(Protocol):
    """Tell whoever looks how far the work is."""

    def __call__(self, what: str, done: float = 0, total: float = 0, note: str = "") -> None: ...


class WorkerLost(BackendError):
    """Report a worker of an engine that ended without a word."""

    code = "backend.worker_lost"
    retryable = True

    def __init__(self, who: str, how: str) -> None:
        super().__init__(
            f"{who} to work to the end",
            f"one that {how}",
            "see whether memory ran out there; go on: resume it",
        )


class Job(Protocol[R_co]):
    """One piece of work that was begun elsewhere."""

    def done(self) -> bool:
        """Tell whether it has ended, in whatever way."""
        ...

    def result(self) -> R_co:
        """Wait for what came of it; raises what it raised, or WorkerLost."""
        ...

    def end(self) -> None:
        """End it, wherever it is."""
        ...


class Group(Protocol):
    """Workers that were begun together, one for each item, and work until they are ended."""

    def check(self, within_s: float = 0.0) -> None:
        """See that nobody has failed; raises what one raised, or WorkerLost."""
        ...


class Engine(Protocol):
    """Where heavy work runs. `fn` and the items must be picklable.

    Whoever uses one cannot tell where it runs: an engine on many machines has the same three verbs.
    """

    def map(self, fn: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return the results in the order of the items."""
        ...

    def submit(self, fn: Callable[[T], R], item: T) -> Job[R]:
        """Begin one piece of work that stands for itself: a trial, a fold."""
        ...

    def group(self, fn: Callable[[T], object], items: Sequence[T]) -> AbstractContextManager[Group]:
        """Begin work on all items at once: the workers of one training, whose ranks they hold.

        They find each other by themselves. Whoever still works at the end is ended.
        """
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """Who serves: shares of 10,000 buckets per version, assigned by hash of the unit id.

    `shares` are fractions that sum to 1, of at most three versions. `generation` only grows. With
    the same `salt` a growing share adds buckets and moves nobody else. `warm` versions are loaded
    and answer only requests that name them. `epoch` is the fencing epoch of whoever moved the
    traffic: once a higher one is known, a lower one moves nothing any more. `manifests` and
    `signatures` are digests by version; a version from before signing has no signature.

    `shadow` holds versions that answer nobody: a sampled fraction of the requests is shown to
    them, too, and their answers are compared. Two values agree within `tolerance`, a part of the
    range that the target had in training.
    """

    model: str
    generation: int
    shares: Mapping[str, float]
    manifests: Mapping[str, str]
    champion: str
    salt: str = ""
    warm: tuple[str, ...] = ()
    epoch: int = 0
    signatures: Mapping[str, str] = field(default_factory=dict)
    shadow: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 0.01

    def home(self, name: str, manifest: str, signature: str | None = None) -> Route:
        """Make the route that gives everything to one version; those that served stay warm.

        Nothing is asked of the others: the way back does not depend on whether they can load.

        Example:
            >>> route = Route("m", 3, {"a": 0.9, "b": 0.1}, {"a": "A", "b": "B"}, "a")
            >>> back = route.home("a", "A")
            >>> back.generation, dict(back.shares), back.warm
            (4, {'a': 1.0}, ('b',))
        """
        names = dict.fromkeys((self.champion, *self.shares, *self.warm, *self.shadow))
        warm = tuple(other for other in names if other != name)
        signed = {other: self.signatures[other] for other in warm if other in self.signatures}
        return replace(
            self,
            generation=self.generation + 1,
            shares={name: 1.0},
            manifests={**{other: self.manifests[other] for other in warm}, name: manifest},
            champion=name,
            warm=warm,
            signatures={**signed, name: signature} if signature else signed,
            shadow={},
        )


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one version did under one route: its share of traffic, requests, failed ones.

    Generation 0 holds what no route chose: requests that named their version. `units` counts
    whom the route gave to the version, each once. `outside` are requests with an answer beyond
    what the target was in training, `empty` those with an answer that holds nothing. `histogram`
    is as in `Served`; `scores` counts them by twentieths from 0 to 1, where scores are such.
    """

    generation: int
    share: float
    requests: int
    failed: int
    units: int = 0
    outside: int = 0
    empty: int = 0
    histogram: tuple[tuple[float, int], ...] = ()
    scores: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """What one version did since counting began.

    `latency_ms` holds quantiles by name (`p99`), `histogram` the counts they come from: pairs of
    a bucket's upper bound in milliseconds and its count. `invalid` answers were no numbers.
    `crashes` counts processes that it ended or hung; `reports` complaints about its answers.
    """

    version: str
    requests: int
    errors: int
    invalid: int
    latency_ms: Mapping[str, float]
    histogram: tuple[tuple[float, int], ...] = ()
    stretches: tuple[Stretch, ...] = ()
    crashes: int = 0
    reports: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """How a shadow's answers compare with those that the clients got.

    `sampled` requests were taken for it, `dropped` of them under pressure or while it loaded. Of
    the others it answered `requests`, `errors` and `invalid` ones among them. `rows` were
    compared; `flips` of them got another class, or a value beyond the tolerance. `parted` adds up
    each request's share of such rows. `largest` and `mean` are over rows: the largest difference
    of a score, or of the value. `latency_ms` and `histogram` are CPU time, for a shadow runs at
    the lowest priority. `crashes` counts processes that it ended or hung.
    """

    version: str
    sampled: int = 0
    dropped: int = 0
    requests: int = 0
    errors: int = 0
    invalid: int = 0
    rows: int = 0
    flips: int = 0
    parted: float = 0.0
    largest: float = 0.0
    mean: float = 0.0
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    histogram: tuple[tuple[float, int], ...] = ()
    crashes: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """Predictions of one version whose labels have come: parallel columns, in label order.

    `scores[i]` are the probabilities in the order of the task's classes (for regression: the
    one value); `labels[i]` is the index of the true class (for regression: the value; of several
    labels: 1, 0 or None for each).
    `generations[i]` is the route that chose the version; `order[i]` is the place among the labels
    of all versions.
    """

    version: str
    scores: Sequence[Sequence[float]]
    labels: Sequence[float | Sequence[float | None]]
    generations: Sequence[int] = ()
    order: Sequence[int] = ()


class Traffic(Protocol):
    """The gateway, as a release sees it."""

    def route(self) -> Route: ...

    def move(self, route: Route) -> float:
        """Put a route in force; return the seconds until every worker had taken it over."""
        ...

    def age_s(self) -> float:
        """Return the seconds that the route has been in force, by the gateway's own clock."""
        ...

    def served(self, since_generation: int = 0) -> Mapping[str, Served]: ...
    def labelled(self, version: str, since_generation: int = 0) -> Labelled: ...
    def scores(self, version: str, since_generation: int = 0) -> Sequence[Sequence[float]]: ...

    def compared(self, version: str, since_generation: int = 0) -> Compared:
        """Return how a shadow's answers compare, since a route."""
        ...


@dataclass(frozen=True, slots=True)
class Rates:
    """What an hour of a CPU core and of a GPU costs, in money; watts assumed of a busy core."""

    cpu_hour: float = 0.0
    gpu_hour: float = 0.0
    watts_per_core: float = 10.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What a stage may use of this machine: the device by name, and its memory in bytes.

    Without `memory_bytes` it may use a share of what is free.
    """

    device: str = "auto"
    memory_bytes: int | None = None

    @classmethod
    def of(cls, rule: RunPolicy) -> Machine:
        """Read what the policy allows; GB are 10^9 bytes."""
        return cls(rule.device, None if rule.memory_gb is None else int(rule.memory_gb * 1e9))


@dataclass(frozen=True, slots=True)
class Tools:
    """Everything a stage may touch besides its inputs and its policy.

    `scratch` is a folder of the stage's own that survives a crash and is emptied after the
    record; `folder` opens it, for files that must be whole. `project` is where the user's own
    code lies. `taken` are the names of versions that exist. `rates` are the prices of this
    machine's work, and `machine` is what it lends: they are in no section of a stage. Where
    `signer` is None, bundles are neither signed nor asked for signatures: so it is in a workspace
    from before signing, until somebody signs what serves there.
    """

    artifacts: Artifacts
    clock: Clock
    progress: Progress
    engine: Engine
    scratch: Path
    folder: Callable[[Path], Folder]
    project: Path
    seed: int = 0
    traffic: Traffic | None = None
    taken: frozenset[str] = frozenset()
    pulse: Pulse = field(default_factory=Unwatched)
    signer: Signer | None = None
    rates: Rates = field(default_factory=Rates)
    machine: Machine = field(default_factory=Machine)
