"""Lay the ground of a training: the frames it reads, its rows as tensors, where it starts."""

from __future__ import annotations

from dataclasses import dataclass

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
from instar.models import build, predict, weights
from instar.stages.train import rows, sample
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
    scratch: bool,
    policy: TrainPolicy,
    tools: Tools,
) -> Start:
    """Read what the training needs, and build its network.

    With `scratch`, all rows there ever were are learnt from, by new weights; preprocessing is
    fitted anew if the features changed. Otherwise the champion's weights and preprocessing go on.

    Raises:
        NothingAdmitted: the data gate let nothing through.
        WeightsMismatch: the champion's weights do not fit the network any more.
    """
    split = _split(admission)
    train = (*champion.train, split.train)
    old = sum(part.rows for part in champion.train)
    fresh = snapshot.load(split.train, tools.artifacts)
    replay = sample.kept(champion, tools.artifacts, sample.size(old, policy), tools.seed)
    learn = snapshot.load_all(train, tools.artifacts) if scratch else fresh
    schema, how = _preprocessing(request, champion, admission, learn)
    net, before = _network(request, champion, how, scratch=scratch, tools=tools)
    valid = rows.of(snapshot.load(split.valid, tools.artifacts), how, request.task)
    kept, held = (None, None) if scratch else _taught(net, champion, replay, tools)
    return Start(
        net=net,
        learn=rows.of(learn, how, request.task),
        ground=Ground(request.task, before, valid, kept, held, loss),
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


def _network(
    request: Request,
    champion: ModelVersion,
    how: Preprocessing,
    *,
    scratch: bool,
    tools: Tools,
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    before = weights.read(tools.artifacts.read(champion.weights))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(tools.seed)  # new weights are drawn while the network is built
        net = build.build(request.network, how.inputs(request.task.outputs), tools.project)
    if not scratch:
        weights.load(net, before)
    return net, before


def _taught(
    net: nn.Module, champion: ModelVersion, replay: pl.DataFrame, tools: Tools
) -> tuple[Rows | None, Rows | None]:
    """Divide the replay sample: rows to train on, with the champion's logits, and to choose on."""
    if replay.height < 2 * _HELD:
        return None, None
    old = rows.of(replay, champion.preprocessing, champion.task)
    answers = sample.stored_logits(champion, tools.artifacts, len(old))
    answers = predict.logits(net, old.inputs) if answers is None else answers
    old = Rows(old.inputs, old.labels, torch.from_numpy(answers))
    shuffled = torch.randperm(len(old), generator=torch.Generator().manual_seed(tools.seed))
    held = len(old) // _HELD
    return old.take(shuffled[held:]), old.take(shuffled[:held])
