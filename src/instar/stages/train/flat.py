"""All weights in one buffer and all gradients in another: a step is a handful of kernels.

On a network whose step takes half a millisecond, clearing, clipping and updating tensor by tensor
costs a third of it. The update rule sees one long tensor a group, so it has to work weight by
weight, as AdamW and SGD do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn


class Flat:
    """Move parameters into a buffer of their own; the network goes on using views of it.

    A parameter that the loss does not reach has a gradient of zero instead of none, so weight
    decay reaches it.

    Args:
        groups: Parameters, group by group; `tensors` holds one flat parameter for each, `weights`
            and `gradient` are all of them.
    """

    def __init__(self, groups: Sequence[Sequence[nn.Parameter]]) -> None:
        self.parameters = [parameter for group in groups for parameter in group]
        self.weights = torch.cat([p.detach().flatten() for p in self.parameters])
        self.gradient = torch.zeros_like(self.weights)
        self.views = _views(self.gradient, self.parameters)
        for parameter, data, view in zip(
            self.parameters, _views(self.weights, self.parameters), self.views, strict=True
        ):
            parameter.data, parameter.grad = data, view
        lengths = [sum(p.numel() for p in group) for group in groups]
        self.tensors = [nn.Parameter(part) for part in torch.split(self.weights, lengths)]
        for tensor, part in zip(self.tensors, torch.split(self.gradient, lengths), strict=True):
            tensor.grad = part

    def clear(self) -> None:
        """Set all gradients to zero."""
        self.gradient.zero_()

    @contextlib.contextmanager
    def standing_at(self, weights: torch.Tensor) -> Iterator[None]:
        """Let the network have other weights for a while."""
        before = self.weights.clone() if weights is not self.weights else weights
        with torch.no_grad():
            self.weights.copy_(weights)
            try:
                yield
            finally:
                self.weights.copy_(before)

    def clip(self, largest: float, norm: torch.Tensor) -> None:
        """Scale gradients down to a norm of `largest`; write the norm before into `norm`, ()."""
        for parameter, view in zip(self.parameters, self.views, strict=True):
            given = parameter.grad
            if given is not view and given is not None:  # a sparse one is not added in place
                view.copy_(given.to_dense())
                parameter.grad = view
        torch.linalg.vector_norm(self.gradient, out=norm)
        self.gradient.div_((norm / largest).clamp_(min=1.0))


def _views(buffer: torch.Tensor, parameters: Sequence[nn.Parameter]) -> list[torch.Tensor]:
    parts = torch.split(buffer, [parameter.numel() for parameter in parameters])
    return [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]
