from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from instar import outbox
from instar.ledger.journal import SqliteJournal
from instar.testing.contracts.journal import crown


class Receiver:
    """A real server that keeps what it is told, and answers as it is set to."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.ids: list[str | None] = []
        self.status = 204
        self.let_go = threading.Event()
        self.hangs = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.told.append(json.loads(body))
                receiver.ids.append(self.headers["Idempotency-Key"])
                if receiver.hangs:
                    receiver.let_go.wait(60)
                    return
                self.send_response(receiver.status)
                if receiver.status == 302:
                    self.send_header("Location", receiver.url)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook?token=s3cret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = SqliteJournal(tmp_path / "ledger.db")
    yield made
    made.close()


class Heard(list[str]):
    def __call__(self, what: str, done: float = 0, total: float = 0, note: str = "") -> None:
        self.append(note)


def test_promotions_are_told_once_and_in_order(journal: SqliteJournal, receiver: Receiver) -> None:
    first = crown(journal, None)
    second = crown(journal, first.seq, "v2", update="u1")
    assert outbox.deliver(journal, [receiver.url], Heard()) == 2
    assert outbox.deliver(journal, [receiver.url], Heard()) == 0
    assert [event["id"] for event in receiver.told] == receiver.ids == [first.hash, second.hash]
    assert receiver.told[1] == outbox.event(second)
    assert (receiver.told[1]["champion"], receiver.told[1]["update"]) == ("v2", "u1")


def test_promotion_whose_teller_died_is_told_again_under_the_same_id(
    journal: SqliteJournal, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = crown(journal, None)

    def dies(self: SqliteJournal, seq: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SqliteJournal, "delivered", dies)
        with pytest.raises(KeyboardInterrupt):
            outbox.deliver(journal, [receiver.url], Heard())
    assert outbox.deliver(journal, [receiver.url], Heard()) == 1
    assert receiver.ids == [entry.hash, entry.hash]


@pytest.mark.parametrize("status", [302, 400, 500])
def test_address_that_refuses_is_told_later_and_the_order_stays(
    journal: SqliteJournal, receiver: Receiver, status: int
) -> None:
    first = crown(journal, None)
    crown(journal, first.seq, "v2")
    receiver.status = status
    heard = Heard()
    assert outbox.deliver(journal, [receiver.url], heard) == 0
    assert heard == [f"127.0.0.1 answered {status}; told again by the next worker"]
    assert len(receiver.told) == 1  # no redirect was followed, and the second waits
    receiver.status = 200
    assert outbox.deliver(journal, [receiver.url], heard) == 2


def test_address_that_hangs_is_left_at_the_deadline(
    journal: SqliteJournal, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "DEADLINE_S", 0.2)
    receiver.hangs = True
    entry = crown(journal, None)
    heard = Heard()
    assert outbox.deliver(journal, [receiver.url], heard) == 0
    assert journal.undelivered() == [entry]
    assert "s3cret" not in heard[0]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://example.org/x", "not one of http or https"),
        ("file:///etc/passwd", "not one of http or https"),
        ("http://127.0.0.1:99999/", "port"),
        ("nothing", "not one of http or https"),
        ("http://127.0.0.1:1/", "cannot be told"),
    ],
)
def test_address_that_cannot_be_told_is_named_and_holds_nothing_up(
    journal: SqliteJournal, address: str, said: str
) -> None:
    entry = crown(journal, None)
    heard = Heard()
    assert outbox.deliver(journal, [address], heard) == 0
    assert said in heard[0]
    assert journal.undelivered() == [entry]


def test_promotions_that_nobody_wants_to_hear_of_are_not_kept(journal: SqliteJournal) -> None:
    crown(journal, None)
    assert outbox.deliver(journal, [], Heard()) == 1
    assert journal.undelivered() == []
