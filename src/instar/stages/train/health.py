"""Judge the course of a training: whether it converged, fitted, exploded, vanished or diverged.

Each finding says in words what would mend it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from instar.core.data import Task
from instar.core.finding import Finding, Verdict
from instar.models.tasks import lesson_of
from instar.stages.train.losses import Loss
from instar.stages.train.run import Run

_POINTS = 100  # of a curve, at most
_BARS = 30  # of a picture: the layers with the smallest gradients
EXPLODING = 100.0  # largest gradient norm, in medians
VANISHING = 1e-6  # median gradient norm
OVERFIT = 0.25  # validation loss over training loss, less 1
DIVERGED = 1.5  # last training loss, in smallest ones
UNDERFIT = 0.95  # training loss, in that of the best constant answer
JUMP = 0.10  # change of the training loss in one late epoch, as a share
_ASKED = 10_000  # labels that a constant answer is judged on, about
_CELLS = 1_000_000  # or pixels
_LATE = 0.25  # share of the epochs that count as late


def findings(
    run: Run, train_loss: float, *, constant: float = math.inf, auc: float | None = None
) -> tuple[Finding, ...]:
    """Judge a run; only a broken one, or one that never improved, refuses the candidate.

    Args:
        train_loss: Loss of the best epoch's weights on training rows, in evaluation mode.
        constant: Loss of the best constant answer there.
        auc: Validation AUROC wanted, where the history's metric is one.
    """
    damaged = (_checkpoint(run),) if run.damaged else ()
    if not run.history:
        return (_untrained(), *damaged)
    if run.broken:
        return (_nan(run), _gradients(run), *damaged)
    course = [_convergence(run), _overfit(run, train_loss), _underfit(train_loss, constant)]
    course += [_divergence(run), *_late_jump(run), _gradients(run), *_layers(run)]
    course += [_auc(run, auc)] if auc is not None else []
    return (*course, *damaged)


def _untrained() -> Finding:
    return Finding("untrained", Verdict.PASS, "no step was made: the weights are the champion's")


def constant_loss(loss: Loss, labels: torch.Tensor, task: Task) -> float:
    """Find the least loss that an answer which is the same for all rows has.

    Exact for the shares of the classes, their most frequent one, the mean and the median; from
    there on by descent, as other losses need.

    Infinite where no answer can be the same for all rows.

    Args:
        labels: As in `Rows`, (n,) or (n, 1).
    Example:
        >>> from instar.core.data import TaskKind
        >>> from torch.nn import functional
        >>> labels = torch.tensor([[1.0], [3.0], [8.0]])
        >>> constant_loss(functional.mse_loss, labels, Task(TaskKind.REGRESSION, "y"))
        8.666666984558105
    """
    cells = math.ceil(labels.numel() / _CELLS)
    some = labels[:: max(cells, math.ceil(len(labels) / _ASKED))]
    lesson = lesson_of(task)
    if not (guesses := lesson.constants(some, task)):
        return math.inf

    def of(answer: torch.Tensor) -> torch.Tensor:
        return loss(lesson.spread(answer, some), some)

    answer = torch.nn.Parameter(guesses[0].clone())
    descent = torch.optim.LBFGS([answer], line_search_fn="strong_wolfe")

    def slope() -> torch.Tensor:
        answer.grad = None
        value = of(answer)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return value

    descent.step(slope)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    losses = [of(constant.detach()).item() for constant in (*guesses, answer)]
    return min(filter(math.isfinite, losses), default=math.inf)


def _checkpoint(run: Run) -> Finding:
    return Finding(
        "checkpoint",
        Verdict.FAIL,
        f"damaged by the disk and not used: {', '.join(run.damaged)}; the training went on from "
        "an earlier state, which gives the same weights",
        passes_if="a sound disk",
        enforced=False,
    )


def _nan(run: Run) -> Finding:
    return Finding(
        "nan_loss",
        Verdict.FAIL,
        f"the loss stopped being a number in step {run.broken_at} of epoch {run.epoch}, "
        f"on the rows {run.broken_batch}",
        measured=float(run.epoch),
        unit="epoch",
        passes_if="a lower train.lr or train.clip, or rows without extreme values",
        picture=_curves(run),
    )


def _convergence(run: Run) -> Finding:
    begun = run.best_epoch == 0 and run.best_loss < run.began  # by a head that was fitted first
    better = run.best_epoch > 0 or begun
    first = run.began if begun else run.first_loss
    return Finding(
        "convergence",
        Verdict.PASS if better else Verdict.FAIL,
        f"validation loss {_from(first)} to {run.best_loss:.4f}, "
        f"best {'before the first' if begun else f'after epoch {run.best_epoch}'} of {run.epoch}"
        if better
        else f"no epoch lowered the validation loss below {run.first_loss:.4f}, where it began",
        measured=run.best_loss,
        limit=first if math.isfinite(first) else None,
        unit="loss",
        passes_if="" if better else "more fresh rows or a lower train.lr; or keep the champion",
        picture=_curves(run),
    )


def _overfit(run: Run, train_loss: float) -> Finding:
    gap = run.best_loss / train_loss - 1 if train_loss > 0 else 0.0
    return _reported(
        "overfit",
        f"validation loss {run.best_loss:.4f} against {train_loss:.4f} on training rows",
        (gap, OVERFIT, "share of the training loss"),
        remedy="more rows, a higher train.weight_decay, a smaller network, or plan.strategy: grow "
        "with train.dropout: 0.3",
    )


def _underfit(train_loss: float, constant: float) -> Finding:
    known = math.isfinite(constant) and constant > 0
    return _reported(
        "underfit",
        f"loss {train_loss:.4f} on training rows"
        + (f" against {constant:.4f} of the best constant answer" if known else ""),
        (train_loss / constant if known else 0.0, UNDERFIT, "constant answers"),
        remedy="more epochs, a higher train.lr, a larger network (plan.strategy: grow with "
        "train.widen: 1.5 or train.deepen: 1), a lower train.weight_decay, "
        "train.l1 or train.l2, or features that say more",
    )


def _late_jump(run: Run) -> list[Finding]:
    """Look at each epoch of the last quarter beside the one before; one epoch has none."""
    losses = [epoch.loss for epoch in run.history]
    late = range(max(1, len(losses) - math.ceil(_LATE * len(losses))), len(losses))
    changes = {i + 1: losses[i] / max(1e-12, losses[i - 1]) - 1 for i in late}
    if not changes:
        return []
    epoch, change = max(changes.items(), key=lambda one: abs(one[1]))
    falls = change < 0
    finding = _reported(
        "late_jump",
        f"the training loss {'fell' if falls else 'rose'} by {abs(change):.0%} in epoch {epoch} "
        f"of {len(losses)}, the most in one of the last {len(changes)}",
        (abs(change), JUMP, "share of the loss before"),
        remedy="more train.epochs: it was still falling"
        if falls
        else "a lower train.lr or train.clip, or a larger train.batch",
    )
    return [finding]


def _auc(run: Run, wanted: float) -> Finding:
    found = run.history[run.best_epoch - 1].metric if run.best_epoch else run.first_metric
    good = found >= wanted
    if not math.isfinite(found):
        return Finding(
            "auc",
            Verdict.INCONCLUSIVE,
            "validation rows of one class have no AUROC",
            limit=wanted,
            unit="AUROC",
            passes_if="validation rows of both classes",
            enforced=False,
        )
    return Finding(
        "auc",
        Verdict.PASS if good else Verdict.FAIL,
        f"AUROC {found:.4f} on validation rows, {wanted:g} wanted",
        measured=found,
        limit=wanted,
        unit="AUROC",
        passes_if="" if good else "features that say more, more rows, or a lower train.auc",
        enforced=False,
    )


def _layers(run: Run) -> list[Finding]:
    """Judge the gradients layer by layer, as measured once an epoch."""
    names = run.layers[0] if run.layers else {}
    by_layer = {name or "the network": [norms[name] for norms in run.layers] for name in names}
    if not by_layer:
        return []
    medians = {name: statistics.median(norms) for name, norms in by_layer.items()}
    peaks = {name: _peak(norms, medians[name]) for name, norms in by_layer.items()}
    weakest, wildest = min(medians, key=medians.__getitem__), max(peaks, key=peaks.__getitem__)
    vanished = [name for name, median in medians.items() if median < VANISHING]
    shown = f"{', '.join(vanished[:5])}{' and others' if len(vanished) > 5 else ''}"
    finding = _reported(
        "layer_gradients",
        f"gradients vanish in {shown}: norm {medians[weakest]:.3g} in the median of the epochs"
        if vanished
        else f"gradient norm from {medians[weakest]:.3g} ({weakest}) in the median of the epochs; "
        f"at most {peaks[wildest]:.3g} medians ({wildest})",
        (VANISHING / max(medians[weakest], 1e-30), 1.0, "of the median")
        if vanished
        else (peaks[wildest], EXPLODING, "medians"),
        remedy="another activation (leaky_relu, gelu), initialisation he or orthogonal, norm batch "
        "or layer, or fewer layers"
        if vanished
        else "a lower train.clip or train.lr, or norm layer",
    )
    bars = sorted(medians.items(), key=lambda one: one[1])[:_BARS]
    items = [{"label": name, "value": _short(median)} for name, median in bars]
    picture = {"kind": "bars", "items": items, "limit": None, "unit": "gradient norm"}
    return [replace(finding, picture=picture)]


def _peak(norms: Sequence[float], median: float) -> float:
    """Measure the largest norm in medians; one too large for a number is infinite in any."""
    return max(norms) / max(1e-30, median) if math.isfinite(max(norms)) else math.inf


def _divergence(run: Run) -> Finding:
    losses = [epoch.loss for epoch in run.history]
    return _reported(
        "divergence",
        f"training loss ended at {losses[-1]:.4f}; its lowest was {min(losses):.4f}",
        (losses[-1] / max(1e-12, min(losses)), DIVERGED, "lowest losses"),
        remedy="a lower train.lr (the best epoch's weights were kept)",
    )


def _gradients(run: Run) -> Finding:
    norms = [norm for norm in run.norms if math.isfinite(norm)] or [0.0]
    median, largest = statistics.median(norms), max(norms)
    vanished = median < VANISHING
    ratio = largest / median if median and len(norms) == len(run.norms) else math.inf
    finding = _reported(
        "gradients",
        f"gradient norm {median:.3g} in the median, {largest:.3g} at most",
        (VANISHING / max(median, 1e-30), 1.0, "of the median")
        if vanished
        else (ratio, EXPLODING, "medians"),
        remedy="a higher train.lr, or units that saturate less"
        if vanished
        else "a lower train.lr or train.clip",
    )
    points = _thin(run.norms)
    picture = {
        "kind": "lines",
        "x": [index for index, _ in points],
        "series": [{"name": "gradient norm", "y": [_short(norm) for _, norm in points]}],
        "x_label": "step",
        "y_label": "norm",
    }
    return replace(finding, picture=picture)


def _reported(
    code: str, message: str, measure: tuple[float, float, str], *, remedy: str
) -> Finding:
    """Report a measured value, its limit and its unit; refuse nothing."""
    measured, limit, unit = measure
    good = measured <= limit
    return Finding(
        code,
        Verdict.PASS if good else Verdict.FAIL,
        message,
        measured=measured,
        limit=limit,
        unit=unit,
        passes_if="" if good else remedy,
        enforced=False,
    )


def _curves(run: Run) -> dict[str, Any]:
    history = _thin(run.history)
    return {
        "kind": "lines",
        "x": [epoch.epoch for _, epoch in history],
        "series": [
            {"name": "training", "y": [_short(epoch.loss) for _, epoch in history]},
            {"name": "validation", "y": [_short(epoch.valid_loss) for _, epoch in history]},
        ],
        "x_label": "epoch",
        "y_label": "loss",
    }


def _thin(values: Sequence[Any]) -> list[tuple[int, Any]]:
    every = max(1, math.ceil(len(values) / _POINTS))
    return list(enumerate(values))[::every]


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _from(loss: float) -> str:
    return f"from {loss:.4f}" if math.isfinite(loss) else "down"
