from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from instar.core.data import Task, TaskKind
from instar.core.policy import TrainPolicy
from instar.models.statistics import half_way
from instar.stages.train import methods
from instar.stages.train.methods import METHODS, ask
from instar.stages.train.methods.ewc import information
from instar.stages.train.methods.own import MethodMissing, MethodRaised, NotAMethod
from instar.stages.train.rows import Rows
from instar.testing.contracts.families import family_files, unknown_name

TWO = Task(TaskKind.BINARY, "y", ("no", "yes"))
CLASSES = Task(TaskKind.MULTICLASS, "y", ("a", "b", "c"))
LAYERS = ("a", "b", "c", "d", "e")


def test_every_method_file_is_in_the_table():
    family_files(METHODS, methods, besides={"own", "part"})
    unknown_name(METHODS)


@pytest.mark.parametrize("name", list(METHODS))
def test_method_without_old_rows_asks_for_none(ground, name):
    part = METHODS[name](ground(), TrainPolicy())
    assert (part.rows, part.ratio) == (None, 0.0)
    assert name not in {"ewc", "logits"} or not (part.anchors or part.term)


def test_replay_mixes_old_rows_in_at_the_policys_ratio(ground):
    rows = Rows((torch.zeros(3, 1),), torch.zeros(3, 1))
    part = METHODS["replay"](ground(replay=rows), TrainPolicy(replay_ratio=0.5))
    assert part.rows is rows
    assert part.ratio == 0.5


def test_replay_balanced_shows_every_class_equally_often(ground):
    labels = torch.tensor([0] * 7 + [2] * 3)
    old = Rows((torch.arange(10.0)[:, None],), labels)
    part = METHODS["replay_balanced"](ground(task=CLASSES, replay=old), TrainPolicy())
    assert torch.bincount(part.rows.labels).tolist() == [7, 0, 7]
    assert set(part.rows.inputs[0].flatten().tolist()) == set(range(10))


def test_focal_trusts_the_champion_only_where_it_is_right(ground):
    net = nn.Linear(1, 1)
    with torch.no_grad():
        net.weight.fill_(1.0), net.bias.fill_(0.0)
    x = torch.tensor([[-1.0], [1.0], [2.0]])
    rows = Rows((x,), torch.tensor([[1.0], [1.0], [0.0]]))
    taught = METHODS["focal"](ground(net, rows, task=TWO), TrainPolicy(focal=0.4)).teach(rows)
    assert taught.trust.tolist() == pytest.approx([0.0, 0.4, 0.0])
    torch.testing.assert_close(taught.teacher, x)
    everywhere = METHODS["lwf"](ground(net, rows, task=TWO), TrainPolicy(lwf=0.3)).teach(taught)
    assert everywhere.trust.tolist() == pytest.approx([0.3, 0.4, 0.3])
    assert METHODS["focal"](ground(), TrainPolicy()).teach is None  # a number is not right or wrong


def test_logits_are_matched_on_replayed_rows_alone(ground):
    fresh = Rows((torch.zeros(2, 1),), torch.zeros(2, 1))
    old = Rows((torch.zeros(2, 1),), torch.zeros(2, 1), teacher=torch.ones(2, 1))
    term = METHODS["logits"](ground(learn=fresh, replay=old), TrainPolicy(logits=0.5)).term
    everything = Rows((torch.zeros(4, 1),), torch.zeros(4, 1), teacher=torch.ones(4, 1))
    out = torch.tensor([[9.0], [9.0], [4.0], [1.0]])
    assert term(out, everything, torch.arange(4)).item() == pytest.approx(0.5 * 9 / 4)


def test_ewc_measures_the_squared_gradient_of_each_row(ground):
    torch.manual_seed(0)
    net = nn.Linear(2, 1)
    rows = Rows((torch.randn(70, 2),), (torch.rand(70, 1) > 0.5).float())
    got = information(ground(net, task=TWO), rows)
    wanted = torch.zeros(1, 2)
    for i in range(70):
        net.zero_grad()
        out = net(rows.inputs[0][i : i + 1])
        functional.binary_cross_entropy_with_logits(out, rows.labels[i : i + 1]).backward()
        wanted += net.weight.grad.square() / 70
    torch.testing.assert_close(got["weight"], wanted)
    [anchor] = METHODS["ewc"](ground(net, task=TWO, replay=rows), TrainPolicy(ewc=7.0)).anchors
    assert anchor.weight == 7.0
    torch.testing.assert_close(anchor.worth["weight"], wanted)


def test_l2sp_pulls_to_the_champions_weights(ground):
    lain = ground()
    [anchor] = METHODS["l2sp"](lain, TrainPolicy(l2sp=0.5)).anchors
    assert (anchor.weight, anchor.worth) == (0.5, None)
    assert anchor.place is lain.champion


def test_shrink_mixes_half_the_champion_with_a_tenth_of_new_weights(ground):
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 2.0)
    METHODS["shrink"](ground(net, anew=lambda: {"weight": torch.ones(1, 1)}), TrainPolicy()).begin(
        net
    )
    assert net.weight.item() == pytest.approx(0.5 * 2 + 0.1)


@pytest.mark.parametrize(
    ("name", "policy", "scales"),
    [
        ("freeze", TrainPolicy(), [0, 0, 1, 1, 1]),
        ("freeze", TrainPolicy(top=1), [0, 0, 0, 0, 1]),
        ("freeze", TrainPolicy(top=9), [1] * 5),
        ("discriminate", TrainPolicy(), [0.1, 0.1, 1, 1, 1]),
        ("discriminate", TrainPolicy(top=2, below=0.5), [0.5, 0.5, 0.5, 1, 1]),
    ],
)
def test_lower_layers_learn_more_slowly_or_not_at_all(ground, name, policy, scales):
    paces = METHODS[name](ground(), policy).paces(LAYERS)
    assert [paces[layer].scale if layer in paces else 1 for layer in LAYERS] == scales


def test_thaw_begins_with_the_head_and_ends_half_way(ground):
    paces = METHODS["thaw"](ground(), TrainPolicy()).paces(LAYERS)
    assert [paces[layer].since for layer in LAYERS] == [0.5, 0.375, 0.25, 0.125, 0.0]


def test_average_takes_its_decay_from_the_policy(ground):
    assert METHODS["average"](ground(), TrainPolicy()).average == 0.99
    assert METHODS["average"](ground(), TrainPolicy(average=0.9)).average == 0.9


def test_statistics_move_half_way_and_weights_stay(ground):
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
    x = torch.randn(2_000, 2) * 3 + 5
    learn = Rows((x,), torch.zeros(2_000, 1))
    before = {k: t.clone() for k, t in net.state_dict().items()}
    state, finding = METHODS["statistics"](ground(net, learn), TrainPolicy()).finish(net, before)
    torch.testing.assert_close(state["0.running_mean"], 0.5 * x.mean(0), rtol=0.02, atol=0.02)
    torch.testing.assert_close(state["0.running_var"], 0.5 + 0.5 * x.var(0), rtol=0.05, atol=0.1)
    torch.testing.assert_close(state["1.weight"], before["1.weight"])
    assert finding.measured == 1
    assert half_way(nn.Sequential(nn.Linear(2, 1)), (x,)) == 0


def test_low_rank_begins_where_it_was_trains_little_and_is_merged(ground):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))
    x, names = torch.randn(9, 6), list(net.state_dict())
    before = net(x)
    part = METHODS["low_rank"](ground(net), TrainPolicy(rank=2))
    part.begin(net)
    torch.testing.assert_close(net(x), before)
    trained = [p for p in net.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 2 * (6 + 5) + 1 * (5 + 1)
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(0.1)
    changed = net(x)
    state, finding = part.finish(net, {k: t.clone() for k, t in net.state_dict().items()})
    assert sorted(state) == sorted(names)
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))
    plain.load_state_dict(state)
    torch.testing.assert_close(plain(x), changed)
    assert not math.isclose(changed.sum().item(), before.sum().item())
    assert 0 < finding.measured < 1


OWN = """
from instar.stages.train.methods.part import Part

def pull(ground, policy):
    return Part(term=lambda out, rows, places: out.square().mean())

def wrong(ground, policy):
    return 3

def broken(ground, policy):
    return ground.nothing
"""


def test_users_own_method_is_a_function_of_the_project(ground, tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    part = ask("mine:pull", ground(), TrainPolicy(), tmp_path)
    assert part.term(torch.tensor([2.0]), None, None).item() == 4
    for name, error in (
        ("mine:wrong", NotAMethod),
        ("mine:broken", MethodRaised),
        ("mine:gone", MethodMissing),
        ("nowhere:pull", MethodMissing),
    ):
        with pytest.raises(error):
            ask(name, ground(), TrainPolicy(), tmp_path)


def test_head_first_fits_the_head_and_leaves_the_rest(ground):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    below = net[0].weight.clone()
    x = torch.randn(200, 2)
    learn = Rows((x,), (x[:, :1] > 0).float())
    before = functional.binary_cross_entropy_with_logits(net(x), learn.labels)
    METHODS["head_first"](ground(net, learn, task=TWO), TrainPolicy()).begin(net)
    after = functional.binary_cross_entropy_with_logits(net(x), learn.labels)
    assert after < 0.6 * before
    assert torch.equal(net[0].weight, below)
