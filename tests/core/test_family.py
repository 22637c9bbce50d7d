from __future__ import annotations

from importlib import metadata
from typing import Any

import pytest

from instar.core.errors import TakenName, UnknownName
from instar.core.family import Family


class Point:
    def __init__(self, name: str, value: object) -> None:
        self.name, self.value = name, value

    def load(self) -> object:
        return self.value


def join(monkeypatch: pytest.MonkeyPatch, *points: Point) -> list[str]:
    asked: list[str] = []

    def entry_points(*, group: str) -> Any:
        asked.append(group)
        return points

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return asked


def test_unknown_name_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(UnknownName, match="out of psi, wasserstein; got 'pis'; did you mean 'psi'"):
        Family("distance", {"wasserstein": 1, "psi": 2})["pis"]


def test_other_package_joins_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = join(monkeypatch, Point("theirs", 7))
    assert dict(Family("check", {"ours": 1})) == {"ours": 1, "theirs": 7}
    assert asked == ["instar.check"]


def test_taken_name_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    join(monkeypatch, Point("ours", 7))
    with pytest.raises(TakenName, match="'ours', which is taken"):
        len(Family("check", {"ours": 1}))


def test_membership_asks_without_raising() -> None:
    assert "x" not in Family("check", {"ours": 1})
