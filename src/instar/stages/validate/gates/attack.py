"""How many right answers a small, aimed change of the input turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from instar.core.data import Preprocessing, TaskKind
from instar.core.finding import Finding, Interval, Verdict
from instar.core.policy import AttackRule, ValidatePolicy
from instar.data import preprocessing as prepare
from instar.models.tasks import lesson_of
from instar.stages.validate.evidence import Evidence
from instar.stats.bootstrap import bounded_share
from instar.stats.proportion import wilson
from instar.tasks import form_of

PUSH = 2.5  # total way of all steps, in radii, as in the source: enough to cross the ball


def attack(evidence: Evidence, policy: ValidatePolicy) -> tuple[Finding, ...]:
    """Attack rows that the bundle answers rightly with PGD, then ask the bundle again.

    The gradients are the trained network's. What counts is the bundle's answer to raw values that
    a client could send: numbers are scaled back, pixels rounded. Categories stay.

    Source:
        Madry et al. 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks".
    """
    how = evidence.candidate.preprocessing
    if not evidence.task.kind.judged or not (how.numbers or how.image):
        return ()  # nothing is right or wrong, or there is nothing to push
    rows, rule = evidence.fresh, policy.attack
    form, task = form_of(evidence.task), evidence.task
    right = np.flatnonzero(_any(form.right(rows.candidate, rows.labels, task)))
    chosen = np.random.default_rng(evidence.seed).permutation(right)[: rule.rows]
    if not len(chosen):
        return ()
    frame, labels = rows.frame[chosen], rows.labels[chosen]
    inputs = prepare.inputs(frame, how)
    moved = pgd(evidence.network(), inputs, labels, how, rule, evidence.seed, task.kind)
    columns = prepare.columns(frame, how) | raw(moved, how)
    before = form.right(rows.candidate[chosen], labels, task)
    lost = before & ~form.right(evidence.candidate.predict(columns), labels, task)
    if before.ndim == 1:
        interval = wilson(int(lost.sum()), len(chosen), policy.confidence)
    else:
        turned, right = (p.reshape(len(p), -1).sum(axis=1).astype(float) for p in (lost, before))
        interval = bounded_share(
            turned,
            right,
            resamples=policy.resamples,
            level=policy.confidence,
            seed=evidence.seed,
        )
    return (_finding(int(lost.sum()), int(before.sum()), rule, interval),)


def _any(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell in which rows any cell is set, (n,)."""
    return np.asarray(cells.reshape(len(cells), -1).any(axis=1))


def pgd(
    network: nn.Module,
    inputs: tuple[NDArray[Any], ...],
    labels: NDArray[Any],
    how: Preprocessing,
    rule: AttackRule,
    seed: int,
    kind: TaskKind,
) -> tuple[NDArray[Any], ...]:
    """Climb the loss within a box around the inputs, from a random point of it.

    Args:
        network: Called with the inputs; returns logits.
        inputs: Preprocessed, in the order of the InputSpec, each (n, ...).
        labels: Places in the task's classes, shape (n,).
        how: Tells numbers from one-hot places, and bounds the pixels.
        rule: Radius in units of the scaled inputs, and steps.
        seed: Of the start.
        kind: Tells the loss to climb.
    Returns:
        The inputs, with numbers and pixels moved by at most the radius.
    """
    clean = [torch.as_tensor(part) for part in inputs]
    lesson = lesson_of(kind)
    truth = lesson.labels(labels)
    masks = [_pushable(part, how) for part in clean]
    generator = torch.Generator().manual_seed(seed)
    moved = [
        part if mask is None else _box(part + _noise(part, rule, generator) * mask, part, how, rule)
        for part, mask in zip(clean, masks, strict=True)
    ]
    for _ in range(rule.steps):
        pushed = [part for part, mask in zip(moved, masks, strict=True) if mask is not None]
        for part in pushed:
            part.requires_grad_()
        with lesson.quiet(network):
            loss = lesson.cost(network, moved, truth)
        slopes = iter(torch.autograd.grad(loss, pushed))
        step = PUSH * rule.radius / rule.steps
        moved = [
            part
            if mask is None
            else _box((part + step * next(slopes).sign() * mask).detach(), start, how, rule)
            for part, start, mask in zip(moved, clean, masks, strict=True)
        ]
    return tuple(part.detach().numpy() for part in moved)


def _pushable(part: torch.Tensor, how: Preprocessing) -> torch.Tensor | None:
    """Mark what may move: scaled numbers and pixels, not codes and not one-hot places."""
    if not part.is_floating_point():
        return None
    if part.dim() == 4:
        return torch.ones(1)
    mask = torch.zeros(part.shape[1])
    mask[: len(how.numbers)] = 1
    return mask if how.numbers else None


def _noise(part: torch.Tensor, rule: AttackRule, generator: torch.Generator) -> torch.Tensor:
    return (2 * torch.rand(part.shape, generator=generator) - 1) * rule.radius


def _box(
    moved: torch.Tensor, clean: torch.Tensor, how: Preprocessing, rule: AttackRule
) -> torch.Tensor:
    moved = torch.clamp(moved, clean - rule.radius, clean + rule.radius)
    if how.image and clean.dim() == 4:
        ends = (how.image.shift, 255 * how.image.scale + how.image.shift)
        moved = moved.clamp(min(ends), max(ends))
    return moved


def raw(inputs: tuple[NDArray[Any], ...], how: Preprocessing) -> dict[str, NDArray[Any]]:
    """Turn a network's inputs back into the raw numbers and pixels that give them."""
    columns: dict[str, NDArray[Any]] = {}
    for place, number in enumerate(how.numbers):
        if number.scale:
            columns[number.name] = (inputs[0][:, place] - number.shift) / number.scale
    if image := how.image:
        pixels = np.rint((inputs[-1] - image.shift) / image.scale).clip(0, 255).astype(np.uint8)
        columns[image.name] = pixels[:, 0] if image.channels == 1 else np.moveaxis(pixels, 1, -1)
    return columns


def _finding(turned: int, n: int, rule: AttackRule, interval: Interval) -> Finding:
    share = turned / n
    passed = share <= rule.max
    return Finding(
        "attack",
        Verdict.PASS if passed else Verdict.FAIL,
        f"a change of at most {rule.radius:g} of the scaled inputs turns {share:.1%} of {n} right "
        "answers",
        measured=share,
        limit=rule.max,
        unit="share",
        interval=interval,
        n=n,
        passes_if="" if passed else f"at most {int(rule.max * n)} of these answers turn",
        enforced=rule.enforced,
    )
