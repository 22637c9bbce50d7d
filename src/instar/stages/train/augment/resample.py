"""Resample: rows once more, as they are."""

from __future__ import annotations

import torch

from instar.stages.train.augment.kind import EVERY, Draw, Kind, Pool
from instar.stages.train.rows import Rows


def again(pool: Pool) -> Draw:
    """Take the rows themselves."""
    bare = Rows(pool.rows.inputs, pool.rows.labels)

    def draw(places: torch.Tensor, random: torch.Generator) -> Rows:
        return bare.take(places)

    return draw


resample = Kind("nothing", EVERY, make=again)
"""
Source:
    Japkowicz and Stephen 2002, "The Class Imbalance Problem: A Systematic Study"; with networks,
    Buda, Maki and Mazurowski 2018, "A systematic study of the class imbalance problem in
    convolutional neural networks".
"""
