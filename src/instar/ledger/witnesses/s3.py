"""A bucket as a witness: in another region or account, best with object lock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from instar.ledger.notes import Note
from instar.ledger.witnesses.witness import TIMEOUT_S, Seen, WitnessSilent, name, named, place


class Bucket:
    """Keep each checkpoint as an object `prefix/<ledger>/<size>-<root>.note`.

    The name says what the object does, so that a listing is enough to compare. Credentials, region
    and endpoint are those of the environment (`AWS_...`).
    """

    def __init__(self, address: str, root: Path) -> None:
        parts = urlsplit(address)
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/")

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1}
        )
        return boto3.client("s3", config=config)

    def _home(self, origin: str) -> str:
        return "/".join(part for part in (self._prefix, place(origin)) if part) + "/"

    def tell(self, note: Note) -> None:
        """Keep a checkpoint; the same one twice is the same object.

        Raises:
            WitnessSilent: the bucket does not take it.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        key = self._home(note.origin) + name(note)
        try:
            self._client().put_object(Bucket=self._bucket, Key=key, Body=note.text.encode())
        except (BotoCoreError, ClientError) as error:
            raise WitnessSilent(_said(error)) from error

    def seen(self, origin: str) -> Iterator[Seen]:
        """List what is kept of a ledger, smallest first.

        Raises:
            WitnessSilent: the bucket does not answer.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        home = self._home(origin)
        try:
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=home):
                for kept in page.get("Contents", ()):
                    found = named(kept["Key"].removeprefix(home))
                    yield found or Seen(0, b"", "an object that is no checkpoint")
        except (BotoCoreError, ClientError) as error:
            raise WitnessSilent(_said(error)) from error


def _said(error: Any) -> str:
    """Name what went wrong by its code: the message of the library can hold addresses."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)
