from __future__ import annotations

from pathlib import Path

from instar.core.policy import ReleasePolicy, StepRule
from instar.stages.release import STRATEGIES, strategies


def test_every_strategy_has_a_file_and_every_file_a_strategy() -> None:
    files = {path.stem for path in Path(strategies.__file__).parent.glob("*.py")}
    assert files - {"__init__"} == set(STRATEGIES)


def test_blue_green_bakes_as_the_policy_says() -> None:
    steps = (StepRule(share=0.1, bake_s=5), StepRule(share=0.5, requests=7, labels=9, bake_s=60))
    preview, live = STRATEGIES["blue_green"](ReleasePolicy(steps=steps))
    assert (preview.share, preview.requests, preview.bake_s) == (0.0, 0, 5)
    assert (live.share, live.requests, live.labels, live.bake_s) == (1.0, 7, 0, 60)


def test_only_all_at_once_has_no_steps() -> None:
    policy = ReleasePolicy()
    assert [name for name in STRATEGIES if not STRATEGIES[name](policy)] == ["all_at_once"]


def test_ab_splits_in_half_and_waits_for_labels() -> None:
    steps = (StepRule(share=0.05), StepRule(share=0.2, requests=7, labels=9, bake_s=60))
    (half,) = STRATEGIES["ab"](ReleasePolicy(steps=steps))
    assert (half.share, half.requests, half.labels, half.bake_s) == (0.5, 7, 9, 60)
    (half,) = STRATEGIES["ab"](ReleasePolicy(steps=steps[:1], window=40))
    assert half.labels == 40
