"""The user's own detector, in the convention of torchvision, among networks that answer tensors.

In training `forward(images, targets)` gives a dict of losses, each a scalar. In evaluation
`forward(images)` gives a list with a dict an image: `boxes` (m, 4) as x1, y1, x2, y2 in pixels,
`labels` (m,) from 1 on (0 is the background, which no object has), `scores` (m,) in (0, 1].
`images` are one tensor (n, channels, height, width), which is gone through as torchvision goes
through its list; `targets` is a list with a dict an image, `boxes` (m, 4) and `labels` (m,).

The network itself is given another `forward`, not put into a wrapper: its weights keep their names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules import batchnorm, dropout

from instar.core.data import BOX, InputSpec
from instar.core.errors import InputError
from instar.core.records import Network
from instar.models.predict import place_of

Tensor = torch.Tensor
_PARTS = ("boxes", "labels", "scores")
_MOST, _CLASSES = "objects_most", "objects_classes"


class NotADetector(InputError):
    """Refuse a network that does not speak as a detector does."""

    code = "input.not_a_detector"

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(wanted, got, "follow torchvision's detectors; see docs/tasks.md")


class OnlyImages(InputError):
    """Refuse features besides one image: the convention has no place for them."""

    code = "input.only_images"

    def __init__(self, inputs: InputSpec) -> None:
        got = f"{inputs.numbers} numbers and {len(inputs.categories)} categories"
        got += "" if inputs.image else ", and no image"
        super().__init__("one image and nothing else for a detector", got, "set data.features")


class Detecting(nn.Module):
    """Answer with one tensor, as every network here does."""

    objects_most: int
    objects_classes: int

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Find objects, (n, 100, 6); where labels (n, 100, 5) are told, give the losses, (k,)."""
        if labels is None:
            return packed(super().forward(images), self.objects_most, self.objects_classes)
        return told(super().forward(images, targets(labels)))


def refuse(network: Network, inputs: InputSpec) -> None:
    """Refuse what no detector can be given or have.

    Raises:
        OnlyImages: it would be given something else than images.
        NotADetector: a head is named.
    """
    if inputs.image is None or inputs.numbers or inputs.categories:
        raise OnlyImages(inputs)
    if network.head is not None:
        raise NotADetector("no `head` under network: no layer makes the answer", network.head)


def dress(module: nn.Module, inputs: InputSpec) -> None:
    """Let a detector of the user's answer as `Detecting`, in place."""
    own = type(module)
    module.__class__ = type(own.__name__, (Detecting, own), {})
    setattr(module, _MOST, inputs.objects)
    setattr(module, _CLASSES, inputs.outputs)
    setattr(module, "head_layer", "")  # noqa: B010  # no layer's output is the answer


def targets(labels: Tensor) -> list[dict[str, Tensor]]:
    """Turn labels (n, 100, 5) into the targets of torchvision: what fills up is left out.

    Example:
        >>> labels = torch.zeros(1, 100, 5)
        >>> labels[0, 0] = torch.tensor([1.0, 2.0, 5.0, 6.0, 3.0])
        >>> targets(labels)
        [{'boxes': tensor([[1., 2., 5., 6.]]), 'labels': tensor([3])}]
    """
    there = [row[row[:, BOX] > 0] for row in labels]
    return [{"boxes": row[:, :BOX], "labels": row[:, BOX].long()} for row in there]


def told(losses: Any) -> Tensor:
    """Lay the losses of a network side by side, (k,).

    Raises:
        NotADetector: they are no dict of scalars.
    """
    wanted = "a dict of losses, each a float tensor of shape (), from forward(images, targets)"
    if not isinstance(losses, Mapping) or not losses:
        raise NotADetector(wanted, f"a {type(losses).__name__}" if losses else "no loss")
    for name, value in losses.items():
        if not (isinstance(value, Tensor) and value.is_floating_point() and value.dim() == 0):
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise NotADetector(wanted, f"{name!r} of {shape}")
    return torch.stack(list(losses.values()))


def packed(found: Any, most: int, classes: int) -> Tensor:
    """Lay what was found out as (n, most, 6), the surest first: corners, class, score.

    The background, and labels that are none of the `classes`, are left out.

    Raises:
        NotADetector: it is no list of dicts with boxes, labels and scores.
    """
    if not isinstance(found, list | tuple) or not found:
        raise NotADetector(f"a list of dicts with {', '.join(_PARTS)} in evaluation", _kind(found))
    return torch.stack([_row(one, most, classes) for one in found])


def _row(one: Any, most: int, classes: int) -> Tensor:
    if not isinstance(one, Mapping) or any(name not in one for name in _PARTS):
        raise NotADetector(f"dicts with {', '.join(_PARTS)} in evaluation", _kind(one))
    boxes, labels, scores = (one[name] for name in _PARTS)
    shapes = [tuple(part.shape) if isinstance(part, Tensor) else None for part in one.values()]
    flat = boxes.dim() == 2 and boxes.shape[1] == BOX and labels.dim() == scores.dim() == 1
    if not flat:
        raise NotADetector("boxes (m, 4), labels (m,) and scores (m,)", f"shapes {shapes}")
    scores = scores.float().clamp(max=1.0)
    columns = [boxes.float(), labels[:, None].float(), scores[:, None]]
    rows = torch.cat(columns, dim=1)  # (m, 6)
    # What is no number stays none, so that it is seen.
    outside = (labels <= 0) | (labels > classes) | (scores <= 0)
    rows = torch.where(outside[:, None], 0.0, rows)
    # Filled up first, so that there are enough to choose from however few were found.
    rows = torch.cat([rows, rows.new_zeros(most, BOX + 2)])
    _, best = torch.topk(rows[:, -1], most)
    return rows[best]


def _kind(found: Any) -> str:
    if isinstance(found, Mapping):
        return f"a dict with {', '.join(map(str, found)) or 'nothing'}"
    return f"a {type(found).__name__}" if found is None or len(found) else "an empty list"


@contextlib.contextmanager
def listening(net: nn.Module) -> Iterator[None]:
    """Have a network tell its losses as in training while nothing of it moves.

    Dropout rests, normalisation uses what it has learnt, and random draws are the same each time.
    """
    before = [(part, part.training) for part in net.modules()]
    still = (batchnorm._BatchNorm, dropout._DropoutNd)  # noqa: SLF001  # they have no public names
    try:
        for part, _ in before:
            part.training = not isinstance(part, still)
        place = place_of(net)
        with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
            torch.manual_seed(0)
            yield
    finally:
        for part, training in before:
            part.training = training


def tried(module: nn.Module, images: Tensor) -> Tensor:
    """Try a detector on two images, one with an object and one without; give its answer.

    Raises:
        NotADetector: its losses cannot be learnt from.
    """
    labels = images.new_zeros(2, getattr(module, _MOST), BOX + 1)
    height, width = images.shape[2:]
    labels[0, 0] = images.new_tensor([0.0, 0.0, width / 2, height / 2, 1.0])
    with listening(module), torch.enable_grad():
        losses = module(images, labels)
    if not losses.requires_grad:
        raise NotADetector("losses that hang on the weights", "losses that know nothing of them")
    training = module.training
    with torch.no_grad():
        answer: Tensor = module.eval()(images)
    module.train(training)
    return answer
