from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instar.core.digest import canonical, digest_bytes, digest_json, is_digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.binary())
def test_digest_is_sha256(data: bytes) -> None:
    assert digest_bytes(data) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert is_digest(digest_bytes(data))


@given(st.dictionaries(st.text(), JSON))
def test_order_of_keys_changes_nothing(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical(value) == canonical(turned)
    assert digest_json(value) == digest_json(turned)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(value)


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "0" * 63, "sha256:" + "G" * 64, "md5:" + "0" * 64]
)
def test_other_texts_are_no_digests(text: str) -> None:
    assert not is_digest(text)
