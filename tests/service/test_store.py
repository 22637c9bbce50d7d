"""What is said of a sweep, and what stays in the ledger of it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from instar.core.digest import digest_bytes, short
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.serving import routefile
from tests.service import line


@pytest.fixture
def store(tmp_path: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(tmp_path / ".instar" / "artifacts")


def put(store: DirectoryArtifacts, *texts: str) -> None:
    for text in texts:
        place = store._place(store.put(text.encode()))
        os.utime(place, (time.time() - 7200,) * 2)


def champion(store: DirectoryArtifacts) -> None:
    names = (line.OLD, line.ZERO)
    put(store, *names, *(name + "w" for name in names), "train", "holdout")


def notes(folder: Path) -> list[dict[str, Any]]:
    return [dict(e.body) for e in line.space(folder).history() if e.kind == "note"]


def test_sound_scrub_leaves_no_entry(tmp_path: Path, store: DirectoryArtifacts) -> None:
    line.lay_out(tmp_path).close()
    champion(store)
    seen: list[Any] = []
    assert line.space(tmp_path).scrub(tell=seen.append)["sound"]
    assert notes(tmp_path) == []
    assert seen[0] == {"what": "scrub", "done": 0, "total": 6, "note": seen[0]["note"]}
    assert seen[-1]["done"] == seen[-1]["total"] == 6


def test_damage_is_told_and_recorded(tmp_path: Path, store: DirectoryArtifacts) -> None:
    line.lay_out(tmp_path).close()
    champion(store)
    place = store._place(line.digest("train"))
    place.chmod(0o644)
    place.write_bytes(b"Train")
    done = line.space(tmp_path, by="olga").scrub()
    assert not done["sound"]
    assert done["quarantined"] == done["missing"] == [line.digest("train")]
    assert [note["quarantined"] for note in notes(tmp_path)] == [[short(line.digest("train"))]]
    assert line.space(tmp_path).history()[-1].actor == "olga"


def test_collection_removes_and_records_what_nobody_needs(
    tmp_path: Path, store: DirectoryArtifacts
) -> None:
    line.lay_out(tmp_path).close()
    champion(store)
    put(store, "orphan")
    dry = line.space(tmp_path).collect(dry=True)
    assert notes(tmp_path) == []
    done = line.space(tmp_path).collect()
    assert done == {**dry, "dry": False}
    assert done["removed"] == [digest_bytes(b"orphan")]
    assert digest_bytes(b"orphan") not in store
    assert [note["removed_count"] for note in notes(tmp_path)] == [1]
    assert line.space(tmp_path).audit()["problems"] == []


def test_version_that_traffic_is_given_to_stays(tmp_path: Path, store: DirectoryArtifacts) -> None:
    line.lay_out(tmp_path).close()
    champion(store)
    put(store, "served", "served before")
    home = tmp_path / ".instar"
    for name, text in ((routefile.ROUTE, "served"), (routefile.LAST_GOOD, "served before")):
        manifests = {text: digest_bytes(text.encode())}
        routefile.write(home, Route("demand", 1, {text: 1.0}, manifests, text), name)
    assert line.space(tmp_path).collect()["removed"] == []
