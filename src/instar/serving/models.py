"""The versions that are loaded, and the route over them: one immutable reference."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    """One loaded bundle. `inputs` maps raw columns to their tensors in the protocol's words."""

    name: str
    manifest: str
    bundle: ServedBundle
    inputs: Mapping[str, Mapping[str, Any]]

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

    def choose(self, unit: str) -> Version:
        """Let the route choose who answers a unit."""
        return self.versions[self.router.version(unit)]

    def find(self, name: str) -> Version:
        """Return a loaded version by name; the champion for an empty one.

        Raises:
            UnknownVersion: it is not loaded.
        """
        name = name or self.route.champion
        if name not in self.versions:
            raise UnknownVersion(name, self.versions)
        return self.versions[name]


def stock(
    route: Route,
    model: str,
    artifacts: Artifacts,
    before: Shelf | None,
    keys: Sequence[bytes] = (),
) -> Shelf:
    """Load what a route needs, verified and warmed; bundles that are there already are kept.

    Requests that began on the old shelf end there: it is not touched. `keys` are the public keys
    whose signatures count; see `instar.bundle.trust` for where nothing is asked.

    Raises:
        BadRoute: the route is for another model, or contradicts itself.
        IntegrityError: a bundle is not what its digest says, or what a trusted key signed.
        RefusedGraph: a bundle cannot serve.
    """
    if route.model != model:
        raise BadRoute(f"a route of {model}", f"one of {route.model}")
    router = Router(route)
    there = {v.manifest: v.bundle for v in before.versions.values()} if before else {}

    def load(name: str) -> Version:
        manifest = route.manifests[name]
        bundle = there.get(manifest)
        if bundle is None:
            signature = route.signatures.get(name)
            bundle = ServedBundle.open(artifacts, manifest, signature=signature, keys=keys)
            bundle.warm()
        return _version(name, manifest, bundle)

    serving = dict.fromkeys((route.champion, *(v for v, share in route.shares.items() if share)))
    versions = {name: load(name) for name in serving}
    cold = {}
    for name in (*route.warm, *route.shares):
        if name not in versions:
            try:
                versions[name] = load(name)
            except InstarError as error:  # nobody is served by it: no reason to refuse the route
                cold[name] = pathless(str(error))
    known = {column for version in versions.values() for column in version.inputs}
    known |= {column.name for column in versions[route.champion].bundle.schema.columns}
    return Shelf(route, router, versions, frozenset(known), cold)


def _version(name: str, manifest: str, bundle: ServedBundle) -> Version:
    if bundle.version != name:
        raise BadRoute(f"the bundle of {name}", f"that of {bundle.version}")
    return Version(name, manifest, bundle, {item["name"]: item for item in bundle.inputs})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a route was not put in force; the one before it goes on."""

    generation: int
    reason: str


class Models:
    """Keep the shelf as the route file wants it."""

    def __init__(self, root: Path, model: str, artifacts: Artifacts) -> None:
        self.model = model
        self.shelf: Shelf | None = None
        self.refusal: Refusal | None = None
        self._root, self._artifacts = root, artifacts
        self._since = time.monotonic()

    def age_s(self) -> float:
        """Return the seconds that the route has been in force, by this process's own clock."""
        return time.monotonic() - self._since

    def start(self) -> None:
        """Put the wanted route in force or, where that fails, the last good one."""
        self.converge()
        if self.shelf is None:
            self._try(routefile.LAST_GOOD)

    def converge(self) -> None:
        """Put the wanted route in force; one that cannot be is refused, and nothing changes."""
        self._try(routefile.ROUTE)

    def _there(self, route: Route) -> Shelf | None:
        """Return the shelf if it is what a route wants; under another epoch it still is."""
        if self.shelf and replace(self.shelf.route, epoch=route.epoch) == route:
            return self.shelf
        return None

    def _try(self, name: str) -> None:
        generation = 0
        try:
            if (route := routefile.read(self._root, name)) is None:
                return
            generation = route.generation
            known = self._there(route)
            keys = () if known else trusted(self._root)
            shelf = known or stock(route, self.model, self._artifacts, self.shelf, keys)
        # Whatever a bundle does on loading, the versions in service go on.
        except Exception as error:  # noqa: BLE001
            told = isinstance(error, InstarError)
            reason = pathless(str(error)) if told else type(error).__name__
            self.refusal = Refusal(generation, reason)
            return
        if name == routefile.ROUTE:  # before the shelf: who sees the route sees no old refusal
            self.refusal = None
        if shelf is self.shelf:
            return
        self._since, self.shelf = time.monotonic(), shelf
        with contextlib.suppress(BackendError):  # a full disk is no reason not to serve
            routefile.keep(self._root, routefile.LAST_GOOD, canonical(encode(route)))
