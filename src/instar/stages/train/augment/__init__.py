"""Augmentation: rows that are made of the fresh ones and learnt from beside them.

To add a kind, copy `flip.py` (for images) or `resample.py` (for any rows), add a line here, and
its name in `core.policy.AugmentRule`.
"""

from __future__ import annotations

from instar.core.family import Family
from instar.stages.train.augment.crop import crop
from instar.stages.train.augment.flip import flip
from instar.stages.train.augment.kind import Kind
from instar.stages.train.augment.resample import resample
from instar.stages.train.augment.rotate import rotate
from instar.stages.train.augment.scale import scale
from instar.stages.train.augment.synthesise import synthesise

KINDS: Family[Kind] = Family(
    "kind of augmentation",
    {
        "flip": flip,
        "rotate": rotate,
        "scale": scale,
        "crop": crop,
        "resample": resample,
        "synthesise": synthesise,
    },
)
