"""The journey is told by the stages' signatures alone; this proves that it can be travelled."""

from __future__ import annotations

import dataclasses

import pytest

from instar.core.policy import Policy
from instar.core.records import ModelVersion, Orders, Past, Request, Rungs
from instar.core.update import KINDS
from instar.core.update import STAGES as JUDGED
from instar.pipeline import STAGES, Votes, last_of


@pytest.mark.parametrize("number", range(len(STAGES)), ids=[stage.name for stage in STAGES])
def test_stage_asks_only_for_what_exists_by_then(number: int) -> None:
    stage = STAGES[number]
    made = {earlier.makes for earlier in STAGES[:number]}
    lent = {Request, ModelVersion, Votes, Orders, Past, Rungs, last_of(stage.makes), *made}
    assert set(stage.needs.values()) <= lent


@pytest.mark.parametrize("stage", STAGES, ids=[stage.name for stage in STAGES])
def test_stage_has_its_section_of_the_policy(stage: object) -> None:
    assert stage.name in {field.name for field in dataclasses.fields(Policy)}  # type: ignore[attr-defined]


def test_stages_make_the_judged_records_in_order() -> None:
    assert tuple(stage.kind for stage in STAGES) == JUDGED
    assert all(KINDS[stage.kind] is stage.makes for stage in STAGES)
