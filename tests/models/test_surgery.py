from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from instar.core.data import TaskKind
from instar.models import surgery
from instar.models.head import refit
from instar.models.tasks import lesson_of


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)
    )


def test_head_is_the_last_linear_layer():
    assert surgery.head(net()) == "4"
    assert surgery.blocks(net()) == ("0", "1", "4")


def test_head_names_layers_where_there_is_no_linear_one():
    with pytest.raises(surgery.NoHead, match="the layers 0;"):
        surgery.head(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()))


class HeadFirst(nn.Module):
    """Declares its head before what feeds it."""

    def __init__(self):
        super().__init__()
        self.top, self.body = nn.Linear(4, 2), nn.Sequential(nn.Linear(3, 4), nn.ReLU())

    def forward(self, x):
        return self.top(self.body(x))


def test_named_head_is_taken_where_another_layer_is_declared_last():
    module, x = HeadFirst(), torch.randn(6, 3)
    assert surgery.head(module) == "body.0"
    with pytest.raises(surgery.NoHead, match=r"and body\.0 makes another output.*`head` under"):
        surgery.features(module, (x,))
    surgery.name_head(module, "top")
    assert surgery.head(copy.deepcopy(module)) == "top"
    torch.testing.assert_close(module.top(surgery.features(module, (x,))), module(x))


@pytest.mark.parametrize(("name", "got"), [("topp", "'topp'"), ("body.1", "a ReLU"), ("", "''")])
def test_wrong_head_is_refused_with_the_layers_that_there_are(name, got):
    with pytest.raises(surgery.WrongHead) as caught:
        surgery.name_head(HeadFirst(), name)
    assert "a dense layer out of top, body.0" in str(caught.value)
    assert got in str(caught.value)
    assert "\n" not in str(caught.value)


def test_head_of_a_network_without_dense_layers_cannot_be_named():
    with pytest.raises(surgery.WrongHead, match="has no dense layer"):
        surgery.name_head(nn.Sequential(nn.Conv2d(1, 2, 3)), "0")


def test_features_times_head_are_the_answers():
    module, x = net(), torch.randn(10, 3)
    found = surgery.features(module, (x,), batch=4)
    assert found.shape == (10, 4)
    module.eval()
    torch.testing.assert_close(module[4](found), module(x))


class Rescaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 1)

    def forward(self, x):
        return self.last(x) * 2


def test_features_refuse_a_network_that_goes_on_behind_the_head():
    with pytest.raises(surgery.NoHead):
        surgery.features(Rescaled(), (torch.randn(5, 3),))


def painter():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


def test_head_of_a_network_for_pixels_is_its_last_convolution():
    net, images = painter(), torch.randn(5, 1, 6, 7)
    assert surgery.head(net) == "2"
    found = surgery.features(net, (images,), batch=2)
    assert found.shape == (5, 4, 6, 7)
    torch.testing.assert_close(net[2](found), net(images))


def test_features_of_a_network_that_draws_its_pixels_up_behind_the_head_are_refused():
    net = nn.Sequential(*painter(), nn.Upsample(scale_factor=2))
    with pytest.raises(surgery.NoHead):
        surgery.features(net, (torch.randn(5, 1, 6, 7),))


def test_head_for_pixels_is_refitted():
    images = torch.randn(40, 1, 6, 7)
    masks = (images[:, 0] > 0.5).to(torch.uint8).numpy()
    net, lesson = painter(), lesson_of(TaskKind.SEGMENTATION)
    cached = surgery.features(net, (images,))
    fitted = refit(net[2], cached, masks, TaskKind.SEGMENTATION)
    before, now = (lesson.loss(head(cached), lesson.labels(masks)) for head in (net[2], fitted))
    assert now < 0.7 * before
