import numpy as np

from instar.stats.slice_shift import DECILES, chance, deciles, expected


def test_deciles_agree_with_numpy_slice_by_slice():
    rng = np.random.default_rng(0)
    values, codes = rng.normal(size=3000), rng.integers(-1, 4, 3000)
    values[rng.random(3000) < 0.1] = np.nan
    found = deciles(values, codes, 4)
    for code in range(4):
        own = values[(codes == code) & ~np.isnan(values)]
        np.testing.assert_allclose(found[code], np.quantile(own, DECILES), atol=0.03)


def test_deciles_small_slice_is_unknown():
    found = deciles(np.arange(150.0), np.repeat([0, 1], [99, 51]), 3)
    assert np.isnan(found).all()


def test_chance_agrees_with_many_samples():
    rng = np.random.default_rng(1)
    codes = np.zeros(400, np.int64)
    drawn = np.array([deciles(rng.normal(size=400), codes, 1)[0] for _ in range(500)])
    told = [chance(each[None, :], np.array([400]))[0] for each in drawn]
    assert abs(np.mean(told) / drawn.std(axis=0).mean() - 1) < 0.2


def test_expected_follows_the_middle_one_of_the_others():
    old = np.array([[0.0], [10.0], [20.0], [np.nan]])
    fresh = np.array([[5.0], [15.0], [-100.0], [1.0]])
    # Of the others, 0 sees +5 and -120, 1 the same, 2 sees +5 twice.
    wanted = [[0 - 57.5], [10 - 57.5], [25.0], [np.nan]]
    np.testing.assert_allclose(expected(old, fresh), wanted)
