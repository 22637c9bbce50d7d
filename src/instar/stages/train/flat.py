"""All weights in one buffer and all gradients in another: a step is a handful of kernels.

On a network whose step takes half a millisecond, clearing, clipping and updating tensor by tensor
costs a third of it. The update rule sees one long tensor a group, so it has to work weight by
weight, as AdamW and SGD do. Penalties on all weights work on the whole buffer, too.
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
        if weights is self.weights:
            yield
            return
        before = self.weights.clone()
        with torch.no_grad():
            self.weights.copy_(weights)
            try:
                yield
            finally:
                self.weights.copy_(before)

    def gather(self) -> None:
        """Fetch gradients that are not added in place, as sparse ones are not."""
        for parameter, view in zip(self.parameters, self.views, strict=True):
            given = parameter.grad
            if given is not view and given is not None:
                view.copy_(given.to_dense())
                parameter.grad = view

    def norms(self) -> list[float]:
        """Measure the gradient's norm parameter by parameter."""
        return torch.stack([torch.linalg.vector_norm(view) for view in self.views]).tolist()

    def penalise(self, l1: float, l2: float) -> None:
        """Add the gradient of l1 sum |w| + l2 sum w^2 / 2; both together are the elastic net.

        Source:
            Zou and Hastie 2005, "Regularization and variable selection via the elastic net".
        """
        if l2:
            self.gradient.add_(self.weights, alpha=l2)
        if l1:
            self.gradient.add_(self.weights.sign(), alpha=l1)

    def pull(self, place: torch.Tensor, worth: torch.Tensor) -> None:
        """Add the gradient of sum worth (w - place)^2 / 2; both are (w,), for all layers."""
        self.gradient.addcmul_(self.weights - place, worth)

    def clip(self, largest: float, norm: torch.Tensor) -> None:
        """Scale gradients down to a norm of `largest`; write the norm before into `norm`, ()."""
        torch.linalg.vector_norm(self.gradient, out=norm)
        # A look at the norm costs less than scaling by 1; only on a card one would have to wait.
        if norm.is_cpu and norm.item() <= largest:
            return
        self.gradient.div_((norm / largest).clamp_(min=1.0))


def _views(buffer: torch.Tensor, parameters: Sequence[nn.Parameter]) -> list[torch.Tensor]:
    parts = torch.split(buffer, [parameter.numel() for parameter in parameters])
    return [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]
