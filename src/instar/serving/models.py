"""The versions that are loaded, and the route over them: one immutable reference."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from instar.bundle.columns import NUMBERS, STRINGS
from instar.bundle.runtime import ServedBundle
from instar.core.codec import encode
from instar.core.digest import canonical
from instar.core.errors import BackendError, InstarError, UnknownName, pathless
from instar.core.tools import Artifacts, Route
from instar.ledger.trust import trusted
from instar.serving import routefile
from instar.serving.routing import BadRoute, Router
from instar.tasks import form_of


class UnknownVersion(UnknownName):
    """Refuse a request for a version that is not loaded."""

    code = "request.unknown_version"

    def __init__(self, name: str, loaded: Iterable[str]) -> None:
        super().__init__("version", name, loaded)


@dataclass(frozen=True, slots=True)
class Version:
    """One loaded bundle. `inputs` maps raw columns to their tensors in the protocol's words.

    `packed` are the matrices that may stand for columns; `cost_s` is what one row took, measured
    when it was warmed.
    """

    name: str
    manifest: str
    bundle: ServedBundle
    inputs: Mapping[str, Mapping[str, Any]]
    packed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cost_s: float = 0.0

    def absent(self, columns: Collection[str]) -> list[str]:
        """List the columns that a request lacks; a matrix stands for all of its kind."""
        if NUMBERS in columns and "strings" not in self.packed:
            return []
        filled = {"FP64"} if NUMBERS in columns else set()
        filled |= {"BYTES"} if STRINGS in columns else set()
        return [
            name
            for name, item in self.inputs.items()
            if name not in columns and item["datatype"] not in filled
        ]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """List the tensors that an answer may hold."""
        return form_of(self.bundle.task).tensors(self.bundle.task)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Everything a request needs, in force together and replaced together.

    `known` are the columns that a request may hold: those of any loaded version, and those that
    the champion's data had. `cold` holds the warm versions that could not be loaded, and why.
    """

    route: Route
    router: Router
    versions: Mapping[str, Version]
    known: frozenset[str]
    cold: Mapping[str, str]

    @property
    def champion(self) -> Version:
        return self.versions[self.route.champion]


def stock(
    route: Route,
    model: str,
    artifacts: Artifacts,
    before: Shelf | None,
    keys: Sequence[bytes] = (),
    unloaded: Collection[str] = (),
) -> Shelf:
    """Load what a route needs, verified and warmed; bundles that are there already are kept.

    Requests that began on the old shelf end there: it is not touched. `keys` are the public keys
    whose signatures count; see `instar.bundle.trust` for where nothing is asked. `unloaded` are
    versions that somebody wants out of memory: they stay out as long as they have no traffic.

    Raises:
        BadRoute: the route is for another model, or contradicts itself.
        IntegrityError: a bundle is not what its digest says, or what a trusted key signed.
        RefusedGraph: a bundle cannot serve.
    """
    if route.model != model:
        raise BadRoute(f"a route of {model}", f"one of {route.model}")
    router = Router(route)
    there = {v.manifest: v for v in before.versions.values()} if before else {}

    def load(name: str) -> Version:
        manifest = route.manifests[name]
        if known := there.get(manifest):
            return _version(name, manifest, known.bundle, known.cost_s)
        return load_version(route, name, artifacts, keys)

    serving = dict.fromkeys((route.champion, *(v for v, share in route.shares.items() if share)))
    versions = {name: load(name) for name in serving}
    cold = {}
    # Who asks for a shadow that cannot be loaded learns so. After a restart it stops nobody.
    fresh = () if before is None or before.route.shadow == route.shadow else route.shadow
    for name in dict.fromkeys((*route.warm, *route.shadow, *route.shares)):
        if name in unloaded and name not in versions:
            cold[name] = "unloaded by request"
        elif name not in versions:
            try:
                versions[name] = load(name)
            except InstarError as error:  # nobody is served by it: no reason to refuse the route
                if name in fresh:
                    raise
                cold[name] = pathless(str(error))
    known = {column for version in versions.values() for column in version.inputs}
    known |= {column.name for column in versions[route.champion].bundle.schema.columns}
    return Shelf(route, router, versions, frozenset(known), cold)


def load_version(
    route: Route, name: str, artifacts: Artifacts, keys: Sequence[bytes] = ()
) -> Version:
    """Load one version of a route, verified and warmed.

    Raises:
        IntegrityError, RefusedGraph, BadRoute: as `stock` does.
    """
    manifest, signature = route.manifests[name], route.signatures.get(name)
    bundle = ServedBundle.open(artifacts, manifest, signature=signature, keys=keys)
    return _version(name, manifest, bundle, bundle.warm())


def _version(name: str, manifest: str, bundle: ServedBundle, cost_s: float) -> Version:
    if bundle.version != name:
        raise BadRoute(f"the bundle of {name}", f"that of {bundle.version}")
    inputs, packed = bundle.inputs, bundle.packed
    return Version(
        name,
        manifest,
        bundle,
        {item["name"]: item for item in inputs},
        {item["name"]: item for item in packed},
        cost_s,
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a route was not put in force; the one before it goes on."""

    generation: int
    reason: str


class Course:
    """Which route is wanted, which is in force and since when, and which one was refused.

    It reads the route file and keeps the note of the last good route; loading is somebody else's.
    """

    def __init__(self, root: Path) -> None:
        self.route: Route | None = None
        self.refusal: Refusal | None = None
        self._root, self._since = root, time.monotonic()

    def age_s(self) -> float:
        """Return the seconds that the route has been in force, by this process's own clock."""
        return time.monotonic() - self._since

    def wanted(self, name: str = routefile.ROUTE) -> Route | None:
        """Read a route that is not in force yet; None where there is nothing to do.

        A file that cannot be read is a refusal.
        """
        try:
            route = routefile.read(self._root, name)
        except Exception as error:  # noqa: BLE001 - whatever is in the file, what serves goes on
            self.refuse(0, error)
            return None
        if route is None:
            return None
        # Under another epoch it is the same route.
        if self.route and replace(self.route, epoch=route.epoch) == route:
            if name == routefile.ROUTE:
                self.refusal = None
            return None
        return route

    def refuse(self, generation: int, error: Exception) -> None:
        """Note that a route cannot be put in force."""
        self.refusal = Refusal(generation, reason(error))

    def follow(self, route: Route, name: str = routefile.ROUTE) -> None:
        """Say that a route is in force; see `keep` for after a restart."""
        if name == routefile.ROUTE:  # before the route: who sees the route sees no old refusal
            self.refusal = None
        self._since, self.route = time.monotonic(), route

    def keep(self) -> None:
        """Note on the disk which route was good."""
        if self.route:
            with contextlib.suppress(BackendError):  # a full disk is no reason not to serve
                routefile.keep(self._root, routefile.LAST_GOOD, canonical(encode(self.route)))


def reason(error: Exception) -> str:
    """Say why a route was refused, without places and without a library's own words."""
    return pathless(str(error)) if isinstance(error, InstarError) else type(error).__name__


class Models:
    """Keep the shelf as the route file wants it, in one process."""

    def __init__(self, root: Path, model: str, artifacts: Artifacts) -> None:
        self.model = model
        self.shelf: Shelf | None = None
        self.course = Course(root)
        self._root, self._artifacts = root, artifacts

    @property
    def refusal(self) -> Refusal | None:
        """Say which route was not put in force; the one before it goes on."""
        return self.course.refusal

    def start(self) -> None:
        """Put the wanted route in force or, where that fails, the last good one."""
        self.converge()
        if self.shelf is None:
            self.converge(routefile.LAST_GOOD)

    def converge(self, name: str = routefile.ROUTE) -> None:
        """Put the wanted route in force; one that cannot be is refused, and nothing changes."""
        route = self.course.wanted(name)
        if route is None:
            return
        try:
            shelf = self.prepared(route)
        # Whatever a bundle does on loading, the versions in service go on.
        except Exception as error:  # noqa: BLE001
            self.course.refuse(route.generation, error)
            return
        self.shelf = shelf
        self.course.follow(route, name)
        self.course.keep()

    def prepared(self, route: Route, unloaded: Collection[str] = ()) -> Shelf:
        """Load what a route needs, beside what is in force.

        Raises:
            BadRoute, IntegrityError, RefusedGraph: see `stock`.
        """
        keys = trusted(self._root)
        return stock(route, self.model, self._artifacts, self.shelf, keys, unloaded)
