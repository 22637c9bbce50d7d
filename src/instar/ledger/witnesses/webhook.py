"""Somebody's HTTP server as a witness: it is sent each checkpoint as plain text."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

from instar.ledger.notes import Note
from instar.ledger.witnesses.witness import TIMEOUT_S, WitnessSilent


class Webhook:
    """Send each checkpoint by POST; any answer from 200 to 299 means that it is kept.

    The note is signed by itself, so that the request needs no secret. Redirects are not followed:
    who is told is who was named.
    """

    def __init__(self, address: str, root: Path) -> None:
        self._parts = urlsplit(address)

    def tell(self, note: Note) -> None:
        """Send a checkpoint.

        Raises:
            WitnessSilent: nobody takes it.
        """
        parts = self._parts
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        try:
            connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
            try:
                where = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
                head = {"Content-Type": "text/plain; charset=utf-8"}
                connection.request("POST", where, note.text.encode(), head)
                status = connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise WitnessSilent(getattr(error, "strerror", None) or type(error).__name__) from error
        if not 200 <= status < 300:
            raise WitnessSilent(f"the answer {status}")

    def seen(self, origin: str) -> None:
        """Say nothing: a webhook is told and not asked."""
