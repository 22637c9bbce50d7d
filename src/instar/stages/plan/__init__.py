"""The plan: whether to update at all, how, and what it should bring and cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from instar.core.errors import InputError
from instar.core.finding import worst
from instar.core.policy import PlanPolicy
from instar.core.records import Admission, Layer, ModelVersion, Plan, Request
from instar.core.tools import Tools
from instar.models import analyse
from instar.models.surgery import NoHead
from instar.stages.plan import evidence as gathering
from instar.stages.plan.evidence import Evidence
from instar.stages.plan.findings import findings
from instar.stages.plan.forecast import forecasts
from instar.stages.plan.probe import Probe, probe
from instar.stages.plan.rule import choose

_ANALYSED = 2_048  # rows


def plan(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    *,
    policy: PlanPolicy,
    tools: Tools,
) -> Plan:
    """Choose a strategy by evidence, and say why.

    `keep` is a verdict of FAIL: the update as asked for is not worth it, and ends here with the
    champion untouched. A change of features or network leaves only `full`.

    Raises:
        NotAllowed: the policy forces or forbids what the request rules out.
        UnknownName: the policy names a strategy that does not exist.
        InputError: the champion's network cannot be built and is not about to change.
    """
    changed = _changed(request, champion)
    with _one_thread():
        tools.progress("plan", 0, 3, "reading rows")
        seen = _gathered(champion, admission, changed, policy, tools)
        tools.progress("plan", 1, 3, "looking into the champion")
        layers = _layers(seen) if seen else ()
        fallen = gathering.drop(seen) if seen else None
        tools.progress("plan", 2, 3, "probing")
        tried = _probed(seen) if seen and not changed else None
        rows = (_fresh(admission), sum(part.rows for part in champion.train))
        names = policy.strategies if not changed else ("keep", "full")
        expected = forecasts(seen, tried, champion.recipe, rows, names, policy) if seen else ()
    choice = choose(changed, tried, fallen, {f.strategy: f for f in expected}, policy)
    found = findings(choice, tried, fallen, layers, seen, policy)
    tools.progress("plan", 3, 3, choice.strategy)
    return Plan(
        verdict=worst(found),
        findings=found,
        strategy=choice.strategy,
        reason=choice.reason,
        forecasts=expected,
        layers=layers,
    )


def _changed(request: Request, champion: ModelVersion) -> str:
    changes = []
    if strange := set(request.features) ^ set(champion.preprocessing.columns):
        changes.append(f"the features change ({', '.join(sorted(strange))})")
    if request.network != champion.network:
        changes.append("the network changes")
    return " and ".join(changes)


def _gathered(
    champion: ModelVersion, admission: Admission, changed: str, policy: PlanPolicy, tools: Tools
) -> Evidence | None:
    try:
        return gathering.gather(champion, admission, policy, tools)
    except InputError:
        if changed:  # the function that built the champion may be gone, and need not stay
            return None
        raise


def _fresh(admission: Admission) -> int:
    return admission.split.train.rows if admission.split else 0


def _layers(seen: Evidence) -> tuple[Layer, ...]:
    return analyse.layers(seen.net, tuple(x[:_ANALYSED].numpy() for x in seen.fresh.inputs))


def _probed(seen: Evidence) -> Probe | None:
    try:
        return probe(seen)
    except NoHead:
        return None


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Time steps as one thread runs them: two on a busy machine can be slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
