from __future__ import annotations

from dataclasses import replace

import pytest

from instar.bundle.runtime import ServedBundle
from instar.core.data import Split
from instar.core.finding import Verdict
from instar.core.policy import PackagePolicy
from instar.core.records import Admission, Bundle, ModelVersion, Network, Request, Training
from instar.data.snapshot import take
from instar.models.weights import WeightsMismatch, save
from instar.stages.package import package
from instar.stages.package.errors import NoRowsToMeasure
from instar.testing.tools import fake_tools


@pytest.fixture
def records(case, tmp_path, project):
    tools = replace(fake_tools(tmp_path), project=project)
    train, valid = (
        take(frame, case.schema, tools.artifacts, name)
        for frame, name in ((case.train, "train"), (case.valid, "valid"))
    )
    network = Network(build="nets:build")
    weights = tools.artifacts.put(save(case.module))
    bundle = Bundle("model_v20270115_0800", "sha256:0", (), "model.onnx", "fp32", Verdict.PASS, ())
    champion = ModelVersion(
        bundle.version, case.task, network, case.schema, case.how, weights, bundle, (train,), ()
    )
    request = Request(
        "u7", "tumours", "weekly", "ann", train, case.task, network, case.how.columns, "p", 0, "c"
    )
    admission = Admission(
        Verdict.PASS, (), 569, case.schema, split=Split(train=train, valid=valid, test=valid)
    )
    training = Training(
        Verdict.PASS, (), weights, case.how, case.schema, (train,), "hybrid", {}, (), (), 1, 1
    )
    return tools, (request, champion, admission, training)


def test_package_seals_the_trained_weights_under_a_free_name(records):
    tools, inputs = records
    bundle = package(*inputs, policy=PackagePolicy(int8="never"), tools=tools)
    # The fake clock stands at the minute that the champion is named after.
    assert bundle.version == "model_v20270115_0800_2"
    served = ServedBundle.open(tools.artifacts, bundle.manifest)
    assert served.version == bundle.version
    card = tools.artifacts.read(bundle.file("card.md").digest).decode()
    for part in ("u7: weekly", "| strategy | hybrid |", "model_v20270115_0800 |"):
        assert part in card


def test_package_keeps_clear_of_names_that_are_taken(records):
    tools, inputs = records
    tools = replace(tools, taken=frozenset({"model_v20270115_0800_2"}))
    bundle = package(*inputs, policy=PackagePolicy(int8="never"), tools=tools)
    assert bundle.version == "model_v20270115_0800_3"


def test_package_refuses_weights_of_another_network(records):
    tools, (request, champion, admission, training) = records
    (tools.project / "nets.py").write_text(
        (tools.project / "nets.py").read_text().replace("16", "17")
    )
    with pytest.raises(WeightsMismatch):
        package(request, champion, admission, training, policy=PackagePolicy(), tools=tools)


def test_package_builds_the_network_that_a_tuning_found(records):
    tools, (request, champion, admission, training) = records
    asked = replace(request, network=Network(family="mlp", options={"hidden": [3]}))
    found = replace(training, network=request.network)
    bundle = package(
        asked, champion, admission, found, policy=PackagePolicy(int8="never"), tools=tools
    )
    assert bundle.verdict is Verdict.PASS


def test_package_needs_rows_that_were_admitted(records):
    tools, (request, champion, admission, training) = records
    refused = replace(admission, split=None)
    with pytest.raises(NoRowsToMeasure):
        package(request, champion, refused, training, policy=PackagePolicy(), tools=tools)
