from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from instar.stages.release.evidence import Evidence, gather
from instar.testing.traffic import Behaviour

Make = Callable[..., Any]


def looked(scene: Any) -> Evidence:
    last = scene.last
    return gather(
        scene.traffic,
        scene.traffic.route(),
        scene.champion,
        scene.candidate,
        last,
        scene.policy.steps[last.step - 1],
        scene.policy,
    )


def test_gather_counts_only_what_came_after_the_release_began(stage: Make) -> None:
    scene = stage()
    scene.traffic.serve(500)
    scene.tick()
    scene.traffic.serve(1_000)
    evidence = looked(scene)
    assert len(evidence.together) == 1
    both = evidence.together[0]
    assert (both.share, both.champion.requests + both.candidate.requests) == (
        pytest.approx(0.1),
        1_000,
    )
    assert len(evidence.answers.loss) == 1_000


def test_gather_keeps_shares_apart(stage: Make) -> None:
    scene = stage(quality_margin=0.2)
    scene.tick()
    scene.traffic.serve(2_000)
    scene.tick()
    scene.traffic.serve(400)
    evidence = looked(scene)
    assert [both.share for both in evidence.together] == pytest.approx([0.1, 0.5])
    assert np.unique(evidence.answers.share).tolist() == pytest.approx([0.1, 0.5])
    assert evidence.requests == evidence.together[1].candidate.requests


def test_gather_puts_labels_of_both_versions_into_their_order(stage: Make) -> None:
    scene = stage(new=Behaviour(noise=0.0))
    scene.tick()
    scene.traffic.serve(300)
    scene.traffic.serve(300)
    answers = looked(scene).answers
    # The fake labels all answers of one version, then all of the other, call by call.
    changes = int((np.diff(answers.candidate.astype(int)) != 0).sum())
    assert changes == 3


def test_gather_before_any_request_is_empty(stage: Make) -> None:
    scene = stage()
    scene.tick()
    evidence = looked(scene)
    assert (evidence.requests, evidence.labels, evidence.together) == (0, 0, ())
    assert evidence.idle
    assert len(evidence.answers.loss) == 0
