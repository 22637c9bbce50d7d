from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from instar.bundle.session import start
from instar.core.data import InputSpec
from instar.core.records import Network
from instar.data import preprocessing as prepare
from instar.models.build import build
from instar.models.predict import logits
from instar.stages.package.errors import NotExportable
from instar.stages.package.export import export


def test_export_answers_like_the_network_for_any_number_of_rows(case, network):
    session = start(network.SerializeToString())
    names = [put.name for put in session.get_inputs()]
    for rows in (1, 2, 50):
        parts = prepare.inputs(case.valid[:rows], case.how)
        answer = session.run(None, dict(zip(names, parts, strict=True)))[0]
        np.testing.assert_allclose(answer, logits(case.module, parts), atol=1e-5)


def test_export_gives_the_same_bytes_again_and_tells_nothing_of_the_place(case, network):
    again = export(case.module, case.how.inputs(1), 20)
    assert again.SerializeToString() == network.SerializeToString()
    for trace in (b".py", b"site-packages", b"Net", b"torch", str(Path.cwd()).encode()):
        assert trace not in again.SerializeToString()


def test_export_leaves_the_network_as_it_was_and_says_nothing(capfd):
    module = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1)).train()
    model = export(module, InputSpec(numbers=2), 20)
    assert module.training
    assert "Dropout" not in {node.op_type for node in model.graph.node}
    assert capfd.readouterr() == ("", "")


def test_export_writes_the_operator_set_that_was_asked_for():
    model = export(nn.Linear(2, 1), InputSpec(numbers=2), 18)
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == 18


class Branching(nn.Module):
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers[:, :1] if numbers.sum() > 0 else -numbers[:, :1]


class Fixed(nn.Module):
    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        return numbers.reshape(3, 2)[:, :1]


@pytest.mark.parametrize("module", [Branching(), Fixed()])
def test_export_refuses_a_network_that_onnx_cannot_say(module):
    with pytest.raises(NotExportable) as caught:
        export(module, InputSpec(numbers=2), 20)
    assert len(str(caught.value).splitlines()) == 1
    assert sys.prefix not in str(caught.value)


SHAPES = Path(__file__).parents[3] / "examples" / "shapes"


def test_export_of_a_detector_answers_for_any_number_of_images():
    inputs = InputSpec(image=(1, 32, 32), outputs=2, objects=100)
    module = build(Network(build="nets:build"), inputs, SHAPES)
    torch.nn.init.normal_(module.heat.weight, std=3)  # so that there is something to find
    session = start(export(module, inputs, 20).SerializeToString())
    images = np.random.default_rng(0).normal(0, 1, (7, 1, 32, 32)).astype(np.float32)
    for rows in (1, 7):
        answer = session.run(None, {session.get_inputs()[0].name: images[:rows]})[0]
        assert answer.shape == (rows, 100, 6)
        np.testing.assert_allclose(answer, logits(module, [images])[:rows], atol=1e-4)
    counts = (answer[..., 5] > 0).sum(axis=1)
    assert len(set(counts.tolist())) > 1  # images differ in how much is found
