"""What every row of the table is given, and what it gives back."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving import cases
from benchmarks.serving.cases import VERSION
from instar.core.policy import ServeSettings
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving.client import Gateway, GatewayTraffic, start


@dataclass(frozen=True)
class Given:
    """How long and how often each row measures, and with how many processes."""

    rounds: int = 3
    seconds: float = 3.0
    workers: int = 2


@dataclass(frozen=True)
class Figure:
    """One measured value, and its goal where there is one: at most, or at least so much."""

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def goal(self) -> str:
        if self.most is not None:
            return f"<= {self.most:g}"
        return f">= {self.least:g}" if self.least is not None else ""

    @property
    def met(self) -> bool | None:
        if self.most is not None:
            return self.value <= self.most
        return self.value >= self.least if self.least is not None else None


OTHER = VERSION.replace("0101", "0102")
THIRD = VERSION.replace("0101", "0103")


@dataclass(frozen=True)
class House:
    """A running gateway, the bundles by version, and its folder."""

    root: Path
    gateway: Gateway
    manifests: Mapping[str, str]
    began: float  # to start, by the monotonic clock

    @property
    def url(self) -> str:
        return self.gateway.url

    @property
    def pid(self) -> int:
        return self.gateway.pid

    @property
    def traffic(self) -> GatewayTraffic:
        return GatewayTraffic(self.root, "m")

    def route(self, number: int, *warm: str, **shares: float) -> Route:
        names = {*shares, *warm}
        kept = {name: self.manifests[name] for name in names}
        return Route("m", number, shares, kept, next(iter(shares)), warm=warm)


@contextlib.contextmanager
def instar(versions: Mapping[str, str], workers: int, *, warm: bool = False) -> Iterator[House]:
    """Start the gateway with the first version as champion, the others on disk, or `warm`.

    Args:
        versions: Names of versions, and the case that each serves.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = DirectoryArtifacts(root / "artifacts")
        manifests = {name: cases.bundle(store, case, name) for name, case in versions.items()}
        first, *others = versions
        held = tuple(others) if warm else ()
        kept = {name: manifests[name] for name in (first, *held)}
        GatewayTraffic(root, "m").put(Route("m", 1, {first: 1.0}, kept, first, warm=held))
        began = time.monotonic()
        gateway = start(root, "m", how=ServeSettings(workers=workers))
        try:
            yield House(root, gateway, manifests, began)
        finally:
            gateway.stop()
