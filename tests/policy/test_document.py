from __future__ import annotations

from typing import Any

import pytest

from instar.policy.document import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("007", 7),
        ("1e-4", 1e-4),
        ("1.", 1.0),
        (".5", 0.5),
        ("-2.5E+3", -2500.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        # Texts, though older YAML reads booleans, dates, numbers of base 60 or 8 in them.
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("True", "True"),
        ("2013-06-01", "2013-06-01"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("sha256:1e5", "sha256:1e5"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_parse_reads_scalars_as_yaml_1_2_does(text: str, value: Any) -> None:
    got, _ = parse(text, "here")
    assert got == value
    assert type(got) is type(value)


def test_parse_tells_the_line_of_each_key_and_item() -> None:
    _, lines = parse("a:\n  b:\n    - 1\n    - 2\nc: {d: 1,\n  e: 2}\n", "here")
    keys = {".".join(k): line for k, line in lines.items()}
    assert keys == {"": 1, "a": 1, "a.b": 2, "a.b.0": 3, "a.b.1": 4, "c": 5, "c.d": 5, "c.e": 6}
