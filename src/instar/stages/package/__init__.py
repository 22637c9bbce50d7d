"""Package: seal the trained network into the bundle that the gates judge and the gateway serves."""

from __future__ import annotations

from instar.core.digest import short
from instar.core.policy import PackagePolicy
from instar.core.records import Admission, Bundle, ModelVersion, Request, Training
from instar.core.tools import Tools
from instar.data.snapshot import load, load_all
from instar.models.build import build
from instar.models.weights import load as put_weights
from instar.stages.package.errors import NoRowsToMeasure
from instar.stages.package.inspection import inspect
from instar.stages.package.names import named_at, version_name
from instar.stages.package.sealing import seal

__all__ = ["inspect", "named_at", "package", "seal", "version_name"]


def package(
    request: Request,
    champion: ModelVersion,
    admission: Admission,
    training: Training,
    *,
    policy: PackagePolicy,
    tools: Tools,
) -> Bundle:
    """Make the candidate's bundle: ONNX with its preprocessing, INT8 where that holds.

    Raises:
        InputError: the network does not export, or validation rows are missing.
    """
    if admission.split is None:
        raise NoRowsToMeasure("validation")
    network = training.network or request.network
    module = build(
        network,
        training.preprocessing.spec(request.task),
        tools.project,
    )
    put_weights(module, tools.artifacts.read(training.weights))
    taken = tools.taken | {champion.name, str(champion.parent)}
    return seal(
        module,
        training.preprocessing,
        training.schema,
        request.task,
        version_name(tools.clock.now(), taken),
        load_all(training.train, tools.artifacts),
        load(admission.split.valid, tools.artifacts),
        tools=tools,
        policy=policy,
        notes=_notes(request, champion, training),
    )


def _notes(request: Request, champion: ModelVersion, training: Training) -> dict[str, str]:
    fresh = request.fresh
    span = f", {fresh.since} to {fresh.until}" if fresh.since else ""
    learnt = sum(snapshot.rows for snapshot in training.train)
    return {
        "update": f"{request.update}: {request.reason}",
        "champion before it": champion.name,
        "fresh data": f"{fresh.source}, {fresh.rows} rows{span} ({short(fresh.digest)})",
        "rows learnt from": str(learnt),
        "strategy": training.strategy,
        "weights": short(training.weights),
    }
