"""The champion in another shape, as the strategy `grow` begins with it."""

from __future__ import annotations

import json
from dataclasses import replace

from instar.core.finding import Finding, Verdict
from instar.core.policy import TrainPolicy
from instar.core.records import ModelVersion, Network
from instar.core.tools import Tools
from instar.models import build, weights
from instar.models.reshape import Change, Reshaped, reshape


def reshaped(
    champion: ModelVersion, network: Network, policy: TrainPolicy, tools: Tools
) -> tuple[Reshaped, int]:
    """Give the champion's network the shape that the policy asks for; count its weights before.

    Raises:
        NotReshapable: its family cannot have it, or it is the user's own.
        NotGrowable: its answers would change.
    """
    inputs = champion.preprocessing.spec(champion.task)
    net = build.build(network, inputs, tools.project)
    weights.load(net, tools.artifacts.read(champion.weights))
    change = Change(policy.widen, policy.deepen, policy.dropout)
    made = reshape(network, net, inputs, change, tools.project, tools.seed)
    return made, sum(p.numel() for p in net.parameters())


def grown(
    champion: ModelVersion, network: Network, policy: TrainPolicy, tools: Tools
) -> tuple[ModelVersion, Finding]:
    """Put the champion's network into its new shape, for a training to go on from."""
    made, before = reshaped(champion, network, policy, tools)
    kept = tools.artifacts.put(weights.save(made.state))
    options = json.dumps(dict(made.network.options))
    return replace(champion, network=made.network, weights=kept), Finding(
        "grow",
        Verdict.PASS,
        f"the network grew from {before:,} to {made.weights:,} weights and began with the "
        f"champion's answers; write the options {options} beside `network` in instar.yaml to "
        "keep them",
        measured=made.weights / before,
        unit="times the weights",
        enforced=False,
    )
