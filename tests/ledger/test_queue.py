from __future__ import annotations

from pathlib import Path

from instar.ledger import queue
from instar.ledger.journal import SqliteJournal


def test_queued_update_waits_until_something_bears_its_key(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "ledger.db")
    first, second = (
        journal.append(queue.KIND, {"reason": name}, update=None, model="m", actor="a")
        for name in ("one", "two")
    )
    journal.append(queue.KIND, {"reason": "other"}, update=None, model="n", actor="a")
    assert [entry.seq for entry in queue.waiting(journal, "m")] == [first.seq, second.seq]
    journal.append("note", {}, update=None, model="m", actor="a", key=queue.key(first))
    assert [entry.seq for entry in queue.waiting(journal, "m")] == [second.seq]
    assert len(queue.waiting(journal)) == 2
    journal.close()
