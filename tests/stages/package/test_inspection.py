from __future__ import annotations

import onnx
import pytest

from instar.bundle.errors import ExternalData, FixedBatch, UnreadableGraph
from instar.stages.package.inspection import inspect


def test_inspect_lets_a_whole_dynamic_graph_in(network):
    assert inspect(network.SerializeToString()).graph.input[0].name == "net_numbers"


def test_inspect_refuses_weights_in_another_file(network, tmp_path):
    model = onnx.ModelProto()
    model.CopyFrom(network)
    onnx.save(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    with pytest.raises(ExternalData, match="another file"):
        inspect((tmp_path / "m.onnx").read_bytes())


def test_inspect_refuses_a_fixed_batch(network):
    model = onnx.ModelProto()
    model.CopyFrom(network)
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 8
    with pytest.raises(FixedBatch, match=r"net_categories of shape \(8"):
        inspect(model.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\x80\x04pickle", b"{}"])
def test_inspect_refuses_what_is_no_onnx(data):
    with pytest.raises(UnreadableGraph):
        inspect(data)


def test_inspect_refuses_what_the_runtime_does_not_load(network):
    model = onnx.ModelProto()
    model.CopyFrom(network)
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(UnreadableGraph):
        inspect(model.SerializeToString())
