"""Network families: `build(inputs, **options) -> nn.Module`, one a file.

To add one, copy `mlp.py` and add a line here.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from instar.core.family import Family
from instar.models.families.cnn import CNN
from instar.models.families.mlp import MLP
from instar.models.families.rnn import RNN
from instar.models.families.transformer import Transformer

NETWORKS: Family[Callable[..., nn.Module]] = Family(
    "network", {"mlp": MLP, "cnn": CNN, "rnn": RNN, "transformer": Transformer}
)
