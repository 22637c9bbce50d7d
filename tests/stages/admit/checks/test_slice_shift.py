import polars as pl
import pytest

from instar.core.errors import UnknownName
from instar.core.finding import Verdict
from instar.stages.admit.checks.slice_shift import slice_shift
from instar.stages.admit.evidence import Held

THERE = pl.col("site") == "south"


def changed(frame, value, where=THERE):
    return frame.with_columns(temp=pl.when(where).then(value).otherwise("temp"))


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ((pl.col("temp") - 32) / 1.8, "Celsius"),
        ((pl.col("temp") + 459.67) / 1.8, "Kelvin"),
        (pl.col("temp") * 1000, "thousandths"),
        (pl.col("temp") * 1.609344, "kilometres"),
        (pl.col("temp") * 0.3048, "metres"),
        (pl.col("temp") * 0.45359237, "kilograms"),
    ],
)
def test_slice_shift_names_slice_column_and_unit(evidence, table, value, got):
    finding, held = slice_shift(evidence(changed(table(seed=1), value)))
    assert finding.code == "slice_shift:temp:site=south"
    assert (finding.verdict, finding.enforced) == (Verdict.FAIL, True)
    assert f"looks like {got}" in finding.message
    assert f"from {got} to" in finding.passes_if
    assert isinstance(held, Held)


def test_slice_shift_holds_exactly_the_rows_of_the_days_at_fault(evidence, table):
    fresh = table(seed=1)
    celsius = (pl.col("temp") - 32) / 1.8
    days = pl.col("when").dt.ordinal_day().is_between(15, 36)
    given = evidence(changed(fresh, celsius, THERE & days))
    finding, held = slice_shift(given)
    wanted = fresh.with_row_index().filter(THERE & days)["index"].to_list()
    assert held.rows.tolist() == wanted
    assert "2021-01-15 to 2021-02-05" in finding.message


def test_slice_shift_of_the_whole_is_drift_and_no_slice_shift(evidence, table):
    fresh = table(seed=1).with_columns(pl.col("temp") + 40)
    [finding] = slice_shift(evidence(fresh))
    assert finding.verdict is Verdict.PASS


def test_slice_shift_no_unit_is_named_where_none_explains_it(evidence, table):
    finding, held = slice_shift(evidence(changed(table(seed=1), pl.col("temp") - 31)))
    assert finding.verdict is Verdict.FAIL
    assert "looks like" not in finding.message
    assert "corrected at its source" in finding.passes_if
    assert len(held.rows) == table(seed=1).filter(THERE).height


def test_slice_shift_overlapping_slice_is_not_named(evidence, table):
    """Three of four rows of `crew` red work in the south; only the south is at fault."""

    def crew(frame):
        red = THERE & (pl.int_range(pl.len()) % 4 > 0)
        other = (
            pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("blue")).otherwise(pl.lit("green"))
        )
        return frame.with_columns(crew=pl.when(red).then(pl.lit("red")).otherwise(other))

    old, fresh = crew(table()), crew(table(seed=1))
    given = evidence(changed(fresh, (pl.col("temp") - 32) / 1.8), old=old)
    codes = [answer.code for answer in slice_shift(given) if not isinstance(answer, Held)]
    assert codes == ["slice_shift:temp:site=south"]


def test_slice_shift_two_slices_only_names_the_one_that_moved(evidence, table):
    old, fresh = (table(seed=n).filter(pl.col("site") != "west") for n in (0, 1))
    finding, _ = slice_shift(evidence(changed(fresh, (pl.col("temp") - 32) / 1.8), old=old))
    assert finding.code == "slice_shift:temp:site=south"


def test_slice_shift_false_alarms_are_none(evidence, table):
    for seed in range(1, 20):
        [finding] = slice_shift(evidence(table(600, seed=seed)))
        assert finding.verdict is Verdict.PASS


def test_slice_shift_unknown_slice_column_is_refused(evidence):
    with pytest.raises(UnknownName, match="did you mean 'site'"):
        slice_shift(evidence(slices=("sites",)))


def test_slice_shift_without_slices_says_so(evidence, table):
    old, fresh = (table(seed=n).drop("site") for n in (0, 1))
    [finding] = slice_shift(evidence(fresh, old=old))
    assert (finding.verdict, finding.message) == (Verdict.PASS, "there are no slices to compare")
