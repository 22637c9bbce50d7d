"""Where data and models come in: everything is looked at before anything is written.

`ask` turns fresh data into a Request; `adopt` turns a user's model into the first champion.
Whatever is unusable raises here, and the workspace stays as it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from instar.core.codec import decode
from instar.core.data import Preprocessing, Role, Schema, Snapshot, Task, TaskKind
from instar.core.digest import digest_bytes
from instar.core.errors import InputError
from instar.core.records import ModelVersion, Network, Request
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data.read import read_frame
from instar.data.schema import conform, infer_schema, infer_task
from instar.data.snapshot import take
from instar.data.split import sample
from instar.models.build import build
from instar.models.predict import logits, probabilities
from instar.models.weights import load
from instar.policy import Project
from instar.stages.package import seal
from instar.stats.metrics import primary, score


class BadPreprocessing(InputError):
    """Refuse a preprocessing file that does not describe the columns."""

    code = "input.preprocessing"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            "a JSON file with `numbers` (name, fill, scale, shift) and `categories` (name, values)",
            f"{name}: {problem}",
            "see docs/adopt.md",
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is made of, before it has an id."""

    fresh: Snapshot
    task: Task
    network: Network
    features: tuple[str, ...]


def network_of(project: Project, root: Path) -> Network:
    """Describe the project's network, with the digest of the file it is written in."""
    if project.network.build is None:
        return project.network
    module = root / (project.network.build.split(":")[0].replace(".", "/") + ".py")
    source = digest_bytes(module.read_bytes()) if module.is_file() else None
    return replace(project.network, source=source)


def features_of(project: Project, schema: Schema) -> tuple[str, ...]:
    """List the columns that the next version shall read.

    Those the policy names; or the champion's, less those it now ignores, and with those it
    ignored before and no longer does.
    """
    settings = project.policy.data
    if settings.features:
        return settings.features
    known = schema.of(Role.FEATURE) + schema.of(Role.IGNORED)
    return tuple(c.name for c in schema.columns if c in known and c.name not in settings.ignore)


def ask(project: Project, champion: ModelVersion, source: Any, tools: Tools, name: str) -> Asked:
    """Read fresh data, hold them against the champion's schema, and keep a snapshot.

    Raises:
        InputError: the data cannot be used; nothing was written.
    """
    features = features_of(project, champion.schema)
    admit = project.policy.admit
    frame = conform(
        read_frame(source),
        champion.schema,
        champion.task,
        features,
        unknown_category=admit.unknown_category,
        new_classes=admit.new_classes,
    )
    snapshot = take(frame, champion.schema, tools.artifacts, name, champion.task.time)
    return Asked(snapshot, champion.task, network_of(project, tools.project), features)


def request(asked: Asked, project: Project, champion: ModelVersion, **who: Any) -> Request:
    """Make the request that opens an update."""
    return Request(
        model=project.model,
        fresh=asked.fresh,
        task=asked.task,
        network=asked.network,
        features=asked.features,
        champion=champion.name,
        **who,
    )


def adopt(
    project: Project,
    tools: Tools,
    *,
    weights: Path,
    train: Any,
    holdout: Any,
    preprocessing: Path | None,
    version: str,
) -> ModelVersion:
    """Take over a model that serves already, as the first champion.

    Raises:
        InputError: weights, network or data do not fit each other; nothing was written.
    """
    module_bytes = weights.read_bytes()
    frame = read_frame(train)
    task = infer_task(frame, project.task)
    schema = infer_schema(frame, task, project.policy.data)
    names = tuple(column.name for column in schema.features)
    learnt = conform(frame, schema, task, names)
    held = conform(read_frame(holdout), schema, task, names, unknown_category="other")
    how = (
        read_preprocessing(preprocessing, schema)
        if preprocessing
        else prepare.fit(learnt, schema, project.policy.data)
    )
    network = network_of(project, tools.project)
    module = build(network, how.inputs(task.outputs), tools.project)
    load(module, module_bytes)
    labelled = learnt.filter(pl.col(task.target).is_not_null())
    keep = max(project.policy.train.replay_min, int(project.policy.train.replay * labelled.height))
    replay = sample(labelled, keep, tools.seed)
    answers = logits(module, prepare.inputs(replay, how))
    sealed = seal(
        module, how, schema, task, version, replay, held, tools=tools, policy=project.policy.package
    )
    put = tools.artifacts.put
    return ModelVersion(
        name=version,
        task=task,
        network=network,
        schema=schema,
        preprocessing=how,
        weights=put(module_bytes),
        bundle=sealed,
        train=(take(learnt, schema, tools.artifacts, "train", task.time),),
        holdout=(take(held, schema, tools.artifacts, "holdout", task.time),),
        replay=take(replay, schema, tools.artifacts, "replay", task.time),
        replay_logits=put(npy(answers)),
        recipe=dict(project.adopt_recipe),
        metrics=measure(task, answers=logits(module, prepare.inputs(held, how)), frame=held),
    )


def measure(task: Task, *, answers: np.ndarray, frame: pl.DataFrame) -> dict[str, float]:
    """Measure the primary metric of logits (n, outputs) on labelled rows."""
    name = primary(task.kind)
    truth = prepare.labels(frame, task)
    return {name: score(name, probabilities(answers, task), truth)}


def npy(array: np.ndarray) -> bytes:
    """Write an array as the bytes of a `.npy` file."""
    from io import BytesIO

    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_preprocessing(path: Path, schema: Schema) -> Preprocessing:
    """Read the preprocessing that a team's model was trained with.

    Raises:
        BadPreprocessing: the file is no such JSON, or names a column that the data lack.
    """
    try:
        how = decode(Preprocessing, json.loads(path.read_text("utf-8")))
    except (ValueError, OSError, InputError) as error:
        raise BadPreprocessing(path.name, str(error)) from error
    for name in how.columns:
        if name not in schema:
            raise BadPreprocessing(path.name, f"the data have no column {name!r}")
    return how


__all__ = ["Asked", "TaskKind", "adopt", "ask", "features_of", "network_of", "request"]
