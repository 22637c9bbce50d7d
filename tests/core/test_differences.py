from __future__ import annotations

from typing import Any

import pytest

from instar.core.differences import differences


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", 1, 2)]),
        ({"a": 1}, {}, [("a", 1, None)]),
        ([1, 2], [1], [("", [1, 2], [1])]),
        ({"a": [{"b": 1}]}, {"a": [{"b": None}]}, [("a.0.b", 1, None)]),
        ({"a": {"b": 1}}, {"a": 3}, [("a", {"b": 1}, 3)]),
    ],
)
def test_differences_are_named_by_their_place(one: Any, other: Any, found: list[Any]) -> None:
    assert list(differences(one, other)) == found
