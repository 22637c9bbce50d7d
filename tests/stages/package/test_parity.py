from __future__ import annotations

import numpy as np
import pytest

from instar.core.data import Task, TaskKind
from instar.core.finding import Verdict
from instar.stages.package.parity import network_parity, served_parity

BINARY = Task(TaskKind.BINARY, "y", ("no", "yes"))


def scores(*p):
    return np.array([[1 - v, v] for v in p], np.float32)


def test_network_parity_names_the_output_that_is_furthest():
    network = np.array([[0.2, 0.3, 0.5]], np.float32)
    graph = np.array([[0.2, 0.31, 0.49]], np.float32)
    found = network_parity(network, graph, ("a", "b", "c"), limit=1e-3)
    assert found.verdict is Verdict.FAIL
    assert found.measured == pytest.approx(0.01, abs=1e-6)
    assert found.passes_if
    assert [item["label"] for item in found.picture["items"]] == ["a", "b", "c"]
    assert network_parity(network, graph, ("a", "b", "c"), limit=0.02).verdict is Verdict.PASS


def test_network_parity_of_a_regression_counts_in_deviations():
    network = np.array([[0.0], [200.0]], np.float32)
    found = network_parity(network, network + 1, ("price",), limit=0.02)
    assert found.measured == pytest.approx(0.01)
    assert (found.unit, found.verdict) == ("sd", Verdict.PASS)


def test_network_parity_does_not_pass_on_nan():
    network = scores(0.5)
    assert network_parity(network, network * np.nan, ("a", "b"), 0.1).verdict is Verdict.FAIL


def test_served_parity_holds_accuracies_against_each_other():
    labels = np.array([1] * 100)
    plain = scores(*[0.9] * 100)
    near = scores(*[0.9] * 99, 0.4)
    far = scores(*[0.9] * 97, 0.4, 0.4, 0.4)
    assert served_parity(BINARY, plain, near, labels).verdict is Verdict.PASS
    assert served_parity(BINARY, plain, far, labels).verdict is Verdict.FAIL
