"""The control plane: who may change what, and what comes back."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest

from instar.core.errors import BackendError
from instar.service.errors import NotNow, UnknownUpdate
from instar.web import api, app

TOKEN = "a word that nobody knows"
BY = {"by": "ana", "reason": "figures read"}


class Told:
    """A service that notes what it is told, and as whom."""

    def __init__(self, by: str = "nobody") -> None:
        self.by = by
        self.heard: list[tuple[Any, ...]] = []
        self.slow = threading.Event()

    def acting(self, by: str) -> Told:
        made = Told(by)
        made.heard, made.slow = self.heard, self.slow
        return made

    def status(self) -> dict[str, Any]:
        return {"model": "m", "champion": "v1"}

    def due(self) -> dict[str, Any]:
        return {"due": False, "reason": "too soon", "at": 0.5, "rows": 200, "findings": []}

    def updates(self) -> list[dict[str, Any]]:
        return [{"update": "u0001"}]

    def live(self, update: str | None = None) -> dict[str, Any]:
        if update == "u9":
            raise UnknownUpdate("u9", ["u0001"])
        return {"update": update or "u0001", "phase": "step"}

    def release(self, update: str) -> dict[str, Any]:
        self.heard.append((self.by, "release", update))
        self.slow.wait(10)
        return {}

    def pause(self, update: str, *, reason: str) -> dict[str, Any]:
        if update == "u2":
            raise NotNow("a release that is under way", update, "waiting", "see: instar status u2")
        if update == "u5":
            raise BackendError("a ledger", "none", "try again")
        return self._note("pause", update, reason)

    def resume(self, update: str, *, reason: str = "") -> dict[str, Any]:
        return self._note("resume", update, reason)

    def abort(self, update: str, *, reason: str) -> dict[str, Any]:
        return self._note("abort", update, reason)

    def rollback(self, *, reason: str) -> dict[str, Any]:
        return self._note("rollback", reason)

    def promote(self, update: str, *, reason: str, step: bool, lets_pass: Any) -> dict[str, Any]:
        return self._note("promote", update, reason, step, tuple(lets_pass))

    def _note(self, *what: Any) -> dict[str, Any]:
        self.heard.append((self.by, *what))
        return {"update": "u0001", "state": "releasing"}


def ask(
    service: Told, method: str, address: str, body: Any = None, token: str | None = TOKEN
) -> httpx.Response:
    head = {"authorization": f"Bearer {token}"} if token is not None else {}

    async def once() -> httpx.Response:
        carry = httpx.ASGITransport(app(service, TOKEN), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=carry, base_url="http://here") as client:
            content = body if isinstance(body, bytes) else None
            json = None if content is not None else body
            return await client.request(method, address, headers=head, content=content, json=json)

    return asyncio.run(once())


@pytest.mark.parametrize(
    ("address", "body", "heard"),
    [
        ("updates/u1/pause", BY, ("ana", "pause", "u1", "figures read")),
        ("updates/u1/resume", {"by": "ana"}, ("ana", "resume", "u1", "")),
        ("updates/u1/abort", BY, ("ana", "abort", "u1", "figures read")),
        ("rollback", BY, ("ana", "rollback", "figures read")),
        (
            "updates/u1/promote",
            {**BY, "step": True, "override": ["slow"]},
            ("ana", "promote", "u1", "figures read", True, ("slow",)),
        ),
    ],
    ids=["pause", "resume", "abort", "rollback", "promote"],
)
def test_order_reaches_the_service_as_whoever_gives_it(
    address: str, body: dict[str, Any], heard: tuple[Any, ...]
) -> None:
    service = Told()
    answer = ask(service, "POST", f"/api/v1/{address}", body)
    assert (answer.status_code, answer.json()["state"]) == (200, "releasing")
    assert service.heard == [heard]


@pytest.mark.parametrize("token", [None, "", "another", TOKEN[:-1]], ids=str)
@pytest.mark.parametrize("verb", ["pause", "release", "promote", "abort", "resume"])
def test_nothing_changes_without_the_token(verb: str, token: str | None) -> None:
    service = Told()
    answer = ask(service, "POST", f"/api/v1/updates/u1/{verb}", BY, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "input.no_token")
    assert service.heard == []
    assert TOKEN not in answer.text


def test_without_a_token_of_its_own_it_takes_no_order_at_all() -> None:
    async def once() -> httpx.Response:
        carry = httpx.ASGITransport(app(Told()), raise_app_exceptions=False)
        head = {"authorization": "Bearer "}
        async with httpx.AsyncClient(transport=carry, base_url="http://here") as client:
            return await client.post("/api/v1/rollback", headers=head, json=BY)

    assert asyncio.run(once()).status_code == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"reason": "x"}', b'{"by": 7}', b'{"by": " "}',
     b'{"by": "a", "step": "yes"}', b'{"by": "a", "override": [1]}', b'{"by": "a", "who": "b"}',
     b'{"by": "' + b"a" * (1 << 16) + b'"}'],
    ids=["empty", "cut", "list", "nobody", "number", "blank", "word", "numbers", "unknown", "long"],
)  # fmt: skip
def test_body_that_is_no_order_is_refused(body: bytes) -> None:
    service = Told()
    answer = ask(service, "POST", "/api/v1/updates/u1/pause", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "input.bad_body")
    assert service.heard == []


@pytest.mark.parametrize(("update", "status"), [("u2", 409), ("u5", 503)])
def test_mistake_has_its_status_and_names_the_next_command(update: str, status: int) -> None:
    answer = ask(Told(), "POST", f"/api/v1/updates/{update}/pause", BY)
    assert answer.status_code == status
    assert answer.json()["error"].startswith("wanted ")


def test_reading_is_free_and_an_unknown_update_is_missing() -> None:
    assert ask(Told(), "GET", "/api/v1/status", token=None).json()["champion"] == "v1"
    assert ask(Told(), "GET", "/api/v1/release", token=None).json()["update"] == "u0001"
    assert ask(Told(), "GET", "/api/v1/due", token=None).json() == Told().due()
    found = ask(Told(), "GET", "/api/v1/updates/u0007/release", token=None)
    assert found.json() == {"update": "u0007", "phase": "step"}
    assert ask(Told(), "GET", "/api/v1/updates/u9/release", token=None).status_code == 404


def test_long_work_is_begun_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "AT_ONCE_S", 0.05)
    service = Told()
    try:
        answer = ask(service, "POST", "/api/v1/updates/u1/release", {"by": "ana"})
    finally:
        service.slow.set()
    assert (answer.status_code, answer.json()["message"]) == (202, "it goes on")
    assert service.heard == [("ana", "release", "u1")]
