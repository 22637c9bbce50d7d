"""What an entry says, in sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from instar.core.codec import decode
from instar.core.data import Snapshot
from instar.core.digest import short
from instar.core.finding import Finding, Verdict
from instar.core.records import (
    Admission,
    Approval,
    Bundle,
    Cost,
    Environment,
    Fingerprint,
    ModelVersion,
    Order,
    OrderKind,
    Plan,
    Release,
    Request,
    Training,
    Validation,
    Vote,
    VoteKind,
    Watch,
)
from instar.core.update import KINDS
from instar.service.dates import written

_SAID = {VoteKind.APPROVE: "approves", VoteKind.REJECT: "rejects", VoteKind.OVERRIDE: "lets pass"}

_TOLD = {
    OrderKind.PAUSE: "pauses the release",
    OrderKind.RESUME: "lets the release go on",
    OrderKind.SKIP: "ends the step of the release",
    OrderKind.PROMOTE: "ends the remaining steps of the release",
}


def sentences(kind: str, body: Mapping[str, Any]) -> list[str]:
    """Say in words what an entry of a kind holds; a kind without words of its own, field by field.

    Example:
        >>> sentences("withdrawn", {"reason": "wrong file"})
        ['reason: wrong file']
    """
    if kind in ("adoption", "promotion", "rollback"):
        return list(_version(decode(ModelVersion, body)))
    if kind == "queued":
        return [
            f"{body['by']} asks for an update that waits behind {body['behind']}: {body['reason']}",
            f"fresh data: {data(decode(Snapshot, body['fresh']))}",
        ]
    if kind == "reproduction":
        return list(_reproduction(body))
    if kind in KINDS:
        return list(_WORDS[kind](decode(KINDS[kind], body)))
    return [f"{name}: {value}" for name, value in body.items()]


def data(snapshot: Snapshot) -> str:
    """Name a data set: where it is from, its rows, its days, its digest."""
    span = f", {snapshot.since} to {snapshot.until}" if snapshot.since else ""
    return f"{snapshot.source}, {snapshot.rows:,} rows{span} ({short(snapshot.digest)})"


def machine(where: Environment) -> str:
    """Name code, machine and the library that computes."""
    cards = f", {', '.join(where.accelerators)}" if where.accelerators else ""
    torch = f", torch {where.libraries['torch']}" if "torch" in where.libraries else ""
    return (
        f"Instar {where.instar} ({short(where.source)}), {where.python}{torch}, {where.system}, "
        f"{where.processor} with {where.cores} cores and {where.memory_bytes / 2**30:.1f} GiB"
        f"{cards}"
    )


def judged(findings: Iterable[Finding]) -> str:
    """Count what decides, and name what did not pass."""
    enforced = [finding for finding in findings if finding.enforced]
    bad = [f"{f.code} ({f.verdict.value})" for f in enforced if f.verdict is not Verdict.PASS]
    passed = f"{len(enforced) - len(bad)} of {len(enforced)} findings that decide passed"
    return f"{passed}; not: {', '.join(bad)}" if bad else passed


def metrics(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """Set the figures of the champion and of the candidate side by side."""
    names = [name for name in after if name in before]
    return ", ".join(f"{name} {before[name]:.4f} -> {after[name]:.4f}" for name in names)


def vote(said: Vote) -> str:
    """Say who said what of which finding, and why."""
    what = f" {said.code}" if said.code else ""
    why = f": {said.reason}" if said.reason else ""
    return f"{said.by} {_SAID[said.kind]}{what}{why}"


def used(cost: Cost) -> str:
    """Say what a stage used, and how its energy was estimated.

    Example:
        >>> used(Cost(13.4, 14.1, 612_000_000, 134.0, money=0.0002, method="13.4 s x 10 W"))
        'used 13.4 CPU s in 14.1 s, 612 MB at most, 134 J (13.4 s x 10 W), 0.0002 in money'
        >>> used(Cost(13.4, 14.1, 612_000_000))
        'used 13.4 CPU s in 14.1 s, 612 MB at most'
    """
    memory = f"{cost.peak_bytes / 1e6:,.0f} MB at most"
    said = f"used {cost.cpu_s:.1f} CPU s in {cost.wall_s:.1f} s, {memory}"
    if cost.gpu_s:
        said += f", {cost.gpu_s:.1f} GPU s with {cost.gpu_peak_bytes / 1e6:,.0f} MB at most"
    if cost.method:
        said += f", {cost.energy_j:,.0f} J ({cost.method}), {cost.money:.2g} in money"
    return said


def _request(made: Request) -> Iterator[str]:
    network = made.network
    yield f"{made.by} asks for {made.update} of {made.model}: {made.reason}"
    yield f"fresh data: {data(made.fresh)}"
    yield f"against the champion {made.champion}, with seed {made.seed}"
    yield f"to learn from: {', '.join(made.features)}"
    source = f" ({short(network.source)})" if network.source else ""
    several = f"{network.ensemble.members} of " if network.ensemble else ""
    yield f"network: {several}{network.build or network.family}{source}"
    if made.ensemble:
        yield f"to be made of: {made.ensemble.count} trainings ({made.ensemble.kind})"
    if made.pretrained:
        given = made.pretrained
        yield f"pretrained: {given.tensors} tensors of {given.name} ({short(given.weights)})"
    yield f"policy: {short(made.policy)}"
    yield from _where(made.environment)


def _where(environment: Environment | None) -> Iterator[str]:
    if environment is not None:
        yield f"where: {machine(environment)}"
        for name, digest in environment.locks.items():
            yield f"lock file: {name} ({short(digest)})"


def _admission(made: Admission) -> Iterator[str]:
    yield f"{made.rows:,} rows, {made.quarantined:,} of them held back; {judged(made.findings)}"
    for step in made.cleaning:
        what = " ".join(word for word in (step.action, step.column) if word)
        yield f"{what}: {step.rows:,} rows"
    if made.split:
        for name in ("train", "valid", "test"):
            yield f"{name}: {data(getattr(made.split, name))}"


def _plan(made: Plan) -> Iterator[str]:
    yield f"{made.strategy}: {made.reason}"
    for way in made.forecasts:
        yield (
            f"{way.strategy} was expected to bring {way.gain:+.4f}, to forget "
            f"{way.forgetting:+.4f}, to take {way.cpu_s:.1f} CPU s"
        )


def _training(made: Training) -> Iterator[str]:
    yield f"{made.strategy}, {len(made.history)} epochs, {made.steps:,} steps; " + judged(
        made.findings
    )
    yield "recipe: " + ", ".join(f"{name} {value:g}" for name, value in made.recipe.items())
    for part in made.train:
        yield f"learnt from: {data(part)}"
    yield from _prints(made.before, made.after)
    for change in made.changes:
        size = f"{change.relative:.1%} of its size" if change.relative < math.inf else "from zero"
        yield (
            f"{change.name} moved by {change.l2:.4g} ({size}), one value by at most "
            f"{change.largest:.4g}; cosine {change.cosine:.4f}, {change.changed:.1%} of the values "
            "changed"
        )
    yield f"weights: {short(made.weights)}"
    yield used(made.cost)
    yield from _where(made.environment)


def _prints(before: Fingerprint | None, after: Fingerprint | None) -> Iterator[str]:
    for name, found in (("before", before), ("after", after)):
        if found is not None:
            yield f"parameters {name}: {len(found.tensors)} tensors, root {short(found.root)}"


def _bundle(made: Bundle) -> Iterator[str]:
    yield f"{made.version}, {made.precision}, manifest {short(made.manifest)}"
    for file in made.files:
        yield f"{file.name}: {file.size:,} bytes ({short(file.digest)})"


def _validation(made: Validation) -> Iterator[str]:
    yield judged(made.findings)
    yield f"champion -> candidate: {metrics(made.champion, made.candidate)}"
    yield f"of the bundle {short(made.bundle)}"
    yield used(made.cost)


def _vote(made: Vote) -> Iterator[str]:
    yield vote(made)
    yield (
        f"having seen validation {short(made.validation)}, bundle {short(made.bundle)}, "
        f"policy {short(made.policy)}"
    )


def _approval(made: Approval) -> Iterator[str]:
    yield from (vote(said) for said in made.votes)
    if made.waiting_for:
        yield f"{made.waiting_for} more must speak"
    elif made.expires_at is not None:
        yield f"valid until {written(made.expires_at)}"


def _order(made: Order) -> Iterator[str]:
    over = f" over {', '.join(made.lets_pass)}" if made.lets_pass else ""
    why = f": {made.reason}" if made.reason else ""
    yield f"{made.by} {_TOLD[made.kind]}{over}{why}"


def _release(made: Release) -> Iterator[str]:
    why = f" ({made.paused.value})" if made.paused else ""
    yield f"{made.phase.value}{why}, step {made.step}: {made.reason}"
    if made.cause:
        yield f"moved by: {made.cause}"
    for name, share in made.shares.items():
        was = f", {made.before[name]:.1%} before" if made.before.get(name, share) != share else ""
        yield f"{name} serves {share:.1%}{was}"
    if made.config:
        yield f"as planned: {short(made.config)}"
    yield f"{made.requests:,} requests and {made.labels:,} labels of the candidate"


def _watch(made: Watch) -> Iterator[str]:
    yield f"over {made.window:,} labelled answers; {judged(made.findings)}"
    if made.ask:
        yield f"a new update is asked for: {made.ask}"


def _version(made: ModelVersion) -> Iterator[str]:
    yield f"{made.name} is the champion of its line"
    yield f"parent: {made.parent or 'none, it was taken over'}"
    yield f"weights {short(made.weights)}, bundle {short(made.bundle.manifest)}"
    for part in made.train:
        yield f"learnt from: {data(part)}"
    yield "measured: " + ", ".join(f"{name} {value:.4f}" for name, value in made.metrics.items())


def _reproduction(body: Mapping[str, Any]) -> Iterator[str]:
    yield f"{body['update']} was run again: {'equal' if body['equal'] else 'different'}"
    for stage in body["stages"]:
        yield f"{stage['stage']}: {'equal' if stage['equal'] else 'different'}"
        yield from (f"  {line}" for line in stage["differences"])
    yield from (f"another environment: {line}" for line in body["environment"])


_WORDS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "request": _request,
    "admission": _admission,
    "plan": _plan,
    "training": _training,
    "bundle": _bundle,
    "validation": _validation,
    "vote": _vote,
    "approval": _approval,
    "order": _order,
    "release": _release,
    "watch": _watch,
}
