"""Predictions by request id, and the true labels that join them late, twice or never."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from instar.core.tools import Labelled
from instar.serving.quality import Judged
from instar.tasks.form import Truth

_PREDICTIONS = 200_000  # predictions that wait for a label; the oldest go first
_LABELLED = 20_000  # labelled answers kept per version
_SCORES = 5_000  # scores kept per version, for drift

Joined = Literal["joined", "repeated", "changed", "unknown"]
JOINS: tuple[Joined, ...] = get_args(Joined)


@dataclass(slots=True)
class Prediction:
    """One answered row. `order` is its place among all labels, once it has one."""

    version: str
    generation: int
    scores: Sequence[float]
    label: Truth | None = None
    order: int = -1
    reported: bool = False


class Observations:
    """Keep what was answered until its label comes, bounded in number.

    Example:
        >>> seen = Observations()
        >>> seen.answered("flight 7", "model_v1", 3, [0.2, 0.8])
        >>> seen.label("flight 7", 1.0), seen.label("flight 7", 1.0), seen.label("flight 8", 0.0)
        ('joined', 'repeated', 'unknown')
    """

    def __init__(self) -> None:
        self.labels: Counter[str] = Counter()
        self._reports: Counter[tuple[str, int]] = Counter()
        self.judged: dict[str, Judged] = {}
        self._open: OrderedDict[str, Prediction] = OrderedDict()
        self._scores: dict[str, deque[Prediction]] = {}
        self._labelled: dict[str, deque[Prediction]] = {}
        self._order = 0

    def answered(self, name: str, version: str, generation: int, scores: Sequence[float]) -> None:
        """Keep one answered row; without a name no label can find it.

        A name that is answered again stands for its last answer.
        """
        prediction = Prediction(version, generation, scores)
        self._scores.setdefault(version, deque(maxlen=_SCORES)).append(prediction)
        if not name:
            return
        self._open.pop(name, None)
        self._open[name] = prediction
        if len(self._open) > _PREDICTIONS:
            self._open.popitem(last=False)

    def knows(self, name: str) -> bool:
        """Tell whether a label of that name would find its prediction."""
        return name in self._open

    def label(self, name: str, label: Truth) -> Joined:
        """Join a label with its prediction; a second, other label takes the first one's place."""
        outcome = self._join(name, label)
        self.labels[outcome] += 1
        if outcome == "joined":
            found = self._open[name]
            self.judged.setdefault(found.version, Judged()).add(found.scores, label)
        return outcome

    def _join(self, name: str, label: Truth) -> Joined:
        prediction = self._open.get(name)
        if prediction is None:
            return "unknown"
        if prediction.label is not None:
            same, prediction.label = prediction.label == label, label
            return "repeated" if same else "changed"
        prediction.label, prediction.order = label, self._order
        self._order += 1
        self._labelled.setdefault(prediction.version, deque(maxlen=_LABELLED)).append(prediction)
        return "joined"

    def report(self, name: str) -> Joined:
        """Count a complaint about an answer, once, for the version that gave it."""
        prediction = self._open.get(name)
        if prediction is None:
            return "unknown"
        if prediction.reported:
            return "repeated"
        prediction.reported = True
        self._reports[prediction.version, prediction.generation] += 1
        return "joined"

    def reports(self, since_generation: int = 0) -> dict[str, int]:
        """Count the complaints about each version's answers since a route."""
        found: Counter[str] = Counter()
        for (version, generation), count in self._reports.items():
            if generation >= since_generation:
                found[version] += count
        return dict(found)

    def labelled(self, version: str, since_generation: int = 0) -> Labelled:
        """List a version's answers that have a label, in label order."""
        chosen = _since(self._labelled.get(version, ()), since_generation)
        return Labelled(
            version=version,
            scores=[prediction.scores for prediction in chosen],
            labels=[0.0 if one.label is None else one.label for one in chosen],
            generations=[prediction.generation for prediction in chosen],
            order=[prediction.order for prediction in chosen],
        )

    def scores(self, version: str, since_generation: int = 0) -> list[Sequence[float]]:
        """List a version's scores, in the order they were given."""
        chosen = _since(self._scores.get(version, ()), since_generation)
        return [prediction.scores for prediction in chosen]


def _since(predictions: deque[Prediction] | tuple[()], generation: int) -> list[Prediction]:
    return [prediction for prediction in predictions if prediction.generation >= generation]
