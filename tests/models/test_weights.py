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
        b"(dp0\n.",
    ],
)
def test_read_refuses_other_and_damaged_files(data):
    with pytest.raises(weights.NotSafetensors):
        weights.read(data)


@pytest.mark.parametrize("first", [b"\x80", b"PK"])
def test_read_takes_safetensors_whose_header_length_looks_like_a_pickle(first):
    for extra in range(0, 40_000, 8):
        data = weights.safetensors.save({"w": torch.ones(2)}, {"note": "x" * (extra + 1)})
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
