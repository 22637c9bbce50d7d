"""The gateway from outside: start it, move its traffic, ask what it saw."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from instar.core.codec import decode
from instar.core.errors import BackendError
from instar.core.policy import ServeSettings
from instar.core.tools import Compared, Labelled, Route, Served
from instar.ledger.extras import MissingExtra
from instar.serving import routefile
from instar.serving.grpc import require
from instar.serving.redis import REDIS, Address

_ANSWER_S = 5.0  # for one answer of the control plane
_LOAD_S = 60.0  # for a route to come into force, loading included
_LOOK_S = 0.005
_START_S = 60.0
_DRAIN_S = 15.0


class GatewaySilent(BackendError):
    """Report a gateway that does not answer; what it serves is not known."""

    code = "backend.gateway_silent"
    retryable = True

    def __init__(self, why: str) -> None:
        super().__init__("an answer from the gateway", why, "see that it runs: instar serve")


class RouteRefused(BackendError):
    """Report a route that the gateway will not put in force; the one before it serves on."""

    code = "backend.route_refused"

    def __init__(self, generation: int, reason: str) -> None:
        super().__init__(f"route {generation} in force", reason, "move the traffic back")


class GatewayFailed(BackendError):
    """Report a gateway that ended while it started."""

    code = "backend.gateway_failed"

    def __init__(self, said: str) -> None:
        super().__init__("a running gateway", said or "its end", "see serve/gateway.err")


class GatewayTraffic:
    """Move and observe traffic: `instar.core.tools.Traffic` over the route file and HTTP.

    Args:
        root: The workspace's own folder, where `serve/` and `artifacts/` lie.
        model: The model line.
        url: Where the gateway listens; by default where it says so itself.
        epoch: The fencing epoch that every route is written under; by default the route's own.
    """

    def __init__(
        self, root: Path, model: str, url: str | None = None, epoch: int | None = None
    ) -> None:
        self._root, self._model, self._url, self._epoch = root, model, url, epoch

    def route(self) -> Route:
        """Return the wanted route.

        Raises:
            NoRoute: there is none so far.
        """
        if (route := routefile.read(self._root)) is None:
            raise routefile.NoRoute
        return route

    def put(self, route: Route) -> None:
        """Want a route, whether or not a gateway runs to see it.

        Raises:
            FencedRoute: the lease went to somebody else.
            StaleRoute: somebody else moved the traffic meanwhile.
        """
        if self._epoch is not None:
            route = replace(route, epoch=self._epoch)
        routefile.write(self._root, route)

    def move(self, route: Route) -> float:
        """Put a route in force; return the seconds until it was.

        The route is wanted from here on even if this raises: a gateway that comes back follows.

        Raises:
            FencedRoute: the lease went to somebody else.
            StaleRoute: somebody else moved the traffic meanwhile.
            RouteRefused: the gateway cannot serve it and stays with the one before.
            GatewaySilent: nobody says that it is in force.
        """
        began = time.monotonic()
        self.put(route)
        while time.monotonic() - began < _LOAD_S:
            status = self.status()
            if status["generation"] >= route.generation:
                return time.monotonic() - began
            refused = status["refused"]
            if refused and refused["generation"] == route.generation:
                raise RouteRefused(route.generation, refused["reason"])
            time.sleep(_LOOK_S)
        raise GatewaySilent(f"still another route after {_LOAD_S:.0f} s")

    def status(self) -> dict[str, Any]:
        """Return what the gateway says of itself."""
        found: dict[str, Any] = self._get("status")
        if found["model"] != self._model:
            raise GatewaySilent(f"one from the gateway of {found['model']}")
        return found

    def age_s(self) -> float:
        """Return the seconds that the route has been in force, by the gateway's own clock."""
        return float(self.status()["age_s"])

    def served(self, since_generation: int = 0) -> Mapping[str, Served]:
        """Return what each version did since a route."""
        found = self._get("served", since=since_generation)
        return {version: decode(Served, item) for version, item in found.items()}

    def labelled(self, version: str, since_generation: int = 0) -> Labelled:
        """Return a version's answers since a route that have their label."""
        return decode(Labelled, self._get("labelled", version=version, since=since_generation))

    def scores(self, version: str, since_generation: int = 0) -> Sequence[Sequence[float]]:
        """Return a version's scores since a route."""
        found: list[list[float]] = self._get("scores", version=version, since=since_generation)
        return found

    def compared(self, version: str, since_generation: int = 0) -> Compared:
        """Return how a shadow's answers compare with those that clients got, since a route."""
        return decode(Compared, self._get("compared", version=version, since=since_generation))

    def _get(self, what: str, **query: str | int) -> Any:
        """Ask over a connection of its own: nobody has to close it, and a restart does no harm."""
        place = urlsplit(self._where())
        line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=_ANSWER_S)
        try:
            line.request("GET", f"/api/v1/{what}?{urlencode(query)}")
            answer = line.getresponse()
            found = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise GatewaySilent(type(error).__name__) from error
        finally:
            line.close()
        if answer.status != http.HTTPStatus.OK:
            raise GatewaySilent(f"status {answer.status}")
        return found

    def _where(self) -> str:
        if self._url:
            return self._url
        try:
            told = json.loads(routefile.folder(self._root).read(routefile.GATEWAY))
        except (OSError, ValueError, BackendError) as error:
            raise GatewaySilent("no gateway that was ever started") from error
        return str(told["url"])


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs as a child process."""

    url: str
    pid: int
    process: subprocess.Popen[str]
    grpc: str = ""  # HOST:PORT, where it was asked for

    def stop(self) -> int:
        """Let it finish what it answers, end it, and return its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_DRAIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stdout:
                self.process.stdout.close()


def start(
    root: Path,
    model: str,
    port: int = 0,
    artifacts: str = "",
    how: ServeSettings | None = None,
) -> Gateway:
    """Start a gateway as a child process and wait until it answers.

    Args:
        root: The workspace's own folder.
        model: The model line.
        port: Where it listens; 0: any that is free.
        artifacts: Where bundles are, as `store.artifacts` of the policy says it.
        how: As `serve` of the policy file has it; the defaults where it is None.

    Raises:
        MissingExtra: gRPC was asked for, and is not installed.
        BadAddress: that is no Redis.
        GatewayFailed: it ended, or said nothing for a minute.
        MissingExtra: predictions are to be kept, and what writes them is not installed.
    """
    how = how or ServeSettings()
    if how.grpc is not None:
        require()
    if how.redis:
        Address.of(how.redis)
    command = [sys.executable, "-m", "instar.serving"]
    given = ["--root", str(root), "--model", model, "--port", str(port), "--artifacts", artifacts]
    given += ["--workers", str(how.workers), "--cache", str(how.cache)]
    if how.log_share and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtra("a log of predictions", "log")
    given += ["--hang-s", str(how.hang_s), "--log-share", str(how.log_share)]
    given += ["--log-mb", str(how.log_mb), "--log-segment-mb", str(how.log_segment_mb)]
    given += ["--log-segment-s", str(how.log_segment_s)]
    given += [] if how.grpc is None else ["--grpc-port", str(how.grpc)]
    # Not on the command line, which everybody on the machine may read: it may hold a password.
    env = os.environ | ({REDIS: how.redis} if how.redis else {})
    with routefile.folder(root).appending("gateway.err") as errors:
        process = subprocess.Popen(
            [*command, *given], stdout=subprocess.PIPE, stderr=errors, text=True, env=env
        )
    patience = threading.Timer(_START_S, process.kill)
    patience.start()
    try:
        line = process.stdout.readline() if process.stdout else ""
    finally:
        patience.cancel()
    try:
        told = json.loads(line)
    except ValueError as error:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
        raise GatewayFailed(line.strip()[:200]) from error
    return Gateway(told["url"], told["pid"], process, told.get("grpc", ""))
