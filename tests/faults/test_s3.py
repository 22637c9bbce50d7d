"""F32 to F35: S3 that is overloaded, unsure, torn, silent, or refuses. Never a wrong artifact."""

from __future__ import annotations

import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar.core.digest import digest_bytes
from instar.core.errors import BackendError, InstarError, IntegrityError
from instar.ledger.artifacts import DamagedArtifact, DirectoryArtifacts, MissingArtifact
from instar.ledger.patience import Budget, Patience
from instar.ledger.s3 import (
    PART,
    NoBucket,
    S3Artifacts,
    S3Busy,
    S3ClockWrong,
    S3Denied,
    S3Torn,
    S3Unreachable,
    locate,
)
from tests.servers.s3 import BUCKET, Answer, Call, Server, Shim, credentials, refusal, server, shim

DATA = b"weights of a network " * 500
LARGE = b"w" * PART + b"the second part"
BOTH = pytest.mark.parametrize("data", [DATA, LARGE], ids=["whole", "parts"])


@pytest.fixture(scope="module")
def s3_server() -> Iterator[Server]:
    with server() as found:
        yield found


@pytest.fixture
def before(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shim]:
    credentials(monkeypatch)
    with shim(s3_server.endpoint) as made:
        yield made


@pytest.fixture
def prefix() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def open_store(before: Shim, prefix: str, tmp_path: Path) -> Callable[..., S3Artifacts]:
    """Open the same place in S3, past the shim, with an empty cache each time."""

    def opened(url: str = "", **more: Any) -> S3Artifacts:
        place = locate(f"s3://{BUCKET}/{prefix}?endpoint={url or before.url}")
        cache = DirectoryArtifacts(tmp_path / uuid.uuid4().hex)
        settings = {"base_s": 0.001, "cap_s": 0.01, "deadline_s": 10.0, **more}
        return S3Artifacts(place, cache, patience=Patience(**settings), silent_s=0.5, connect_s=0.5)

    return opened


@pytest.fixture
def artifacts(open_store: Callable[..., S3Artifacts]) -> S3Artifacts:
    return open_store()


def only(times: int, wanted: Callable[[Call], bool], fault: Callable[[Call], Answer | None]) -> Any:
    """Do a fault to the first calls of a kind, and forward all others."""
    left = [times]

    def answer(call: Call) -> Answer | None:
        if left[0] and wanted(call):
            left[0] -= 1
            return fault(call)
        return call.forward()

    return answer


def sends(call: Call) -> bool:
    return call.sends


def reads(call: Call) -> bool:
    return call.method == "GET" and "/sha256/" in call.path


def stored(found: Server, prefix: str) -> dict[str, bytes]:
    """What S3 holds below a prefix, read past shim and store."""
    client = found.client
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/sha256/").get("Contents", [])
    return {
        "sha256:" + item["Key"].rpartition("/")[2]: client.get_object(
            Bucket=BUCKET, Key=item["Key"]
        )["Body"].read()
        for item in listed
    }


# F32: overload.


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("seed", range(2))
def test_s3_that_refuses_three_of_ten_requests_is_outlasted(
    before: Shim, open_store: Callable[..., S3Artifacts], status: int, seed: int
) -> None:
    lucky = random.Random(seed)
    failed = []

    def fault(call: Call) -> Answer | None:
        if lucky.random() < 0.3:
            failed.append(call)
            return refusal(status, "SlowDown" if status == 503 else "InternalError")
        return call.forward()

    before.fault = fault
    # More attempts than in service: here each of many puts must come through.
    patience = {"attempts": 12, "budget": Budget(reserve=200)}
    store = open_store(**patience)
    digests = [store.put(b"%d" % n * 1000) for n in range(10)]
    other = open_store(**patience)
    assert [other.read(d) for d in digests] == [b"%d" % n * 1000 for n in range(10)]
    assert len(failed) > 5


def test_repeats_add_little_load_even_where_everything_fails(
    before: Shim, open_store: Callable[..., S3Artifacts]
) -> None:
    before.fault = lambda _: refusal(503, "SlowDown")
    store = open_store(budget=Budget(share=0.1, reserve=5))
    tried = 60
    for n in range(tried):
        with pytest.raises(S3Busy) as caught:
            store.put(b"%d" % n)
        assert caught.value.retryable
    assert tried < len(before.calls) <= 1.1 * tried + 5


# F33: maybe done.


@BOTH
@pytest.mark.parametrize(
    "answer",
    [
        lambda _: refusal(500, "InternalError"),
        lambda _: refusal(503, "SlowDown"),
        lambda _: refusal(409, "ConditionalRequestConflict"),
        lambda _: refusal(412, "PreconditionFailed"),
        lambda _: None,
    ],
    ids=["500", "503", "409", "412", "cut"],
)
def test_object_that_was_stored_after_all_is_not_sent_twice(
    before: Shim,
    artifacts: S3Artifacts,
    s3_server: Server,
    prefix: str,
    data: bytes,
    answer: Callable[[Call], Answer | None],
) -> None:
    before.fault = only(1, sends, lambda call: (call.forward(), answer(call))[1])
    digest = artifacts.put(data)
    assert stored(s3_server, prefix) == {digest: data}
    sent = [path for method, path in before.calls if method == "PUT" and "partNumber" not in path]
    done = [path for method, path in before.calls if method == "POST" and "uploadId" in path]
    assert len(sent) + len(done) == 1


@BOTH
@pytest.mark.parametrize("status", [500, 409])
def test_object_that_was_not_stored_is_sent_again(
    before: Shim, artifacts: S3Artifacts, s3_server: Server, prefix: str, data: bytes, status: int
) -> None:
    before.fault = only(2, sends, lambda _: refusal(status, "InternalError"))
    digest = artifacts.put(data)
    assert stored(s3_server, prefix) == {digest: data}
    assert artifacts.leftovers(before=float("inf")) == 0


def test_wrong_object_of_somebody_who_was_faster_is_replaced(
    before: Shim, artifacts: S3Artifacts, s3_server: Server, prefix: str
) -> None:
    def faster(call: Call) -> Answer | None:
        key = call.path.removeprefix(f"/{BUCKET}/").partition("?")[0]
        s3_server.client.put_object(Bucket=BUCKET, Key=key, Body=b"half of it")
        return call.forward()

    before.fault = only(1, sends, faster)
    digest = artifacts.put(DATA)
    assert stored(s3_server, prefix) == {digest: DATA}


# F34: torn.


@BOTH
def test_upload_that_is_cut_short_is_sent_again(
    before: Shim, artifacts: S3Artifacts, s3_server: Server, prefix: str, data: bytes
) -> None:
    seen: list[dict[str, bytes]] = []

    def truncated(call: Call) -> Answer | None:
        answer = call.forward(call.body[: len(call.body) // 2])
        seen.append(stored(s3_server, prefix))
        return answer

    before.fault = only(1, lambda call: call.method == "PUT", truncated)
    digest = artifacts.put(data)
    assert seen != [{digest: data}]  # moto believed it: only reading back tells
    assert stored(s3_server, prefix) == {digest: data}


@BOTH
def test_upload_that_is_always_cut_short_leaves_nothing(
    before: Shim, artifacts: S3Artifacts, s3_server: Server, prefix: str, data: bytes
) -> None:
    before.fault = only(10**6, lambda c: c.method == "PUT", lambda c: c.forward(c.body[:-1]))
    with pytest.raises(S3Torn):
        artifacts.put(data)
    before.fault = Call.forward
    assert stored(s3_server, prefix) == {}
    assert digest_bytes(data) not in artifacts
    assert artifacts.leftovers(before=float("inf")) == 0


@pytest.mark.parametrize("code", ["BadDigest", "XAmzContentChecksumMismatch", "IncompleteBody"])
def test_upload_that_s3_finds_torn_is_sent_again(
    before: Shim, artifacts: S3Artifacts, s3_server: Server, prefix: str, code: str
) -> None:
    before.fault = only(2, sends, lambda _: refusal(400, code))
    digest = artifacts.put(DATA)
    assert stored(s3_server, prefix) == {digest: DATA}


def test_upload_carries_the_digest_as_its_checksum(before: Shim, artifacts: S3Artifacts) -> None:
    told: list[tuple[str, str]] = []

    def fault(call: Call) -> Answer | None:
        if call.sends:
            told.append((call.headers["x-amz-checksum-sha256"], call.headers["if-none-match"]))
        return call.forward()

    before.fault = fault
    artifacts.put(b"")
    assert told == [("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "*")]  # of nothing, base64


def short(call: Call) -> Answer:
    answer = call.forward()
    return replace(answer, body=answer.body[:-1], length=len(answer.body))


def cut_and_told_so(call: Call) -> Answer:
    answer = call.forward()
    return replace(answer, body=answer.body[:-1])


def flipped(call: Call) -> Answer:
    answer = call.forward()
    return replace(answer, body=bytes([answer.body[0] ^ 1]) + answer.body[1:])


@BOTH
@pytest.mark.parametrize("fault", [short, cut_and_told_so, flipped])
def test_download_that_is_torn_once_is_done_again(
    before: Shim,
    artifacts: S3Artifacts,
    open_store: Callable[..., S3Artifacts],
    data: bytes,
    fault: Callable[[Call], Answer],
) -> None:
    digest = artifacts.put(data)
    other = open_store()
    before.fault = only(1, reads, fault)
    assert other.read(digest) == data
    before.fault = only(1, reads, fault)
    assert open_store().path(digest).read_bytes() == data


@pytest.mark.parametrize(
    ("fault", "error"),
    [(short, S3Unreachable), (cut_and_told_so, DamagedArtifact), (flipped, DamagedArtifact)],
)
def test_download_that_is_always_torn_is_refused_and_not_kept(
    before: Shim,
    artifacts: S3Artifacts,
    open_store: Callable[..., S3Artifacts],
    fault: Callable[[Call], Answer],
    error: type[InstarError],
) -> None:
    digest = artifacts.put(DATA)
    other = open_store()
    before.fault = only(10**6, reads, fault)
    for ask in (other.read, other.path):
        with pytest.raises(error):
            ask(digest)
    assert list(other.cache.digests()) == []
    assert other.cache.leftovers(before=float("inf")) == 0
    with pytest.raises((S3Torn, S3Unreachable)):  # a right one is sent in its place, in vain
        open_store().put(DATA)


def test_wrong_tag_costs_no_artifact(
    before: Shim, artifacts: S3Artifacts, s3_server: Server, prefix: str
) -> None:
    def untagged(call: Call) -> Answer:
        answer = call.forward()
        kept = [pair for pair in answer.headers if pair[0].lower() != "etag"]
        return replace(answer, headers=[*kept, ("ETag", '"wrong"')])

    before.fault = untagged
    digest = artifacts.put(DATA)
    assert stored(s3_server, prefix) == {digest: DATA}
    assert not artifacts.quarantine(digest)
    assert stored(s3_server, prefix) == {digest: DATA}


# F35: nobody there, or a refusal.


def silence(call: Call) -> None:
    time.sleep(1.0)


@pytest.mark.parametrize("fault", [silence, lambda _: None], ids=["silent", "cut"])
def test_s3_that_does_not_answer_is_given_up(
    before: Shim,
    open_store: Callable[..., S3Artifacts],
    fault: Callable[[Call], None],
) -> None:
    before.fault = fault
    store = open_store(attempts=2)
    for ask in (lambda: store.put(DATA), lambda: store.read(digest_bytes(b"other"))):
        with pytest.raises(S3Unreachable) as caught:
            ask()
        assert caught.value.retryable
        assert "127.0.0.1" not in str(caught.value)
    assert len(before.calls) == 4


def test_connection_that_nobody_takes_up_is_given_up(
    open_store: Callable[..., S3Artifacts],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts, and never answers
        store = open_store(f"http://127.0.0.1:{listener.getsockname()[1]}", attempts=2)
        with pytest.raises(S3Unreachable, match="none in time"):
            store.put(DATA)


def test_port_that_is_closed_is_said_so(open_store: Callable[..., S3Artifacts]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    store = open_store(f"http://127.0.0.1:{port}")
    with pytest.raises(S3Unreachable, match="no connection"):
        store.put(DATA)


def test_name_that_does_not_resolve_is_said_so(
    open_store: Callable[..., S3Artifacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    store = open_store("http://s3.nowhere.invalid")
    with pytest.raises(S3Unreachable, match="no connection"):
        store.read(digest_bytes(DATA))


@pytest.mark.parametrize(
    ("status", "code", "error", "words"),
    [
        (400, "ExpiredToken", S3Denied, "expired"),
        (403, "ExpiredToken", S3Denied, "expired"),
        (403, "RequestTimeTooSkewed", S3ClockWrong, "clock"),
        (403, "AccessDenied", S3Denied, "do not allow"),
        (403, "InvalidAccessKeyId", S3Denied, "access key"),
        (403, "SignatureDoesNotMatch", S3Denied, "secret key"),
        (404, "NoSuchBucket", NoBucket, BUCKET),
    ],
)
def test_refusal_is_told_in_clear_words_and_not_repeated(
    before: Shim,
    artifacts: S3Artifacts,
    open_store: Callable[..., S3Artifacts],
    status: int,
    code: str,
    error: type[BackendError],
    words: str,
) -> None:
    digest = artifacts.put(DATA)
    other = open_store()
    before.calls.clear()
    before.fault = lambda _: refusal(status, code)
    with pytest.raises(error, match=words) as caught:
        other.read(digest)
    assert not caught.value.retryable
    assert "nothing" not in str(caught.value)  # the secret key
    assert len(before.calls) == 1
    if status == 403:  # a HEAD is answered without the reason: it is asked for
        with pytest.raises(error, match=words):
            assert digest in other


def test_missing_credentials_are_said_so(
    before: Shim, open_store: Callable[..., S3Artifacts], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(S3Denied, match="none"):
        open_store().put(DATA)
    assert before.calls == []


def test_what_is_in_the_cache_is_served_while_s3_is_gone(
    before: Shim, artifacts: S3Artifacts
) -> None:
    digest = artifacts.put(DATA)
    before.calls.clear()
    before.fault = lambda _: None
    assert artifacts.read(digest) == DATA
    assert artifacts.path(digest).read_bytes() == DATA
    assert before.calls == []


def test_absent_is_not_the_same_as_unreachable(before: Shim, artifacts: S3Artifacts) -> None:
    with pytest.raises(MissingArtifact) as caught:
        artifacts.read(digest_bytes(b"never"))
    assert isinstance(caught.value, IntegrityError)
    before.fault = lambda _: refusal(503, "SlowDown")
    with pytest.raises(S3Busy):
        artifacts.read(digest_bytes(b"never"))
