"""What `/api/v1` of the dashboard answers, as an OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar import __version__
from instar.core.finding import Verdict
from instar.core.update import State

PATH = "/api/v1/openapi.json"

_TEXT = {"type": "string"}
_PERHAPS = {"type": ["string", "null"]}
_UPDATE: Mapping[str, Any] = {
    "update": _TEXT,
    "state": {"enum": [state.value for state in State]},
    "stage": _PERHAPS,
    "verdict": {"enum": [*(verdict.value for verdict in Verdict), None]},
    "strategy": _PERHAPS,
    "by": _TEXT,
    "at": {"type": "number", "description": "seconds since the epoch"},
    "reason": _TEXT,
    "champion": _TEXT,
    "candidate": _PERHAPS,
}
_MISTAKE = {"type": "object", "required": ["error"], "properties": {"error": _TEXT}}


_ANYTHING = {"type": "object"}
_ORDER: Mapping[str, Any] = {
    "type": "object",
    "required": ["by"],
    "additionalProperties": False,
    "properties": {
        "by": {"type": "string", "pattern": r"\S", "description": "who says so"},
        "reason": _TEXT,
        "step": {"type": "boolean", "description": "promote: end this step only"},
        "override": {
            "type": "array",
            "items": _TEXT,
            "description": "promote: gates whose failure is gone over",
        },
    },
}
_WHICH = {
    "name": "update",
    "in": "path",
    "required": True,
    "description": "such as u0001",
    "schema": _TEXT,
}
_ORDERS = {
    "release": "Begin a release, or go on with one.",
    "pause": "Have a release hold its shares.",
    "resume": "Have a paused release go on.",
    "promote": "End the step or the release, by a person.",
    "abort": "Give all traffic back to the champion, and end the update.",
}
_MISTAKES = {
    "400": "a body that is no order, or words that cannot be",
    "401": "no token, or another",
    "403": "an order that somebody else has to give",
    "404": "no such update, or no champion yet",
    "405": "another method",
    "409": "not now",
    "500": "a failure of the server",
    "503": "a store or the gateway does not answer",
}


def _answer(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _wrong(*codes: str) -> dict[str, Any]:
    return {code: _answer(_MISTAKES[code], _MISTAKE) for code in codes}


def _read(name: str, summary: str, schema: Mapping[str, Any], *wrong: str) -> dict[str, Any]:
    answers = {"200": _answer(summary, schema), **_wrong(*wrong, "405", "500", "503")}
    return {"operationId": name, "summary": summary, "responses": answers}


def _order(name: str, summary: str) -> dict[str, Any]:
    wrong = _wrong("400", "401", "403", "404", "405", "409", "500", "503")
    return {
        "operationId": name,
        "summary": summary,
        "security": [{"token": []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ORDER}},
        },
        "responses": {
            "200": _answer("What came of it.", _ANYTHING),
            "202": _answer("It goes on.", _ANYTHING),
            **wrong,
        },
    }


_UPDATES: Mapping[str, Any] = {
    "type": "object",
    "required": ["updates"],
    "properties": {
        "updates": {
            "type": "array",
            "items": {
                "type": "object",
                "required": sorted(_UPDATE.keys() - {"stage"}),
                "properties": _UPDATE,
            },
        }
    },
}

_DUE: Mapping[str, Any] = {
    "type": "object",
    "required": ["due", "reason", "at", "rows", "findings"],
    "properties": {
        "due": {"type": "boolean"},
        "reason": _TEXT,
        "at": {"type": ["number", "null"], "description": "seconds since the epoch"},
        "rows": {"type": "integer", "description": "fresh labelled rows it should bring"},
        "findings": {"type": "array", "items": _ANYTHING},
    },
}

DOCUMENT: Mapping[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Instar: updates of a model line", "version": __version__},
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/api/v1/updates": {"get": _read("updates", "List the updates, newest first.", _UPDATES)},
        "/api/v1/status": {
            "get": _read("status", "Say what serves, and where each update stands.", _ANYTHING)
        },
        "/api/v1/due": {"get": _read("due", "Say whether an update is due, and why.", _DUE, "404")},
        "/api/v1/release": {
            "get": _read("running", "Tell where the running release stands.", _ANYTHING, "404")
        },
        "/api/v1/updates/{update}/release": {
            "parameters": [_WHICH],
            "get": _read("stands", "Tell where a release stands.", _ANYTHING, "404"),
            "post": _order("release", _ORDERS["release"]),
        },
        **{
            f"/api/v1/updates/{{update}}/{verb}": {
                "parameters": [_WHICH],
                "post": _order(verb, summary),
            }
            for verb, summary in _ORDERS.items()
            if verb != "release"
        },
        "/api/v1/rollback": {
            "post": _order("rollback", "Give all traffic to the champion before.")
        },
        PATH: {"get": _read("document", "Give this document.", _ANYTHING)},
    },
}
