"""The recurrent network: an image row by row, or numbers in equal time steps."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from instar.core.data import InputSpec
from instar.core.errors import InputError
from instar.core.family import Family
from instar.models.families.mlp import Embeddings
from instar.models.options import count, share

CELLS: Family[type[nn.LSTM | nn.GRU]] = Family("cell", {"lstm": nn.LSTM, "gru": nn.GRU})
"""Hochreiter and Schmidhuber 1997; Cho et al. 2014."""


class NoSequence(InputError):
    """Refuse a recurrent network where nothing arrives in time steps."""

    code = "input.no_sequence"

    def __init__(self, got: str) -> None:
        super().__init__(
            "an image, read row by row, or numbers in `steps` equal time steps",
            got,
            "correct `steps`, or use the family mlp",
        )


class RNN(nn.Module):
    """Read a sequence with an LSTM or GRU; its last state goes on to the head.

    An image is read row by row, all channels of a row at once; without one, the numbers are read
    as `steps` time steps of neighbouring columns, one column each where `steps` is not given.
    Categories, and the numbers beside an image, join the last state.

    `hidden` is the width of the state, `layers` how many stand on each other, `dropout` a
    fraction in [0, 1) between them and before the head.

    Example:
        >>> net = RNN(InputSpec(numbers=12, categories=(4,)), cell="gru", steps=4, hidden=8)
        >>> net(torch.zeros(2, 12), torch.zeros(2, 1, dtype=torch.int64)).shape
        torch.Size([2, 1])
    """

    def __init__(
        self,
        inputs: InputSpec,
        cell: str = "lstm",
        hidden: int = 64,
        layers: int = 1,
        steps: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.steps = _steps(inputs, steps)
        self.cells = CELLS[cell](
            _width(inputs, self.steps),
            count("hidden", hidden),
            count("layers", layers),
            batch_first=True,
            dropout=share("dropout", dropout) if layers > 1 else 0.0,
        )
        self.embeddings = Embeddings(inputs.categories)
        self.dropout = nn.Dropout(share("dropout", dropout))
        beside = inputs.numbers if inputs.image else 0
        self.head = nn.Linear(hidden + beside + self.embeddings.width, inputs.outputs)

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        rest = list(parts)
        numbers = [rest.pop(0)] if self.inputs.numbers else []  # (n, numbers)
        joined = [self.embeddings(rest.pop(0))] if self.inputs.categories else []
        if rest:
            sequence = rest[0].transpose(1, 2).flatten(2)  # (n, height, channels * width)
            joined = [*numbers, *joined]
        else:
            columns = self.cells.input_size
            sequence = numbers[0].reshape(-1, self.steps, columns)  # (n, steps, columns)
        states, _ = self.cells(sequence)  # (n, steps, hidden)
        x = torch.cat([states[:, -1], *joined], dim=1)  # (n, width)
        return cast(torch.Tensor, self.head(self.dropout(x)))  # (n, outputs)


def _steps(inputs: InputSpec, steps: int | None) -> int:
    if inputs.image:
        if steps is not None:
            raise NoSequence(f"{steps} steps beside an image, which has one for each row")
        return inputs.image[1]
    if not inputs.numbers:
        raise NoSequence("neither")
    steps = inputs.numbers if steps is None else count("steps", steps)
    if inputs.numbers % steps:
        raise NoSequence(f"{inputs.numbers} numbers in {steps} steps")
    return steps


def _width(inputs: InputSpec, steps: int) -> int:
    """Count the values that arrive in one time step."""
    return inputs.image[0] * inputs.image[2] if inputs.image else inputs.numbers // steps
