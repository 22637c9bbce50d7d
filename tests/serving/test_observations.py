from __future__ import annotations

from typing import Any

import pytest

from instar.serving import observations
from instar.serving.observations import Observations


def test_labels_of_two_versions_have_one_order() -> None:
    seen = Observations()
    for n in range(6):
        seen.answered(f"r{n}", "ab"[n % 2], 1, [0.5, 0.5])
    for n in (5, 0, 3, 2):
        seen.label(f"r{n}", 1.0)
    assert list(seen.labelled("a").order) == [1, 3]
    assert list(seen.labelled("b").order) == [0, 2]


def test_changed_label_keeps_its_place() -> None:
    seen = Observations()
    for n in range(2):
        seen.answered(f"r{n}", "a", 1, [0.5, 0.5])
        seen.label(f"r{n}", 0.0)
    assert seen.label("r0", 1.0) == "changed"
    found = seen.labelled("a")
    assert (list(found.labels), list(found.order)) == ([1.0, 0.0], [0, 1])


def test_second_answer_under_a_name_takes_the_label() -> None:
    seen = Observations()
    seen.answered("r", "a", 1, [0.9, 0.1])
    seen.answered("r", "b", 2, [0.2, 0.8])
    seen.label("r", 1.0)
    assert len(seen.labelled("a").labels) == 0
    assert seen.labelled("b").scores == [[0.2, 0.8]]


def test_old_predictions_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observations, "_PREDICTIONS", 3)
    seen = Observations()
    for n in range(5):
        seen.answered(f"r{n}", "a", 1, [0.5, 0.5])
    outcomes: list[Any] = [seen.label(f"r{n}", 1.0) for n in range(5)]
    assert outcomes == ["unknown", "unknown", "joined", "joined", "joined"]


def test_since_a_route_only_its_answers_are_listed() -> None:
    seen = Observations()
    for generation in (1, 2, 3):
        seen.answered(f"r{generation}", "a", generation, [float(generation)])
        seen.label(f"r{generation}", 0.0)
    assert seen.scores("a", 2) == [[2.0], [3.0]]
    assert seen.labelled("a", 3).generations == [3]
    assert seen.scores("nobody") == []


def test_labels_of_which_some_are_not_known_are_kept_as_they_came() -> None:
    seen = Observations()
    seen.answered("r", "a", 1, [0.9, 0.1])
    assert seen.label("r", [1.0, None]) == "joined"
    assert seen.label("r", [1.0, None]) == "repeated"
    assert seen.label("r", [1.0, 0.0]) == "changed"
    assert seen.labelled("a").labels == [[1.0, 0.0]]


def test_complaint_is_counted_once_for_the_version_that_answered() -> None:
    seen = Observations()
    seen.answered("a", "old", 1, [0.5])
    seen.answered("b", "new", 2, [0.5])
    outcomes: list[Any] = [seen.report(name) for name in ("a", "a", "b", "nobody")]
    assert outcomes == ["joined", "repeated", "joined", "unknown"]
    assert (seen.reports(), seen.reports(2)) == ({"old": 1, "new": 1}, {"new": 1})
    assert seen.label("a", 1.0) == "joined"  # a complaint is no label, and takes none's place
