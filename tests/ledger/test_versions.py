from __future__ import annotations

from pathlib import Path

import pytest

from instar.core.codec import encode
from instar.ledger.journal import SqliteJournal
from instar.ledger.versions import UnknownVersion, version
from tests.service import line


def test_version_is_found_by_its_name_or_named_as_unknown(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "ledger.db")
    made = line.model(line.ZERO)
    journal.promote(
        "demand", expect=None, body=encode(made), actor="ana", epoch=None, kind="adoption"
    )
    assert version(journal, "demand", made.name) == made
    with pytest.raises(UnknownVersion, match="'nobody'"):
        version(journal, "demand", "nobody")
    with pytest.raises(UnknownVersion):
        version(journal, "another", made.name)
    journal.close()
