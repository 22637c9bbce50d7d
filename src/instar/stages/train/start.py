"""Lay the ground of a training: the frames it reads, its rows as tensors, where it starts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl
import torch
from torch import nn

from instar.core.data import Preprocessing, Schema, Snapshot, Split
from instar.core.errors import NothingAdmitted
from instar.core.policy import DataSettings, TrainPolicy
from instar.core.records import Admission, ModelVersion, Request
from instar.core.tools import Tools
from instar.data import preprocessing as prepare
from instar.data import snapshot
from instar.data.split import sample
from instar.models import build, grow, predict, weights
from instar.models.strategies import Route
from instar.stages.train import rows
from instar.stages.train import sample as reservoir
from instar.stages.train.losses import Loss
from instar.stages.train.methods.part import Ground
from instar.stages.train.rows import Rows

_HELD = 5  # every fifth row of the replay sample is held back to choose on


@dataclass(frozen=True, slots=True)
class Start:
    """Everything a training begins with. `replay` is the old sample as a table, for the next one.

    `learn` are the rows gone through once an epoch.
    """

    net: nn.Module
    learn: Rows
    ground: Ground
    schema: Schema
    preprocessing: Preprocessing
    train: tuple[Snapshot, ...]
    replay: pl.DataFrame
    fresh: pl.DataFrame


def lay(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    *,
    loss: Loss,
    route: Route,
    policy: TrainPolicy,
    tools: Tools,
) -> Start:
    """Read what the training needs, and build its network.

    Preprocessing is fitted anew if the features changed; else the champion's goes on.

    Raises:
        NothingAdmitted: the data gate let nothing through.
        WeightsMismatch: the champion's weights do not fit the network any more.
    """
    split = _split(admission)
    train = (*champion.train, split.train)
    old = sum(part.rows for part in champion.train)
    fresh = snapshot.load(split.train, tools.artifacts)
    replay = reservoir.kept(champion, tools.artifacts, reservoir.size(old, policy), tools.seed)
    apart = _apart(replay, tools.seed) if route.start == "champion" else []
    held = replay[apart]
    learn = fresh
    if route.learn == "all":
        learn = _without(snapshot.load_all(train, tools.artifacts), held)
    schema, how = _preprocessing(request, champion, admission, learn)
    before = weights.read(tools.artifacts.read(champion.weights))
    build_anew = functools.partial(_network, request, how, tools)
    net = build_anew()
    if route.start == "champion":
        net, before = _going_on(net, before, request, champion, how, tools)
    same = set(request.features) == set(champion.preprocessing.columns)
    teach = functools.cache(lambda: _teacher(request, champion, how, tools) if same else None)
    learnt = rows.of(learn, how, request.task)
    kept = old_valid = None
    if apart:
        kept, old_valid = _old(champion, replay, apart, teach, tools)
        wanted = round(fresh.height * route.recipe.epochs * route.recipe.replay_ratio)
        everything = policy.memory == "all" and snapshot.there(champion.train, tools.artifacts)
        if everything and wanted > len(kept):
            kept = _drawn(champion, held, wanted, teach, tools)
    return Start(
        net=net,
        learn=learnt,
        ground=Ground(
            task=request.task,
            net=net,
            champion=before,
            anew=lambda: dict(build_anew().state_dict()),
            learn=learnt,
            valid=rows.of(snapshot.load(split.valid, tools.artifacts), how, request.task),
            replay=kept,
            old_valid=old_valid,
            teach=lambda part: _taught(part, teach()),
            loss=loss,
            seed=tools.seed,
        ),
        schema=schema,
        preprocessing=how,
        train=train,
        replay=replay,
        fresh=fresh,
    )


def _split(admission: Admission) -> Split:
    if admission.split is None:
        raise NothingAdmitted
    return admission.split


def _preprocessing(
    request: Request, champion: ModelVersion, admission: Admission, learn: pl.DataFrame
) -> tuple[Schema, Preprocessing]:
    before = champion.preprocessing
    if set(request.features) == set(before.columns):
        return champion.schema, before
    settings = DataSettings(
        features=request.features, encode="onehot" if before.onehot else "codes"
    )
    return admission.schema, prepare.fit(learn, admission.schema, settings)


def _network(request: Request, how: Preprocessing, tools: Tools) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(tools.seed)  # new weights are drawn while the network is built
        return build.build(
            request.network,
            how.inputs(request.task.outputs, dense=request.task.dense),
            tools.project,
        )


def _going_on(
    net: nn.Module,
    before: dict[str, torch.Tensor],
    request: Request,
    champion: ModelVersion,
    how: Preprocessing,
    tools: Tools,
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """Put the champion's weights into the network; its head grows where classes came new."""
    known, added = champion.task.outputs, request.task.outputs - champion.task.outputs
    if not added:
        weights.load(net, before)
        return net, before
    small = build.build(request.network, how.inputs(known, dense=request.task.dense), tools.project)
    weights.load(small, before)
    grown = grow.replace_head(small, [*range(known), *[None] * added])
    weights.load(net, {name: t.detach() for name, t in grown.state_dict().items()})
    return net, {name: t.detach().clone() for name, t in net.state_dict().items()}


def _teacher(
    request: Request, champion: ModelVersion, how: Preprocessing, tools: Tools
) -> nn.Module | None:
    """Make the champion's network again; None where the request's has another shape."""
    twin = build.build(
        request.network, how.inputs(champion.task.outputs, dense=champion.task.dense), tools.project
    )
    try:
        weights.load(twin, tools.artifacts.read(champion.weights))
    except weights.WeightsMismatch:
        return None
    return twin.eval()


def _taught(part: Rows, teacher: nn.Module | None) -> Rows:
    if teacher is None:
        return part
    return replace(part, teacher=torch.from_numpy(predict.logits(teacher, part.inputs)))


def _apart(replay: pl.DataFrame, seed: int) -> list[int]:
    """Choose the places of the replay sample that are held back; none where it is too small."""
    if replay.height < 2 * _HELD:
        return []
    order = torch.randperm(replay.height, generator=torch.Generator().manual_seed(seed))
    return order[: replay.height // _HELD].tolist()


def _without(frame: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Leave out the rows that are held back: what is chosen on must not be learnt from."""
    if held.is_empty():
        return frame
    same = held.cast({name: frame.schema[name] for name in held.columns})
    return frame.join(same, on=held.columns, how="anti", nulls_equal=True, maintain_order="left")


def _drawn(
    champion: ModelVersion,
    held: pl.DataFrame,
    wanted: int,
    teach: Callable[[], nn.Module | None],
    tools: Tools,
) -> Rows:
    """Draw as many old rows as a training will replay: none of them need come twice."""
    old = _without(snapshot.load_all(champion.train, tools.artifacts), held)
    drawn = sample(old, wanted, tools.seed)
    return _taught(rows.of(drawn, champion.preprocessing, champion.task), teach())


def _old(
    champion: ModelVersion,
    replay: pl.DataFrame,
    apart: list[int],
    teach: Callable[[], nn.Module | None],
    tools: Tools,
) -> tuple[Rows, Rows]:
    """Divide the replay sample: rows to train on, with the champion's logits, and to choose on."""
    old = rows.of(replay, champion.preprocessing, champion.task)
    answers = reservoir.stored_logits(champion, tools.artifacts, len(old))
    if answers is None:
        old = _taught(old, teach())
    else:
        old = replace(old, teacher=torch.from_numpy(answers))
    held = torch.zeros(len(old), dtype=torch.bool)
    held[apart] = True
    return old.take((~held).nonzero().flatten()), old.take(held.nonzero().flatten())
