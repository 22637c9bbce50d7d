"""Going over the record again: an update run once more, and the weights of any two versions.

A stage is run again on the inputs that are recorded, so that each stands for itself: what one of
them does differently is not seen again in those behind it.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from instar import provenance
from instar.core.codec import decode, encode, filed
from instar.core.differences import differences
from instar.core.digest import digest_json
from instar.core.errors import InputError
from instar.core.policy import Policy
from instar.core.records import (
    Bundle,
    Environment,
    LayerChange,
    ModelVersion,
    Request,
    Training,
)
from instar.core.tools import Artifacts, Clock, Machine, Tools
from instar.core.update import Update, replay
from instar.ledger.artifacts import DirectoryArtifacts, MissingArtifact
from instar.ledger.journal import Journal
from instar.ledger.versions import version
from instar.ledger.work import work
from instar.models import weights
from instar.pipeline import STAGES, Runner, Stage
from instar.stages.package import named_at

AGAIN = ("admit", "plan", "train", "package")
"""The stages whose results are a function of their inputs; those behind them measure speed and
traffic, or ask people."""
_VOLATILE = frozenset(
    {"cost", "environment", "cpu_s", "wall_s", "gpu_s", "peak_bytes", "time_us", "money"}
)
_MEASURED_HERE = ("µs", "ms", "s", "share of the time", "share of the memory")
_TIMING = re.compile(r"[\d.,]+ (against [\d.,]+ )?(µs|ms|s|CPU s)\b")
_MOST = 50  # differences listed; two other networks differ everywhere


class GoneArtifacts(InputError):
    """Say that an update cannot be run again, since something that it was made from is gone."""

    code = "input.gone_artifacts"

    def __init__(self, update: str, gone: str) -> None:
        super().__init__(
            f"everything that {update} was made from",
            f"no {gone}",
            "restore the artifacts from a backup",
        )


class Overlay:
    """Write to a store that is thrown away, and read what is not in it from the one beneath."""

    def __init__(self, above: Artifacts, beneath: Artifacts) -> None:
        self._above, self._beneath = above, beneath

    def put(self, data: bytes) -> str:
        return self._above.put(data)

    def put_file(self, path: Path) -> str:
        return self._above.put_file(path)

    def read(self, digest: str) -> bytes:
        return self._holder(digest).read(digest)

    def path(self, digest: str) -> Path:
        return self._holder(digest).path(digest)

    def __contains__(self, digest: str) -> bool:
        return digest in self._holder(digest)

    def _holder(self, digest: str) -> Artifacts:
        return self._above if digest in self._above else self._beneath


class Then:
    """A clock whose date stands still, so that a version gets the name that it got."""

    def __init__(self, clock: Clock, at: float) -> None:
        self._clock, self._at = clock, at

    def now(self) -> float:
        return self._at

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def boot(self) -> tuple[str, float]:
        return self._clock.boot()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


def reproduce(journal: Journal, update: str, tools: Tools, *, by: str) -> dict[str, Any]:
    """Run an update's stages again, up to its bundle, and hold what comes out against the record.

    Nothing is written but one entry, a `reproduction`; `tools.scratch` must be a folder to throw
    away. Costs, timings and the environment are no part of the comparison.

    Raises:
        GoneArtifacts: something that the update was made from is not in the store.
    """
    began = time.monotonic()
    entries = journal.entries(update=update)
    bodies = {entry.kind: entry.body for entry in entries}
    state = replay(entries)
    champion = version(journal, state.request.model, state.request.champion)
    _there(state.request, champion, tools.artifacts)
    policy = decode(Policy, json.loads(tools.artifacts.read(state.request.policy)))
    lent = replace(
        tools,
        artifacts=Overlay(DirectoryArtifacts(tools.scratch / "artifacts"), tools.artifacts),
        clock=Then(tools.clock, _named(state, tools.clock)),
        project=_project(state.request, tools),
        seed=state.request.seed,
        taken=frozenset(_names(journal, state.request)),
        machine=Machine.of(policy.run),
    )
    runner = Runner(journal, policy, lent, actor=by, epoch=None)
    stages = [
        _again(runner, stage, state, bodies[stage.kind])
        for stage in STAGES
        if stage.name in AGAIN and stage.kind in bodies
    ]
    body = {
        "update": update,
        "equal": bool(stages) and all(stage["equal"] for stage in stages),
        "stages": stages,
        "environment": _environment(state, provenance.environment(tools.project)),
        "seconds": round(time.monotonic() - began, 3),
    }
    journal.append(
        "reproduction",
        body,
        update=update,
        model=state.request.model,
        actor=by,
        work=work(
            "reproduce",
            body,
            owner=by,
            inputs={stage["kind"]: stage["record"] for stage in stages},
            policy=state.request.policy,
            code=provenance.code(),
        ),
    )
    return body


def changes(artifacts: Artifacts, before: str, after: str) -> tuple[LayerChange, ...]:
    """Measure how far each tensor of one weights file is from its twin in another."""
    return weights.compare(
        weights.read(artifacts.read(before)), weights.read(artifacts.read(after))
    )


def stable(body: Any) -> Any:
    """Leave of a record what the same inputs must give again: no costs, timings, surroundings.

    Example:
        >>> stable({"strategy": "full", "reason": "takes 1.5 CPU s", "cost": {"cpu_s": 1.5}})
        {'strategy': 'full', 'reason': 'takes … CPU s'}
    """
    if isinstance(body, Mapping):
        if body.get("unit") in _MEASURED_HERE:
            return {"unit": body["unit"]}
        return {key: stable(value) for key, value in body.items() if key not in _VOLATILE}
    if isinstance(body, list | tuple):
        return [stable(value) for value in body]
    return _TIMING.sub(r"… \2", body) if isinstance(body, str) else body


def _told(recorded: Any, again: Any) -> list[str]:
    """Say where two JSON values differ, what stands for the whole before what it is made of."""
    found = sorted(differences(recorded, again), key=lambda at: at[0].count("."))
    return [f"{place}: {_short(one)}, now {_short(other)}" for place, one, other in found]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _again(runner: Runner, stage: Stage, state: Update, body: Mapping[str, Any]) -> dict[str, Any]:
    """Run one stage again and hold what it makes against the body of its entry."""
    runner.tools.progress(stage.name, note="again")
    try:
        made = runner.again(stage, state)
    except MissingArtifact as error:
        raise GoneArtifacts(state.request.update, error.wanted) from error
    runner.tools.progress(stage.name, 1, 1, made.verdict.value)
    recorded, now = stable(body), stable(filed(made))
    found = _told(recorded, now)
    told = found[:_MOST] + ([f"and {len(found) - _MOST} more"] if len(found) > _MOST else [])
    return {
        "stage": stage.name,
        "kind": stage.kind,
        "equal": not found,
        "record": digest_json(body),
        "recorded": digest_json(recorded),
        "again": digest_json(now),
        "differences": told,
    }


def _there(request: Request, champion: ModelVersion, artifacts: Artifacts) -> None:
    """See that all is there before anything is run."""
    needed = {"policy": request.policy, "fresh data": request.fresh.digest}
    needed |= {"weights of the champion": champion.weights}
    needed |= {f"rows {part.source!r} of the champion": part.digest for part in champion.train}
    needed |= {f"holdout {part.source!r} of the champion": part.digest for part in champion.holdout}
    if champion.replay is not None:
        needed["replay sample of the champion"] = champion.replay.digest
    if request.pretrained is not None:
        needed[f"pretrained weights {request.pretrained.name!r}"] = request.pretrained.weights
    for name, digest in needed.items():
        if digest not in artifacts:
            raise GoneArtifacts(request.update, name)


def _named(state: Update, clock: Clock) -> float:
    bundle = state.get(Bundle)
    return clock.now() if bundle is None else named_at(bundle.version)


def _names(journal: Journal, request: Request) -> Iterator[str]:
    """Name the versions that there were when the update's own got its name."""
    for kind, field in (("adoption", "name"), ("bundle", "version")):
        for entry in journal.entries(model=request.model, kind=kind):
            if entry.update == request.update:
                return
            yield str(entry.body[field])


def _project(request: Request, tools: Tools) -> Path:
    """Give the folder in which the network's function is what it was then."""
    network = request.network
    if network.build is None or network.source is None:
        return tools.project
    if provenance.module(network.build, tools.project) == network.source:
        return tools.project
    if network.source not in tools.artifacts:
        raise GoneArtifacts(request.update, f"source of `{network.build}` as it was then")
    place = tools.scratch / "project"
    for file in provenance.python_files(tools.project):
        copy = place / file.relative_to(tools.project)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    module = provenance.module_file(network.build, place)
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_bytes(tools.artifacts.read(network.source))
    return place


def _environment(state: Update, now: Environment) -> list[str]:
    """Say what of code, machine and libraries is another than it was."""
    training = state.get(Training)
    then = (training and training.environment) or state.request.environment
    return _told(encode(then), encode(now)) if then else ["not recorded then"]
