from __future__ import annotations

from dataclasses import replace

from instar.report.stages import stages
from tests.report.stories import good, refused, rolled_back


def looks(story) -> dict[str, tuple[str, str]]:
    return {stage.name: (stage.look, stage.word) for stage in stages(story)}


def test_stages_are_nine_in_the_order_of_the_journey() -> None:
    assert [stage.title for stage in stages(good())] == [
        "Request", "Admission", "Plan", "Training", "Bundle",
        "Validation", "Approval", "Release", "Watch",
    ]  # fmt: skip


def test_stages_of_a_refused_update_end_at_the_gate() -> None:
    seen = looks(refused())
    assert seen["admission"] == ("fail", "failed")
    assert seen["plan"] == seen["watch"] == ("none", "not reached")


def test_stages_of_an_overridden_update_tell_the_override_and_the_way_back() -> None:
    notes = {stage.name: stage.note for stage in stages(rolled_back())}
    assert looks(rolled_back())["release"] == ("fail", "rolled back")
    assert notes["validation"].endswith("overridden")
    assert notes["release"] == "after 1,204 requests"


def test_stages_waiting_for_people_say_how_many() -> None:
    story = rolled_back()
    approval = replace(story.approval, verdict=story.validation.verdict, waiting_for=2)
    story = replace(story, approval=approval, releases=())
    assert looks(story)["approval"] == ("inconclusive", "waiting")
    assert {stage.name: stage.note for stage in stages(story)}["approval"] == "2 more needed"


def test_stages_of_a_failure_show_where_it_broke() -> None:
    broken = replace(good(), bundle=None, validation=None, approval=None, releases=(), watch=None)
    assert looks(replace(broken, failure="disk full"))["bundle"] == ("error", "stopped here")
    assert looks(replace(good(), watch=None, failure="x"))["release"][0] == "error"
