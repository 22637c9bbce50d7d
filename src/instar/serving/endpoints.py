"""Paths and methods, and what stands behind them. Takes bytes and gives bytes: any server will do.

The prediction lane is `/v2`, the Open Inference Protocol; beside it `/api/v1` for the control
plane and `/metrics` for Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from instar import __version__
from instar.core.codec import encode
from instar.core.errors import InputError, InstarError, UnknownName, pathless
from instar.core.names import is_name
from instar.serving import protocol
from instar.serving.desk import Desk, Item
from instar.serving.models import UnknownVersion
from instar.serving.protocol import Malformed, write

JSON = "application/json"
_TEXT = "text/plain; version=0.0.4"


class UnknownModel(UnknownName):
    """Refuse a request for a model line that is not served here."""

    code = "request.unknown_model"

    def __init__(self, name: str, known: str) -> None:
        super().__init__("model", name, [known])


class UnknownPath(InputError):
    """Refuse a path that leads nowhere."""

    code = "request.unknown_path"

    def __init__(self, path: str) -> None:
        super().__init__("a path of this server", repr(path[:80]), "see GET /v2")


class WrongMethod(InputError):
    """Refuse a method that a path does not take."""

    code = "request.wrong_method"

    def __init__(self, allowed: str, got: str) -> None:
        self.allowed = allowed
        super().__init__(allowed, got, "change the method")


class TooLarge(InputError):
    """Refuse a body over the limit."""

    code = "request.too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"a body of at most {limit >> 20} MiB", "a larger one", "send fewer rows")


class Encoded(InputError):
    """Refuse a compressed body."""

    code = "request.encoded"

    def __init__(self, encoding: str) -> None:
        super().__init__("a plain body", f"one in {encoding[:20]!r}", "send it uncompressed")


STATUS: Mapping[str, int] = {
    UnknownModel.code: 404,
    UnknownVersion.code: 404,
    UnknownPath.code: 404,
    WrongMethod.code: 405,
    TooLarge.code: 413,
    Encoded.code: 415,
    "backend.not_ready": 503,
}
"""Error codes to HTTP statuses; other input errors are 400, everything else 500."""


class Feedback(msgspec.Struct):
    """The body of `POST /api/v1/feedback`."""

    items: list[Item]


_FEEDBACK = msgspec.json.Decoder(Feedback)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: header names in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    body: bytes
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


Endpoint = Callable[[Call], Reply]


class Endpoints:
    """Find what a call asks for, do it, and put mistakes into the protocol's words."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def answer(self, call: Call) -> Reply:
        """Answer a call; a mistake is an answer too."""
        try:
            method, endpoint = self._find(call.path)
            if call.method != method:
                raise WrongMethod(method, call.method)
            return endpoint(call)
        except InstarError as error:
            if isinstance(error, InputError) and call.path.startswith("/v2"):
                self._desk.metrics.refused += 1
            return failure(error)

    def _find(self, path: str) -> tuple[str, Endpoint]:
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["v2", "models", model, *rest]:
                return self._find_model(model, rest, path)
            case ["v2"]:
                return "GET", self._server
            case ["v2", "health", "live"]:
                return "GET", lambda _: _ok({"live": True})
            case ["v2", "health", "ready"]:
                return "GET", self._ready
            case ["api", "v1", "feedback"]:
                return "POST", self._feedback
            case ["api", "v1", "status"]:
                return "GET", lambda _: _ok(self._desk.status())
            case ["api", "v1", "served"]:
                return "GET", self._served
            case ["api", "v1", "labelled"]:
                return "GET", self._labelled
            case ["api", "v1", "scores"]:
                return "GET", self._scores
            case ["metrics"]:
                return "GET", self._metrics
        raise UnknownPath(path)

    def _find_model(self, model: str, rest: list[str], path: str) -> tuple[str, Endpoint]:
        known = self._desk.models.model
        if model != known:
            raise UnknownModel(model, known)
        match rest:
            case [] | ["versions", _]:
                return "GET", lambda _: self._metadata("".join(rest[1:]))
            case ["ready"] | ["versions", _, "ready"]:
                return "GET", lambda _: self._model_ready("".join(rest[1:2]))
            case ["infer"]:
                return "POST", lambda call: self._infer(call, "")
            case ["versions", version, "infer"]:
                return "POST", lambda call: self._infer(call, version)
            case ["predict"]:
                return "POST", self._predict
        raise UnknownPath(path)

    # --- the Open Inference Protocol ----------------------------------------------------------

    def _server(self, call: Call) -> Reply:
        return _ok({"name": "instar", "version": __version__, "extensions": []})

    def _ready(self, call: Call) -> Reply:
        ready = self._desk.models.shelf is not None
        return _ok({"live": True, "ready": ready}, 200 if ready else 503)

    def _metadata(self, version: str) -> Reply:
        shelf = self._desk.shelf()
        chosen = shelf.find(version)
        return _ok(
            {
                "name": self._desk.models.model,
                "versions": sorted(shelf.versions),
                "platform": "onnx_onnxv1",
                "inputs": list(chosen.inputs.values()),
                "outputs": chosen.outputs,
            }
        )

    def _model_ready(self, version: str) -> Reply:
        self._desk.shelf().find(version)
        return _ok({"name": self._desk.models.model, "ready": True})

    def _infer(self, call: Call, pinned: str) -> Reply:
        _refuse_encoded(call)
        request = protocol.read_infer(call.body)
        protocol.check_outputs(request, self._desk.shelf().find(pinned))
        version, scores = self._desk.predict(
            lambda inputs, known: protocol.columns(request, inputs, known),
            unit=call.headers.get("x-unit-id") or request.id or "",
            name=request.id or "",
            pinned=pinned,
        )
        return _ok(protocol.answer(self._desk.models.model, version, request, scores))

    def _predict(self, call: Call) -> Reply:
        _refuse_encoded(call)
        request = protocol.read_rows(call.body)
        version, scores = self._desk.predict(
            lambda inputs, known: protocol.columns_of_rows(request, inputs, known),
            unit=call.headers.get("x-unit-id") or request.id or "",
            name=request.id or "",
        )
        return _ok(protocol.answer_rows(self._desk.models.model, version, request, scores))

    # --- the control plane --------------------------------------------------------------------

    def _feedback(self, call: Call) -> Reply:
        body = protocol.decode(_FEEDBACK, call.body, "a JSON object with items")
        return _ok(self._desk.feedback(body.items))

    def _served(self, call: Call) -> Reply:
        _, since = _asked(call)
        return _ok(encode(self._desk.metrics.served(since)))

    def _labelled(self, call: Call) -> Reply:
        version, since = _asked(call)
        found = self._desk.observations.labelled(version, since)
        # Thousands of rows: the JSON writer takes them as they are, in a hundredth of the time.
        return _ok({field.name: getattr(found, field.name) for field in fields(found)})

    def _scores(self, call: Call) -> Reply:
        version, since = _asked(call)
        return _ok(self._desk.observations.scores(version, since))

    def _metrics(self, call: Call) -> Reply:
        text = self._desk.metrics.prometheus(self._desk.models.model, self._desk.gauges())
        return Reply(200, text.encode(), _TEXT)


def failure(error: InstarError) -> Reply:
    """Put a mistake into the protocol's words: a status and `{"error": text}`."""
    status = STATUS.get(error.code, 400 if isinstance(error, InputError) else 500)
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, WrongMethod):
        headers = (("allow", error.allowed),)
    if status == 503:
        headers = (("retry-after", "1"),)
    # What the client wrote comes back as it was; what a store or a library says, without places.
    said = str(error) if isinstance(error, InputError) else pathless(str(error))
    return Reply(status, write({"error": said}), headers=headers)


def _ok(value: Any, status: int = 200) -> Reply:
    return Reply(status, write(value))


def _refuse_encoded(call: Call) -> None:
    encoding = call.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Encoded(encoding)
    if not call.body:
        raise Malformed("a JSON body", "an empty one")
    if "inference-header-content-length" in call.headers:
        raise Malformed("tensors in JSON", "binary ones, which are not served yet")


def _asked(call: Call) -> tuple[str, int]:
    given = parse_qs(call.query)
    version, since = given.get("version", [""])[0], given.get("since", ["0"])[0]
    if version and not is_name(version):
        raise Malformed("the name of a version", repr(version[:80]))
    if not since.isdecimal():
        raise Malformed("a generation in since", repr(since[:20]))
    return version, int(since)
