"""How many requests the gates of a release take to put a bad candidate out, and a good one.

No sockets: the counts are drawn by chance and shown to the gates that a release asks, which
decide by the table that a release decides by. So these figures do not depend on the machine.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.figures import Figure, Given
from instar.core.policy import ReleasePolicy, StepRule
from instar.core.records import Phase
from instar.core.tools import Served, Stretch
from instar.stages.release.evidence import Answers, Evidence, Together, Window
from instar.stages.release.gates import ALPHA, GATES, look
from instar.stages.release.phases import Action, decide, event, judge

SHARE, GOOD, BAD = 0.1, 0.01, 0.05
LOOK = 100  # requests between two looks: a tick of one second at 100 a second
HEALTHY, LENGTH = 600, 30_000  # runs, and requests of each
SICK, PATIENCE = 300, 20_000
SLOW = 0.004  # share of answers over the limit of 200 ms, of either version
STEP = StepRule(share=SHARE, requests=10 * LENGTH)
POLICY = ReleasePolicy(steps=(STEP,))
_NONE = np.zeros(0)
_ANSWERS = Answers(_NONE, np.zeros(0, bool), _NONE)
_WINDOW = Window("", None, 0)
_GATES = {name: POLICY.alpha * ALPHA.get(name, 0.0) for name in GATES}


def release(rate: float, length: int, rng: np.random.Generator) -> int:
    """Watch a canary whose answers fail at a rate; after how many requests it is out, or 0."""
    looks = length // LOOK
    ours = rng.binomial(LOOK, SHARE, looks)
    counts = [
        (ours, rng.binomial(ours, rate), rng.binomial(ours, SLOW)),
        (LOOK - ours, rng.binomial(LOOK - ours, GOOD), rng.binomial(LOOK - ours, SLOW)),
    ]
    candidate, champion = (np.cumsum(np.stack(part), axis=1) for part in counts)
    for turn in range(looks):
        seen = _evidence(candidate[:, turn], champion[:, turn])
        found = event(judge(look(seen, POLICY, _GATES)))
        if decide(Phase.STEP, found)[1] is Action.ROLL_BACK:
            return LOOK * (turn + 1)
    return 0


def _evidence(candidate: NDArray[np.int64], champion: NDArray[np.int64]) -> Evidence:
    ours = _served("candidate", SHARE, *map(int, candidate))
    theirs = _served("champion", 1 - SHARE, *map(int, champion))
    return Evidence(
        step=STEP,
        age_s=ours.requests / SHARE / LOOK,
        requests=ours.requests,
        labels=0,
        idle=False,
        champion=theirs,
        candidate=ours,
        together=(Together(SHARE, theirs.stretches[0], ours.stretches[0]),),
        strays=(),
        quality="brier",
        answers=_ANSWERS,
        windows=(_WINDOW, _WINDOW),
        champion_scores=_NONE,
        candidate_scores=_NONE,
    )


def _served(name: str, share: float, requests: int, errors: int, slow: int) -> Served:
    times = ((1.0, requests - slow), (400.0, slow))
    return Served(
        version=name,
        requests=requests,
        errors=errors,
        invalid=0,
        latency_ms={"p99": 1.0},
        histogram=times,
        stretches=(Stretch(1, share, requests, errors, units=requests, histogram=times),),
    )


def statistic(given: Given) -> Iterator[Figure]:
    """Decide about a candidate at 10 % of the traffic whose failures rise from 1 to 5 %, or not."""
    rng = np.random.default_rng(20261127)
    out = [release(BAD, PATIENCE, rng) for _ in range(SICK)]
    caught = sorted(requests for requests in out if requests)
    alarms = sum(release(GOOD, LENGTH, rng) > 0 for _ in range(HEALTHY))
    part = f"{len(caught)} of {SICK} runs within {PATIENCE:,}"
    yield Figure("1 -> 5 % fail: requests until out", statistics.median(out_of(out)), "", most=1500,
                 note=f"median; {part}")  # fmt: skip
    tenth = caught[9 * len(caught) // 10] if caught else float("nan")
    yield Figure("nine in ten of them until", tenth, "requests")
    note = f"{alarms} of {HEALTHY} runs of {LENGTH:,} requests"
    yield Figure("false alarms", 100 * alarms / HEALTHY, "%", most=2.0, note=note)


def out_of(found: list[int]) -> list[float]:
    """Let a run that was never caught count as endless."""
    return [requests or float("inf") for requests in found]
