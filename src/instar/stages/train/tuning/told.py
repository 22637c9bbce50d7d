"""Tell what a tuning came to, as a finding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from instar.core.finding import Finding, Verdict
from instar.core.records import Network, Trial, TrialState
from instar.core.space import Value

CODE = "tuning"
_WHAT = "loss, in the champion's"


def nothing(strategy: str) -> Finding:
    """Say that the strategy has no settings that trials could tell apart."""
    message = f"{strategy} makes no gradient steps, so there was nothing to try"
    return Finding(CODE, Verdict.PASS, message, enforced=False)


def found(
    trials: Sequence[Trial],
    best: Trial | None,
    own: Trial | None,
    *,
    rows: int,
    sides: int,
    network: Network | None,
) -> Finding:
    """Say which trial was the best, and how much better than the strategy's own settings.

    Args:
        own: The trial with the strategy's own settings, where there was one.
        rows: How many validation rows the trials were judged on.
        sides: 1 where these are fresh ones only, 2 with old ones.
        network: The one that was found, where another was asked for.
    """
    ended = ", ".join(
        f"{sum(trial.state is state for trial in trials)} {word}"
        for state, word in _WORDS.items()
        if any(trial.state is state for trial in trials)
    )
    if best is None or best.value is None:
        message = f"no trial came to an end ({ended}): the strategy's own settings were taken"
        remedy = "a space nearer to the strategy's own settings"
        return Finding(CODE, Verdict.FAIL, message, passes_if=remedy, enforced=False)
    message = f"trial {best.number + 1} of {len(trials)} ({ended}) has the least loss on "
    message += "validation rows, fresh and old" if sides > 1 else "fresh validation rows"
    message += f", {best.value:.4f} in units of the champion's{' on each' * (sides > 1)}: "
    message += said(best.settings)
    if own is not None and own.value is not None and own is not best:
        message += f"; the strategy's own settings have {own.value:.4f}"
    if network is not None:
        options = json.dumps(dict(network.options))
        message += f"; write the options {options} beside `network` in instar.yaml to keep them"
    return Finding(
        CODE,
        Verdict.PASS,
        message,
        measured=best.value,
        unit=_WHAT,
        n=rows,
        enforced=False,
        picture=_picture(trials),
    )


_WORDS = {
    TrialState.COMPLETE: "to the end",
    TrialState.PRUNED: "given up early",
    TrialState.FAILED: "failed",
}


def said(settings: Mapping[str, Value]) -> str:
    """Write settings in a line.

    Example:
        >>> said({"lr": 0.00123456, "batch": 128, "network.hidden": [64, 64]})
        'lr 0.001235, batch 128, network.hidden [64, 64]'
    """
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in settings.items()
    )


def _picture(trials: Sequence[Trial]) -> Mapping[str, object]:
    best: list[float | None] = []
    values: list[float | None] = []
    least: float | None = None
    for trial in trials:
        whole = trial.state is TrialState.COMPLETE and trial.value is not None
        value = float(f"{trial.value:.4g}") if whole else None
        if value is not None and (least is None or value < least):
            least = value
        best.append(least)
        values.append(value)
    return {
        "kind": "lines",
        "x": [trial.number + 1 for trial in trials],
        "series": [{"name": "best so far", "y": best}, {"name": "trial", "y": values}],
        "x_label": "trial",
        "y_label": _WHAT,
    }
