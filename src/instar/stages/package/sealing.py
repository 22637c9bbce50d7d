"""From a trained network to a sealed bundle; packaging and adoption both end here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import onnx
import polars as pl
from torch import nn

from instar.bundle import format as files
from instar.bundle import trust
from instar.bundle.format import Contents
from instar.core.data import Preprocessing, Schema, Task
from instar.core.finding import Finding, worst
from instar.core.policy import PackagePolicy
from instar.core.records import Bundle
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data.split import sample
from instar.models.predict import logits, probabilities
from instar.stages.package.assemble import assemble
from instar.stages.package.card import write_card
from instar.stages.package.errors import NoRowsToMeasure, NotQuantisable
from instar.stages.package.export import export
from instar.stages.package.parity import network_parity, served_parity
from instar.stages.package.precision import compare, decide, unquantisable
from instar.stages.package.quantise import quantise
from instar.stages.package.trial import Rows, Trial
from instar.stats.metrics import fitting
from instar.tasks import form_of

PLAIN, SMALL = "model.onnx", "model.int8.onnx"


@dataclass(frozen=True, slots=True)
class _Served:
    """The graph that shall serve, what was found on the way, and all graphs by file name."""

    contents: Contents
    trial: Trial
    findings: tuple[Finding, ...]
    graphs: dict[str, bytes]


def seal(
    module: nn.Module,
    preprocessing: Preprocessing,
    schema: Schema,
    task: Task,
    version: str,
    calibration: pl.DataFrame,
    valid: pl.DataFrame,
    *,
    tools: Tools,
    policy: PackagePolicy,
    notes: Mapping[str, str] | None = None,
) -> Bundle:
    """Seal a trained network with its preprocessing.

    Args:
        module: The network with its weights.
        preprocessing: How raw columns become its inputs.
        schema: What the raw columns look like.
        task: What it predicts.
        version: The name.
        calibration: Training rows; INT8 takes its ranges from a sample of them.
        valid: Labelled rows that parity, quality and speed are measured on.
        notes: Facts for the model card, by name.
    Returns:
        The bundle, its files in the artifact store. It fails where its graph does not answer like
        the network.
    Raises:
        InputError: the network does not export, or there are no rows to measure on.
        IntegrityError: the key that signs here is not to be used, or not trusted here.
    """
    tools.progress("package", 0, 3, "export")
    network = export(module, preprocessing.spec(task), policy.opset)
    rows = Rows.of(valid, preprocessing, task)
    answers = probabilities(logits(module, rows.inputs), task)
    form = form_of(task)
    contents = Contents(task, preprocessing, schema, PLAIN, "fp32", form.outputs(task))
    plain = Trial.of(assemble(network, preprocessing, task), contents, rows)
    parity = network_parity(answers, plain.scores, contents.outputs, policy.parity, form)
    served = _Served(contents, plain, (parity,), {PLAIN: plain.graph})
    if policy.int8 != "never" and not task.objects:  # a quantiser does not look into the loop
        tools.progress("package", 1, 3, "quantise")
        served = _try_int8(served, network, calibration, rows, tools=tools, policy=policy)
    tools.progress("package", 2, 3, "seal")
    card = _card(served, version, rows, notes or {})
    manifest, sealed = files.write(
        tools.artifacts, version, served.contents, {**served.graphs, "card.md": card.encode()}
    )
    signature = None
    if tools.signer:
        signature = trust.sign(tools.artifacts, manifest, tools.signer)
        # What the store gives back decides, and that the key is one which this workspace trusts.
        trust.verify(tools.artifacts, manifest, signature, tools.signer.trusted)
    return Bundle(
        version=version,
        manifest=manifest,
        files=sealed,
        graph=served.contents.graph,
        precision=served.contents.precision,
        verdict=worst(served.findings),
        findings=served.findings,
        signature=signature,
    )


def _try_int8(
    plain: _Served,
    network: onnx.ModelProto,
    calibration: pl.DataFrame,
    rows: Rows,
    *,
    tools: Tools,
    policy: PackagePolicy,
) -> _Served:
    task, how = plain.contents.task, plain.contents.preprocessing
    drawn = sample(calibration, policy.calibration, tools.seed)
    if drawn.is_empty():
        raise NoRowsToMeasure("calibration")
    try:
        small = quantise(network, prepare.inputs(drawn, how), tools.scratch)
    except NotQuantisable as error:
        found = unquantisable(error.got, policy)
        return replace(plain, findings=(*plain.findings, found))
    contents = replace(plain.contents, graph=SMALL, precision="int8")
    trial = Trial.of(assemble(small, how, task), contents, rows)
    serves, found = decide(compare(task, plain.trial, trial, rows), policy)
    findings = (*plain.findings, found)
    if not serves:
        return replace(plain, findings=findings)
    parity = served_parity(task, plain.trial.scores, trial.scores, rows.labels)
    graphs = {**plain.graphs, SMALL: trial.graph}
    return _Served(contents, trial, (*findings, parity), graphs)


def _card(served: _Served, version: str, rows: Rows, notes: Mapping[str, str]) -> str:
    contents = served.contents
    return write_card(
        version,
        contents.task,
        contents.schema,
        contents.preprocessing,
        precision=contents.precision,
        metrics={
            name: metric(served.trial.scores, rows.labels)
            for name, metric in fitting(contents.task).items()
        },
        rows=len(rows.labels),
        findings=served.findings,
        notes=notes,
    )
