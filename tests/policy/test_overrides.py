from __future__ import annotations

from pathlib import Path

import pytest

from instar.policy import read, split_overrides
from instar.policy.overrides import BadOverride


def test_split_overrides_keeps_equals_signs_of_values() -> None:
    assert split_overrides(["a.b=c=d", " x =", "y=[1, 2]"]) == {
        "a.b": "c=d",
        "x": "",
        "y": "[1, 2]",
    }


@pytest.mark.parametrize("text", ["a", "=1", "a..b=1", ".a=1", "a.=1", ""])
def test_split_overrides_refuses_what_has_no_key(text: str) -> None:
    with pytest.raises(BadOverride, match="key=value"):
        split_overrides([text])


def test_split_overrides_refuses_a_key_twice() -> None:
    with pytest.raises(BadOverride, match="second"):
        split_overrides(["a=1", "a=2"])


def test_setting_of_a_section_needs_no_policy_before_it(tmp_path: Path) -> None:
    (tmp_path / "instar.yaml").write_text(
        "model: m\ntask: {kind: binary, target: y}\nnetwork: {family: mlp}\n"
    )
    project = read(tmp_path / "instar.yaml", {"admit.missing": "0.5"}, env={})
    assert project.policy.admit.missing == 0.5
    assert project.origin["policy.admit.missing"] == "--set"
