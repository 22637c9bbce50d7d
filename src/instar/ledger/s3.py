"""Artifacts in S3, or in a store that speaks its protocol: each object is named by what it holds.

Everything goes through a folder of this machine, the cache: what is put is put there first, and
what was loaded once is there when S3 is gone. An object is absent, or whole and right:

* it is sent with `If-None-Match: *`, so that a right one is never replaced, and with the SHA-256
  of what is sent, so that S3 refuses what was torn on the way; a large one in parts;
* then it is read back and hashed. Asking for its checksum (HEAD) would be cheaper, but a store
  may answer with what it was told instead of what it holds (moto does), and then nobody looked;
* an answer that says neither yes nor no (500, 409, 412, none at all) is followed by a look: the
  object and its digest decide, not the answer.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import io
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from instar.core.crash import crashpoint
from instar.core.digest import PREFIX, is_digest, short
from instar.core.errors import BackendError, PolicyError
from instar.ledger import files
from instar.ledger.artifacts import (
    DamagedArtifact,
    DirectoryArtifacts,
    MissingArtifact,
    NotADigest,
    Stored,
)
from instar.ledger.extras import MissingExtra
from instar.ledger.patience import Patience

PART = 8 << 20  # bytes in memory at a time; what is larger is sent in parts
ENOUGH = 1_000_000  # bytes that a measurement of the rate wants at least
PARTS = 10_000  # of one object, at most: a rule of S3
COPY = 5 << 30  # bytes that S3 copies in one request, at most
RENEW_S = 600.0  # an artifact older than this is made young when it is put again: see `remove`
SLOWEST = 250_000  # bytes per second below which a download is given up
SLOW = 20  # times `silent_s` for the operations in `_LONG`
_LONG = ("complete_multipart_upload", "copy_object")
_NEXT = {
    "list_objects_v2": (("ContinuationToken", "NextContinuationToken"),),
    "list_multipart_uploads": (
        ("KeyMarker", "NextKeyMarker"),
        ("UploadIdMarker", "NextUploadIdMarker"),
    ),
}


class BadS3Url(PolicyError):
    """Refuse a place in S3 that cannot be one."""

    code = "policy.s3_url"

    def __init__(self, problem: str) -> None:
        super().__init__(
            "s3://bucket/prefix, or s3://bucket/prefix?endpoint=URL", problem, "mend it"
        )


class S3Unreachable(BackendError):
    """Report that nobody answered, or that the answer was cut."""

    code = "backend.s3_unreachable"
    retryable = True

    def __init__(self, problem: str) -> None:
        super().__init__("an answer from S3", problem, "look at the network and the endpoint")


class S3Busy(BackendError):
    """Report that S3 refused for now (500, 503), also after some patience."""

    code = "backend.s3_busy"
    retryable = True

    def __init__(self, problem: str) -> None:
        super().__init__("S3 to do its part", problem, "try again later")


class S3Denied(BackendError):
    """Report credentials that are missing, expired or not enough."""

    code = "backend.s3_denied"

    def __init__(self, problem: str) -> None:
        super().__init__(
            "credentials that S3 accepts",
            problem,
            "renew them, and see that they allow s3:GetObject, PutObject, DeleteObject, ListBucket",
        )


class S3ClockWrong(BackendError):
    """Report that this machine's clock is too far from that of S3."""

    code = "backend.s3_clock"

    def __init__(self) -> None:
        super().__init__(
            "a clock within 15 minutes of that of S3", "another time", "set this machine's clock"
        )


class NoBucket(BackendError):
    """Report a bucket that does not exist."""

    code = "backend.no_bucket"

    def __init__(self, bucket: str) -> None:
        super().__init__(f"the bucket {bucket!r}", "none of that name", "check store.artifacts")


class S3Failed(BackendError):
    """Report what S3 refused for a reason that has no words of its own."""

    code = "backend.s3"

    def __init__(self, problem: str) -> None:
        super().__init__("S3 to do its part", problem, "see the documentation of the store")


class S3Occupied(BackendError):
    """Report that somebody else is writing, or has written, under the same name."""

    code = "backend.s3_occupied"
    retryable = True

    def __init__(self) -> None:
        super().__init__("to be the only writer", "another one", "try again")


class S3Torn(BackendError):
    """Report that other bytes arrived than were sent."""

    code = "backend.s3_torn"
    retryable = True

    def __init__(self, digest: str, got: str) -> None:
        super().__init__(f"the bytes of {short(digest)}", got, "look at the network")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in S3: `prefix` ends with a slash or is empty; `endpoint` is empty for boto3's own."""

    bucket: str
    prefix: str
    endpoint: str = ""


def locate(url: str) -> Place:
    """Read a place in S3.

    Raises:
        BadS3Url: it is none, or it holds credentials, which have their place elsewhere.
    Example:
        >>> locate("s3://models/demand")
        Place(bucket='models', prefix='demand/', endpoint='')
    """
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise BadS3Url("something that is no URL") from error
    if parts.scheme != "s3" or not parts.netloc or parts.fragment:
        raise BadS3Url("something else")
    if "@" in url:
        raise BadS3Url("credentials in a URL: they belong to the environment, or to ~/.aws")
    if set(query) - {"endpoint"}:
        raise BadS3Url(f"the unknown option {min(set(query) - {'endpoint'})!r}")
    prefix = parts.path.strip("/")
    if any(name in ("", ".", "..") for name in prefix.split("/")) and prefix:
        raise BadS3Url("a prefix with empty or dotted parts")
    return Place(parts.netloc, f"{prefix}/" if prefix else "", query.get("endpoint", [""])[0])


@dataclass(frozen=True, slots=True)
class _Object:
    size: int
    at: float
    etag: str


class S3Artifacts:
    """Keep bytes as objects `sha256/<hex digest>` below a prefix, with a folder as cache.

    Args:
        place: Bucket, prefix and endpoint. Credentials, region and, unless given, the endpoint
            come from where boto3 looks for them: AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL.
        cache: The folder of this machine.
        patience: How often and for how long S3 is asked again.
        connect_s: Seconds that a connection may take.
        silent_s: Seconds that S3 may say nothing.
    Raises:
        MissingExtra: boto3 is not installed.
    """

    def __init__(
        self,
        place: Place,
        cache: DirectoryArtifacts,
        *,
        patience: Patience | None = None,
        connect_s: float = 5.0,
        silent_s: float = 15.0,
    ) -> None:
        self.cache = cache
        self._place, self._patience = place, patience or Patience()
        self._client = _connect(place, connect_s, silent_s)
        self._slow_s = (connect_s, SLOW * silent_s)

    def put(self, data: bytes) -> str:
        """Keep bytes and return their digest.

        Raises:
            BackendError: S3 did not take them; nothing names them yet.
        """
        digest = self.cache.put(data)
        self._send(digest)
        return digest

    def put_file(self, path: Path) -> str:
        """Keep a file's content and return its digest; at most 8 MiB are in memory at a time.

        Raises:
            ChangedSource: the file was written to meanwhile.
            BackendError: S3 did not take it; nothing names it yet.
        """
        digest = self.cache.put_file(path)
        self._send(digest)
        return digest

    def read(self, digest: str) -> bytes:
        """Return the bytes, verified against their digest.

        Raises:
            MissingArtifact: S3 does not hold it.
            DamagedArtifact: S3 holds other bytes under this name.
            BackendError: it is not in the cache, and S3 does not answer.
        """
        try:
            return self.cache.read(digest)
        except (MissingArtifact, DamagedArtifact):
            self._load(digest)
            return self.cache.read(digest)

    def path(self, digest: str) -> Path:
        """Return a local file with the bytes, verified; read-only for the caller."""
        try:
            return self.cache.path(digest)
        except (MissingArtifact, DamagedArtifact):
            self._load(digest)
            return self.cache.path(digest)

    def __contains__(self, digest: str) -> bool:
        return is_digest(digest) and self.look(digest) is not None

    # For the sweep.

    @property
    def copies(self) -> tuple[DirectoryArtifacts, ...]:
        """List the other places that hold copies of this: the cache."""
        return (self.cache,)

    def digests(self) -> Iterator[str]:
        """Name everything that is there, whole or not."""
        start = self._key("")
        for item in self._pages("list_objects_v2", "Contents", Prefix=start):
            digest = PREFIX + str(item["Key"]).removeprefix(start)
            if is_digest(digest):
                yield digest

    def look(self, digest: str) -> Stored | None:
        """Tell how large and how old an artifact is, unverified; None where it is absent."""
        found = self._patience.ask(lambda: self._head(digest))
        return Stored(found.size, found.at) if found else None

    def whole(self, digest: str) -> bool:
        """Tell whether S3 itself holds an artifact, and holds it right.

        Raises:
            MissingArtifact: it does not hold it.
        """
        return not self._patience.ask(lambda: self._differs(digest))

    def remove(self, digest: str, before: float = math.inf) -> bool:
        """Remove an artifact that was not put since `before`; tell whether it was removed.

        Nobody on this machine puts meanwhile. Between the last look and the removal another
        machine could: collect on one machine only, and not while others put.
        """
        with self.cache.alone():
            found = self._patience.ask(lambda: self._head(digest))
            if found is None or found.at >= before:
                return False
            crashpoint("s3.remove")
            self._patience.ask(lambda: self._delete(digest, found.etag))
            crashpoint("s3.remove.done")
            return True

    def quarantine(self, digest: str) -> bool:
        """Move an artifact aside if it is damaged; tell whether it was moved.

        It lies under `quarantine/` then, for whoever wants to look at it.
        """
        with self.cache.alone():
            etag = self._patience.ask(lambda: self._differs(digest))
            if not etag:
                return False
            name = f"{digest.removeprefix(PREFIX)}-{secrets.token_hex(4)}"
            aside = f"{self._place.prefix}quarantine/{name}"
            self._patience.ask(lambda: self._copy(digest, etag, aside))
            self._patience.ask(lambda: self._delete(digest, etag))
            return True

    def rate(self) -> float | None:
        """Measure how fast S3 is read, by a part of the largest artifact of its first page.

        The time begins with the answer, not with the question: a far store may still be wide.

        Returns:
            Bytes per second; None where there is nothing of 1 MB or more.
        """
        page = self._patience.ask(
            lambda: self._once("list_objects_v2", "", Prefix=self._key(""), MaxKeys=1000)
        )
        largest = max(page.get("Contents", ()), key=lambda item: item["Size"], default=None)
        if largest is None or largest["Size"] < ENOUGH:
            return None
        asked = {"Key": str(largest["Key"]), "Range": f"bytes=0-{4 * PART - 1}"}
        body = self._patience.ask(lambda: self._once("get_object", "", **asked))["Body"]
        began, count = time.perf_counter(), 0
        with contextlib.closing(body), _meanings(self._place, ""):
            while piece := body.read(1 << 18):
                count += len(piece)
        return float(count / max(time.perf_counter() - began, 1e-6))

    def leftovers(self, before: float) -> int:
        """Count the uploads from before that were begun and never ended."""
        return len(self._begun(before))

    def tidy(self, before: float) -> int:
        """Give up the uploads from before that were begun and never ended; return how many."""
        found = self._begun(before)
        for item in found:
            key, upload = item["Key"], item["UploadId"]
            with contextlib.suppress(S3Busy):  # it has ended meanwhile
                self._once("abort_multipart_upload", "", Key=key, UploadId=upload)
        return len(found)

    def _begun(self, before: float) -> list[Mapping[str, Any]]:
        found = self._pages("list_multipart_uploads", "Uploads", Prefix=self._key(""))
        return [item for item in found if item["Initiated"].timestamp() < before]

    # Sending.

    def _send(self, digest: str) -> None:
        """Bring what the cache holds to S3, and believe it when it comes back right."""
        with self.cache.shared():
            try:
                self._patience.ask(lambda: self._settle(digest))
            except S3Torn:
                with contextlib.suppress(BackendError):  # the next put would replace it, too
                    if etag := self._differs(digest):
                        self._delete(digest, etag)
                raise

    def _settle(self, digest: str) -> None:
        """Take one turn: look, send what is absent or wrong, read back.

        Whatever was not answered is found by the look of the next turn.
        """
        there = self._head(digest)
        condition = {"IfNoneMatch": "*"}
        if there:
            if not (etag := self._differs(digest)):
                self._renew(digest, there)
                return
            condition = {"IfMatch": etag}  # a damaged one is replaced, unless it was just mended
        crashpoint("s3.put")
        self._store(digest, condition)
        crashpoint("s3.put.stored")
        if self._differs(digest):
            raise S3Torn(digest, "others from S3")
        crashpoint("s3.put.done")

    def _store(self, digest: str, condition: Mapping[str, str]) -> None:
        path = self.cache.path(digest)
        size = path.stat().st_size
        if size > PART:
            self._store_parts(digest, path, max(PART, -(-size // PARTS)), condition)
            return
        self._once(
            "put_object",
            digest,
            # A file, so that it is sent in small pieces: the time limit holds for each of them.
            Body=io.BytesIO(path.read_bytes()),
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=_base64(bytes.fromhex(digest.removeprefix(PREFIX))),
            **condition,
        )

    def _store_parts(
        self, digest: str, path: Path, size: int, condition: Mapping[str, str]
    ) -> None:
        begun = self._once("create_multipart_upload", digest, ChecksumAlgorithm="SHA256")
        upload = begun["UploadId"]
        try:
            with path.open("rb") as file:
                parts = [
                    self._patience.ask(functools.partial(self._part, digest, upload, n, data))
                    for n, data in enumerate(iter(lambda: file.read(size), b""), 1)
                ]
            crashpoint("s3.put.parts")
            ready = {"Parts": parts}
            self._once(
                "complete_multipart_upload",
                digest,
                UploadId=upload,
                MultipartUpload=ready,
                **condition,
            )
        except BaseException:
            # Parts cost room until they are given up; if this fails too, the collection does it.
            with contextlib.suppress(BackendError):
                self._once("abort_multipart_upload", digest, UploadId=upload)
            raise

    def _part(self, digest: str, upload: str, number: int, data: bytes) -> Mapping[str, Any]:
        checksum = _base64(hashlib.sha256(data).digest())
        answer = self._once(
            "upload_part",
            digest,
            UploadId=upload,
            PartNumber=number,
            Body=io.BytesIO(data),
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=checksum,
        )
        if answer.get("ChecksumSHA256", checksum) != checksum:
            raise S3Torn(digest, "others in a part")
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}

    def _renew(self, digest: str, there: _Object) -> None:
        """Make an artifact young again, so that no collection takes it from who put it now."""
        if there.at > time.time() - RENEW_S:
            return
        if there.size > COPY:
            self._store(digest, {"IfMatch": there.etag})
        else:
            self._copy(digest, there.etag, self._key(digest), MetadataDirective="REPLACE")

    # Receiving.

    def _load(self, digest: str) -> None:
        """Bring an artifact into the cache; bytes that are wrong twice alike are so in S3."""
        wrong: list[str] = []

        def once() -> None:
            try:
                self.cache.fill(digest, lambda: self._chunks(digest)[1])
            except DamagedArtifact as error:
                if error.found in wrong:
                    raise
                wrong.append(error.found)
                raise S3Torn(digest, "others from S3") from error

        try:
            self._patience.ask(once)
        except S3Torn as error:
            raise DamagedArtifact(digest, wrong[-1]) from error

    def _differs(self, digest: str) -> str:
        """Read an artifact back; return nothing if it is right, else the tag of what is there."""
        seen = hashlib.sha256()
        etag, chunks = self._chunks(digest)
        for chunk in chunks:
            seen.update(chunk)
        return "" if PREFIX + seen.hexdigest() == digest else etag

    def _chunks(self, digest: str) -> tuple[str, Iterator[bytes]]:
        answer = self._once("get_object", digest)
        return answer["ETag"], self._pieces(answer)

    def _pieces(self, answer: Mapping[str, Any]) -> Iterator[bytes]:
        from botocore.exceptions import BotoCoreError

        clock, body = self._patience.clock, answer["Body"]
        until = clock() + self._patience.deadline_s + answer["ContentLength"] / SLOWEST
        with contextlib.closing(body):
            while True:
                try:
                    chunk = body.read(files.CHUNK)
                except (BotoCoreError, OSError) as error:
                    raise S3Unreachable("one that was cut") from error
                if not chunk:
                    return
                if clock() > until:
                    raise S3Unreachable("one that did not come to its end")
                yield chunk

    # Asking.

    def _head(self, digest: str) -> _Object | None:
        try:
            found = self._once("head_object", digest)
        except MissingArtifact:
            return None
        except S3Denied:
            # The answer to a HEAD has no body, so it cannot say why: a GET is told.
            self._once("get_object", digest)["Body"].close()
            raise
        return _Object(found["ContentLength"], found["LastModified"].timestamp(), found["ETag"])

    def _delete(self, digest: str, etag: str) -> None:
        with contextlib.suppress(S3Occupied, MissingArtifact):  # it is another one by now, or none
            self._once("delete_object", digest, IfMatch=etag)

    def _copy(self, digest: str, etag: str, target: str, **more: str) -> None:
        source = {"Bucket": self._place.bucket, "Key": self._key(digest)}
        self._once(
            "copy_object", digest, Key=target, CopySource=source, CopySourceIfMatch=etag, **more
        )

    def _pages(self, operation: str, field: str, **args: str) -> Iterator[Mapping[str, Any]]:
        more: dict[str, str] = {}
        while True:
            asked = functools.partial(self._once, operation, "", **args, **more)
            page = self._patience.ask(asked)
            yield from page.get(field, ())
            if not page.get("IsTruncated"):
                return
            more = {name: page[source] for name, source in _NEXT[operation]}

    def _key(self, digest: str) -> str:
        return f"{self._place.prefix}sha256/{digest.removeprefix(PREFIX)}"

    def _once(self, operation: str, digest: str, **args: Any) -> Mapping[str, Any]:
        """Ask S3 once, and say in our words what went wrong."""
        if digest and not is_digest(digest):
            raise NotADigest(digest)
        named = {"Bucket": self._place.bucket, **({"Key": self._key(digest)} if digest else {})}
        with _meanings(self._place, digest):
            client = self._slow if operation in _LONG else self._client
            answer: Mapping[str, Any] = getattr(client, operation)(**named | args)
            return answer

    @functools.cached_property
    def _slow(self) -> Any:
        """Ask what may take minutes of silence: joining the parts of an object, copying it."""
        return _connect(self._place, *self._slow_s)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _connect(place: Place, connect_s: float, silent_s: float) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise MissingExtra("S3", "s3") from error
    own = (
        place.endpoint
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
    )
    config = Config(
        connect_timeout=connect_s,
        read_timeout=silent_s,
        retries={"mode": "standard", "total_max_attempts": 1},  # repeating is `Patience`'s
        # Checksums are ours: SHA-256 with what is sent, the digest for what comes.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # A bucket is no part of a name that an own endpoint's DNS would know.
        s3={"addressing_style": "path"} if own else {},
    )
    with _meanings(place, ""):
        session = boto3.session.Session()
        return session.client(
            "s3",
            endpoint_url=place.endpoint or None,
            region_name=session.region_name or "us-east-1",
            config=config,
        )


_BUSY = ("SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "503")
_TORN = (
    "BadDigest",
    "EntityTooSmall",  # of a part, which was not when it left
    "IncompleteBody",
    "InvalidDigest",
    "InvalidPart",
    "XAmzContentSHA256Mismatch",
)
_OCCUPIED = ("PreconditionFailed", "ConditionalRequestConflict", "OperationAborted")
_DENIED: Mapping[str, str] = {
    "ExpiredToken": "credentials that have expired",
    "TokenRefreshRequired": "credentials that have expired",
    "InvalidToken": "a session token that is none",
    "InvalidAccessKeyId": "an access key that S3 does not know",
    "SignatureDoesNotMatch": "a wrong secret key",
    "AccessDenied": "credentials that do not allow it",
}


@contextlib.contextmanager
def _meanings(place: Place, digest: str) -> Iterator[None]:
    """Turn what boto3 reports into our words; nothing of what it says is passed on but codes."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        raise _answered(error.response, place, digest) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
        raise S3Denied("none") from error
    except (boto.CredentialRetrievalError, boto.TokenRetrievalError, boto.SSOError) as error:
        raise S3Denied("none that could be fetched") from error
    except boto.ProfileNotFound as error:
        raise S3Denied("a profile that does not exist") from error
    except (boto.ConnectTimeoutError, boto.ReadTimeoutError) as error:
        raise S3Unreachable("none in time") from error
    except boto.SSLError as error:
        raise S3Unreachable("a connection that is not secure") from error
    except (boto.ConnectionError, boto.HTTPClientError) as error:
        raise S3Unreachable("no connection") from error
    except (boto.BotoCoreError, ValueError) as error:
        raise S3Failed(type(error).__name__) from error


def _answered(response: Mapping[str, Any], place: Place, digest: str) -> Exception:
    code = str(response["Error"].get("Code", ""))
    status = int(response["ResponseMetadata"].get("HTTPStatusCode", 0))
    if code == "RequestTimeTooSkewed":
        return S3ClockWrong()
    if code in _DENIED or status in (401, 403):
        return S3Denied(_DENIED.get(code, f"{status} {code}".strip()))
    if code == "NoSuchBucket" or (code == "404" and not digest):
        return NoBucket(place.bucket)
    if code == "NoSuchUpload":
        return S3Busy("an upload that was given up meanwhile")
    if status == 404:
        return MissingArtifact(digest)
    if code in _TORN or "Checksum" in code:
        return S3Torn(digest, "others on their way to S3")
    if code in _OCCUPIED or status in (409, 412):
        return S3Occupied()
    if code in _BUSY or status >= 500 or status == 429:
        return S3Busy(f"{status} {code}".strip())
    return S3Failed(f"{status} {code}".strip())
