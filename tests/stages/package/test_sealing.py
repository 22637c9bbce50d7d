from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from instar.bundle import trust
from instar.bundle.errors import UntrustedSignature
from instar.bundle.runtime import ServedBundle
from instar.core.finding import Verdict
from instar.core.policy import PackagePolicy
from instar.data import preprocessing as prepare
from instar.models.predict import logits, probabilities
from instar.stages.package import precision, sealing
from instar.stages.package.errors import NoRowsToMeasure, NotQuantisable
from instar.stages.package.sealing import seal
from instar.testing.tools import FakeSigner, fake_tools

EXPORTS = (
    "test_sealed_bundle_answers_like_the_network_on_raw_rows",
    "test_sealing_again_gives_the_same_files_but_for_the_name",
)


@pytest.fixture(autouse=True)
def _exported_once(request, monkeypatch, network):
    """Take the graph that is there, except where the export is what is tested."""

    def copied(module, inputs, opset):
        made = onnx.ModelProto()
        made.CopyFrom(network)
        return made

    if request.node.originalname not in EXPORTS:
        monkeypatch.setattr(sealing, "export", copied)


def sealed(case, tmp_path, int8="auto", version="model_v20260101_0000", signer=None, **changes):
    tools = replace(fake_tools(tmp_path), signer=signer)
    case = replace(case, **changes)
    policy = PackagePolicy(int8=int8)
    bundle = seal(
        case.module,
        case.how,
        case.schema,
        case.task,
        version,
        case.train,
        case.valid,
        tools=tools,
        policy=policy,
    )
    return bundle, tools.artifacts


def codes(bundle):
    return {finding.code: finding.verdict for finding in bundle.findings}


def test_sealed_bundle_answers_like_the_network_on_raw_rows(case, tmp_path):
    bundle, artifacts = sealed(case, tmp_path, int8="never")
    served = ServedBundle.open(artifacts, bundle.manifest)
    expected = probabilities(logits(case.module, prepare.inputs(case.valid, case.how)), case.task)
    found = served.predict(prepare.columns(case.valid, case.how))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (bundle.verdict, bundle.precision, bundle.graph) == (Verdict.PASS, "fp32", "model.onnx")
    assert codes(bundle) == {"parity:fp32": Verdict.PASS}
    assert [file.name for file in bundle.files] == ["bundle.json", "card.md", "model.onnx"]


def test_required_int8_serves_and_is_held_against_fp32(case, tmp_path):
    bundle, artifacts = sealed(case, tmp_path, int8="require")
    assert (bundle.precision, bundle.graph) == ("int8", "model.int8.onnx")
    assert set(codes(bundle)) == {"parity:fp32", "int8", "parity:served"}
    assert {"model.onnx", "model.int8.onnx"} <= {file.name for file in bundle.files}
    assert ServedBundle.open(artifacts, bundle.manifest).precision == "int8"


def test_auto_falls_back_to_fp32_and_says_why(case, tmp_path, monkeypatch):
    slower = [(50.0, 500.0), (60.0, 600.0)]  # microseconds: a busy machine measures anything
    monkeypatch.setattr(precision, "speeds", lambda trials, rows: slower)
    bundle, _ = sealed(case, tmp_path)
    found = next(finding for finding in bundle.findings if finding.code == "int8")
    assert bundle.precision == "fp32"
    assert "model.int8.onnx" not in {file.name for file in bundle.files}
    assert "INT8 is not faster" in found.message or "INT8 loses more" in found.message


def test_int8_falls_back_where_the_quantiser_fails(case, tmp_path, monkeypatch):
    def broken(*_):
        raise NotQuantisable("KeyError")

    monkeypatch.setattr(sealing, "quantise", broken)
    assert sealed(case, tmp_path)[0].verdict is Verdict.PASS
    assert sealed(case, tmp_path, int8="require")[0].verdict is Verdict.FAIL


def test_sealing_again_gives_the_same_files_but_for_the_name(case, tmp_path):
    first, _ = sealed(case, tmp_path, int8="require")
    again, _ = sealed(case, tmp_path, int8="require")
    other, _ = sealed(case, tmp_path, int8="require", version="model_v20270101_0000")
    assert again.manifest == first.manifest
    assert other.manifest != first.manifest
    changed = {file.name for file in set(other.files) - set(first.files)}
    assert changed == {"card.md"}


def test_parity_fails_where_the_graph_is_not_the_network(case, tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "probabilities", lambda answers, task: np.full((169, 2), 0.5))
    bundle, _ = sealed(case, tmp_path, int8="never")
    assert bundle.verdict is Verdict.FAIL


@pytest.mark.parametrize(("part", "int8"), [("train", "auto"), ("valid", "never")])
def test_sealing_without_rows_is_refused(case, tmp_path, part, int8):
    with pytest.raises(NoRowsToMeasure):
        sealed(case, tmp_path, int8, **{part: case.train.clear()})


def test_sealed_bundle_is_signed_by_the_key_that_is_lent(case, tmp_path):
    signer = FakeSigner(5)
    bundle, artifacts = sealed(case, tmp_path, int8="never", signer=signer)
    trust.verify(artifacts, bundle.manifest, bundle.signature, signer.trusted)
    with pytest.raises(UntrustedSignature):
        trust.verify(artifacts, bundle.manifest, bundle.signature, FakeSigner(6).trusted)


def test_key_that_nobody_trusts_here_is_found_at_once(case, tmp_path):
    signer = FakeSigner(5)
    signer.trusted = FakeSigner(6).trusted
    with pytest.raises(UntrustedSignature):
        sealed(case, tmp_path, int8="never", signer=signer)


def test_nobody_signs_where_no_key_is_lent(case, tmp_path):
    assert sealed(case, tmp_path, int8="never")[0].signature is None
