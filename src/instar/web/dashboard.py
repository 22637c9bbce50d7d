"""Pages that only read: the address names what is seen. What changes something is in `api`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from instar.core.errors import BackendError, InputError, InstarError
from instar.core.update import State
from instar.report.page import environment
from instar.web import openapi
from instar.web.api import Api
from instar.web.headers import secured
from instar.web.service import Service

STATES: Mapping[str, str] = {
    State.RUNNING.value: "open",
    State.WAITING.value: "inconclusive",
    State.RELEASING.value: "open",
    State.REFUSED.value: "fail",
    State.KEPT.value: "pass",
    State.REJECTED.value: "fail",
    State.FAILED.value: "error",
    State.WITHDRAWN.value: "made",
    State.PROMOTED.value: "pass",
    State.ROLLED_BACK.value: "fail",
}
"""How each state is marked."""

STATUS: tuple[tuple[type[InstarError], int], ...] = (
    (InputError, 404),
    (BackendError, 503),
    (InstarError, 500),
)
"""The answer to each kind of mistake. All a reader can hand over here is an address."""


def app(service: Service, token: str = "") -> ASGIApp:
    """Build dashboard and control plane over a service.

    Args:
        service: Where everything shown comes from.
        token: What a program must send to change anything; without one nothing can be changed.
    Returns:
        An ASGI application with `/`, `/updates/{update}/report` and `/api/v1/`, which
        `/api/v1/openapi.json` describes.
    """
    pages = Pages(service)
    routes = [
        Route("/", pages.home),
        Route("/updates/{update}/report", pages.report),
        *Api(service, token).routes,
        Route(openapi.PATH, lambda _: JSONResponse(openapi.DOCUMENT)),
    ]
    mistakes: Mapping[Any, Callable[..., Response]] = {
        InstarError: mistaken,
        HTTPException: missing,
        Exception: broken,
    }
    return secured(Starlette(routes=routes, exception_handlers=mistakes))


class Pages:
    """Answer each address. Plain functions, so that a slow one holds up nobody else."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def home(self, request: Request) -> Response:
        """Show what serves, and list the updates."""
        line, updates = self.service.status(), self.service.updates()
        return _page("home.html", line=line, updates=updates)

    def report(self, request: Request) -> Response:
        """Show the page of one update."""
        return HTMLResponse(self.service.report(request.path_params["update"]))


def mistaken(request: Request, error: Exception) -> Response:
    """Answer a mistake in its own words, which name no path and no secret."""
    status = next(code for kind, code in STATUS if isinstance(error, kind))
    return _answer(request, status, str(error))


def missing(request: Request, error: Exception) -> Response:
    """Answer an address or a method that is not there."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    said = "This address shows nothing." if status == 404 else "This address can only be read."
    answer = _answer(request, status, said)
    if isinstance(error, HTTPException):
        answer.headers.update(error.headers or {})  # which methods there are
    return answer


def broken(request: Request, error: Exception) -> Response:
    """Answer a fault of ours, and say nothing of its inside."""
    return _answer(request, 500, "Something broke while this page was made.")


def _answer(request: Request, status: int, said: str) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": said}, status)
    return _page("missing.html", status, code=status, said=said)


def _page(name: str, status: int = 200, /, **values: Any) -> Response:
    return HTMLResponse(_templates().get_template(name).render(**values), status)


@functools.cache
def _templates() -> Environment:
    made = environment("instar.web")
    made.globals.update(STATES=STATES)
    return made
