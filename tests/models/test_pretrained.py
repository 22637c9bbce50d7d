from __future__ import annotations

import pytest
import torch

from instar.core.data import InputSpec
from instar.models.families.mlp import MLP
from instar.models.pretrained import NothingMatches, match
from instar.models.weights import NotFinite

SPEC = InputSpec(numbers=3, categories=(4,), outputs=2)


def net(hidden=(6, 5), outputs=2):
    torch.manual_seed(len(hidden))
    return MLP(InputSpec(numbers=3, categories=(4,), outputs=outputs), hidden=hidden)


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_match_takes_what_fits_by_name_and_shape_but_the_head(prefix):
    own, given = net(), net().state_dict()
    found = match(own, {f"{prefix}{name}": tensor + 1 for name, tensor in given.items()})
    body = {name for name in own.state_dict() if not name.startswith("head.")}
    assert set(found.taken) == body
    assert found.left == ("head.weight", "head.bias")
    assert all(torch.equal(found.taken[name], given[name] + 1) for name in body)
    counted = sum(own.state_dict()[name].numel() for name in body)
    assert found.share == counted / sum(t.numel() for t in own.state_dict().values())
    assert found.given == len(given)


def test_match_leaves_out_what_has_another_shape_or_kind():
    given = net((6, 7)).state_dict()
    given["embeddings.tables.0.weight"] = given["embeddings.tables.0.weight"].long()
    found = match(net(), given)
    assert set(found.taken) == {"body.0.weight", "body.0.bias"}


def test_match_takes_numbers_of_another_width_as_the_networks():
    found = match(net(), {"body.0.bias": torch.ones(6, dtype=torch.float16)})
    assert found.taken["body.0.bias"].dtype is torch.float32


def test_match_of_nothing_names_both_sides_in_one_line():
    with pytest.raises(NothingMatches) as caught:
        match(net(), {"layer.weight": torch.zeros(9, 9)})
    text = str(caught.value)
    assert "body.0.weight (6, 5)" in text
    assert "layer.weight (9, 9)" in text
    assert "train.pretrained" in text
    assert "\n" not in text


def test_match_refuses_what_is_no_number():
    with pytest.raises(NotFinite, match=r"body\.0\.bias"):
        match(net(), {"body.0.bias": torch.full((6,), torch.nan)})
