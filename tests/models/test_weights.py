from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from instar.models import weights


def net(width=4):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 1))


def torch_saved(**options):
    buffer = io.BytesIO()
    torch.save(net().state_dict(), buffer, **options)
    return buffer.getvalue()


def test_save_then_load_gives_the_same_network():
    source, target = net(), nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    weights.load(target, weights.save(source))
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensor, target.state_dict()[name])
    assert weights.save(source) == weights.save(target)


def test_save_writes_tied_weights_under_both_names():
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    state = weights.read(weights.save(tied))
    assert torch.equal(state["0.weight"], state["1.weight"])


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was opened",))


@pytest.mark.parametrize(
    "data",
    [pickle.dumps(Bomb()), torch_saved(), torch_saved(_use_new_zipfile_serialization=False)],
    ids=["pickle", "torch zip", "torch legacy"],
)
def test_read_refuses_pickles_unopened(data):
    with pytest.raises(weights.PickleRefused):
        weights.read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x89HDF\r\n",
        weights.save(net())[:-4],
        weights.save(net())[:20],
        b"\x02" + bytes(7) + b"{]",
        b"(odd",
    ],
)
def test_read_refuses_other_and_damaged_files(data):
    with pytest.raises(weights.NotSafetensors):
        weights.read(data)


@pytest.mark.parametrize("first", [b"\x80", b"PK"])
def test_read_takes_safetensors_whose_header_length_looks_like_a_pickle(first):
    for extra in range(0, 40_000, 8):
        data = weights.safetensors.save({"w": torch.ones(2)}, {"format": "x" * (extra + 1)})
        if data.startswith(first):
            assert torch.equal(weights.read(data)["w"], torch.ones(2))
            return
    pytest.fail("no header of that length")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (net(5).state_dict(), "(5, 3), not (4, 3)"),
        ({k: v for k, v in net().state_dict().items() if k != "2.bias"}, "none for '2.bias'"),
        ({**net().state_dict(), "3.weight": torch.ones(1)}, "'3.weight', which the network lacks"),
    ],
)
def test_load_refuses_weights_of_another_network_and_changes_nothing(state, says):
    target = net()
    before = weights.save(target)
    with pytest.raises(weights.WeightsMismatch) as caught:
        weights.load(target, weights.save(state))
    assert says in str(caught.value)
    assert weights.save(target) == before


def test_load_refuses_nan():
    state = net().state_dict() | {"2.bias": torch.tensor([float("nan")])}
    with pytest.raises(weights.NotFinite, match=r"2\.bias"):
        weights.load(net(), state)


def test_compare_agrees_with_numpy():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 5, 7))
    after[:2] = before[:2]
    [change] = weights.compare(
        {"w": torch.tensor(before), "gone": torch.ones(2)},
        {"w": torch.tensor(after), "gone": torch.ones(3), "new": torch.ones(1)},
    )
    moved = (after - before).ravel()
    assert change.l2 == pytest.approx(np.linalg.norm(moved))
    assert change.relative == pytest.approx(np.linalg.norm(moved) / np.linalg.norm(before))
    assert change.largest == pytest.approx(np.abs(moved).max())
    cosine = before.ravel() @ after.ravel() / np.linalg.norm(before) / np.linalg.norm(after)
    assert change.cosine == pytest.approx(cosine)
    assert change.changed == pytest.approx(3 / 5)


def test_compare_of_zeros_is_defined():
    [same] = weights.compare({"w": torch.zeros(3)}, {"w": torch.zeros(3)})
    assert (same.l2, same.relative, same.cosine, same.changed) == (0, 0, 1, 0)
    [moved] = weights.compare({"w": torch.zeros(3)}, {"w": torch.ones(3)})
    assert moved.relative == float("inf")
    assert moved.cosine == 0


def by_hand(before, after):
    """The five figures, value by value, without a tensor library."""
    pairs = list(zip(before, after, strict=True))
    l2 = sum((y - x) ** 2 for x, y in pairs) ** 0.5
    norm, other = sum(x * x for x in before) ** 0.5, sum(y * y for y in after) ** 0.5
    return {
        "l2": l2,
        "relative": l2 / norm if norm else (float("inf") if l2 else 0.0),
        "largest": max(abs(y - x) for x, y in pairs),
        "cosine": sum(x * y for x, y in pairs) / (norm * other)
        if norm and other
        else float(not l2),
        "changed": sum(x != y for x, y in pairs) / len(pairs),
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([3.0, 4.0], [3.0, 9.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([0.0, 0.0], [1.0, 0.0]),
        ([1.0, -2.0], [0.0, 0.0]),
        ([1.0], [-1.0]),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]),
        ([1e-30, 1e-30], [2e-30, 1e-30]),
        ([0.0], [-0.0]),
    ],
)
def test_compare_agrees_with_the_definition(before, after):
    [change] = weights.compare({"w": torch.tensor(before)}, {"w": torch.tensor(after)})
    wanted = by_hand(torch.tensor(before).tolist(), torch.tensor(after).tolist())
    for name, value in wanted.items():
        assert getattr(change, name) == pytest.approx(value, rel=1e-12, abs=0), name
    assert -1 <= change.cosine <= 1


def test_compare_keeps_cosines_within_bounds():
    for seed in range(200):
        w = torch.randn(7, generator=torch.Generator().manual_seed(seed))
        [same] = weights.compare({"w": w}, {"w": w * 3})
        assert same.cosine <= 1


def test_compare_says_nan_where_there_is_one():
    [change] = weights.compare({"w": torch.ones(2)}, {"w": torch.tensor([1.0, float("nan")])})
    assert all(np.isnan(x) for x in (change.l2, change.relative, change.largest, change.cosine))
    assert change.changed == 0.5


def test_compare_leaves_out_what_only_one_has_in_that_shape():
    before = {
        "same": torch.ones(2),
        "gone": torch.ones(2),
        "wider": torch.ones(2),
        "none": torch.ones(0),
    }
    after = {
        "same": torch.ones(2),
        "new": torch.ones(2),
        "wider": torch.ones(3),
        "none": torch.ones(0),
    }
    assert [change.name for change in weights.compare(before, after)] == ["same"]


def test_compare_counts_whole_numbers_too():
    [change] = weights.compare({"n": torch.tensor(5)}, {"n": torch.tensor(9)})
    assert (change.l2, change.relative, change.changed) == (4.0, 0.8, 1.0)


def test_read_gives_tensors_in_the_order_of_their_names():
    state = {name: torch.ones(1) for name in "hgfedcba"}
    assert list(weights.read(weights.save(state))) == list("abcdefgh")
