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


def _answers(schema: Mapping[str, Any], said: str) -> dict[str, Any]:
    def one(description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        content = {"application/json": {"schema": schema}}
        return {"description": description, "content": content}

    return {
        "200": one(said, schema),
        "405": one("another method", _MISTAKE),
        "500": one("a failure of the server", _MISTAKE),
        "503": one("a store does not answer", _MISTAKE),
    }


DOCUMENT: Mapping[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Instar: updates of a model line", "version": __version__},
    "paths": {
        "/api/v1/updates": {
            "get": {
                "operationId": "updates",
                "summary": "List the updates, newest first.",
                "responses": _answers(
                    {
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
                    },
                    "The updates.",
                ),
            }
        },
        PATH: {
            "get": {
                "operationId": "document",
                "summary": "Give this document.",
                "responses": _answers({"type": "object"}, "The document."),
            }
        },
    },
}
