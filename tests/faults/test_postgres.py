"""Faults of a PostgreSQL server and of the way to it: F6, F24, F26, F27, F28."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from instar.ledger import postgres as backend
from instar.ledger.journal import (
    Entry,
    LedgerBusy,
    LedgerContended,
    LedgerUnreachable,
    OutcomeUnknown,
    StaleChampion,
)
from instar.ledger.postgres import PostgresJournal
from instar.testing.contracts.journal import crown, note
from tests.faults.contend import contend
from tests.servers.postgres import PostgresServer, running
from tests.servers.proxy import CUTS, Proxy, through

Opener = Callable[[str], PostgresJournal]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Open journals that are closed at the end."""
    journals: list[PostgresJournal] = []

    def open_(address: str) -> PostgresJournal:
        journals.append(PostgresJournal(address))
        return journals[-1]

    yield open_
    for journal in journals:
        journal.close()


@pytest.fixture
def schema(postgres: PostgresServer) -> str:
    return postgres.schema()


@pytest.fixture
def near(postgres: PostgresServer, schema: str, opened: Opener) -> PostgresJournal:
    """A journal with a way to the server that nothing happens to."""
    return opened(postgres.address(schema))


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    with through(postgres.socket) as way:
        yield way


@pytest.fixture
def far(
    near: PostgresJournal, postgres: PostgresServer, schema: str, proxy: Proxy, opened: Opener
) -> PostgresJournal:
    """The same journal, through the proxy."""
    return opened(postgres.address(schema, host="127.0.0.1", port=proxy.port))


# F26: the answer to a commit is lost.


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("key", [None, "k"])
def test_append_whose_commit_is_cut_is_there_once(
    far: PostgresJournal, near: PostgresJournal, proxy: Proxy, cut: str, key: str | None
) -> None:
    proxy.cuts = [cut] * 3
    made = note(far, key=key)
    assert proxy.cuts == []
    assert near.entries() == [made]
    assert near.verify() == []


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("key", [None, "promotion:u0001"])
def test_promotion_whose_commit_is_cut_is_done_once(
    far: PostgresJournal, near: PostgresJournal, proxy: Proxy, cut: str, key: str | None
) -> None:
    first = crown(near, None)
    epoch = near.acquire("demand", "w1", 60, time.time())
    proxy.cuts = [cut] * 3
    made = crown(far, first.seq, "v2", key=key, epoch=epoch)
    assert proxy.cuts == []
    assert near.champion("demand") == made
    assert near.entries() == near.undelivered() == [first, made]


@pytest.mark.parametrize("cut", CUTS)
def test_lease_whose_commit_is_cut_is_still_one_writers(
    far: PostgresJournal, near: PostgresJournal, proxy: Proxy, cut: str
) -> None:
    proxy.cuts = [cut]
    epoch = far.acquire("demand", "w1", 60, 0.0)
    proxy.cuts = [cut]
    far.renew("demand", "w1", epoch, 60, 10.0)
    assert near.holder("demand", 69.0) == "w1"
    assert note(near, epoch=epoch).epoch == epoch
    proxy.cuts = [cut]
    far.release("demand", "w1", epoch)
    assert near.holder("demand", 10.0) is None


def test_commit_whose_answer_stays_out_is_looked_up_in_vain_and_told_so(
    far: PostgresJournal, near: PostgresJournal, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    far._patience_s = 0.5
    proxy.cuts = ["after"]
    monkeypatch.setattr(proxy, "target", "/nowhere")  # what was cut cannot be reached again
    with pytest.raises(OutcomeUnknown) as caught:
        note(far, key="k")
    assert caught.value.retryable
    monkeypatch.undo()
    assert [note(far, key="k")] == near.entries()  # asked again, it is there


def test_commit_that_was_lost_before_it_began_is_not_called_unknown(
    far: PostgresJournal, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    far._patience_s = 0.3
    far._engine.dispose()
    monkeypatch.setattr(proxy, "target", "/nowhere")
    with pytest.raises(LedgerUnreachable):
        note(far)


def test_lost_lease_does_not_hide_an_entry_whose_commit_was_cut(
    far: PostgresJournal, near: PostgresJournal, proxy: Proxy
) -> None:
    epoch = near.acquire("demand", "w1", 0, 0.0)
    connect = backend.Timed.connect

    def overtake(*args: object, **given: object) -> backend.Timed:
        near.acquire("demand", "w2", 60, 1.0)  # while the first one finds its way back
        return connect(*args, **given)

    proxy.cuts = ["after"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend.Timed, "connect", overtake)
        made = note(far, epoch=epoch)
    assert near.entries() == [made]
    assert near.acquire("demand", "w2", 60, 2.0) > epoch + 1


# F27: the database gives a transaction up in favour of another.


def test_append_that_meets_a_deadlock_is_done_again(
    near: PostgresJournal, postgres: PostgresServer, schema: str
) -> None:
    epoch = near.acquire("demand", "w1", 60, 0.0)
    lock = f"SELECT pg_advisory_xact_lock({backend._LOCK}, hashtext('{schema}'))"
    began, locked = threading.Event(), threading.Event()

    def rival() -> None:
        where = {"host": str(postgres.folder), "user": "postgres", "dbname": "postgres"}
        with psycopg.connect(**where) as connection:
            connection.execute("SET deadlock_timeout = '1h'")  # the other one is to notice
            connection.execute(f"UPDATE {schema}.leases SET expires_at = 1")
            locked.set()
            began.wait()
            connection.execute(lock)

    thread = threading.Thread(target=rival)
    thread.start()
    locked.wait()
    tries = []

    def act(connection) -> None:
        tries.append(1)
        began.set()
        while not postgres.sql(waiting(schema)) and len(tries) == 1:
            time.sleep(0.01)
        connection.exec_driver_sql("UPDATE leases SET expires_at = expires_at + 1")

    near._write(act)
    thread.join()
    assert len(tries) == 2
    assert near.holder("demand", 1.5) == "w1"
    near.renew("demand", "w1", epoch, 60, 0.0)


def _with_key(entry: Entry, key: str) -> Entry:
    return dataclasses.replace(entry, key=key)


def waiting(schema: str) -> str:
    """Ask whether somebody waits for the writers' lock of a schema."""
    return (
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        f" AND objid = hashtext('{schema}')::oid"
    )


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_transaction_that_fails_to_serialise_is_done_again_as_a_whole(
    near: PostgresJournal, state: str
) -> None:
    tries = []

    def act(connection) -> None:
        tries.append(1)
        connection.exec_driver_sql("DELETE FROM outbox")
        near._seal(connection, made)
        if len(tries) < 3:
            connection.exec_driver_sql(
                f"DO $$ BEGIN RAISE EXCEPTION 'forced' USING ERRCODE = '{state}'; END $$"
            )

    made = _with_key(note(near), "again")
    near._write(act)
    assert len(tries) == 3
    assert [entry.key for entry in near.entries()][1:] == ["again"]


def test_transaction_that_never_serialises_fails_in_time(near: PostgresJournal) -> None:
    near._patience_s = 0.3

    def act(connection) -> None:
        connection.exec_driver_sql(
            "DO $$ BEGIN RAISE EXCEPTION 'forced' USING ERRCODE = '40001'; END $$"
        )

    with pytest.raises(LedgerContended) as caught:
        near._write(act)
    assert caught.value.retryable


# F28: no connection to be had, a connection taken away, an answer that takes too long.


def test_journal_without_a_free_connection_says_so_in_time(
    postgres: PostgresServer, schema: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "POOL_S", 0.1)
    monkeypatch.setattr(backend, "PATIENCE_S", 0.3)
    journal = opened(postgres.address(schema))
    held = [journal._reading() for _ in range(backend.CONNECTIONS)]
    for act in (lambda: note(journal), journal.entries, journal.verify):
        with pytest.raises(LedgerBusy, match="every connection") as caught:
            act()
        assert caught.value.retryable
    for connection in held:
        connection.close()
    assert note(journal).seq == 1


def test_journal_waits_for_a_connection_that_comes_free(
    near: PostgresJournal,
) -> None:
    held = [near._reading() for _ in range(backend.CONNECTIONS)]
    threading.Timer(0.3, held[0].close).start()
    assert note(near).seq == 1
    for connection in held:
        connection.close()


@pytest.mark.parametrize("how", ["idle", "terminated"])
def test_transaction_whose_connection_is_taken_away_is_done_again(
    postgres: PostgresServer,
    schema: str,
    opened: Opener,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr(backend, "IDLE_S", 0.2)
    journal = opened(postgres.address(schema))
    made = _with_key(note(journal), "again")
    tries = []

    def act(connection) -> None:
        tries.append(1)
        journal._seal(connection, made)
        if len(tries) > 1:
            return
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        if how == "terminated":
            postgres.sql(f"SELECT pg_terminate_backend({pid})")
        while postgres.sql(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"):
            time.sleep(0.02)

    journal._write(act)
    assert len(tries) == 2
    assert [entry.key for entry in journal.entries()][1:] == ["again"]
    assert journal.verify() == []


@pytest.mark.parametrize("fault", ["delay", "silence"])
def test_journal_behind_a_way_that_takes_too_long_says_so_in_time(
    far: PostgresJournal, near: PostgresJournal, proxy: Proxy, fault: str
) -> None:
    far._patience_s = 0.5
    if fault == "delay":
        proxy.delay_s = 10.0
    else:
        proxy.silent = True
    with pytest.raises(LedgerUnreachable) as caught:
        note(far)
    assert caught.value.retryable
    assert near.entries() == []
    with pytest.raises(LedgerUnreachable):
        far.champion("demand")
    proxy.delay_s, proxy.silent = 0.0, False
    assert note(far).seq == 1


def test_append_behind_a_writer_that_does_not_end_is_busy(
    near: PostgresJournal,
    postgres: PostgresServer,
    schema: str,
    opened: Opener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backend, "LOCK_S", 0.1)
    monkeypatch.setattr(backend, "PATIENCE_S", 1.0)
    journal = opened(postgres.address(schema))
    with near._writing():
        with pytest.raises(LedgerBusy) as caught:
            note(journal)
        assert journal.entries() == []  # reading goes on
    assert caught.value.retryable
    assert note(journal).seq == 1


# F24: the server is restarted every few seconds.


def restarted(clients: int, work: int, turns: int, pause_s: float) -> None:
    """Let clients append and promote while the server is stopped, or crashes, again and again."""
    with running() as server, ThreadPoolExecutor(clients) as pool:
        address = server.address(server.schema())
        first = PostgresJournal(address)
        crown(first, None)
        first.close()
        over = threading.Event()

        def client(name: int) -> int:
            journal = PostgresJournal(address)
            promoted = 0
            for turn in itertools.count():
                if turn >= work and over.is_set():
                    break
                note(journal, f"{turn}", key=f"{name}:{turn}")
                champion = journal.champion("demand")
                assert champion
                try:
                    crown(journal, champion.seq, f"{name}:{turn}", key=f"p{name}:{turn}")
                    promoted += 1
                except StaleChampion:
                    note(journal, "somebody else was faster")
            journal.close()
            return promoted

        done = [pool.submit(client, name) for name in range(clients)]
        for turn in range(turns):
            time.sleep(pause_s)
            server.stop("QUIT" if turn % 2 else "INT")
            server.start()
        over.set()
        promoted = sum(each.result() for each in done)
        journal = PostgresJournal(address)
        entries = journal.entries()
        assert journal.verify() == []
        kinds = [entry.kind for entry in entries]
        assert kinds.count("promotion") == promoted == len(journal.undelivered()) - 1
        texts = [entry.key for entry in entries if entry.body.get("text", "").isdigit()]
        rest = [entry for entry in entries if entry.body.get("text") == "somebody else was faster"]
        assert len(texts) >= clients * work
        assert len(texts) == promoted + len(rest)  # each turn: one note, and then one of the two
        journal.close()


def test_clients_finish_while_the_server_is_restarted() -> None:
    restarted(clients=5, work=20, turns=4, pause_s=0.7)


@pytest.mark.thorough
def test_many_clients_finish_while_the_server_is_restarted_for_long() -> None:
    restarted(clients=8, work=60, turns=12, pause_s=4)


# F6: two controllers at once.


@pytest.mark.parametrize("tries", [40, pytest.param(200, marks=pytest.mark.thorough)])
def test_lease_asked_for_by_two_at_once_goes_to_one(
    near: PostgresJournal, postgres: PostgresServer, schema: str, opened: Opener, tries: int
) -> None:
    contend([near, opened(postgres.address(schema))], tries)
