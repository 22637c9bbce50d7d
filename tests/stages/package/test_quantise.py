from __future__ import annotations

import numpy as np
import onnx
import pytest
from torch import nn

from instar.bundle.session import start
from instar.core.data import InputSpec
from instar.data import preprocessing as prepare
from instar.models.predict import logits
from instar.stages.package.errors import NotQuantisable
from instar.stages.package.export import export
from instar.stages.package.quantise import quantise


def test_quantise_leaves_the_network_as_it_was(tmp_path):
    network = export(nn.Linear(40, 20), InputSpec(numbers=40, outputs=20), 20)
    before = network.SerializeToString()
    quantise(network, (np.ones((4, 40), np.float32),), tmp_path)
    assert network.SerializeToString() == before


def test_quantise_keeps_answers_close_with_weights_in_eight_bits(case, network, tmp_path):
    small = quantise(network, prepare.inputs(case.train, case.how), tmp_path)
    assert list(tmp_path.iterdir()) == []
    kept = {tensor.data_type for tensor in small.graph.initializer if len(tensor.dims) == 2}
    assert kept <= {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    session = start(small.SerializeToString())
    names = [put.name for put in session.get_inputs()]
    parts = prepare.inputs(case.valid, case.how)
    answer = session.run(None, dict(zip(names, parts, strict=True)))[0]
    exact = logits(case.module, parts)
    assert np.corrcoef(answer[:, 0], exact[:, 0])[0, 1] > 0.99
    assert np.abs(answer - exact).max() > 1e-4


def test_quantise_gives_the_same_bytes_again(case, network, tmp_path):
    inputs = prepare.inputs(case.train[:64], case.how)
    first, again = (quantise(network, inputs, tmp_path).SerializeToString() for _ in range(2))
    assert first == again


def test_quantise_reports_a_graph_that_it_cannot_turn(network, tmp_path):
    broken = onnx.ModelProto()
    broken.CopyFrom(network)
    broken.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(NotQuantisable):
        quantise(broken, (np.zeros((1, 4), np.float32), np.zeros((1, 1), np.int64)), tmp_path)
