"""Complaints about answers that come without a label."""

from __future__ import annotations

from typing import Any

OLD = "model_v20260101_0000"


def told(house: Any, *items: dict[str, Any]) -> dict[str, Any]:
    answer = house.http.post("/api/v1/feedback", json={"items": list(items)})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_complaint_finds_its_answer_late_twice_or_never(house: Any) -> None:
    for number in range(3):
        house.infer(f"told {number}")
    before = house.traffic.served()[OLD].reports
    found = told(
        house,
        {"id": "told 0", "report": "that cannot be"},
        {"id": "told 0", "report": True},
        {"id": "told 1", "report": "again", "label": "yes"},
        {"id": "nobody", "report": "?"},
    )
    assert (found["reported"], found["joined"], found["refused"]) == (2, 1, [])
    empty = house.http.post("/api/v1/feedback", json={"items": [{"id": "told 2"}]})
    assert (empty.status_code, "neither" in empty.json()["error"]) == (400, True)
    assert house.traffic.served()[OLD].reports == before + 2
    assert house.traffic.status()["reports"][OLD] == before + 2
    house.infer("nobody")  # its complaint came first
    assert house.traffic.served()[OLD].reports == before + 3


def test_feedback_without_complaints_is_answered_as_ever(house: Any) -> None:
    house.infer("plain")
    found = told(house, {"id": "plain", "label": "no"})
    assert found == {"joined": 1, "repeated": 0, "changed": 0, "unknown": 0, "refused": []}


def test_complaints_outlive_the_gateway(alone: Any) -> None:
    from instar.serving.client import start

    alone.infer("before")
    assert told(alone, {"id": "before", "report": True})["reported"] == 1
    alone.gateway.stop()
    gateway = start(alone.root, "m")
    try:
        assert alone.traffic.served()[OLD].reports == 1
    finally:
        gateway.stop()
