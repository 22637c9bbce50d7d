"""docs/policy.md says every setting, with the default that is in force."""

from __future__ import annotations

from pathlib import Path

from instar.policy.page import page

PAGE = Path(__file__).parents[2] / "docs" / "policy.md"


def test_page_of_the_policy_is_the_one_in_the_docs() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m instar.policy.page > docs/policy.md"
