"""The strategy that gives the champion another shape."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest

from instar.core.finding import Verdict
from instar.core.policy import EnsembleRule, TrainPolicy
from instar.core.records import Epoch, Network
from instar.models import build, weights
from instar.stages.train import train
from instar.stages.train.health import findings
from instar.stages.train.run import Run

GROWN = TrainPolicy(checkpoint_s=0.0, widen=1.5, deepen=1, dropout=0.3)


def run(line, plan, policy, **changes):
    scratch = Path(tempfile.mkdtemp(dir=line.tools.scratch))
    tools = dataclasses.replace(line.tools, **{"scratch": scratch, **changes})
    return train(line.request, line.champion, line.admission, plan, policy=policy, tools=tools)


@pytest.fixture
def drifted(line):
    return line(turn=1.0, old_rows=600, fresh_rows=400)


def test_grow_trains_on_in_the_new_shape_from_the_champions_answers(drifted, planned):
    training = run(drifted, planned("grow"), GROWN)
    assert training.verdict is Verdict.PASS
    assert training.network == Network(family="mlp", options={"hidden": [24, 24], "dropout": 0.3})
    net = build.build(training.network, training.preprocessing.inputs(1), drifted.tools.project)
    weights.load(net, drifted.tools.artifacts.read(training.weights))
    [found] = [one for one in training.findings if one.code == "grow"]
    assert '{"hidden": [24, 24], "dropout": 0.3}' in found.message
    warm = run(drifted, planned("warm"), TrainPolicy(checkpoint_s=0.0))
    began = next(one for one in training.findings if one.code == "convergence").limit
    same = next(one for one in warm.findings if one.code == "convergence").limit
    assert began == pytest.approx(same, rel=1e-4)  # where the champion is
    assert training.before == warm.before  # the champion's own weights
    assert len(training.after.tensors) > len(training.before.tensors)


def test_grow_cut_off_and_resumed_equals_uninterrupted(drifted, planned, tmp_path):
    whole = run(drifted, planned("grow"), GROWN)
    (tmp_path / "again").mkdir()

    def killed(what, done=0, total=0, note=""):
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run(drifted, planned("grow"), GROWN, scratch=tmp_path / "again", progress=killed)
    again = run(drifted, planned("grow"), GROWN, scratch=tmp_path / "again")
    assert again.weights == whole.weights


def test_members_of_an_ensemble_start_from_the_grown_champion(drifted, planned):
    rule = EnsembleRule("soft_vote", 2)
    training = run(drifted, planned("grow"), dataclasses.replace(GROWN, ensemble=rule))
    assert training.network.options == {"hidden": [24, 24], "dropout": 0.3}
    assert training.network.ensemble.members == 2


@pytest.mark.parametrize(
    ("code", "setting"), [("overfit", "train.dropout: 0.3"), ("underfit", "train.widen: 1.5")]
)
def test_health_proposes_the_shape_in_words(code, setting):
    course = Run(epoch=1, best_epoch=1, best_loss=1.0, first_loss=2.0, norms=[1.0])
    course.history.append(Epoch(1, 0.5, 1.0, 0.8, 0.01, 1.0))
    found = {one.code: one for one in findings(course, 0.5, constant=0.5)}
    assert found[code].verdict is Verdict.FAIL
    assert f"plan.strategy: grow with {setting}" in found[code].passes_if
