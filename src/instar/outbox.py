"""Tell the outside of each new champion, after the ledger has it and until it was heard.

A promotion, its entry and its place in the outbox are one transaction; telling comes after. Who
dies in between tells later, under the same event id, which is the entry's hash: a receiver that
has seen it ignores it.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from instar.core.crash import crashpoint
from instar.core.digest import canonical
from instar.core.tools import Progress
from instar.ledger.journal import Entry, Journal

DEADLINE_S = 5.0
_OK = range(200, 300)


def deliver(journal: Journal, addresses: Sequence[str], tell: Progress) -> int:
    """Tell every address of the promotions that are still to be told, oldest first.

    One that cannot be told ends the round, so that the order stays; the next worker tries again.

    Returns:
        How many promotions everyone has heard of now.
    """
    heard = 0
    for entry in journal.undelivered():
        failed = _round(entry, addresses)
        if failed:
            tell("notify", note=f"{', '.join(failed)}; told again by the next worker")
            break
        journal.delivered(entry.seq)
        heard += 1
    return heard


def event(entry: Entry) -> dict[str, Any]:
    """Say what an address is told: a promotion in plain values, and its id."""
    return {
        "id": entry.hash,
        "kind": entry.kind,
        "model": entry.model,
        "champion": entry.body.get("name"),
        "update": entry.update,
        "seq": entry.seq,
        "at": entry.at,
        "by": entry.actor,
    }


def _round(entry: Entry, addresses: Sequence[str]) -> list[str]:
    """Post to all addresses at once; return what went wrong, by host: an address may be secret."""
    data, answers = canonical(event(entry)), [""] * len(addresses)

    def post(place: int, address: str) -> None:
        answers[place] = _post(address, data, entry.hash)

    threads = [
        threading.Thread(target=post, args=(place, address), daemon=True)
        for place, address in enumerate(addresses)
    ]
    if threads:
        crashpoint("outbox.post")
    for place, thread in enumerate(threads):
        answers[place] = f"{_host(addresses[place])} did not answer in {DEADLINE_S:g} s"
        thread.start()
    until = time.monotonic() + DEADLINE_S
    for thread in threads:  # whatever the sockets do: a drip-feed is not awaited
        thread.join(max(0.0, until - time.monotonic()))
    return [problem for problem in list(answers) if problem]


def _post(address: str, data: bytes, name: str) -> str:
    """Post once, following no redirect; return the problem, empty where it was taken."""
    place = urlsplit(address)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if place.scheme not in kinds or not place.hostname:
        return "an address in policy.run.notify is not one of http or https"
    try:
        line = kinds[place.scheme](place.hostname, place.port, timeout=DEADLINE_S)
    except ValueError:
        return f"{_host(address)} has a port that is none"
    head = {"Content-Type": "application/json", "Idempotency-Key": name}
    target = place._replace(scheme="", netloc="", fragment="").geturl() or "/"
    try:
        line.request("POST", target, data, head)
        status = line.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"{_host(address)} cannot be told ({type(error).__name__})"
    finally:
        line.close()
    return "" if status in _OK else f"{_host(address)} answered {status}"


def _host(address: str) -> str:
    return json.dumps(urlsplit(address).hostname or "nobody")[1:-1]
