"""What goes wrong with a request, and the words and statuses that HTTP has for it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from instar.core.errors import BackendError, InputError, InstarError, UnknownName, pathless
from instar.serving import encodings, protocol
from instar.serving.connection import Reply
from instar.serving.models import UnknownVersion

write = msgspec.json.Encoder().encode


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


class StaysLoaded(InputError):
    """Refuse to unload what the route gives requests to."""

    code = "request.stays_loaded"

    def __init__(self, version: str) -> None:
        super().__init__(
            "a version without traffic to unload", version, "let a release or a rollback move it"
        )


class NotReady(BackendError):
    """Answer a request that came before any version could serve."""

    code = "backend.not_ready"
    retryable = True

    def __init__(self, model: str) -> None:
        super().__init__(f"a version of {model} in service", "none yet", "try again in a second")


class Ending(BackendError):
    """Turn away who comes when the gateway was told to end."""

    code = "backend.ending"
    retryable = True

    def __init__(self) -> None:
        super().__init__("a gateway that serves", "one that ends", "try again in a second")


class InvalidAnswer(BackendError):
    """Report scores that are no finite numbers; they are not handed on."""

    code = "backend.invalid_answer"

    def __init__(self, version: str) -> None:
        super().__init__(f"finite scores from {version}", "others", "tell the model's owner")


class TooMany(BackendError):
    """Refuse a request because as many as there may be are being answered."""

    code = "backend.too_many"
    retryable = True

    def __init__(self, lane: str, most: int) -> None:
        super().__init__(f"at most {most} requests at once ({lane})", "more", "try again")


class Overloaded(BackendError):
    """Refuse a request that could not be answered in time."""

    code = "backend.overloaded"
    retryable = True

    def __init__(self, patience_s: float, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__(
            f"an answer within {patience_s:.3g} s", f"a queue of {wait_s:.3g} s", "try again later"
        )


class ClientGone(BackendError):
    """Give up on a request whose client has left; the words reach nobody."""

    code = "backend.client_gone"

    def __init__(self) -> None:
        super().__init__("a client that waits", "one that left", "ask again")


class NoOffice(BackendError):
    """Report that the process that counts and joins labels does not answer."""

    code = "backend.no_office"
    retryable = True

    def __init__(self) -> None:
        super().__init__("an answer of the control plane", "none", "try again in a second")


STATUS: Mapping[str, int] = {
    UnknownModel.code: 404,
    UnknownVersion.code: 404,
    UnknownPath.code: 404,
    WrongMethod.code: 405,
    protocol.TooLarge.code: 413,
    encodings.Bomb.code: 413,
    encodings.UnknownEncoding.code: 415,
    TooMany.code: 429,
    NotReady.code: 503,
    Ending.code: 503,
    Overloaded.code: 503,
    NoOffice.code: 503,
}
"""Error codes to HTTP statuses; other input errors are 400, everything else 500."""


def failure(error: InstarError) -> Reply:
    """Put a mistake into the protocol's words: a status and `{"error": text}`."""
    status = STATUS.get(error.code, 400 if isinstance(error, InputError) else 500)
    headers: tuple[tuple[str, str], ...] = ()
    if isinstance(error, WrongMethod):
        headers = (("allow", "GET, HEAD" if error.allowed == "GET" else error.allowed),)
    if status in (429, 503):
        wait_s = error.wait_s if isinstance(error, Overloaded) else 1.0
        headers = (("retry-after", str(max(1, math.ceil(wait_s)))),)
    # What the client wrote comes back as it was; what a store or a library says, without places.
    said = str(error) if isinstance(error, InputError) else pathless(str(error))
    return Reply(status, write({"error": said}), headers=headers)


def refusal(status: int, wanted: str, got: str) -> Reply:
    """Put a mistake in HTTP itself into the same words."""
    return Reply(status, write({"error": str(InputError(wanted, got, "correct the request"))}))


def broken() -> Reply:
    """Admit a mistake of our own; the client learns no internals."""
    return Reply(500, write({"error": "wanted an answer; got a failure of the server; try again"}))
