"""Each gate against evidence whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from instar.core.data import Preprocessing, Task, TaskKind
from instar.core.finding import Comparison, Verdict
from instar.core.policy import AttackRule, FlipRule, MetricRule, SliceRule, ValidatePolicy
from instar.stages.validate import gates as package
from instar.stages.validate.evidence import Rows
from instar.stages.validate.gates import GATES
from instar.testing.contracts.families import family_files, unknown_name

GOOD, POOR, USELESS = (2.0, -2.0), (2.0, 0.5), (0.0, 0.0)
QUICK = ValidatePolicy(resamples=300)


def regression(evidence):
    """The same rows, read as numbers to be met."""
    fresh = evidence.fresh
    values = Rows(fresh.frame, fresh.labels * 1.0, fresh.champion[:, 1:], fresh.candidate[:, 1:])
    return replace(evidence, task=Task(TaskKind.REGRESSION, "answer"), fresh=values, old=values)


def test_family_knows_every_file():
    family_files(GATES, package)
    unknown_name(GATES)


@pytest.mark.parametrize("name", GATES)
def test_gate_answers_any_kind_of_task(asked, made, name):
    if name != "parity":  # its network is that of a binary task
        asked(GATES[name], evidence=regression(made()))
    asked(GATES[name], evidence=made(old=0))


@pytest.mark.parametrize("name", GATES)
def test_codes_begin_with_the_gates_name(made, name):
    for finding in GATES[name](made(), QUICK):
        assert finding.code.split(":")[0] == name


def test_answers_fail_where_a_row_gets_nan(asked, made):
    found = asked(GATES["answers"], nan_above=2.0)["answers"]
    assert found.verdict is Verdict.FAIL
    assert 0 < found.measured < 0.1
    assert asked(GATES["answers"])["answers"].verdict is Verdict.PASS


def test_answers_of_a_champion_that_fails_are_an_error(asked, made):
    evidence = made()
    silent = replace(evidence.fresh, champion=evidence.fresh.champion * np.nan)
    found = asked(GATES["answers"], evidence=replace(evidence, fresh=silent))
    assert found["answers"].verdict is Verdict.PASS
    assert found["answers:champion"].verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (MetricRule(min=0.6), Verdict.PASS),
        (MetricRule(min=0.999), Verdict.FAIL),
        (MetricRule(max=0.999), Verdict.PASS),
        (MetricRule(max=0.6), Verdict.FAIL),
    ],
)
def test_limits_hold_the_metric_against_its_bounds(asked, rule, verdict):
    policy = ValidatePolicy(metrics={"auroc": rule}, resamples=200)
    [found] = asked(GATES["limits"], policy).values()
    assert found.verdict is verdict
    assert found.measured in found.interval


def test_limits_ask_nothing_without_bounds(asked):
    assert asked(GATES["limits"]) == {}


@pytest.mark.parametrize(
    ("champion", "candidate", "answer", "verdict"),
    [
        (POOR, GOOD, Comparison.BETTER, Verdict.PASS),
        (GOOD, GOOD, Comparison.NOT_WORSE, Verdict.PASS),
        (GOOD, POOR, Comparison.WORSE, Verdict.FAIL),
    ],
)
def test_metrics_compare_on_the_same_rows(asked, champion, candidate, answer, verdict):
    found = asked(GATES["metrics"], champion=champion, candidate=candidate)["metrics:auroc"]
    assert (found.answer, found.verdict, found.enforced) == (answer, verdict, True)
    assert found.picture["kind"] == "roc"


def test_metrics_cannot_tell_on_few_rows_and_say_how_many_would(asked):
    found = asked(GATES["metrics"], champion=GOOD, candidate=(2.0, -1.7), n=60, seed=4)
    found = found["metrics:auroc"]
    assert (found.answer, found.verdict) == (Comparison.CANNOT_TELL, Verdict.INCONCLUSIVE)
    assert found.labels_needed > 0


def test_metrics_without_a_margin_are_reported_only_behind_the_primary(asked):
    named = {"auroc": MetricRule(), "brier": MetricRule(), "f1": MetricRule(margin=0.02)}
    found = asked(GATES["metrics"], ValidatePolicy(metrics=named, resamples=200))
    enforced = {code: finding.enforced for code, finding in found.items()}
    assert enforced == {"metrics:auroc": True, "metrics:brier": False, "metrics:f1": True}


@pytest.mark.parametrize(("name", "todo"), [("auorc", "auroc"), ("mse", "brier")])
def test_metrics_that_are_missing_are_an_error(asked, name, todo):
    policy = ValidatePolicy(metrics={name: MetricRule(min=0.0)}, resamples=200)
    found = asked(GATES["metrics"], policy)[f"metrics:{name}"]
    assert (found.verdict, found.enforced) == (Verdict.ERROR, True)
    assert todo in found.passes_if


def test_metrics_of_a_regression_have_relative_margins(asked, made):
    evidence = regression(made(champion=GOOD, candidate=GOOD))
    worse = replace(evidence.fresh, candidate=1 - evidence.fresh.candidate)
    assert asked(GATES["metrics"], evidence=evidence)["metrics:mse"].verdict is Verdict.PASS
    found = asked(GATES["metrics"], evidence=replace(evidence, fresh=worse))["metrics:mse"]
    assert (found.verdict, found.unit) == (Verdict.FAIL, "share of mse")


def test_forgetting_looks_at_the_old_rows(asked, made):
    kept, lost = made(champion=GOOD, candidate=GOOD), made(champion=GOOD, candidate=USELESS)
    mixed = replace(kept, old=lost.old)
    assert asked(GATES["forgetting"], evidence=kept)["forgetting"].verdict is Verdict.PASS
    found = asked(GATES["forgetting"], evidence=mixed)["forgetting"]
    assert "plan.old_served is no" in found.passes_if
    assert found.verdict is Verdict.FAIL
    assert [row["label"] for row in found.picture["rows"]] == ["old holdout", "fresh test rows"]
    assert found.picture["rows"][1]["value"] == 0


def test_forgetting_without_a_holdout_is_an_error(asked):
    assert asked(GATES["forgetting"], old=0)["forgetting"].verdict is Verdict.ERROR


def test_flips_count_rows_that_were_right_before(asked, made):
    evidence = made(champion=GOOD, candidate=POOR)
    rows = evidence.fresh
    before, now = (s.argmax(axis=1) == rows.labels for s in (rows.champion, rows.candidate))
    lost = int((before & ~now).sum())
    policy = replace(QUICK, flips=FlipRule(max=lost / 1500, old_max=0.0))
    found = asked(GATES["flips"], policy, evidence)
    fresh = found["flips:fresh"]
    assert fresh.measured == pytest.approx(lost / 1500)
    assert fresh.verdict is Verdict.PASS
    assert found["flips:old"].verdict is Verdict.FAIL
    bounds = binomtest(lost, 1500).proportion_ci(method="wilson")
    assert (fresh.interval.low, fresh.interval.high) == pytest.approx((bounds.low, bounds.high))
    assert fresh.picture["kind"] == "table"
    assert all(row[0] == row[1] != row[2] for row in fresh.picture["rows"])


def test_flips_of_equal_versions_are_none(asked):
    found = asked(GATES["flips"], champion=GOOD, candidate=GOOD)["flips:fresh"]
    assert (found.measured, found.picture) == (0.0, {})


def sliced(*columns, **options):
    return replace(QUICK, slices=SliceRule(columns=columns, **options))


def test_slices_find_the_one_that_is_worse(asked, made):
    evidence = made(champion=GOOD, candidate=GOOD)
    scores = evidence.fresh.candidate.copy()
    south = (evidence.fresh.frame["region"] == "south").to_numpy()
    scores[south] = scores[south][:, ::-1]
    hurt = replace(evidence, fresh=replace(evidence.fresh, candidate=scores))
    found = asked(GATES["slices"], sliced("region", "colour"), hurt)
    assert found["slices:region"].verdict is Verdict.FAIL
    assert "worse at south" in found["slices:region"].message
    assert "1 of 3 values have too few rows" in found["slices:region"].message
    assert [row["label"] for row in found["slices:region"].picture["rows"]] == ["north", "south"]
    # Two values are judged, so each gets half of the doubt.
    assert found["slices:region"].interval.level == pytest.approx(0.975)
    calm = asked(GATES["slices"], sliced("region", "colour"), evidence)
    assert {finding.verdict for finding in calm.values()} == {Verdict.PASS}


def test_slices_that_only_look_worse_are_inconclusive(asked, made):
    evidence = made(champion=GOOD, candidate=(2.0, -1.2), n=300, seed=2)
    policy = sliced("region", min_rows=100, margin=0.001)
    found = asked(GATES["slices"], policy, evidence)["slices:region"]
    assert (found.verdict, found.answer) == (Verdict.INCONCLUSIVE, Comparison.CANNOT_TELL)


def test_slices_that_are_missing_are_an_error(asked):
    assert asked(GATES["slices"], sliced("planet"))["slices:planet"].verdict is Verdict.ERROR


def test_slices_without_enough_rows_are_inconclusive(asked):
    policy = sliced("region", min_rows=5000)
    assert asked(GATES["slices"], policy)["slices:region"].verdict is Verdict.INCONCLUSIVE


def test_suspicious_gain_is_inconclusive(asked):
    found = asked(GATES["suspicious"], champion=USELESS, candidate=GOOD)["suspicious:gain"]
    assert (found.verdict, found.enforced) == (Verdict.INCONCLUSIVE, True)
    assert asked(GATES["suspicious"], champion=GOOD, candidate=GOOD)["suspicious:gain"].verdict is (
        Verdict.PASS
    )


def blind(evidence, column):
    """The evidence, with a champion that does not read one column."""
    how = evidence.champion.preprocessing
    evidence.champion.preprocessing = replace(
        how, numbers=tuple(number for number in how.numbers if number.name != column)
    )
    return evidence


def test_suspicious_names_the_new_column_that_carries_the_gain(asked, made):
    found = asked(GATES["suspicious"], evidence=blind(made(champion=(2.0, 0.0)), "y"))
    assert set(found) == {"suspicious:gain", "suspicious:y"}
    assert "rests on y" in found["suspicious:gain"].message
    assert "known at the time of the prediction" in found["suspicious:y"].message
    # One doubt asks for one decision.
    assert [f.enforced for f in found.values()] == [True, False]


def test_suspicious_lets_a_new_column_of_little_weight_pass(asked, made):
    evidence = blind(made(champion=(2.0, -2.0), candidate=(2.0, -2.0)), "x")
    policy = replace(QUICK, suspicious_column=0.5)
    found = asked(GATES["suspicious"], policy, evidence)
    assert {finding.verdict for finding in found.values()} == {Verdict.PASS}
    strict = asked(GATES["suspicious"], replace(QUICK, suspicious_column=0.01), evidence)
    assert strict["suspicious:x"].verdict is Verdict.INCONCLUSIVE
    assert strict["suspicious:x"].enforced


def test_latency_is_measured_against_its_limit(asked):
    found = asked(GATES["latency"])["latency"]
    assert found.verdict is Verdict.PASS
    assert 0 < found.measured < 20
    slow = asked(GATES["latency"], replace(QUICK, latency_ms=1e-6))["latency"]
    assert slow.verdict is Verdict.FAIL


def test_size_adds_the_files_up(asked):
    assert asked(GATES["size"])["size"].measured == pytest.approx(4.0)
    small = asked(GATES["size"], replace(QUICK, size_mb=3.9))["size"]
    assert small.verdict is Verdict.FAIL


def test_parity_holds_the_bundle_against_the_network(asked, made):
    assert asked(GATES["parity"])["parity"].measured == pytest.approx(0.0, abs=1e-3)
    other = replace(made(), network=made(candidate=USELESS).network)
    assert asked(GATES["parity"], evidence=other)["parity"].verdict is Verdict.FAIL


def test_calibration_and_confusion_are_reported_with_pictures(asked):
    for name in ("calibration", "confusion", "figures"):
        found = asked(GATES[name])[name]
        assert not found.enforced
        assert found.picture["kind"] in {"calibration", "confusion", "table"}


def test_figures_show_both_versions_on_fresh_and_old_rows(asked, made):
    evidence = made()
    picture = asked(GATES["figures"], evidence=evidence)["figures"].picture
    line = next(row for row in picture["rows"] if row[0] == "accuracy")
    right = (evidence.old.champion.argmax(axis=1) == evidence.old.labels).mean()
    assert line[3] == pytest.approx(right, rel=1e-3)


def test_attack_turns_what_lies_within_the_radius(asked, made):
    """For a linear model the best attack is known: it moves the logit by radius times |w|."""
    evidence = made(n=3000)
    rule = AttackRule(radius=0.1, rows=3000, max=0.05)
    found = asked(GATES["attack"], replace(QUICK, attack=rule), evidence)["attack"]
    logit = np.log(evidence.fresh.candidate[:, 1] / evidence.fresh.candidate[:, 0])
    right = (logit > 0) == (evidence.fresh.labels == 1)
    reach = rule.radius * np.abs(GOOD).sum()
    assert found.measured == pytest.approx((np.abs(logit[right]) < reach).mean(), abs=0.004)
    assert (found.verdict, found.enforced) == (Verdict.FAIL, False)
    assert asked(GATES["attack"], replace(QUICK, attack=replace(rule, enforced=True)), evidence)[
        "attack"
    ].enforced


def test_attack_leaves_categories_alone(asked, made):
    evidence = made()
    evidence.candidate.preprocessing = Preprocessing(
        categories=evidence.candidate.preprocessing.categories
    )
    assert asked(GATES["attack"], evidence=evidence) == {}


def test_suspicious_shuffles_only_new_columns(asked, made):
    assert set(asked(GATES["suspicious"])) == {"suspicious:gain"}
