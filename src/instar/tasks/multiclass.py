"""One class out of several."""

from __future__ import annotations

from instar.tasks.form import Floats, Form, softmax


class Multiclass(Form):
    """A logit a class; scores are their softmax."""

    metric = "accuracy"
    losses = ("cross_entropy", "hinge", "focal")
    meaning = "a probability for each of {classes}"

    def scores(self, logits: Floats) -> Floats:
        return softmax(logits)
