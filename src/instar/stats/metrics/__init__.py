"""The metric family: measures of quality that can be weighted, and so resampled."""

from __future__ import annotations

from dataclasses import replace

from numpy.typing import ArrayLike

from instar.core.data import Task, TaskKind
from instar.core.family import Family
from instar.stats.metrics.auroc import AUROC
from instar.stats.metrics.boxes import MAP, MAP50, MEAN_RECALL, OBJECT_F1
from instar.stats.metrics.calibration import ECE
from instar.stats.metrics.hits import ACCURACY, F1, PRECISION, RECALL, TOP5
from instar.stats.metrics.labels import (
    HAMMING_LOSS,
    MACRO_AUROC,
    MACRO_F1,
    MICRO_F1,
    SUBSET_ACCURACY,
)
from instar.stats.metrics.masks import MEAN_DICE, MEAN_IOU, PIXEL_ACCURACY
from instar.stats.metrics.metric import BadScores, Metric
from instar.stats.metrics.probabilities import BRIER, LOG_LOSS
from instar.stats.metrics.regression import MAE, MSE, R2
from instar.tasks import form_of

METRICS: Family[Metric] = Family(
    "metric",
    {
        "auroc": AUROC,
        "accuracy": ACCURACY,
        "top5": TOP5,
        "precision": PRECISION,
        "recall": RECALL,
        "f1": F1,
        "log_loss": LOG_LOSS,
        "brier": BRIER,
        "ece": ECE,
        "mse": MSE,
        "mae": MAE,
        "r2": R2,
        "macro_auroc": MACRO_AUROC,
        "macro_f1": MACRO_F1,
        "micro_f1": MICRO_F1,
        "subset_accuracy": SUBSET_ACCURACY,
        "hamming_loss": HAMMING_LOSS,
        "mean_iou": MEAN_IOU,
        "mean_dice": MEAN_DICE,
        "pixel_accuracy": PIXEL_ACCURACY,
        "map": MAP,
        "map50": MAP50,
        "mean_recall": MEAN_RECALL,
        "object_f1": OBJECT_F1,
    },
)


def primary(kind: TaskKind) -> str:
    """Name the metric that decides where a policy names none.

    Example:
        >>> primary(TaskKind.BINARY)
        'auroc'
    """
    return form_of(kind).metric


def fitting(task: Task) -> dict[str, Metric]:
    """List the metrics that fit a task, by name; where thresholds count, those of the task.

    Example:
        >>> list(fitting(Task(TaskKind.REGRESSION, "y")))
        ['mse', 'mae', 'r2']
    """
    return {
        name: replace(metric, prepare=metric.at(task.thresholds))
        if metric.at and task.thresholds
        else metric
        for name, metric in METRICS.items()
        if task.kind in metric.kinds
    }


def deciding(task: Task) -> Metric:
    """Find the metric that decides where a policy names none."""
    return fitting(task)[primary(task.kind)]


def score(name: str, scores: ArrayLike, labels: ArrayLike) -> float:
    """Measure by the name of a metric.

    Args:
        name: A member of the family.
        scores: Probabilities (n, k), or values (n, 1) of a regression.
        labels: Index of the true class (n,), or the value.
    Returns:
        The metric; NaN where the rows leave it undefined.
    Raises:
        UnknownName: there is no such metric.
        BadScores: scores and labels do not belong together.
    Example:
        >>> score("accuracy", [[0.2, 0.8], [0.9, 0.1]], [1, 1])
        0.5
    """
    return METRICS[name](scores, labels)


__all__ = ["METRICS", "BadScores", "Metric", "deciding", "fitting", "primary", "score"]
