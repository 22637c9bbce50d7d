"""What there is to make a successor with: rows, weights, and the shape of the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from instar.core.records import Admission, ModelVersion, Request
from instar.core.tools import Artifacts
from instar.data import snapshot
from instar.models import statistics, surgery
from instar.models.build import example
from instar.models.strategies import STRATEGIES, Need


@dataclass(frozen=True, slots=True)
class Means:
    """Say what is at hand.

    `there` are the needs that are met; `added` the new classes; `dense` names the network's dense
    layers.
    """

    there: frozenset[Need]
    added: tuple[str, ...] = ()
    dense: tuple[str, ...] = ()

    def lacks(self, name: str) -> tuple[Need, ...]:
        """List what a strategy needs and does not find."""
        return tuple(need for need in STRATEGIES[name].needs if need not in self.there)

    def possible(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in names if not self.lacks(name))


def means(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    net: nn.Module | None,
    artifacts: Artifacts,
) -> Means:
    """Look at what there is; without a network its shape meets no need."""
    train = snapshot.there(champion.train, artifacts)
    kept = champion.replay is not None and snapshot.there((champion.replay,), artifacts)
    met = {Need.OLD: train, Need.SAMPLE: train or kept}
    met[Need.PRETRAINED] = (
        request.pretrained is not None and request.pretrained.weights in artifacts
    )
    met[Need.FAMILY] = request.network.family is not None
    if net is not None:
        met[Need.HEAD] = _has_head(net, champion)
        met[Need.STATISTICS] = bool(statistics.layers(net))
        met[Need.ATTENTION] = any("attention" in type(m).__name__.lower() for m in net.modules())
    added = tuple(c for c in request.task.classes if c not in champion.task.classes)
    there = frozenset(need for need, there in met.items() if there)
    return Means(there, added, surgery.dense(net) if net is not None else ())


def _has_head(net: nn.Module, champion: ModelVersion) -> bool:
    """Try it: a dense layer that is declared last need not make the answer."""
    inputs = champion.preprocessing.spec(champion.task)
    try:
        surgery.features(net, example(inputs))
    except surgery.NoHead:
        return False
    return True
