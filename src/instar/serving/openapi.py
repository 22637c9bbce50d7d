"""What `/api/v1` of the gateway takes and answers, as an OpenAPI document.

The shapes are those of the types that are read and written, so that document and server change
together; tests/serving/test_openapi.py asks the server whatever the document allows and forbids.
Predictions are not described here: they are the Open Inference Protocol, whose document is public.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import msgspec

from instar import __version__
from instar.core.tools import Compared, Labelled, Served
from instar.serving.desk import Item

PATH = "/api/v1/openapi.json"
_REF = "#/components/schemas/{name}"


class Sent(msgspec.Struct):
    """The body of `POST /api/v1/feedback`."""

    items: list[Item]


class Refused(TypedDict):
    """A label or complaint that was not taken."""

    id: str
    error: str


class Joined(TypedDict):
    """What became of labels and complaints."""

    joined: int
    repeated: int
    changed: int
    unknown: int
    reported: NotRequired[int]
    refused: list[Refused]


class Worker(TypedDict):
    """A process that answers."""

    slot: int
    pid: int


class Refusal(TypedDict):
    """A route that was not put in force."""

    generation: int
    reason: str


class Status(TypedDict):
    """What is in force."""

    model: str
    generation: int
    champion: str
    shares: dict[str, float]
    shadow: dict[str, float]
    loaded: list[str]
    cold: dict[str, str]
    refused: Refusal | None
    age_s: float
    pid: int
    shadow_pid: int | None
    workers: list[Worker]
    missing_columns: dict[str, dict[str, int]]
    rescued: dict[str, int]
    labels: dict[str, int]
    reports: dict[str, int]
    log_dropped: int
    recorded: int
    record_dropped: int


class Mistake(TypedDict):
    """What was wanted, what was got, what to do."""

    error: str


_TYPES: Mapping[str, Any] = {
    "feedback": Joined,
    "status": Status,
    "served": dict[str, Served],
    "compared": Compared,
    "labelled": Labelled,
    "scores": list[list[float]],
    "document": dict[str, Any],
    "body": Sent,
    "mistake": Mistake,
}
_STATUSES: Mapping[int, str] = {
    400: "a request that is none",
    404: "what it names is not there",
    405: "another method",
    408: "a request that did not come to its end",
    413: "a body that is too large",
    415: "another encoding",
    429: "too many at once",
    500: "a failure of the server",
    503: "nothing is in service yet, or the office does not answer",
}
_COMPLAINT = {"required": ["report"], "properties": {"report": {"not": {"const": False}}}}
_SINCE = {
    "name": "since",
    "in": "query",
    "description": "The first generation of the route that counts.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1, "default": 0},
}
_VERSION = {
    "name": "version",
    "in": "query",
    "required": True,
    "description": "The version whose answers are asked for.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"},
}


def document() -> dict[str, Any]:
    """Write the document.

    Example:
        >>> sorted(document()["paths"])[0]
        '/api/v1/compared'
    """
    shapes, parts = msgspec.json.schema_components(list(_TYPES.values()), ref_template=_REF)
    shape, parts = dict(zip(_TYPES, _pairs(shapes), strict=True)), _pairs(parts)
    parts["Item"]["anyOf"] = [{"required": ["label"]}, _COMPLAINT]

    def answer(name: str) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": shape[name]}}}

    def operation(
        name: str, summary: str, parameters: Sequence[Any] = (), body: Any = None
    ) -> dict[str, Any]:
        told = {"200": {"description": summary, **answer(name)}}
        told |= {str(s): {"description": d, **answer("mistake")} for s, d in _STATUSES.items()}
        made = {"operationId": name, "summary": summary, "responses": told}
        if parameters:
            made["parameters"] = list(parameters)
        return made | ({"requestBody": {"required": True, **body}} if body else {})

    paths = {
        "/api/v1/feedback": {
            "post": operation("feedback", "Take true labels and complaints.", (), answer("body"))
        },
        "/api/v1/status": {"get": operation("status", "Tell what is in force.")},
        "/api/v1/served": {
            "get": operation("served", "Tell what each version did.", [_SINCE]),
        },
        "/api/v1/compared": {
            "get": operation("compared", "Tell what a shadow did.", [_VERSION, _SINCE]),
        },
        "/api/v1/labelled": {
            "get": operation("labelled", "List answers and their labels.", [_VERSION, _SINCE]),
        },
        "/api/v1/scores": {
            "get": operation("scores", "List the scores of answers.", [_VERSION, _SINCE]),
        },
        PATH: {"get": operation("document", "Give this document.")},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Instar: control plane of a gateway", "version": __version__},
        "paths": paths,
        "components": {"schemas": parts},
    }


def _pairs(schema: Any) -> Any:
    """Write a pair of numbers as what every reader of JSON Schema knows: two items of one kind."""
    if isinstance(schema, Mapping):
        made = {name: _pairs(part) for name, part in schema.items()}
        if kinds := made.pop("prefixItems", None):
            made["items"] = {"anyOf": kinds}
        return made
    return [_pairs(part) for part in schema] if isinstance(schema, list | tuple) else schema
