"""The control plane over HTTP: what the command line does, for programs.

Reading is free, as the pages are. What changes something wants the workspace's token, which a page
of another site does not have: `Authorization: Bearer TOKEN` (`.instar/keys/api.token`).
"""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from instar.core.codec import encode
from instar.core.errors import BackendError, InputError, InstarError
from instar.web.service import Service

AT_ONCE_S = 1.5  # that an answer waits for work that may take hours
_MOST = 1 << 16  # bytes of a body

STATUS: tuple[tuple[type[InstarError], int], ...] = (
    (InputError, 400),
    (BackendError, 503),
    (InstarError, 500),
)
_CODES = {"input.unknown_update": 404, "update.not_now": 409, "input.busy": 409, "update.own": 403}


class NoToken(InputError):
    """Refuse a change without the token."""

    code = "input.no_token"

    def __init__(self) -> None:
        super().__init__(
            "the workspace's token",
            "none, or another",
            "send Authorization: Bearer TOKEN, out of .instar/keys/api.token",
        )


class BadBody(InputError):
    """Refuse a body that is no order."""

    code = "input.bad_body"

    def __init__(self, problem: str) -> None:
        super().__init__(
            'a JSON object such as {"by": "ana", "reason": "figures read"}',
            problem,
            "send that, with Content-Type: application/json",
        )


class Api:
    """Answer each address under `/api/v1`."""

    def __init__(self, service: Service, token: str) -> None:
        self._service, self._token = service, token

    @property
    def routes(self) -> list[Route]:
        """List the addresses."""
        update = "/api/v1/updates/{update}"
        return [
            Route("/api/v1/updates", self.updates),
            Route("/api/v1/status", self.status),
            Route("/api/v1/due", self.due),
            Route("/api/v1/release", self.release),
            Route(f"{update}/release", self._either, methods=["GET", "POST"]),
            *(
                Route(f"{update}/{verb}", self._order(verb), methods=["POST"])
                for verb in ("pause", "resume", "promote", "abort")
            ),
            Route("/api/v1/rollback", self._order("rollback"), methods=["POST"]),
        ]

    def updates(self, request: Request) -> Response:
        """List the updates."""
        return JSONResponse({"updates": [dict(update) for update in self._service.updates()]})

    def status(self, request: Request) -> Response:
        """Say what serves, and where each update stands."""
        return JSONResponse(encode(self._service.status()))

    def due(self, request: Request) -> Response:
        """Say whether an update is due, as `instar due --json` does."""
        return JSONResponse(encode(self._service.due()))

    def release(self, request: Request) -> Response:
        """Tell where a release stands at this moment, as `instar status -w --json` does."""
        return JSONResponse(encode(self._service.live(request.path_params.get("update"))))

    async def _either(self, request: Request) -> Response:
        """Tell of a release, or begin it: one address, which names both methods to others."""
        if request.method == "POST":
            begun: Response = await self._order("release")(request)
            return begun
        return await run_in_threadpool(self.release, request)

    def _order(self, verb: str) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                given = await self._given(request)
                update = request.path_params.get("update", "")
                return await run_in_threadpool(self._done, verb, update, given)
            except InstarError as error:
                return refused(error)

        return endpoint

    async def _given(self, request: Request) -> dict[str, Any]:
        """Read who says what; the token comes first, whatever the body holds."""
        said = request.headers.get("authorization", "").encode()
        if not self._token or not hmac.compare_digest(said, f"Bearer {self._token}".encode()):
            raise NoToken
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _MOST:
                raise BadBody("a longer one")
        try:
            given: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise BadBody("no JSON") from error
        wanted = {"by": str, "reason": str, "step": bool, "override": list}
        who = given.get("by") if isinstance(given, dict) else None
        if not isinstance(who, str) or not who.strip():
            raise BadBody("one that does not say by whom")
        for name, value in given.items():
            if name not in wanted or not isinstance(value, wanted[name]):
                raise BadBody(f"another {name[:40]!r}")
        if not all(isinstance(name, str) for name in given.get("override", [])):
            raise BadBody("an override that is no name")
        return given

    def _done(self, verb: str, update: str, given: Mapping[str, Any]) -> Response:
        space = self._service.acting(given["by"])
        reason = given.get("reason", "")
        acts: Mapping[str, Callable[[], Any]] = {
            "release": lambda: space.release(update),
            "pause": lambda: space.pause(update, reason=reason),
            "resume": lambda: space.resume(update, reason=reason),
            "abort": lambda: space.abort(update, reason=reason),
            "rollback": lambda: space.rollback(reason=reason),
            "promote": lambda: space.promote(
                update,
                reason=reason,
                step=given.get("step", False),
                lets_pass=given.get("override", ()),
            ),
        }
        found = soon(acts[verb], AT_ONCE_S)
        if found is None:
            going = {"update": update, "message": "it goes on", "next": "GET /api/v1/release"}
            return JSONResponse(going, 202)
        return JSONResponse(encode(found))


def soon(act: Callable[[], Any], within_s: float) -> Any | None:
    """Do something, and wait a while for it: None where it goes on after that.

    Raises:
        Exception: what it raised meanwhile.
    """
    done: dict[str, Any] = {}

    def run() -> None:
        try:
            done["result"] = act()
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
            done["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(within_s)
    if "error" in done:
        raise done["error"]
    return done.get("result")


def refused(error: InstarError) -> Response:
    """Answer a mistake in its own words, which name no path and no secret."""
    status = next(code for kind, code in STATUS if isinstance(error, kind))
    status = 401 if isinstance(error, NoToken) else _CODES.get(error.code, status)
    return JSONResponse({"error": str(error), "code": error.code}, status)
