"""Where data and models come in: everything is looked at before anything is written.

`ask` turns fresh data into a Request; `adopt` turns a user's model into the first champion.
Whatever is unusable raises here, and the workspace stays as it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from instar import provenance
from instar.bundle import signature as oms
from instar.bundle.folder import read as read_small
from instar.bundle.folder import verify as verify_folder
from instar.bundle.runtime import ServedBundle
from instar.core.codec import decode
from instar.core.data import Kind, Preprocessing, Role, Schema, Snapshot, Task
from instar.core.digest import digest_bytes
from instar.core.errors import InputError, InstarError, UnknownName
from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy
from instar.core.records import Members, ModelVersion, Network, Pretrained, Request
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data.read import read_frame
from instar.data.schema import complete_task, conform, infer_schema
from instar.data.schema.infer import FILE_NAME
from instar.data.schema.tasks import labelled, target_of
from instar.data.snapshot import take
from instar.data.split import sample
from instar.models.build import build
from instar.models.predict import logits
from instar.models.pretrained import match
from instar.models.weights import State, load, save
from instar.policy import Project
from instar.stages.package import inspect, seal
from instar.stages.train import growth, learnt_elsewhere
from instar.stages.train.augment import fitness
from instar.stages.train.sample import keep, size
from instar.stats.metrics import fitting, primary
from instar.tasks import form_of

_WEIGHTS, _PREPROCESSING, _KEY = 16 << 30, 16 << 20, 1 << 16  # bytes, at most


class BadPreprocessing(InputError):
    """Refuse a preprocessing file that does not describe the columns."""

    code = "input.preprocessing"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            "a JSON file with `numbers` (name, fill, scale, shift) and `categories` (name, values)",
            f"{name}: {problem}",
            "see docs/adopt.md",
        )


class NoFeatures(InputError):
    """Refuse an update whose network would read nothing."""

    code = "input.no_features"

    def __init__(self) -> None:
        super().__init__("a column to learn from", "none: all are ignored", "see data.ignore")


class GraphForWeights(InputError):
    """Ask for weights where an ONNX graph was given: nobody can train it on."""

    code = "input.graph_for_weights"

    def __init__(self, name: str) -> None:
        super().__init__(
            "the network's weights as safetensors",
            f"{name}, a sound ONNX graph, which cannot be trained on",
            "save the state_dict that it was exported from: safetensors.torch.save_file",
        )


class LearntHoldout(InputError):
    """Refuse a holdout that the model learnt from."""

    code = "input.learnt_holdout"

    def __init__(self, shared: int, rows: int) -> None:
        super().__init__(
            "a holdout of rows that the model did not learn from",
            f"{shared} of {rows} rows that stand in the training rows, too",
            "give --holdout rows that were kept apart",
        )


class Unsealable(InputError):
    """Refuse a model whose bundle does not answer as the model does."""

    code = "input.unsealable"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            "a model that can be sealed", f"{name}: {problem}", "see docs/stages/package.md"
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is made of, before it has an id."""

    fresh: Snapshot
    task: Task
    network: Network
    features: tuple[str, ...]
    pretrained: Pretrained | None = None


def network_of(project: Project, root: Path) -> Network:
    """Describe the project's network, with the digest of the file it is written in."""
    if project.network.build is None:
        return project.network
    return replace(project.network, source=provenance.module(project.network.build, root))


def features_of(project: Project, schema: Schema) -> tuple[str, ...]:
    """List the columns that the next version shall read.

    Those the policy names; or the champion's, less those it now ignores, and with those it
    ignored before and no longer does.

    Raises:
        NoFeatures: every column is ignored.
    """
    settings = project.policy.data
    if settings.features:
        return settings.features
    known = schema.of(Role.FEATURE) + schema.of(Role.IGNORED)
    beside = (FILE_NAME,) if schema.of(Role.FEATURE, Kind.IMAGE) else ()  # never a feature
    ignored = {*settings.ignore, *beside}
    names = tuple(c.name for c in schema.columns if c in known and c.name not in ignored)
    if not names:
        raise NoFeatures
    return names


def ask(project: Project, champion: ModelVersion, source: Any, tools: Tools, name: str) -> Asked:
    """Read fresh data, hold them against the champion's schema, and keep a snapshot.

    Raises:
        InputError: the data cannot be used; nothing was written.
    """
    _refuse_metrics(project, champion.task)
    features = features_of(project, champion.schema)
    admit = project.policy.admit
    frame = conform(
        _without_ignored(read_frame(source), project, champion.schema),
        champion.schema,
        champion.task,
        features,
        unknown_category=admit.unknown_category,
        new_classes=admit.new_classes,
    )
    network = _going_on(network_of(project, tools.project), champion.network)
    grown = target_of(champion.task).grown(frame, champion.task)
    # The policy says from which probability on a label is given, and may say it anew.
    task = replace(grown, thresholds=project.task.thresholds)
    same = replace(network, head=champion.network.head) == champion.network
    if network.head is not None and set(features) == set(champion.preprocessing.columns):
        with torch.random.fork_rng(devices=[]):  # a wrong name is told before anything is written
            inputs = champion.preprocessing.spec(task)
            build(network.alone(), inputs, tools.project)
    if project.policy.plan.strategy == "grow" and same:
        growth.reshaped(champion, network, project.policy.train, tools)
    augment = project.policy.train.augment
    fitness.refuse(augment, task, champion.schema, features, frame)
    elsewhere = _elsewhere(project, champion, features, network, task, tools)
    snapshot = take(frame, champion.schema, tools.artifacts, name, champion.task.time)
    _keep_source(network, tools)
    return Asked(snapshot, task, network, features, _keep_elsewhere(elsewhere, tools))


def _refuse_metrics(project: Project, task: Task) -> None:
    """Tell of a metric that nobody knows before anything is trained for it."""
    known = fitting(task)
    for name in project.policy.validate.metrics:
        if name not in known:
            raise UnknownName(f"metric of a {task.kind.value} task", name, known)


def _without_ignored(frame: pl.DataFrame, project: Project, schema: Schema) -> pl.DataFrame:
    """Leave out columns that came new and that the policy ignores: the schema has none of them."""
    known = {column.name for column in schema.columns}
    return frame.drop([n for n in project.policy.data.ignore if n not in known], strict=False)


def _elsewhere(
    project: Project,
    champion: ModelVersion,
    features: tuple[str, ...],
    network: Network,
    task: Task,
    tools: Tools,
) -> tuple[str, State] | None:
    """Read the weights that `train.pretrained` names, and see that the network can take some.

    Where the features change, its shape is known only once they have been looked at.
    """
    named = project.policy.train.pretrained
    if named is None:
        return None
    path = tools.project / named
    found = learnt_elsewhere.read(read_small(path, _WEIGHTS), path.name)
    if set(features) == set(champion.preprocessing.columns):
        with torch.random.fork_rng(devices=[]):
            inputs = champion.preprocessing.spec(task)
            match(build(network.alone(), inputs, tools.project), found)
    return path.name, found


def _keep_elsewhere(found: tuple[str, State] | None, tools: Tools) -> Pretrained | None:
    if found is None:
        return None
    name, state = found
    return Pretrained(name, tools.artifacts.put(save(state)), len(state))


def _going_on(written: Network, champion: Network) -> Network:
    """Ask for the champion's network where it is an ensemble of the one that is written down.

    To name another head changes no network.
    """
    same = replace(champion, head=written.head)
    return same if same.alone() == written else written


def _keep_source(network: Network, tools: Tools) -> None:
    """Keep the file that a network is written in, so that an update can be run again."""
    if network.build is not None and network.source is not None:
        tools.artifacts.put_file(provenance.module_file(network.build, tools.project))


def request(asked: Asked, project: Project, champion: ModelVersion, **who: Any) -> Request:
    """Make the request that opens an update."""
    rule = project.policy.train.ensemble
    return Request(
        ensemble=Members(rule.kind, rule.members) if rule.kind != "none" else None,
        model=project.model,
        fresh=asked.fresh,
        task=asked.task,
        network=asked.network,
        features=asked.features,
        pretrained=asked.pretrained,
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
    signature: Path | None = None,
    keys: Sequence[Path] = (),
) -> ModelVersion:
    """Take over a model that serves already, as the first champion.

    Args:
        signature: The signature of the weights, or of the folder in which they lie.
        keys: The public keys that are trusted to have made it.
    Raises:
        InputError: weights, network or data do not fit each other; nothing was written.
        BadSignature: the weights are not what somebody trusted signed.
    """
    data = read_small(weights, _WEIGHTS)
    if signature is not None:
        vouched(weights, digest_bytes(data), signature, keys)
    if weights.suffix == ".onnx":
        inspect(data)
        raise GraphForWeights(weights.name)
    settings = project.policy.data
    frame = read_frame(train)
    task = complete_task(frame, project.task)
    schema = infer_schema(frame, task, settings)
    names = tuple(column.name for column in schema.features)
    _refuse_metrics(project, task)
    learnt = conform(frame, schema, task, names).filter(labelled(task))
    held = conform(read_frame(holdout), schema, task, names, unknown_category="other")
    held = held.filter(labelled(task))
    _refuse_learnt(learnt, held)
    prepared = (
        read_preprocessing(preprocessing, schema)
        if preprocessing
        else prepare.fit(learnt, schema, settings)
    )
    network = network_of(project, tools.project)
    module = build(network, prepared.spec(task), tools.project)
    load(module, data)
    sealed = seal(
        module,
        prepared,
        schema,
        task,
        version,
        learnt,
        held,
        tools=tools,
        policy=project.policy.package,
        notes={"adopted": weights.name},
    )
    for finding in sealed.findings:
        if finding.enforced and finding.verdict is not Verdict.PASS:
            raise Unsealable(weights.name, finding.message)
    replay = sample(learnt, size(learnt.height, project.policy.train), tools.seed)
    _keep_source(network, tools)
    answers = logits(module, prepare.inputs(replay, prepared))
    kept, kept_logits = keep(replay, answers, schema, task.time, tools.artifacts)
    told = dict.fromkeys((primary(task.kind), *form_of(task).live))  # what production is held to
    scores = ServedBundle.open(tools.artifacts, sealed.manifest).predict(
        prepare.columns(held, prepared)
    )
    truth = prepare.labels(held, task)
    return ModelVersion(
        name=version,
        task=task,
        network=network,
        schema=schema,
        preprocessing=prepared,
        weights=tools.artifacts.put(data),
        bundle=sealed,
        train=(take(learnt, schema, tools.artifacts, "train", task.time),),
        holdout=(take(held, schema, tools.artifacts, "holdout", task.time),),
        replay=kept,
        replay_logits=kept_logits,
        recipe=recipe_of(project.policy.train),
        metrics={name: fitting(task)[name](scores, truth) for name in told},
    )


def _refuse_learnt(learnt: pl.DataFrame, held: pl.DataFrame) -> None:
    """Refuse a holdout whose rows the model mostly learnt from: every comparison would rest on it.

    Rows of a coarse table agree by chance; about as often as training rows agree with each other.
    """
    shared = held.hash_rows().is_in(learnt.hash_rows().implode())
    if float(shared.mean() or 0.0) > 0.5 + float(learnt.hash_rows().is_duplicated().mean() or 0.0):  # type: ignore[arg-type] # floats
        raise LearntHoldout(int(shared.sum()), held.height)


def vouched(weights: Path, digest: str, signature: Path, keys: Sequence[Path]) -> None:
    """See that somebody trusted signed the weights: that file alone, or all of its folder.

    Args:
        digest: Of the bytes that were read; the file may be another one by now.
    Raises:
        BadSignature: a file is missing, extra or another; or the signature does not count.
        InputError: signature or keys are not there, or are no keys.
    """
    pems = [read_small(key, _KEY) for key in keys]
    data = read_small(signature, oms.LARGEST)
    beside = signature.absolute().parent == weights.absolute().parent
    own = signature.name if beside else ""
    wanted = oms.read(data, pems, own)
    if list(wanted) == [oms.SINGLE]:
        wanted = {weights.name: wanted[oms.SINGLE]}
    elif list(wanted) != [weights.name]:
        verify_folder(weights.absolute().parent, data, pems, own)
    oms.check({weights.name: digest}, {weights.name: wanted.get(weights.name, "no digest")})


def recipe_of(policy: TrainPolicy) -> dict[str, float]:
    """Take from the policy what is known of how the first champion was trained.

    A batch of all rows (0) says nothing about how many they were.
    """
    known = {"lr": policy.lr, "batch": policy.batch, "epochs": policy.full_epochs}
    return {name: float(value) for name, value in known.items() if value}


def read_preprocessing(path: Path, schema: Schema) -> Preprocessing:
    """Read the preprocessing that a team's model was trained with.

    Raises:
        BadPreprocessing: the file is no such JSON, or names a column that the data lack.
    """
    try:
        text = read_small(path, _PREPROCESSING).decode()
        how = decode(Preprocessing, json.loads(text, object_pairs_hook=_once))
    except InstarError as error:
        raise BadPreprocessing(path.name, f"{error.got} in place of {error.wanted}") from error
    except OSError as error:  # its own text tells the whole path
        raise BadPreprocessing(path.name, error.strerror or "unreadable") from error
    except RecursionError as error:
        raise BadPreprocessing(path.name, "lists in lists without end") from error
    except ValueError as error:
        raise BadPreprocessing(path.name, str(error)) from error
    if problem := next(_problems(how, schema), None):
        raise BadPreprocessing(path.name, problem)
    return how


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object with the same key twice")
    return value


def _problems(how: Preprocessing, schema: Schema) -> Iterator[str]:
    """Say where a preprocessing does not fit the columns that a network may read."""
    features = {column.name: column for column in schema.features}
    image = (how.image,) if how.image else ()
    parts = ((Kind.NUMBER, how.numbers), (Kind.CATEGORY, how.categories), (Kind.IMAGE, image))
    for kind, columns in parts:
        for column in columns:
            if column.name not in features:
                yield f"the data have no feature {column.name!r}"
            elif features[column.name].kind is not kind:
                yield f"{column.name!r} is a {features[column.name].kind.value}"
    if len(set(how.columns)) != len(how.columns) or not how.columns:
        yield "it names a column twice" if how.columns else "it names no column"
    for number in how.numbers:
        if not all(map(math.isfinite, (number.fill, number.scale, number.shift))):
            yield f"a figure of {number.name!r} is no finite number"
