"""Where everything came from: each artifact of an update with its digest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from instar.core.data import Snapshot
from instar.core.records import ModelVersion, Training
from instar.report.numbers import number, size
from instar.report.story import Story


@dataclass(frozen=True, slots=True)
class Origin:
    """One thing by digest: its part in the update, and what to know of it in words."""

    part: str
    what: str
    digest: str


def lineage(story: Story) -> list[Origin]:
    """List what went into an update and what came out of it, in order."""
    return [*_given(story), *_made(story)]


def _given(story: Story) -> Iterator[Origin]:
    request = story.request
    yield Origin("policy", "in force", request.policy)
    yield _snapshot("fresh data", request.fresh)
    if request.network.source:
        name = request.network.build or request.network.family or ""
        yield Origin("network", name, request.network.source)
    if request.pretrained:
        yield Origin("pretrained weights", request.pretrained.name, request.pretrained.weights)
    if story.champion:
        yield from _champion(story.champion)


def _champion(champion: ModelVersion) -> Iterator[Origin]:
    yield Origin("champion", champion.name, champion.bundle.manifest)
    yield Origin("champion weights", champion.name, champion.weights)
    for snapshot in champion.train:
        yield _snapshot("champion learnt from", snapshot)
    for snapshot in champion.holdout:
        yield _snapshot("champion holdout", snapshot)


def _made(story: Story) -> Iterator[Origin]:
    if story.admission and story.admission.quarantine:
        held = f"{number(story.admission.quarantined)} rows"
        yield Origin("quarantine", held, story.admission.quarantine)
    if story.admission and story.admission.split:
        split = story.admission.split
        for part in ("train", "valid", "test"):
            yield _snapshot(f"{split.how} {part}", getattr(split, part))
    if story.training:
        yield Origin("candidate weights", story.training.strategy, story.training.weights)
        yield from _parameters(story.training)
    if story.bundle:
        yield Origin("candidate bundle", story.bundle.version, story.bundle.manifest)
        for file in story.bundle.files:
            yield Origin("bundle file", f"{file.name}, {size(file.size)}", file.digest)


def _parameters(training: Training) -> Iterator[Origin]:
    """Name the parameters on both sides of a training by their roots, and the code that ran."""
    for when, found in (("before", training.before), ("after", training.after)):
        if found is not None:
            yield Origin(f"parameters {when}", f"{number(len(found.tensors))} tensors", found.root)
    if training.environment is not None:
        yield Origin("code", f"Instar {training.environment.instar}", training.environment.source)
        for name, digest in training.environment.locks.items():
            yield Origin("lock file", name, digest)


def _snapshot(part: str, snapshot: Snapshot) -> Origin:
    span = f", {snapshot.since} to {snapshot.until}" if snapshot.since else ""
    return Origin(part, f"{snapshot.source}, {number(snapshot.rows)} rows{span}", snapshot.digest)
