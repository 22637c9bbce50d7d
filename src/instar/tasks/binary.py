"""Yes or no."""

from __future__ import annotations

import numpy as np

from instar.tasks.form import Floats, Form, sigmoid


class Binary(Form):
    """One logit, that of the second class; scores are [1 - p, p]."""

    metric = "auroc"
    losses = ("bce", "hinge", "focal")
    live = ("accuracy", "auroc")
    qualities = ("brier", "accuracy", "auroc")
    meaning = "the probabilities of {classes}"

    def scores(self, logits: Floats) -> Floats:
        return np.concatenate([sigmoid(-logits), sigmoid(logits)], axis=1)
