"""Every kind of ensemble: trained, resumed, exported, judged, and updated in its turn."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import tempfile
import typing
from pathlib import Path

import numpy as np
import pytest
import torch

from instar.core.codec import decode, encode
from instar.core.data import TaskKind
from instar.core.errors import Interrupted
from instar.core.finding import Verdict
from instar.core.policy import EnsembleRule, PackagePolicy, TrainPolicy, TuneRule, ValidatePolicy
from instar.core.records import Ensemble, Members, Network, Training, successor
from instar.data import preprocessing as prepare
from instar.data import snapshot
from instar.models import build, predict, weights
from instar.models.strategies import STRATEGIES, Case
from instar.report.pictures import draw
from instar.stages.package import package
from instar.stages.train import ensembles, train
from instar.stages.train.attempt import Given, ready
from instar.stages.train.ensembles import ENSEMBLES, seed_of
from instar.stages.train.ensembles.bagging import drawn
from instar.stages.train.ensembles.kind import Team
from instar.stages.validate import validate
from instar.testing.contracts.families import family_files, unknown_name
from tests.few import few

ANSWERING = [name for name, kind in ENSEMBLES.items() if kind.combine]
SOUPS = [name for name, kind in ENSEMBLES.items() if not kind.combine]


def policy(kind, members=3, **more):
    return TrainPolicy(
        checkpoint_s=0.0, full_epochs=3, ensemble=EnsembleRule(kind, members), **more
    )


def run(line, plan, policy, **changes):
    """Train in a scratch folder of its own, so that nothing is taken up by chance."""
    scratch = Path(tempfile.mkdtemp(dir=line.tools.scratch))
    tools = dataclasses.replace(line.tools, **{"scratch": scratch, **changes})
    return train(line.request, line.champion, line.admission, plan, policy=policy, tools=tools)


def finding(training):
    [found] = [one for one in training.findings if one.code == "ensemble"]
    return found


def net_of(line, training):
    network = training.network or line.request.network
    inputs = training.preprocessing.inputs(line.request.task.outputs)
    net = build.build(network, inputs, line.tools.project)
    weights.load(net, line.tools.artifacts.read(training.weights))
    return net.eval()


def rows_of(line, part):
    frame = snapshot.load(part, line.tools.artifacts)
    how, task = line.champion.preprocessing, line.champion.task
    return predict.tensors(prepare.inputs(frame, how)), prepare.labels(frame, task)


@pytest.fixture
def drifted(line):
    return line(turn=1.0, old_rows=600, fresh_rows=300)


def test_table_holds_every_file_and_the_policy_every_kind():
    family_files(ENSEMBLES, ensembles, besides=("mean", "soup"))
    unknown_name(ENSEMBLES)
    kinds = typing.get_args(typing.get_type_hints(EnsembleRule)["kind"])
    assert set(kinds) == {"none", *ENSEMBLES}
    assert {name for name in ENSEMBLES if Members(name, 2).soup} == set(SOUPS)


def test_train_without_a_kind_makes_one_network(drifted, planned):
    training = run(drifted, planned("incremental"), TrainPolicy())
    assert training.network is None
    assert not [one for one in training.findings if one.code == "ensemble"]


@pytest.mark.parametrize(
    ("kind", "strategy"),
    [
        *((kind, "incremental") for kind in ANSWERING),
        ("bagging", "full"),
        ("boosting", "warm"),
        *(
            pytest.param(kind, strategy, marks=pytest.mark.thorough)
            for kind in ANSWERING
            for strategy in ("warm", "full")
        ),
    ],
)
def test_train_makes_an_ensemble_that_answers_better_than_the_champion(
    line, planned, kind, strategy
):
    world = line(turn=1.2, old_rows=600, fresh_rows=500)
    training = run(world, planned(strategy), policy(kind))
    single = run(world, planned(strategy), TrainPolicy(checkpoint_s=0.0, full_epochs=3))
    combine, task = ENSEMBLES[kind].combine, TaskKind.BINARY
    assert training.verdict is Verdict.PASS
    assert training.network == dataclasses.replace(
        world.request.network, ensemble=Ensemble(combine, 3, task)
    )
    inputs, labels = rows_of(world, world.admission.split.test)
    right = [
        ((predict.logits(net_of(world, one), inputs)[:, 0] > 0) == labels).mean()
        for one in (training, single)
    ]
    assert right[0] > right[1] - 0.03
    assert training.passes > 2 * single.passes
    assert f"{training.passes:,} sample passes" in finding(training).message
    assert "svg" in draw(finding(training).picture)
    assert decode(Training, encode(training)) == training


@pytest.mark.parametrize("kind", SOUPS)
def test_train_makes_a_soup_of_the_champions_shape(drifted, planned, kind):
    training = run(drifted, planned("incremental"), policy(kind))
    assert training.verdict is Verdict.PASS
    assert training.network is None
    names = set(weights.read(drifted.tools.artifacts.read(drifted.champion.weights)))
    assert set(weights.read(drifted.tools.artifacts.read(training.weights))) == names
    assert {change.name for change in training.changes} == names


KINDS = [name for name in ENSEMBLES if name != "hard_vote"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("diabetes_line", kind) for kind in KINDS),
        *few([("digits_line", kind) for kind in KINDS], ("digits_line", "stacking")),
    ],
)
def test_train_works_for_other_tasks_on_real_rows(request, planned, kind, name):
    world = request.getfixturevalue(name)
    training = run(world, planned("incremental"), policy(kind, 2))
    inputs, labels = rows_of(world, world.admission.split.test)
    out = predict.logits(net_of(world, training), inputs)
    before = build.build(
        world.request.network,
        world.champion.preprocessing.inputs(world.request.task.outputs),
        world.tools.project,
    )
    weights.load(before, world.tools.artifacts.read(world.champion.weights))
    old = predict.logits(before, inputs)
    if name == "digits_line":
        assert (out.argmax(axis=1) == labels).mean() >= (old.argmax(axis=1) == labels).mean() - 0.02
    else:
        assert np.square(out[:, 0] - labels).mean() <= 1.1 * np.square(old[:, 0] - labels).mean()


def test_train_votes_among_many_classes(digits_line, planned):
    training = run(digits_line, planned("incremental"), policy("hard_vote", 3))
    inputs, labels = rows_of(digits_line, digits_line.admission.split.test)
    out = predict.probabilities(
        predict.logits(net_of(digits_line, training), inputs), digits_line.request.task
    )
    shares = {round((votes + 0.5) / (3 + 5), 5) for votes in range(4)}
    assert {round(float(value), 5) for value in np.unique(out)} <= shares
    assert (out.argmax(axis=1) == labels).mean() > 0.8


class Killed(Exception):
    pass


# Members one after the other on other rows, members beside each other, and a soup.
@pytest.mark.parametrize("kind", few(ENSEMBLES, "boosting", "stacking", "greedy_soup"))
def test_train_cut_off_and_resumed_equals_uninterrupted(line, planned, kind, tmp_path):
    network = Network(family="mlp", options={"hidden": [16], "dropout": 0.2})
    world = line(turn=0.8, old_rows=600, fresh_rows=300, network=network)
    strategy = planned("incremental")
    whole = run(world, strategy, policy(kind))
    (tmp_path / "again").mkdir()

    def killed(what, done=0, total=0, note=""):
        if note.startswith("member 3 of 3, epoch 2,"):
            raise Killed

    notes = []
    with pytest.raises(Killed):
        run(world, strategy, policy(kind), scratch=tmp_path / "again", progress=killed)
    resumed = run(
        world,
        strategy,
        policy(kind),
        scratch=tmp_path / "again",
        progress=lambda what, done=0, total=0, note="": notes.append(note),
    )
    assert notes[0].startswith("member 3 of 3, epoch 2,")  # nothing was trained again
    assert resumed.weights == whole.weights
    assert resumed.history == whole.history
    assert (resumed.steps, resumed.passes) == (whole.steps, whole.passes)
    assert [one.message for one in resumed.findings] == [one.message for one in whole.findings]


def test_train_told_to_stop_leaves_a_checkpoint_and_goes_on(drifted, planned, tmp_path):
    class Tired:
        def __init__(self, steps):
            self.steps = steps

        def beat(self):
            self.steps -= 1

        def stopping(self):
            return self.steps <= 0

    whole = run(drifted, planned("incremental"), policy("bagging"))
    (tmp_path / "again").mkdir()
    asked = planned("incremental"), policy("bagging")
    with pytest.raises(Interrupted):
        run(drifted, *asked, scratch=tmp_path / "again", pulse=Tired(whole.steps // 2))
    assert run(drifted, *asked, scratch=tmp_path / "again").weights == whole.weights


def test_train_same_seed_gives_same_weights_and_other_seed_others(drifted, planned):
    first, again = (run(drifted, planned("full"), policy("soft_vote", 2)) for _ in range(2))
    other = run(drifted, planned("full"), policy("soft_vote", 2), seed=1)
    assert first.weights == again.weights != other.weights


def test_first_member_is_the_training_alone_and_the_others_differ(drifted, planned):
    training = run(drifted, planned("full"), policy("soft_vote", 3))
    alone = run(drifted, planned("full"), TrainPolicy(checkpoint_s=0.0, full_epochs=3))
    state = weights.read(drifted.tools.artifacts.read(training.weights))
    single = weights.read(drifted.tools.artifacts.read(alone.weights))
    members = [
        {
            name.removeprefix(f"members.{i}."): t
            for name, t in state.items()
            if f".{i}." in name[:10]
        }
        for i in range(3)
    ]
    assert all(torch.equal(members[0][name], single[name]) for name in single)
    assert not torch.equal(members[1]["head.weight"], members[2]["head.weight"])


def base(line, kind="bagging", strategy="incremental"):
    case = Case(line.champion.recipe, line.admission.split.train.rows, line.champion.train[0].rows)
    route = STRATEGIES[strategy].route(case)
    given = Given(line.request, line.champion, line.admission, line.tools)
    return given, route, ready(given, route, policy(kind))


def test_bagging_draws_fresh_rows_with_replacement_and_leaves_replayed_ones(drifted):
    _, _, attempt = base(drifted)
    fresh = len(attempt.start.learn)
    numbered = dataclasses.replace(
        attempt.rows, inputs=(torch.arange(len(attempt.rows))[:, None], *attempt.rows.inputs[1:])
    )
    attempt = dataclasses.replace(attempt, rows=numbered)
    places = drawn(attempt, None, 3).rows.inputs[0].flatten()
    unique = places[:fresh].unique()
    assert places[:fresh].max() < fresh
    assert abs(len(unique) / fresh - (1 - 1 / np.e)) < 0.08  # Efron and Tibshirani 1993
    assert torch.equal(places[fresh:], torch.arange(fresh, len(places)))
    assert not torch.equal(places, drawn(attempt, None, 4).rows.inputs[0].flatten())


def test_stacking_never_reads_the_labels_that_members_learnt_from(drifted, planned, monkeypatch):
    module = importlib.import_module(f"{ensembles.__name__}.stacking")
    seen, fit = [], module.refit

    def watched(head, cached, labels, kind):
        seen.append(len(labels))
        return fit(head, cached, labels, kind)

    monkeypatch.setattr(module, "refit", watched)
    run(drifted, planned("incremental"), policy("stacking"))
    _, _, attempt = base(drifted)
    held = len(attempt.start.ground.valid) + len(attempt.start.ground.old_valid)
    assert seen == [held // 2, held - held // 2, held]


def test_boosting_lowers_the_loss_with_each_member_that_counts(line, planned):
    world = line(turn=1.2, old_rows=600, fresh_rows=500)
    training = run(world, planned("full"), policy("boosting", 4))
    state = weights.read(world.tools.artifacts.read(training.weights))
    given = state["combined.weights"].tolist()
    assert given[0] == 1.0
    assert set(given[1:]) <= {0.0, 0.5}
    net, (inputs, labels) = net_of(world, training), rows_of(world, world.admission.split.valid)
    answers = [torch.from_numpy(predict.logits(member, inputs)) for member in net.members]
    truth, losses = torch.tensor(labels)[:, None].float(), []
    for count in range(1, 5):
        out = sum(
            weight * answer for weight, answer in zip(given[:count], answers[:count], strict=True)
        )
        losses.append(torch.nn.functional.binary_cross_entropy_with_logits(out, truth).item())
    assert all(later <= before + 1e-6 for before, later in itertools.pairwise(losses))


def test_boosting_gives_no_weight_to_a_member_that_did_not_help(drifted):
    _, _, attempt = base(drifted)
    losses = iter([0.5, 0.4, 0.45, 0.3])

    class Run:
        broken = False

        def __init__(self):
            self.best_loss = next(losses)

    class Ended:
        def __init__(self):
            self.run = Run()

    team = Team(attempt, EnsembleRule("boosting", 4, rate=0.25), None, [Ended() for _ in range(4)])
    module = importlib.import_module(f"{ensembles.__name__}.boosting")
    assert module.weights(team).tolist() == [1.0, 0.25, 0.0, 0.25]


def test_greedy_soup_is_no_worse_than_its_best_member_on_validation_rows(drifted, planned):
    training = run(drifted, planned("incremental"), policy("greedy_soup", 4))
    found = finding(training)
    assert found.verdict is Verdict.PASS
    assert found.measured <= found.limit


def test_uniform_soup_is_the_mean_of_its_members(drifted, planned, tmp_path, monkeypatch):
    module = importlib.import_module(f"{ensembles.__name__}.uniform_soup")
    seen, mean = [], module.average

    def watched(states):
        seen.extend(states)
        return mean(states)

    monkeypatch.setattr(module, "average", watched)
    training = run(drifted, planned("incremental"), policy("uniform_soup"))
    state = weights.read(drifted.tools.artifacts.read(training.weights))
    for name, tensor in state.items():
        wanted = np.mean([one[name].double().numpy() for one in seen], axis=0)
        np.testing.assert_allclose(tensor.numpy(), wanted, rtol=1e-6, atol=1e-7)
    assert not torch.equal(seen[0]["head.weight"], seen[1]["head.weight"])


@pytest.mark.parametrize(
    ("strategy", "kind", "why"),
    [
        ("head", "bagging", "comes to the same from any seed"),
        ("full", "greedy_soup", "starts from new weights"),
    ],
)
def test_train_says_why_there_is_one_training_only(drifted, planned, strategy, kind, why):
    training = run(drifted, planned(strategy), policy(kind))
    found = finding(training)
    assert training.network is None
    assert found.verdict is Verdict.FAIL
    assert not found.enforced
    assert why in found.message
    assert found.passes_if


def test_ensemble_takes_the_settings_that_the_tuning_found(drifted, planned):
    tune = TuneRule(trials=3, sampler="random", space={"network.hidden": [[8], [24]], "lr": [0.01]})
    training = run(drifted, planned("full"), policy("soft_vote", 2, tune=tune))
    best = min(training.trials, key=lambda trial: trial.value)
    assert training.network.options["hidden"] == best.settings["network.hidden"]
    assert training.network.ensemble.members == 2


def test_broken_member_refuses_the_candidate(drifted, planned):
    training = run(
        drifted, planned("incremental"), policy("soft_vote", 2, lr=1e12, clip=1e30, optimizer="sgd")
    )
    assert training.verdict is Verdict.FAIL


def promoted(line, training, int8="never"):
    """Seal the candidate, judge the bundle, and put it in the champion's place."""
    tools = line.tools
    inputs = (line.request, line.champion, line.admission, training)
    bundle = package(*inputs, policy=PackagePolicy(int8=int8), tools=tools)
    assert bundle.verdict is Verdict.PASS, bundle.findings
    return bundle, inputs


@pytest.mark.parametrize(
    "kind",
    few(("boosting", "stacking", "bagging", "hard_vote"), "stacking"),
)
def test_ensemble_is_sealed_judged_and_updated_like_any_network(digits_line, planned, kind):
    line = digits_line
    # The champion of a test has no bundle: seal it first.
    first = run(line, planned("incremental"), TrainPolicy(checkpoint_s=0.0))
    bundle, _ = promoted(line, first)
    line = dataclasses.replace(
        line, champion=dataclasses.replace(line.champion, bundle=bundle, weights=first.weights)
    )
    training = run(line, planned("incremental"), policy(kind))
    bundle, inputs = promoted(line, training, "require")
    assert bundle.precision == "int8"
    judged = validate(
        line.request,
        line.champion,
        line.admission,
        planned("incremental"),
        training,
        bundle,
        policy=ValidatePolicy(),
        tools=line.tools,
    )
    assert not [one for one in judged.findings if one.verdict is Verdict.ERROR]
    champion = successor(*inputs, bundle, judged)
    assert champion.network == training.network
    request = dataclasses.replace(line.request, network=champion.network, champion=champion.name)
    second = dataclasses.replace(line, request=request, champion=champion)
    for strategy in ("incremental", "warm"):
        later = run(second, planned(strategy), policy(kind))
        assert later.network is None  # the champion's, trained on as one
        assert later.changes
        assert "an ensemble of 3 already" in finding(later).message
        net_of(second, later)
    anew = run(second, planned("full"), policy(kind, 2))
    assert anew.network.ensemble.members == 2
    single = run(second, planned("full"), TrainPolicy(full_epochs=2))
    assert single.network == line.request.network
    if kind == "stacking":
        moved = [one.name for one in run(second, planned("head"), TrainPolicy()).changes if one.l2]
        assert set(moved) <= {"combined.layer.weight", "combined.layer.bias"}


def test_seeds_of_members_differ():
    assert len({seed_of(seed, number) for seed in (0, 1) for number in range(5)}) == 10


def test_boosting_begins_each_further_member_with_new_weights_and_the_answers_so_far(drifted):
    module = importlib.import_module(f"{ensembles.__name__}.boosting")
    given, _, attempt = base(drifted, "boosting")

    class Ended:
        state = attempt.start.ground.champion
        run = type("Run", (), {"best_loss": 0.5, "broken": False})

    team = Team(attempt, EnsembleRule("boosting", 2), None, [Ended()])
    route, settings = module.from_new(attempt.route, attempt.policy, 1)
    varied = module.on_the_rest(ready(given, route, settings, 9), team, 9)
    first = build.build(
        drifted.request.network,
        drifted.champion.preprocessing.inputs(1),
        drifted.tools.project,
    )
    weights.load(first, Ended.state)
    own = varied.rows.inputs[:-1]
    torch.testing.assert_close(varied.rows.inputs[-1], torch.from_numpy(predict.logits(first, own)))
    new = varied.start.net.member.state_dict()
    assert all(not torch.equal(new[name], tensor) for name, tensor in Ended.state.items())
    assert set(route.methods) <= {"replay", "average"}
