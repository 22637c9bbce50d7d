from __future__ import annotations

import pytest

from instar.core.data import Task, TaskKind
from instar.core.finding import Comparison, Interval, Verdict
from instar.core.policy import MetricRule, ValidatePolicy
from instar.stages.validate.judge import MARGIN, compared, primary_of, rules_of
from instar.stats.bootstrap import Estimate
from instar.stats.metrics import METRICS

BINARY = Task(TaskKind.BINARY, "y", ("no", "yes"))


def judged(made, value, low, high, margin=0.01, error=0.005):
    gain = Estimate(value, Interval(low, high), error, 1500)
    return compared("metrics:auroc", METRICS["auroc"], made().fresh, gain, margin)


@pytest.mark.parametrize(
    ("gain", "answer", "verdict"),
    [
        ((0.02, 0.01, 0.03), Comparison.BETTER, Verdict.PASS),
        ((0.0, -0.009, 0.009), Comparison.NOT_WORSE, Verdict.PASS),
        ((-0.03, -0.04, -0.02), Comparison.WORSE, Verdict.FAIL),
        ((0.0, -0.02, 0.02), Comparison.CANNOT_TELL, Verdict.INCONCLUSIVE),
    ],
)
def test_compared_says_the_answer_and_what_would_pass(made, gain, answer, verdict):
    found = judged(made, *gain)
    assert (found.answer, found.verdict) == (answer, verdict)
    assert found.message.startswith(answer.value)
    assert bool(found.passes_if) == (verdict is not Verdict.PASS)
    assert (found.measured, found.limit, found.n) == (gain[0], -0.01, 1500)
    assert (found.labels_needed is not None) == (answer is Comparison.CANNOT_TELL)


def test_compared_on_the_margin_says_that_no_number_of_labels_would_tell(made):
    found = judged(made, -0.01, -0.02, 0.0)
    assert found.labels_needed is None
    assert "no number of labels" in found.passes_if


def test_compared_of_an_undefined_metric_is_an_error(made):
    assert judged(made, float("nan"), -1, 1).verdict is Verdict.ERROR


def test_rules_default_to_the_tasks_own_metric():
    assert rules_of(ValidatePolicy(), BINARY) == {"auroc": MetricRule(margin=MARGIN)}
    named = {"f1": MetricRule(min=0.5)}
    assert rules_of(ValidatePolicy(metrics=named), BINARY) == named


def test_primary_is_the_first_metric_that_the_policy_names():
    named = {"f1": MetricRule(), "auroc": MetricRule()}
    assert primary_of(ValidatePolicy(metrics=named), BINARY).name == "f1"
    assert primary_of(ValidatePolicy(), BINARY).name == "auroc"
    assert primary_of(ValidatePolicy(metrics={"typo": MetricRule()}), BINARY).name == "auroc"
