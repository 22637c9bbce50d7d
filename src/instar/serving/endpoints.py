"""Paths and methods, and what stands behind them. Takes calls and gives replies: no sockets here.

The prediction lane is `/v2`, the Open Inference Protocol; beside it `/api/v1` for the control
plane and `/metrics` for Prometheus, which the office answers for all workers.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from instar import __version__
from instar.core.errors import BackendError, InputError, InstarError
from instar.core.names import is_name
from instar.serving import encodings, openapi, protocol, tensors
from instar.serving.batching import HEAVY_ROWS, MOST_ROWS, Scores
from instar.serving.connection import Call, Done, Limits, Reply
from instar.serving.desk import PATIENCE_S, Arm, Desk
from instar.serving.lanes import Lanes
from instar.serving.link import Link
from instar.serving.log import Feedback, Log, Report
from instar.serving.mistakes import (
    NotReady,
    StaysLoaded,
    UnknownModel,
    UnknownPath,
    WrongMethod,
    broken,
    failure,
    write,
)
from instar.serving.protocol import Malformed

_TEXT = "text/plain; version=0.0.4"
_KNOWN_PATHS = 256  # paths whose meaning is remembered
_MOST_BODY = Limits().body_bytes
EXTENSIONS = (
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
)

# What stands behind a path: it replies, or takes care that the reply comes later.
Endpoint = Callable[[Call, Done], Reply | None]


class Repository(msgspec.Struct):
    """The body of a request to the model repository."""

    ready: bool = False
    parameters: protocol.Parameters | None = None


_FEEDBACK = msgspec.json.Decoder(openapi.Sent)
_REPOSITORY = msgspec.json.Decoder(Repository)


class Endpoints:
    """Find what a call asks for, do it, and put mistakes into the protocol's words.

    Args:
        desk: Answers predictions.
        link: Reaches the office.
        log: Keeps labels.
        hand_in: Gives the office what was answered so far.
    """

    def __init__(self, desk: Desk, link: Link, log: Log, hand_in: Callable[[], None]) -> None:
        self._desk, self._link, self._log, self._hand_in = desk, link, log, hand_in
        self._lanes = Lanes()
        self._paths: dict[tuple[bytes, bytes], Endpoint] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, call: Call, done: Done) -> None:
        """Answer a call; a mistake is an answer too."""
        try:
            endpoint = self._paths.get((call.method, call.target)) or self._find(call)
            reply = endpoint(call, done)
            if reply is not None:
                done(reply)
        except InstarError as error:
            self._desk.refused += isinstance(error, InputError) and call.target[:3] == b"/v2"
            done(failure(error))
        except Exception:
            logging.getLogger("instar.serving").exception("an answer failed")
            done(broken())

    # --- paths --------------------------------------------------------------------------------

    def _find(self, call: Call) -> Endpoint:
        path = call.target.partition(b"?")[0].decode("latin-1")
        method, endpoint = self._match(path)
        asked = call.method.decode("latin-1")
        if asked != method and not (asked == "HEAD" and method == "GET"):
            raise WrongMethod(method, asked)
        if len(self._paths) < _KNOWN_PATHS:
            self._paths[call.method, call.target] = endpoint
        return endpoint

    def _match(self, path: str) -> tuple[str, Endpoint]:
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["v2", "models", "stats"]:
                return "GET", self._stats("")
            case ["v2", "models", model, *rest]:
                return self._match_model(model, rest, path)
            case ["v2"]:
                return "GET", self._server
            case ["v2", "health", "live"]:
                return "GET", lambda *_: _ok({"live": True})
            case ["v2", "health", "ready"]:
                return "GET", self._ready
            case ["v2", "repository", "index"]:
                return "POST", self._index
            case ["v2", "repository", "models", model, ("load" | "unload") as what]:
                self._known(model)
                return "POST", lambda call, done: self._reload(what, call, done)
            case ["api", "v1", "feedback"]:
                return "POST", self._feedback
            case ["api", "v1", "status"]:
                return "GET", lambda _, done: self._office("status", None, done)
            case ["api", "v1", "served"]:
                return "GET", lambda call, done: self._office("served", _asked(call)[1], done)
            case ["api", "v1", ("labelled" | "scores" | "compared") as what]:
                return "GET", lambda call, done: self._office(what, _asked(call, named=True), done)
            case ["api", "v1", "openapi.json"]:
                return "GET", lambda *_: _ok(openapi.document())
            case ["metrics"]:
                return "GET", lambda _, done: self._office("metrics", None, done, _TEXT)
        raise UnknownPath(path)

    def _match_model(self, model: str, rest: list[str], path: str) -> tuple[str, Endpoint]:
        self._known(model)
        version = ""
        if len(rest) >= 2 and rest[0] == "versions":
            version, rest = rest[1], rest[2:]
            if not version:
                raise UnknownPath(path)
        match rest:
            case []:
                return "GET", lambda *_: self._metadata(version)
            case ["ready"]:
                return "GET", lambda *_: self._model_ready(version)
            case ["config"]:
                return "GET", lambda *_: self._config(version)
            case ["stats"]:
                return "GET", self._stats(version)
            case ["infer"]:
                return "POST", partial(self._infer, version)
            case ["predict"]:
                return "POST", partial(self._predict, version)
        raise UnknownPath(path)

    def _known(self, model: str) -> None:
        if model != self._desk.model:
            raise UnknownModel(model, self._desk.model)

    # --- the Open Inference Protocol ----------------------------------------------------------

    def _server(self, call: Call, done: Done) -> Reply:
        return _ok({"name": "instar", "version": __version__, "extensions": EXTENSIONS})

    def _ready(self, call: Call, done: Done) -> Reply:
        if self._desk.floor is None:
            reply = failure(NotReady(self._desk.model))
            body = write({"live": True, "ready": False})
            return Reply(reply.status, body, headers=reply.headers)
        return _ok({"live": True, "ready": True})

    def _metadata(self, version: str) -> Reply:
        floor = self._desk.ready()
        chosen = floor.find(version).version
        return _ok(
            {
                "name": self._desk.model,
                "versions": sorted(floor.shelf.versions),
                "platform": "onnx_onnxv1",
                "inputs": list(chosen.inputs.values()),
                "outputs": chosen.outputs,
            }
        )

    def _model_ready(self, version: str) -> Reply:
        self._desk.ready().find(version)
        return _ok({"name": self._desk.model, "ready": True})

    def _config(self, version: str) -> Reply:
        arm = self._desk.ready().find(version)
        chosen = arm.version
        return _ok(
            {
                "name": self._desk.model,
                "platform": "onnxruntime_onnx",
                "backend": "onnxruntime",
                "max_batch_size": HEAVY_ROWS if arm.runner.heavy else MOST_ROWS,
                "input": [_described(item) for item in chosen.inputs.values()],
                "output": [_described(item) for item in chosen.outputs],
                "parameters": {
                    "matrices": {"string_value": ",".join(chosen.packed)},
                },
            }
        )

    def _stats(self, version: str) -> Endpoint:
        def endpoint(call: Call, done: Done) -> None:
            self._desk.ready().find(version)
            self._office("stats", version, done)

        return endpoint

    def _infer(self, pinned: str, call: Call, done: Done) -> None:
        headers = call.headers
        body = _body(call)
        asked = protocol.read_infer(body, headers.get(b"inference-header-content-length"))
        infer = asked.infer
        floor = self._desk.ready()
        if infer.outputs is not None or infer.parameters is not None:
            protocol.wanted(infer, floor.find(pinned).writer.offered)

        def read(arm: Arm) -> tensors.Columns:
            return arm.reading(asked)

        def answer(arm: Arm, scores: Scores, at: int, rows: list[list[float]]) -> Reply:
            return Reply(200, *arm.writer.infer(infer, scores, at, rows))

        name = infer.id or ""
        unit = _unit(headers, name) if b"x-unit-id" in headers else name
        self._desk.predict(
            read,
            answer,
            done,
            unit=unit,
            name=name,
            pinned=pinned,
            patience_s=_patience(headers) if b"x-timeout-ms" in headers else PATIENCE_S,
            gone=call.gone,
        )

    def _predict(self, pinned: str, call: Call, done: Done) -> None:
        headers = call.headers
        request = protocol.read_rows(_body(call))
        known = self._desk.ready().shelf.known

        def read(arm: Arm) -> tensors.Columns:
            return tensors.columns_of_rows(request, arm.version.inputs, known)

        def answer(arm: Arm, scores: Scores, at: int, rows: list[list[float]]) -> Reply:
            return Reply(200, arm.writer.rows(request, scores[at : at + len(rows)]))

        name = request.id or ""
        self._desk.predict(
            read,
            answer,
            done,
            unit=_unit(headers, name),
            name=name,
            pinned=pinned,
            patience_s=_patience(headers),
            gone=call.gone,
        )

    # --- the model repository -----------------------------------------------------------------

    def _index(self, call: Call, done: Done) -> Reply:
        asked = _repository(call)
        floor = self._desk.floor
        versions: list[dict[str, str]] = []
        if floor:
            shelf = floor.shelf
            states = dict.fromkeys(shelf.versions, ("READY", ""))
            if not asked.ready:
                states |= {name: ("UNAVAILABLE", why) for name, why in shelf.cold.items()}
            versions = [
                {"name": self._desk.model, "version": name, "state": state, "reason": why}
                for name, (state, why) in sorted(states.items())
            ]
        return _ok(versions)

    def _reload(self, what: str, call: Call, done: Done) -> None:
        """Load what the route wants and is not there, or let a version go that has no traffic."""
        given = _repository(call).parameters or {}
        version = given.get("version", "")
        if not isinstance(version, str):
            raise Malformed("the name of a version", repr(version)[:40])
        floor = self._desk.floor
        if floor and version and version not in floor.shelf.cold:
            floor.find(version)
        if what == "unload":
            floor = self._desk.ready()
            shares = floor.shelf.route.shares
            if not version or version == floor.shelf.route.champion or shares.get(version):
                raise StaysLoaded(version or f"{self._desk.model}, which serves")

        async def ask() -> Reply:
            found = msgspec.json.decode(await self._link.ask(what, version, 90.0))
            if found["reason"]:
                return failure(NotLoaded(version or self._desk.model, found["reason"]))
            return _ok({})

        self._later(ask(), done, "admin")

    # --- the control plane --------------------------------------------------------------------

    def _feedback(self, call: Call, done: Done) -> None:
        sent = protocol.decode(_FEEDBACK, _body(call), "a JSON object with items")
        pairs, refused = self._desk.truths(sent.items)
        for name, label in pairs:
            self._log.append(Feedback(name, label))
        reports = [item.id for item in sent.items if item.report is not False]
        for name in reports:
            self._log.append(Report(name))

        self._hand_in()

        async def ask() -> Reply:
            joined = msgspec.json.decode(await self._link.ask("feedback", (pairs, reports)))
            return _ok({**joined, "refused": refused})

        self._later(ask(), done, "control")

    def _office(self, what: str, value: Any, done: Done, kind: str = "application/json") -> None:
        async def ask() -> Reply:
            return Reply(200, await self._link.ask(what, value), kind)

        self._later(ask(), done, "control")

    def _later(self, work: Coroutine[Any, Any, Reply], done: Done, lane: str) -> None:
        """Reply when the work is done."""
        try:
            free = self._lanes.enter(lane)
        except InstarError:
            work.close()
            raise

        async def finish() -> None:
            try:
                reply = await work
            except InstarError as error:
                reply = failure(error)
            except Exception:
                logging.getLogger("instar.serving").exception("an answer failed")
                reply = broken()
            finally:
                free()
            done(reply)

        task = asyncio.get_running_loop().create_task(finish())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class NotLoaded(BackendError):
    """Report a version that could not be loaded."""

    code = "backend.not_loaded"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} loaded", why, "see /v2/repository/index")


def _ok(value: Any) -> Reply:
    return Reply(200, write(value))


def _body(call: Call) -> bytes:
    """Return the body, unpacked."""
    body = call.body
    if encoding := call.headers.get(b"content-encoding"):
        body = encodings.plain(body, encoding.decode("latin-1"), _MOST_BODY)
    if not body:
        raise Malformed("a body", "an empty one")
    return body


def _repository(call: Call) -> Repository:
    if not call.body:
        return Repository()
    return protocol.decode(_REPOSITORY, _body(call), "a JSON object with parameters")


def _unit(headers: dict[bytes, bytes], name: str) -> str:
    given = headers.get(b"x-unit-id")
    return given.decode("utf-8", "surrogateescape") if given else name


def _patience(headers: dict[bytes, bytes]) -> float:
    """Read how long a client waits; what it says of itself only shortens the time."""
    given = headers.get(b"x-timeout-ms")
    if given is None:
        return PATIENCE_S
    if not given.isdigit() or len(given) > 9:
        raise Malformed("milliseconds in X-Timeout-Ms", repr(given.decode("latin-1"))[:40])
    return min(PATIENCE_S, int(given) / 1000)


def _described(item: Any) -> dict[str, Any]:
    """Describe a tensor as a model configuration does: without the dimension of the batch."""
    kind = item["datatype"]
    kind = "STRING" if kind == "BYTES" else kind
    return {"name": item["name"], "data_type": f"TYPE_{kind}", "dims": item["shape"][1:] or [1]}


def _asked(call: Call, *, named: bool = False) -> tuple[str, int]:
    """Read which version is asked about, where one has to be, and since when."""
    query = call.target.partition(b"?")[2].decode("latin-1")
    given = parse_qs(query, keep_blank_values=True)
    version, since = given.get("version", [""]), given.get("since", ["0"])
    if named and not (len(version) == 1 and is_name(version[0])):
        raise Malformed("the name of a version in version", repr(version)[:80])
    # 18 digits: more than any generation, and less than 64 bits.
    if not (len(since) == 1 and re.fullmatch("[0-9]{1,18}", since[0])):
        raise Malformed("a generation in since", repr(since)[:40])
    return version[0], int(since[0])
