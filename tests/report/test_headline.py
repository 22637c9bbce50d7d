from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from instar.core.finding import Verdict
from instar.core.records import Phase, VoteKind
from instar.report.headline import headline, picture, score
from instar.report.story import Story
from tests.report import stories


def waiting() -> Story:
    story = stories.rolled_back()
    return replace(story, votes=(), approval=None, releases=())


def approved() -> Story:
    return replace(stories.good(), releases=(), watch=None)


def releasing() -> Story:
    return replace(stories.good(), releases=stories.good().releases[:2], watch=None)


def kept() -> Story:
    plan = replace(stories.plan(), strategy="keep", reason="the gain is below 0.002")
    request = stories.good().request
    return Story("flights", request, admission=stories.admission(), plan=plan)


def rejected() -> Story:
    no = stories.vote(VoteKind.REJECT, "cleo", 3, "not in the holiday week")
    return replace(approved(), votes=(no,), approval=None)


def failed() -> Story:
    return replace(stories.refused(), admission=None, failure="the store is full")


def unmeasured() -> Story:
    story = stories.refused()
    return replace(story, admission=replace(story.admission, verdict=Verdict.ERROR))


def running() -> Story:
    return Story("flights", stories.good().request)


@pytest.mark.parametrize(
    ("tell", "look", "begins"),
    [
        (stories.good, "pass", "Promoted: model_v20251124_1830 took over from model_v20251101"),
        (stories.refused, "fail", "Refused at the data gate; model_v20251101_0900 is untouched"),
        (stories.rolled_back, "fail", "Rolled back: model_v20251101_0900 serves again"),
        (unmeasured, "error", "Not measured at the data gate"),
        (waiting, "inconclusive", "Waiting for people"),
        (approved, "open", "Waiting for its release"),
        (releasing, "open", "The release is under way"),
        (kept, "pass", "Nothing to gain: model_v20251101_0900 stays"),
        (rejected, "fail", "Rejected by a person"),
        (failed, "error", "Stopped by an error; model_v20251101_0900 is untouched"),
        (
            lambda: replace(stories.good(), failure="x"),
            "error",
            "Stopped by an error in its release",
        ),
        (lambda: replace(running(), withdrawn="no longer wanted"), "open", "Withdrawn"),
        (running, "open", "The update is under way"),
    ],
)
def test_headline_says_how_the_update_stands(
    tell: Callable[[], Story], look: str, begins: str
) -> None:
    said = headline(tell())
    assert said.look == look
    assert said.sentence.startswith(begins)


def test_headline_gives_the_reason() -> None:
    assert "Celsius" in headline(stories.refused()).because
    assert "486 live labels" in headline(stories.rolled_back()).because
    assert headline(failed()).because == "the store is full"
    assert headline(rejected()).because == "cleo: not in the holiday week"
    assert headline(kept()).because == "the gain is below 0.002"


def test_story_promoted_and_gone_back_by_hand_still_says_what_it_did() -> None:
    story = replace(stories.good(), after=stories.good().before)
    assert story.left == "model_v20251124_1830"
    assert story.after != story.left


def test_story_not_promoted_leaves_the_champion() -> None:
    assert stories.rolled_back().left == stories.rolled_back().before
    assert stories.rolled_back().releases[-1].phase is Phase.ROLLED_BACK


def test_score_is_that_of_the_primary_metric_with_its_comparison() -> None:
    found = score(stories.good())
    assert (found.metric, found.champion, found.candidate) == ("auroc", 0.7412, 0.7564)
    assert found.finding.code == "compare:auroc"
    drawn = picture(found)
    assert drawn["rows"][0]["low"] < drawn["rows"][0]["value"] < drawn["rows"][0]["high"]


def test_score_without_a_named_metric_is_the_first_compared() -> None:
    assert score(replace(stories.good(), metric="")).metric == "auroc"
    assert score(replace(stories.good(), metric="unheard")).metric == "auroc"


def test_score_prefers_a_metric_that_was_compared() -> None:
    assert score(replace(stories.good(), metric="accuracy")).metric == "auroc"
    assert score(replace(stories.good(), metric="logloss")).metric == "logloss"


def test_score_unmeasured_is_none() -> None:
    assert score(stories.refused()) is None
    empty = replace(stories.validation(), champion={}, candidate={})
    assert score(replace(stories.good(), validation=empty)) is None


def test_picture_without_an_interval_is_none() -> None:
    found = score(stories.good())
    assert picture(replace(found, finding=replace(found.finding, interval=None))) == {}
    assert picture(replace(found, finding=None)) == {}
