"""`status -w`: what is drawn, what is printed, when it ends."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from instar.cli import watching

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
FINDING = {
    "code": "slow",
    "verdict": "pass",
    "message": "0.00% took more than 100 ms",
    "passes_if": "",
    "enforced": True,
}
LACKING = {**FINDING, "code": "enough", "verdict": "inconclusive", "passes_if": "88 more requests"}
MOVE = {
    "at": 0.0,
    "phase": "step",
    "paused": None,
    "step": 2,
    "cause": "gates",
    "reason": "step 2 of 3: 0.25 of the traffic",
}
VIEW: dict[str, Any] = {
    "model": "demand",
    "update": "u0001",
    "state": "releasing",
    "champion": OLD,
    "candidate": NEW,
    "phase": "step",
    "paused": None,
    "strategy": "canary",
    "step": 2,
    "steps": [{"share": 0.05}, {"share": 0.25}, {"share": 0.5}],
    "verdict": "inconclusive",
    "reason": "enough waits for 88 more requests",
    "findings": [FINDING, LACKING],
    "looked_at": 100.0,
    "orders": 0,
    "carried": True,
    "gateway": True,
    "shares": {OLD: 0.75, NEW: 0.25},
    "served": {OLD: {"requests": 3_000, "failed": 2, "p99_ms": 11.9}, NEW: {"requests": 12}},
    "moves": [MOVE],
    "next": "instar release u0001",
    "exit_code": 3,
}


def drawn(now: float = 101.0, **changes: Any) -> str:
    paper = Console(width=140, file=io.StringIO())
    paper.print(watching.draw({**VIEW, **changes}, now))
    text = paper.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


def test_drawing_says_where_it_stands_who_serves_what_and_what_is_missing() -> None:
    text = drawn()
    for word in ("step 2 of 3", "25.0%", "3,000", "11.9", "slow", "88 more requests", "gates"):
        assert word in text, word
    champion, candidate = (next(x for x in text.splitlines() if v in x) for v in (OLD, NEW))
    assert (champion.count("█"), candidate.count("█")) == (30, 10)
    assert text.rstrip().endswith("next: instar release u0001")


def test_drawing_warns_where_nobody_looks() -> None:
    assert "nobody carries it" in drawn(carried=False)
    assert "the last look is 60 s old" in drawn(now=160.0)
    assert "the gateway does not answer" in drawn(gateway=False)
    assert "2 orders wait" in drawn(orders=2)
    assert "paused (no traffic)" in drawn(phase="paused", paused="no traffic")
    assert not any(word in drawn() for word in ("nobody", "old\n", "does not", "wait to be"))


def test_share_that_is_small_is_still_seen() -> None:
    line = next(x for x in drawn(shares={OLD: 0.999, NEW: 0.001}).splitlines() if NEW in x)
    assert line.count("█") == 1


def test_update_that_was_never_released_is_drawn_too() -> None:
    bare = {"phase": None, "candidate": None, "steps": [], "step": 0, "findings": [], "moves": []}
    text = drawn(state="waiting", strategy=None, verdict=None, shares={OLD: 1.0}, **bare)
    assert "u0001 of demand: waiting" in text


class Space:
    """A workspace whose release ends at the third look."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def live(self, update: str | None = None) -> dict[str, Any]:
        self.asked.append(update)
        ended = len(self.asked) == 3
        return {**VIEW, "state": "promoted" if ended else "releasing", "exit_code": 3 - 3 * ended}


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "drawn"])
def test_watch_ends_with_the_release_and_its_status(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    space: Any = Space()
    assert watching.watch(space, None, every_s=0.0, as_json=as_json) == 0
    assert space.asked == [None, "u0001", "u0001"]
    out = capsys.readouterr().out
    if as_json:
        assert [json.loads(line)["state"] for line in out.splitlines()][-1] == "promoted"
    else:
        assert "u0001 of demand" in out


def test_picture_is_an_svg_of_the_same() -> None:
    svg = watching.picture(VIEW, 101.0)
    assert svg.startswith("<svg")
    assert "88" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
