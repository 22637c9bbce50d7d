from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instar.core.digest import digest_bytes
from instar.core.errors import PolicyError
from instar.ledger.artifacts import DamagedArtifact, DirectoryArtifacts
from instar.ledger.patience import Patience
from instar.ledger.s3 import PART, RENEW_S, S3Artifacts, locate
from instar.testing.contracts.artifacts import ArtifactsContract
from tests.servers import s3


@pytest.fixture
def url(s3_server: s3.Server, monkeypatch: pytest.MonkeyPatch) -> str:
    s3.credentials(monkeypatch)
    return f"s3://{s3.BUCKET}/{uuid.uuid4().hex}/here?endpoint={s3_server.endpoint}"


@pytest.fixture
def open_store(url: str, tmp_path: Path) -> Callable[[], S3Artifacts]:
    """Open the same place in S3 with an empty cache each time, as other machines would."""

    def opened() -> S3Artifacts:
        cache = DirectoryArtifacts(tmp_path / uuid.uuid4().hex)
        return S3Artifacts(locate(url), cache, patience=Patience(base_s=0.01))

    return opened


@pytest.fixture
def artifacts(open_store: Callable[[], S3Artifacts]) -> S3Artifacts:
    return open_store()


@pytest.fixture
def client(s3_server: s3.Server) -> Any:
    return s3_server.client


def keys(client: Any, url: str) -> list[str]:
    prefix = locate(url).prefix
    found = client.list_objects_v2(Bucket=s3.BUCKET, Prefix=prefix).get("Contents", [])
    return [item["Key"].removeprefix(prefix) for item in found]


class TestS3Artifacts(ArtifactsContract):
    @pytest.fixture
    def again(self, open_store: Callable[[], S3Artifacts]) -> Callable[[], S3Artifacts]:
        return open_store

    @pytest.fixture
    def damage(self, client: Any, url: str, artifacts: S3Artifacts) -> Callable[[str, bytes], None]:
        def write(digest: str, data: bytes) -> None:
            key = f"{locate(url).prefix}sha256/{digest.removeprefix('sha256:')}"
            client.put_object(Bucket=s3.BUCKET, Key=key, Body=data)
            cached = artifacts.cache._place(digest)
            cached.chmod(0o644)
            cached.write_bytes(data)

        return write

    @pytest.fixture
    def interrupt(
        self, artifacts: S3Artifacts, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[], None]:
        def arm() -> None:
            def stop(**_: object) -> None:
                raise KeyboardInterrupt

            monkeypatch.setattr(artifacts._slow, "complete_multipart_upload", stop)

        return arm


def test_object_is_named_by_its_digest(artifacts: S3Artifacts, client: Any, url: str) -> None:
    digest = artifacts.put(b"abc")
    assert keys(client, url) == [f"sha256/{digest.removeprefix('sha256:')}"]


def test_upload_that_is_interrupted_is_given_up(
    artifacts: S3Artifacts, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(artifacts._slow, "complete_multipart_upload", stop)
    with pytest.raises(KeyboardInterrupt):
        artifacts.put(b"p" * (PART + 1))
    assert artifacts.leftovers(before=float("inf")) == 0


def test_upload_that_nobody_ended_is_counted_and_given_up(
    artifacts: S3Artifacts, client: Any, url: str
) -> None:
    key = f"{locate(url).prefix}sha256/{'0' * 64}"
    for _ in range(3):
        client.create_multipart_upload(Bucket=s3.BUCKET, Key=key)
    assert artifacts.leftovers(before=float("inf")) == 3
    assert artifacts.leftovers(before=0) == 0
    assert artifacts.tidy(before=float("inf")) == 3
    assert artifacts.leftovers(before=float("inf")) == 0


def test_what_was_loaded_once_is_in_the_cache(
    artifacts: S3Artifacts, open_store: Callable[[], S3Artifacts], client: Any, url: str
) -> None:
    digest = artifacts.put(b"weights")
    other = open_store()
    assert other.path(digest).read_bytes() == b"weights"
    client.delete_object(Bucket=s3.BUCKET, Key=locate(url).prefix + keys(client, url)[0])
    assert other.read(digest) == b"weights"
    assert digest not in other


def test_damaged_copy_in_the_cache_is_loaded_anew(artifacts: S3Artifacts) -> None:
    digest = artifacts.put(b"weights")
    cached = artifacts.cache.path(digest)
    cached.chmod(0o644)
    cached.write_bytes(b"other!!")
    assert artifacts.path(digest).read_bytes() == b"weights"
    assert artifacts.read(digest) == b"weights"


def test_every_flipped_bit_in_s3_is_found(
    artifacts: S3Artifacts, open_store: Callable[[], S3Artifacts], client: Any, url: str
) -> None:
    digest = artifacts.put(b"abc")
    key = locate(url).prefix + keys(client, url)[0]
    other = open_store()
    for bit in range(24):
        data = bytearray(b"abc")
        data[bit // 8] ^= 1 << bit % 8
        client.put_object(Bucket=s3.BUCKET, Key=key, Body=bytes(data))
        with pytest.raises(DamagedArtifact):
            other.read(digest)
        assert not artifacts.whole(digest)


def test_put_of_an_old_artifact_makes_it_young(
    artifacts: S3Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = artifacts.put(b"abc")
    first = artifacts.look(digest)
    copied = []
    copy = artifacts._slow.copy_object
    monkeypatch.setattr(
        artifacts._slow, "copy_object", lambda **args: (copied.append(args), copy(**args))[1]
    )
    artifacts.put(b"abc")
    assert copied == []  # it is young enough
    monkeypatch.setattr("instar.ledger.s3.RENEW_S", -60.0)
    artifacts.put(b"abc")
    second = artifacts.look(digest)
    assert len(copied) == 1
    assert first is not None
    assert second is not None
    assert second.at >= first.at
    assert artifacts.whole(digest)
    assert RENEW_S < 3600


def test_quarantine_moves_only_what_is_damaged(
    artifacts: S3Artifacts, client: Any, url: str
) -> None:
    good, bad = artifacts.put(b"abc"), artifacts.put(b"def")
    key = f"{locate(url).prefix}sha256/{bad.removeprefix('sha256:')}"
    client.put_object(Bucket=s3.BUCKET, Key=key, Body=b"deF")
    assert not artifacts.quarantine(good)
    assert artifacts.quarantine(bad)
    assert set(artifacts.digests()) == {good}
    aside = [name for name in keys(client, url) if name.startswith("quarantine/")]
    assert len(aside) == 1
    found = client.get_object(Bucket=s3.BUCKET, Key=locate(url).prefix + aside[0])
    assert found["Body"].read() == b"deF"


def test_more_digests_than_a_page_holds_are_listed(
    artifacts: S3Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = {artifacts.put(bytes([n])) for n in range(7)}
    ask = artifacts._client.list_objects_v2
    monkeypatch.setattr(artifacts._client, "list_objects_v2", lambda **args: ask(**args, MaxKeys=2))
    assert set(artifacts.digests()) == put


def test_other_objects_below_the_prefix_are_not_artifacts(
    artifacts: S3Artifacts, client: Any, url: str
) -> None:
    for name in ("sha256/notes.txt", "sha256/" + "A" * 64, "else/" + "0" * 64):
        client.put_object(Bucket=s3.BUCKET, Key=locate(url).prefix + name, Body=b"x")
    assert list(artifacts.digests()) == []


@pytest.mark.parametrize(
    ("text", "bucket", "prefix", "endpoint"),
    [
        ("s3://models", "models", "", ""),
        ("s3://models/", "models", "", ""),
        ("s3://models/a/b/", "models", "a/b/", ""),
        ("s3://models/a?endpoint=http://127.0.0.1:9000", "models", "a/", "http://127.0.0.1:9000"),
    ],
)
def test_place_is_read_from_its_url(text: str, bucket: str, prefix: str, endpoint: str) -> None:
    found = locate(text)
    assert (found.bucket, found.prefix, found.endpoint) == (bucket, prefix, endpoint)


@pytest.mark.parametrize(
    "text",
    [
        "s3:",
        "s3:models",
        "s3:///models",
        "http://models/a",
        "s3://models/../b",
        "s3://models/a//b",
        "s3://models/a#b",
        "s3://models?region=x",
        "s3://models?endpoint",
        "s3://key:secret@models/a",
        "s3://models/a?endpoint=http://key:secret@host",
        "s3://[::1",
    ],
)
def test_place_that_cannot_be_one_is_refused_without_its_secrets(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        locate(text)
    assert "secret" not in str(caught.value)


def test_absent_artifact_in_s3_is_not_whole(artifacts: S3Artifacts) -> None:
    assert artifacts.look(digest_bytes(b"never")) is None


def test_rate_is_that_of_the_largest_artifact_and_unknown_where_all_are_small(
    artifacts: S3Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert artifacts.rate() is None
    artifacts.put(b"small")
    assert artifacts.rate() is None
    artifacts.put(bytes(2_000_000))
    times = iter([10.0, 10.5])
    monkeypatch.setattr("instar.ledger.s3.time.perf_counter", lambda: next(times, 10.5))
    assert artifacts.rate() == pytest.approx(4_000_000)
