import numpy as np

from instar.stats.holm import holm


def rejected(p, alpha):
    """Step down as Holm wrote it: stop at the first that is not small enough."""
    order, out = np.argsort(p), np.zeros(len(p), bool)
    for step, place in enumerate(order):
        if p[place] * (len(p) - step) >= alpha:
            break
        out[place] = True
    return out


def test_holm_rejects_what_the_step_down_procedure_rejects():
    rng = np.random.default_rng(0)
    for _ in range(200):
        p = rng.random(rng.integers(1, 12)) ** 3
        assert ((holm(p) < 0.05) == rejected(p, 0.05)).all()


def test_holm_errs_at_all_no_more_often_than_promised():
    rng = np.random.default_rng(1)
    alarms = [(holm(rng.random(16)) < 0.05).any() for _ in range(2000)]
    assert np.mean(alarms) < 0.065


def test_holm_of_nothing_is_nothing():
    assert holm([]).tolist() == []
