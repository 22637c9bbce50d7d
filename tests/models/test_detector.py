"""The user's own detector among networks that answer tensors."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from instar.core.data import InputSpec
from instar.core.records import Network
from instar.models import surgery
from instar.models.build import NetworkRaised, build
from instar.models.detector import NotADetector, OnlyImages, listening, packed, targets

EXAMPLE = Path(__file__).parents[2] / "examples" / "shapes"
INPUTS = InputSpec(image=(1, 32, 32), outputs=2, objects=100)


def shapes() -> nn.Module:
    return build(Network(build="nets:build"), INPUTS, EXAMPLE)


def own() -> nn.Module:
    """Make the example's network as its author does."""
    spec = importlib.util.spec_from_file_location("shapes_nets", EXAMPLE / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: nn.Module = module.build(INPUTS)
    return made


def told() -> torch.Tensor:
    labels = torch.zeros(3, 100, 5)
    labels[0, :2] = torch.tensor([[2.0, 2, 12, 12, 1], [15, 15, 25, 27, 2]])
    labels[2, 0] = torch.tensor([4.0, 5, 14, 15, 2])
    return labels


def test_detector_keeps_the_names_of_its_weights_and_what_it_says() -> None:
    ours, theirs = shapes(), own()
    nn.init.zeros_(ours.heat.bias)  # so that there is something to find
    assert list(ours.state_dict()) == list(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(3, 1, 32, 32) * 2 - 1
    losses = theirs.train()(images, targets(told()))
    assert ours.train()(images, told()).sum().item() == pytest.approx(sum(losses.values()).item())
    ours.load_state_dict(theirs.state_dict())  # normalisation has moved in both
    found = theirs.eval()(images)
    answer = ours.eval()(images)
    assert answer.shape == (3, 100, 6)
    for row, one in zip(answer, found, strict=True):
        count = len(one["scores"])
        assert 0 < count == int((row[:, 5] > 0).sum())
        torch.testing.assert_close(row[:count, :4], one["boxes"])
        assert row[:count, 4].long().tolist() == one["labels"].tolist()
    torch.testing.assert_close(copy.deepcopy(ours)(images), answer)
    assert not isinstance(theirs, type(ours))


def test_detector_has_no_head() -> None:
    with pytest.raises(surgery.NoHead):
        surgery.head(shapes())
    with pytest.raises(NotADetector, match="head"):
        build(Network(build="nets:build", head="heat"), INPUTS, EXAMPLE)


def test_listening_moves_nothing_and_says_the_same_twice() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    images = torch.randn(5, 1, 8, 8)
    with listening(net):
        assert (net.training, net[0].training) == (True, True)
        first = net(images), torch.rand(2)
    with listening(net):
        again = net(images), torch.rand(2)
    for one, other in zip(first, again, strict=True):
        torch.testing.assert_close(one, other)
    assert not any(part.training for part in net.modules())
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_packed_takes_the_surest_and_keeps_what_is_no_number() -> None:
    many = {
        "boxes": torch.rand(150, 4),
        "labels": torch.ones(150, dtype=torch.int64),
        "scores": torch.linspace(0.01, 1, 150),
    }
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0).long(), "scores": torch.zeros(0)}
    rows = packed([many, none], 100, 2)
    assert rows[0, :, 5].tolist() == many["scores"].flip(0)[:100].tolist()
    assert not rows[1].any()
    strange = {
        "boxes": torch.rand(3, 4),
        "labels": torch.tensor([0, 2, 3]),  # the background, a class, none of two
        "scores": torch.ones(3),
    }
    strange["boxes"][1] = torch.nan
    row = packed([strange], 100, 2)[0]
    assert row[:, 5].sum() == 1
    assert row[0, :4].isnan().all()


def network(text: str) -> str:
    return f"""
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)
    def forward(self, images, targets=None):
        found = self.layer(images).mean()
        boxes = dict(boxes=torch.zeros(0, 4), labels=torch.zeros(0).long(), scores=torch.zeros(0))
        {text}
        return {{"one": found}} if self.training else [boxes for _ in images]
def build():
    return Net()
"""


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        pytest.param("return found", "a dict of losses", id="a tensor"),
        pytest.param("return {}", "no loss", id="no loss"),
        pytest.param("return {'a': images}", r"'a' of \(2, 1, 32, 32\)", id="no scalar"),
        pytest.param("found = found.detach()", "know nothing", id="detached"),
        pytest.param(
            "return {'a': found} if self.training else boxes",
            "a list of dicts .* a dict with boxes",
            id="one dict",
        ),
        pytest.param("del boxes['scores']", "a dict with boxes, labels", id="no scores"),
        pytest.param("boxes['boxes'] = torch.zeros(3, 5)", r"boxes \(m, 4\)", id="five corners"),
    ],
)
def test_networks_that_are_no_detectors_are_refused(text: str, needle: str, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(network(text))
    with pytest.raises(NotADetector, match=needle) as caught:
        build(Network(build="nets:build"), INPUTS, tmp_path)
    assert "\n" not in str(caught.value)


def test_network_that_takes_no_targets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("from torch import nn\ndef build():\n    return nn.Flatten()")
    with pytest.raises(NetworkRaised, match="positional"):
        build(Network(build="nets:build"), INPUTS, tmp_path)


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(InputSpec(numbers=2, image=(1, 32, 32), objects=100), id="numbers beside"),
        pytest.param(InputSpec(numbers=2, objects=100), id="no image"),
    ],
)
def test_detector_is_given_one_image_and_nothing_else(inputs: Any) -> None:
    with pytest.raises(OnlyImages):
        build(Network(build="nets:build"), inputs, EXAMPLE)
