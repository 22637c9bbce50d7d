from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from instar.core.errors import BackendError, InputError
from instar.core.update import State
from instar.report import render
from instar.web import app
from instar.web.dashboard import STATES
from tests.report.stories import good

ROW = {
    "update": "u-1",
    "state": "promoted",
    "stage": "release",
    "verdict": "pass",
    "strategy": "hybrid",
    "by": "ann",
    "at": 1_764_000_000.0,
    "reason": "the flights of June",
    "champion": "model_a",
    "candidate": "model_b",
}


class Shelf:
    """A service that holds what a test gives it."""

    def __init__(self, *updates: dict[str, Any], champion: str | None = "model_b") -> None:
        self.rows, self.champion = updates, champion

    def status(self) -> dict[str, Any]:
        since = 1_764_000_000.0 if self.champion else None
        metrics = {"auroc": 0.75642}
        return {"model": "flights", "champion": self.champion, "since": since, "metrics": metrics}

    def updates(self) -> list[dict[str, Any]]:
        return list(self.rows)

    def report(self, update: str, /) -> str:
        if update == "full":
            raise BackendError("the journal", "no answer", "try again")
        if update == "bug":
            raise RuntimeError("secret inside")
        if update not in {row["update"] for row in self.rows}:
            raise InputError("the id of an update", repr(update), "see the list")
        return render(good())


def ask(service: Shelf, address: str, method: str = "GET") -> httpx.Response:
    async def once() -> httpx.Response:
        carry = httpx.ASGITransport(app(service), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=carry, base_url="http://here") as client:
            return await client.request(method, address)

    return asyncio.run(once())


def test_home_lists_what_serves_and_the_updates_in_order() -> None:
    page = ask(
        Shelf({**ROW, "update": "u-2", "state": "refused", "verdict": "fail"}, ROW), "/"
    ).text
    assert "model_b" in page
    assert "0.756" in page
    assert page.index('href="/updates/u-2/report"') < page.index('href="/updates/u-1/report"')
    assert "2025-11-24 16:00:00 UTC" in page


def test_home_before_anything_was_done_says_what_to_do() -> None:
    page = ask(Shelf(champion=None), "/").text
    assert "instar adopt" in page
    assert "instar update DATA" in page


def test_home_with_hostile_names_stays_text() -> None:
    name = '"><script>alert(1)</script>'
    page = ask(Shelf({**ROW, "update": name, "reason": name, "by": name}), "/").text
    assert "<script>" not in page
    assert 'href="/updates/%22%3E%3Cscript%3E' in page


@pytest.mark.parametrize("state", [state.value for state in State])
def test_home_marks_every_state_by_a_word(state: str) -> None:
    verdict = None if state == "running" else "fail"
    page = ask(Shelf({**ROW, "state": state, "verdict": verdict}), "/").text
    assert f"</span>{state}</span>" in page
    assert f'class="mark {STATES[state]}"' in page


def test_report_is_the_page_of_the_update() -> None:
    answer = ask(Shelf(ROW), "/updates/u-1/report")
    assert answer.status_code == 200
    assert "took over from" in answer.text


@pytest.mark.parametrize(
    ("address", "status"),
    [("/updates/u-9/report", 404), ("/nowhere", 404), ("/updates/full/report", 503),
     ("/updates/bug/report", 500), ("/updates/..%2f..%2fetc/report", 404)],
)  # fmt: skip
def test_mistake_is_answered_by_a_page(address: str, status: int) -> None:
    answer = ask(Shelf(ROW), address)
    assert answer.status_code == status
    assert "<h1>" in answer.text
    assert "secret" not in answer.text


def test_updates_are_given_as_json_with_all_their_keys() -> None:
    answer = ask(Shelf(ROW), "/api/v1/updates")
    assert answer.json() == {"updates": [ROW]}


def test_mistake_under_the_api_is_json() -> None:
    answer = ask(Shelf(ROW), "/api/v1/nothing")
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(method: str) -> None:
    assert ask(Shelf(ROW), "/", method).status_code == 405
    assert ask(Shelf(ROW), "/updates/u-1/report", method).status_code == 405
