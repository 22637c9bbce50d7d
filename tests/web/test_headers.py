from __future__ import annotations

import pytest

from tests.web.test_dashboard import ROW, Shelf, ask


@pytest.mark.parametrize("address", ["/", "/updates/u-1/report", "/updates/bug/report", "/no"])
def test_headers_are_on_every_answer_and_forbid_scripts(address: str) -> None:
    headers = ask(Shelf(ROW), address).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert "script-src" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
