"""The plan: whether to update at all, how, and what it should bring and cost."""

from __future__ import annotations

from dataclasses import replace

from instar.core.errors import InputError
from instar.core.finding import worst
from instar.core.policy import PlanPolicy
from instar.core.records import (
    Admission,
    ModelVersion,
    Past,
    Plan,
    Request,
    Rungs,
)
from instar.core.tools import Tools
from instar.models.strategies import STRATEGIES, Case
from instar.models.threads import limited
from instar.stages.plan import evidence as gathering
from instar.stages.plan.evidence import Evidence
from instar.stages.plan.findings import findings
from instar.stages.plan.forecast import forecasts
from instar.stages.plan.ladder import climbed, ladder
from instar.stages.plan.layers import Looked, look
from instar.stages.plan.means import Means, means
from instar.stages.plan.past import corrected
from instar.stages.plan.probe import probe
from instar.stages.plan.resources import has_card, resources
from instar.stages.plan.rule import Facts, choose


def plan(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    past: Past,
    rungs: Rungs,
    *,
    policy: PlanPolicy,
    tools: Tools,
) -> Plan:
    """Choose a strategy by evidence, and say why.

    `keep` is a verdict of FAIL: the update as asked for is not worth it, and ends here with the
    champion untouched. A change of features or network leaves only `full`. Where a gate refused
    the candidate of the last plan, the next rung of its ladder is taken.

    Args:
        past: How earlier updates of this model came out.
        rungs: The plans of this update whose candidates were refused, with the verdicts.
    Raises:
        NotAllowed: the policy forces or forbids what the request rules out.
        UnknownName: the policy names a strategy that does not exist.
        InputError: the champion's network cannot be built and is not about to change.
    """
    if rungs:
        return climbed(rungs, policy, _members(request))
    changed = _changed(request, champion)
    if not changed:  # the champion's head may have been named since
        champion = replace(champion, network=request.network)
    with limited(1):  # steps are timed, and two threads on a busy machine can be slower than one
        tools.progress("plan", 0, 3, "reading rows")
        seen = _gathered(champion, admission, changed, policy, tools)
        tools.progress("plan", 1, 3, "looking into the champion")
        looked = look(seen) if seen else Looked()
        fallen = gathering.drop(seen) if seen else None
        tools.progress("plan", 2, 3, "probing")
        rate = gathering.exchange(seen) if seen and not changed else 1.0
        tried = probe(seen, champion.recipe) if seen and not changed else None
        net = seen.net if seen else None
        there = means(request, champion, admission, net, tools.artifacts)
        case = _case(request, champion, admission, there)
        anew = ("keep", *there.possible(("transfer",)), "full")
        allowed = dict.fromkeys((*policy.strategies, *({policy.strategy} & {*STRATEGIES})))
        names = there.possible(allowed) if not changed else anew
        card = has_card(tools.machine)
        expected = forecasts(seen, tried, case, names, policy, card=card) if seen else ()
        expected = tuple(corrected(one, past) for one in expected)
    by_name = {one.strategy: one for one in expected}
    rows = case.fresh + case.old
    facts = Facts(changed, there, tried, fallen, by_name, rows, rate)
    choice = choose(facts, policy)
    found = (
        *findings(choice, tried, fallen, looked, seen, past, policy),
        *resources(choice.strategy, expected, tools.machine),
    )
    tools.progress("plan", 3, 3, choice.strategy)
    return Plan(
        verdict=worst(found),
        findings=found,
        strategy=choice.strategy,
        reason=choice.reason,
        forecasts=expected,
        layers=looked.layers,
        then={} if changed else ladder(choice.strategy, there, by_name, policy, _members(request)),
    )


def _case(request: Request, champion: ModelVersion, admission: Admission, there: Means) -> Case:
    return Case(
        champion.recipe,
        fresh=_fresh(admission),
        old=sum(part.rows for part in champion.train),
        image=champion.preprocessing.image is not None,
        classes_added=len(there.added),
        ensemble=request.ensemble,
        networks=champion.network.ensemble.members if champion.network.ensemble else 1,
    )


def _members(request: Request) -> int:
    """Count the networks that a full training makes."""
    several = request.ensemble
    return several.count if several and not several.soup else 1


def _changed(request: Request, champion: ModelVersion) -> str:
    changes = []
    if strange := set(request.features) ^ set(champion.preprocessing.columns):
        changes.append(f"the features change ({', '.join(sorted(strange))})")
    if replace(request.network, head=champion.network.head) != champion.network:
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
