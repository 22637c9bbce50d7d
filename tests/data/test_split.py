import numpy as np
import polars as pl
import pytest
from scipy import stats

from instar.core.data import Task, TaskKind
from instar.core.errors import UnknownName
from instar.core.policy import SplitSettings
from instar.data.split import NoSplitColumn, TooFewRows, WrongShares, sample, split

RNG = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "row": range(1000),
        "when": RNG.integers(0, 100, 1000),
        "who": RNG.integers(0, 60, 1000),
        "y": RNG.choice(["a", "b", "rare"], 1000, p=[0.7, 0.28, 0.02]),
        "z": RNG.exponential(1.0, 1000),
    }
)
TASK = Task(TaskKind.MULTICLASS, "y", ("a", "b", "rare"), time="when")


@pytest.mark.parametrize(
    "settings", [{}, {"how": "time"}, {"how": "group", "group": "who"}, {"shares": (0.5, 0.3, 0.2)}]
)
def test_split_every_row_is_in_one_part_and_shares_hold(settings):
    given = SplitSettings(**settings)
    parts = split(FRAME, TASK, given, seed=3)
    assert sorted(pl.concat(parts)["row"]) == list(range(1000))
    assert all(part["row"].is_sorted() for part in parts)
    for part, share in zip(parts, given.shares, strict=True):
        assert part.height == pytest.approx(1000 * share, abs=30)


def test_split_stratified_keeps_every_class_in_every_part():
    whole = FRAME["y"].value_counts().sort("y")["count"] / 1000
    for part in split(FRAME, TASK, SplitSettings(), seed=0):
        own = part["y"].value_counts().sort("y")["count"] / part.height
        np.testing.assert_allclose(own, whole, atol=0.01)


def test_split_stratified_regression_keeps_the_distribution():
    train, _, test = split(FRAME, Task(TaskKind.REGRESSION, "z"), SplitSettings(), seed=0)
    assert stats.ks_2samp(train["z"], test["z"]).statistic < 0.08


def test_split_time_puts_the_latest_last_and_keeps_moments_together():
    train, valid, test = split(FRAME, TASK, SplitSettings(how="time"), seed=0)
    assert train["when"].max() < valid["when"].min()
    assert valid["when"].max() < test["when"].min()


def test_split_group_keeps_groups_together():
    parts = split(FRAME, TASK, SplitSettings(how="group", group="who"), seed=0)
    groups = [set(part["who"]) for part in parts]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]


def test_split_depends_on_the_seed_alone():
    first, again, other = (split(FRAME, TASK, SplitSettings(), seed)[0] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize("shares", [(0.7, 0.3), (0.7, 0.2, 0.2), (1.0, 0.0, 0.0)])
def test_split_impossible_shares_are_refused(shares):
    with pytest.raises(WrongShares):
        split(FRAME, TASK, SplitSettings(shares=shares), seed=0)


def test_split_without_its_column_is_refused():
    with pytest.raises(NoSplitColumn, match=r"admit\.split\.group"):
        split(FRAME, TASK, SplitSettings(how="group"), seed=0)
    with pytest.raises(UnknownName):
        split(FRAME, TASK, SplitSettings(how="group", group="nope"), seed=0)
    with pytest.raises(NoSplitColumn, match=r"task\.time"):
        split(FRAME, Task(TaskKind.BINARY, "y"), SplitSettings(how="time"), seed=0)


def test_split_that_leaves_a_part_empty_is_refused():
    one_group = FRAME.with_columns(who=pl.lit("me"))
    with pytest.raises(TooFewRows):
        split(one_group, TASK, SplitSettings(how="group", group="who"), seed=0)


def test_sample_is_uniform_and_keeps_order():
    drawn = [sample(FRAME, 100, seed)["row"].to_numpy() for seed in range(200)]
    assert all((np.diff(rows) > 0).all() for rows in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=1000)
    assert stats.chisquare(counts).pvalue > 0.001
    assert sample(FRAME, 5000, 0) is FRAME
    assert sample(FRAME, 10, 4).equals(sample(FRAME, 10, 4))


def test_split_stratified_multilabel_keeps_every_label_in_every_part():
    random = np.random.default_rng(2)
    held = random.random((1200, 4)) < np.array([0.5, 0.3, 0.1, 0.02])
    columns = {name: held[:, place].astype(float) for place, name in enumerate("abcd")}
    frame = pl.DataFrame({**columns, "x": range(1200)}).with_columns(
        pl.when(pl.col("x") % 7 == 0).then(None).otherwise(pl.col("a")).alias("a")
    )
    task = Task(TaskKind.MULTILABEL, classes=tuple("abcd"), targets=tuple("abcd"))
    for part in split(frame, task, SplitSettings(), seed=0):
        for name in "abcd":
            assert part[name].mean() == pytest.approx(frame[name].mean(), abs=0.02)
        assert part["d"].sum() >= 2
