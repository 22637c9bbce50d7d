from __future__ import annotations

import pytest

from instar.core.secret import veiled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ana:s3@db/x", "postgresql://ana:***@db/x"),
        ("postgresql://ana:s3/?#@4@db/x", "postgresql://ana:***@db/x"),
        ("redis://:s3@db", "redis://:***@db"),
        ("at https://h/p?token=s3&x=1, or", "at https://h/p?token=***&x=1, or"),
        ("postgresql:///x?PASSWORD=s3", "postgresql:///x?PASSWORD=***"),
        (
            "'postgresql://a:s3@h' and 'http://b:s3@h'",
            "'postgresql://a:***@h' and 'http://b:***@h'",
        ),
        ("postgresql://ana@db:5432/x", "postgresql://ana@db:5432/x"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("model: demand, at 12:30", "model: demand, at 12:30"),
    ],
)
def test_veiled_puts_out_passwords_and_nothing_else(text: str, shown: str) -> None:
    assert veiled(text) == shown
