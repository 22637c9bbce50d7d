"""Validate: judge the sealed candidate against the champion, gate by gate."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

from torch import nn

from instar.bundle.runtime import ServedBundle
from instar.core.errors import InstarError
from instar.core.finding import Finding, Interval, Verdict, worst
from instar.core.policy import ValidatePolicy
from instar.core.records import (
    Admission,
    Bundle,
    ModelVersion,
    Plan,
    Request,
    Training,
    Validation,
)
from instar.core.tools import Tools
from instar.data.schema.tasks import labelled
from instar.data.snapshot import load, load_all
from instar.data.split import sample
from instar.metering import metered
from instar.models.build import build
from instar.models.weights import load as put_weights
from instar.stages.validate.evidence import Evidence, NoTestRows, answer, measure
from instar.stages.validate.gates import GATES, Gate
from instar.stages.validate.judge import primary_of, unmeasurable
from instar.stats.bootstrap import bootstrap

PIXEL_SCORES = 1 << 27  # of one version on one data set: 512 MB
OLD_ROWS = 20_000  # of the holdout, which grows with every update: bounds time and memory


def validate(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    plan: Plan,
    training: Training,
    bundle: Bundle,
    *,
    policy: ValidatePolicy,
    tools: Tools,
) -> Validation:
    """Let both versions answer the same rows, and put every gate's question.

    A candidate that comes after refused ones is another look at the same test rows: the promised
    error is divided by their number.

    Raises:
        IntegrityError: a bundle or a snapshot is not what its digest says.
        NoTestRows: there is nothing to judge by.
    """
    looks = 1 + len(plan.tried)
    policy = replace(policy, confidence=1 - (1 - policy.confidence) / looks)
    with metered(tools.clock, tools.rates) as used:
        evidence = _gather(request, champion, admission, training, bundle, tools)
        findings = _judge(evidence, policy, tools)
        fresh = (admission.split.test,) if admission.split else ()
        return Validation(
            verdict=worst(findings),
            findings=findings,
            bundle=bundle.manifest,
            champion=measure(evidence, "champion"),
            candidate=measure(evidence, "candidate"),
            intervals=_intervals(evidence, policy),
            holdout=(*champion.holdout, *fresh),
            cost=used(),
        )


def _gather(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    training: Training,
    bundle: Bundle,
    tools: Tools,
) -> Evidence:
    if admission.split is None:
        raise NoTestRows
    task = request.task
    before = ServedBundle.open(tools.artifacts, champion.bundle.manifest)
    now = ServedBundle.open(tools.artifacts, bundle.manifest)
    tools.progress("validate", 0, len(GATES), "answer")
    fresh = load(admission.split.test, tools.artifacts)
    old = load_all(champion.holdout, tools.artifacts)
    most = OLD_ROWS
    if task.dense:  # the scores of all pixels are held in memory
        inputs = now.preprocessing.inputs(task.outputs, dense=True)
        most = max(1, min(OLD_ROWS, PIXEL_SCORES // math.prod(inputs.answer)))
        fresh = sample(fresh, most, tools.seed)
    if old.height:
        old = sample(old.filter(labelled(task)), most, tools.seed)
    return Evidence(
        task=task,
        fresh=answer(fresh, task, before, now),
        old=answer(old, task, before, now) if old.height else None,
        champion=before,
        candidate=now,
        bundle=bundle,
        network=functools.cache(lambda: _network(request, training, tools)),
        seed=tools.seed,
    )


def _network(request: Request, training: Training, tools: Tools) -> nn.Module:
    inputs = training.preprocessing.spec(request.task)
    module = build(training.network or request.network, inputs, tools.project)
    put_weights(module, tools.artifacts.read(training.weights))
    return module.eval()


def _judge(evidence: Evidence, policy: ValidatePolicy, tools: Tools) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    for done, (name, gate) in enumerate(GATES.items()):
        tools.progress("validate", done, len(GATES), name)
        found = _ask(name, gate, evidence, policy)
        findings.extend(found)
        if name == "answers" and worst(found) is not Verdict.PASS:
            break  # figures made from missing answers would only mislead
    return tuple(findings)


def _intervals(evidence: Evidence, policy: ValidatePolicy) -> dict[str, Interval]:
    """Bound the primary metric of each version on the fresh test rows."""
    rows = evidence.fresh
    return {
        name: bootstrap(
            primary_of(policy, evidence.task),
            scores,
            rows.labels,
            resamples=policy.resamples,
            level=policy.confidence,
            seed=evidence.seed,
        ).interval
        for name, scores in (("champion", rows.champion), ("candidate", rows.candidate))
    }


def _ask(name: str, gate: Gate, evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    try:
        return gate(evidence, policy)
    except InstarError as error:
        return (unmeasurable(name, str(error)),)
