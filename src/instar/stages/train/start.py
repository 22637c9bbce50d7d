"""Lay the ground of a training: the frames it reads, its rows as tensors, where it starts."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
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
from instar.models import build, grow, predict, weights
from instar.models.strategies import Route
from instar.models.weights import State
from instar.stages.train import reading as reader
from instar.stages.train import rows
from instar.stages.train import sample as reservoir
from instar.stages.train.losses import Loss
from instar.stages.train.methods.part import Ground
from instar.stages.train.reading import Reading
from instar.stages.train.rows import Rows
from instar.stages.train.stream import Stream

_HELD = 5  # every fifth row of the replay sample is held back to choose on


@dataclass(frozen=True, slots=True)
class Start:
    """Everything a training begins with. `replay` is the old sample as a table, for the next one.

    `learn` are the rows gone through once an epoch; where they do not fit into memory it is a draw
    of them, and `stream` reads them all. `reading` says how rows were read.
    """

    net: nn.Module
    learn: Rows
    ground: Ground
    schema: Schema
    preprocessing: Preprocessing
    train: tuple[Snapshot, ...]
    replay: pl.DataFrame
    reading: Reading
    stream: Stream | None = None

    @property
    def rows(self) -> int:
        """Count the rows of an epoch."""
        return self.stream.fresh if self.stream else len(self.learn)


def lay(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    *,
    loss: Loss,
    route: Route,
    policy: TrainPolicy,
    tools: Tools,
    seed: int | None = None,
    place: torch.device,
) -> Start:
    """Read what the training needs, and build its network on the device `place`.

    New weights are drawn by `seed`; which rows are read, and for what, is the update's own seed's.
    Preprocessing is fitted anew if the features changed; else the champion's goes on.

    Raises:
        NothingAdmitted: the data gate let nothing through.
        WeightsMismatch: the champion's weights do not fit the network any more.
    """
    split = _split(admission)
    train = (*champion.train, split.train)
    old = sum(part.rows for part in champion.train)
    everything = train if route.learn == "all" else (split.train,)
    reading = reader.plan(everything, champion.preprocessing, request.task, route, policy, tools)
    replay = reservoir.kept(champion, reading, reservoir.size(old, policy))
    apart = _apart(replay, tools.seed) if route.start == "champion" else []
    held = replay[apart]
    learn = reading.table(*everything)
    if route.learn == "all":
        learn = reader.without(learn, held)
    schema, how = _preprocessing(request, champion, admission, learn)
    before = weights.read(tools.artifacts.read(champion.weights))
    seed = tools.seed if seed is None else seed
    build_anew = functools.partial(_network, request, how, tools, seed)
    net = build_anew()
    if route.start == "champion":
        net, before = _going_on(net, before, request, champion, how, tools)
    net = net.to(place)
    same = set(request.features) == set(champion.preprocessing.columns)
    teach = functools.cache(
        lambda: _teacher(request, champion, how, tools, place) if same else None
    )
    learnt = rows.of(learn, how, request.task)
    streams = reading.cap is not None and route.fit == "steps"
    kept = old_valid = None
    if apart:
        kept, old_valid = _old(champion, replay, apart, teach, tools)
        wanted = round(split.train.rows * route.recipe.epochs * route.recipe.replay_ratio)
        there = policy.memory == "all" and snapshot.there(champion.train, tools.artifacts)
        if there and wanted > len(kept):
            drawn = reading.drawn(champion.train, wanted, held)
            kept = _taught(rows.of(drawn, champion.preprocessing, champion.task), teach())
    return Start(
        net=net,
        learn=learnt,
        ground=Ground(
            task=request.task,
            net=net,
            champion=before,
            anew=lambda: dict(build_anew().state_dict()),
            learn=learnt,
            valid=rows.of(reading.table(split.valid), how, request.task),
            replay=kept,
            old_valid=old_valid,
            teach=lambda part: _taught(part, teach()),
            loss=loss,
            seed=seed,
            unlabelled=_unlabelled(split, how, reading),
            pretrained=_elsewhere(request, tools),
            preprocessing=how,
        ),
        schema=schema,
        preprocessing=how,
        train=train,
        replay=replay,
        reading=reading,
        stream=_stream(reading, everything, held, how, request, route) if streams else None,
    )


def _elsewhere(request: Request, tools: Tools) -> Callable[[], State] | None:
    given = request.pretrained
    if given is None:
        return None
    return lambda: weights.read(tools.artifacts.read(given.weights))


def _stream(
    reading: Reading,
    everything: Sequence[Snapshot],
    held: pl.DataFrame,
    how: Preprocessing,
    request: Request,
    route: Route,
) -> Stream:
    apart = held if route.learn == "all" else held.clear()
    return reading.stream(everything, apart, how, request.task)


def _split(admission: Admission) -> Split:
    if admission.split is None:
        raise NothingAdmitted
    return admission.split


def _unlabelled(
    split: Split, how: Preprocessing, reading: Reading
) -> tuple[torch.Tensor, ...] | None:
    if split.unlabelled is None:
        return None
    return predict.tensors(prepare.inputs(reading.table(split.unlabelled), how))


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


def _network(request: Request, how: Preprocessing, tools: Tools, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # new weights are drawn while the network is built
        return build.build(
            request.network,
            how.spec(request.task),
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
    request: Request,
    champion: ModelVersion,
    how: Preprocessing,
    tools: Tools,
    place: torch.device,
) -> nn.Module | None:
    """Make the champion's network again; None where the request's has another shape."""
    network = replace(request.network, ensemble=champion.network.ensemble)
    inputs = how.spec(champion.task)
    twin = build.build(network, inputs, tools.project)
    try:
        weights.load(twin, tools.artifacts.read(champion.weights))
    except weights.WeightsMismatch:
        return None
    return twin.eval().to(place)


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
