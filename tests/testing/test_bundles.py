from __future__ import annotations

import numpy as np

from instar.bundle.runtime import ServedBundle
from instar.testing.bundles import tiny_bundle
from instar.testing.tools import MemoryArtifacts


def answers(**options):
    artifacts = MemoryArtifacts()
    bundle = ServedBundle.open(artifacts, tiny_bundle(artifacts, **options))
    return bundle.predict({"x": [0.0, 2.0], "y": [0.0, 0.0]})[:, 1]


def test_tiny_bundle_takes_its_weights_and_bias():
    sigmoid = lambda z: 1 / (1 + np.exp(-np.array(z)))  # noqa: E731 - a formula
    np.testing.assert_allclose(answers(), sigmoid([0.0, 2.0]), atol=1e-6)
    np.testing.assert_allclose(answers(bias=1.0), sigmoid([1.0, 3.0]), atol=1e-6)
    np.testing.assert_allclose(answers(weights=(-3, 0)), sigmoid([0.0, -6.0]), atol=1e-6)


def test_tiny_bundle_answers_nan_where_it_shall():
    first, second = answers(nan_above=1.0)
    assert first == 0.5
    assert np.isnan(second)
