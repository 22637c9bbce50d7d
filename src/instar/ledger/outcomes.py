"""How the earlier updates of a model came out against their forecasts."""

from __future__ import annotations

import math

from instar.core.records import Bundle, Outcome, Past, Plan, Request, Training, Validation
from instar.core.update import State, Update, replay
from instar.ledger.journal import Journal

MOST = 20  # updates looked back on


def outcomes(journal: Journal, request: Request) -> Past:
    """Gather those judged before the request, oldest first, at most 20.

    Updates that never reached the gates are left out.
    """
    own = journal.entries(update=request.update, limit=1)
    before = own[0].seq if own else math.inf
    judged = journal.entries(model=request.model, kind="validation")
    names = dict.fromkeys(entry.update for entry in judged if entry.seq < before and entry.update)
    found = (outcome(replay(journal.entries(update=name))) for name in list(names)[-MOST:])
    return tuple(one for one in found if one is not None)


def outcome(update: Update) -> Outcome | None:
    """Hold an update's last candidate against the forecast for it, and against its others."""
    plan, training = update.get(Plan), update.get(Training)
    validation = update.get(Validation)
    if plan is None or training is None or validation is None:
        return None
    forecast = next((f for f in plan.forecasts if f.strategy == plan.strategy), None)
    if forecast is None:
        return None
    gain, *others = (
        judged.measured("metrics:") or 0.0  # the first is the primary metric
        for judged in (validation, *(rung.validation for rung in update.rungs))
    )
    trials, bundle = max(1, len(training.trials)), update.get(Bundle)  # each costs about the same
    return Outcome(
        update=update.request.update,
        forecast=forecast,
        gain=gain,
        forgetting=-(validation.measured("forgetting") or 0.0),
        flips=validation.measured("flips:fresh") or 0.0,
        cpu_s=training.cost.cpu_s / trials,
        regret=max(0.0, gain, *others) - gain,
        wall_s=training.cost.wall_s / trials,
        peak_bytes=training.cost.peak_bytes,
        gpu_s=training.cost.gpu_s / trials,
        score=_score(validation),
        version=bundle.version if bundle and update.state is State.PROMOTED else "",
    )


def _score(validation: Validation) -> float | None:
    """Read the candidate's primary metric, which the first finding on metrics is about."""
    codes = (finding.code.partition(":") for finding in validation.findings)
    name = next((name for kind, _, name in codes if kind == "metrics"), "")
    return validation.candidate.get(name)
