from __future__ import annotations

from dataclasses import replace

from instar.report.history import course, moved, named
from tests.report import pieces


def test_course_has_one_series_a_field() -> None:
    drawn = course(pieces.HISTORY, {"loss": "training", "valid_loss": "validation"})
    assert drawn["x"] == list(range(1, 9))
    assert [series["name"] for series in drawn["series"]] == ["training", "validation"]
    assert drawn["series"][0]["y"][0] == pieces.HISTORY[0].loss


def test_moved_shows_every_tensor() -> None:
    shown = {item["label"]: item["value"] for item in moved(pieces.CHANGES)["items"]}
    assert shown == {change.name: change.relative for change in pieces.CHANGES}


def test_named_counts_as_people_do() -> None:
    names = ("10.bias", "2.bias", "10.weight", "head", "2.weight")
    changes = [replace(pieces.CHANGES[0], name=name) for name in names]
    ordered = [change.name for change in named(changes)]
    assert ordered == ["2.bias", "2.weight", "10.bias", "10.weight", "head"]
