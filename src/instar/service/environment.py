"""Hold this machine against what the policy wants of it: `policy.run.environment`.

Nothing heavy is loaded: cards are asked about by their driver's own program. GB are 10^9 bytes, as
makers count them: a card sold with 16 GB passes a limit of 16.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from instar import provenance
from instar.core.errors import InputError, InstarError
from instar.core.policy import EnvironmentRule

if TYPE_CHECKING:
    from instar.policy import Project

GB = 1e9


class Need(NamedTuple):
    """One thing wanted of a machine; `todo` is empty where there is enough of it."""

    what: str
    wanted: str
    found: str
    todo: str = ""


class TooLittle(InputError):
    """Refuse to begin an update on a machine that the policy does not want it on."""

    code = "input.environment"

    def __init__(self, short: list[Need]) -> None:
        super().__init__(
            ", ".join(need.wanted for need in short),
            ", ".join(need.found for need in short),
            "use another machine (see: instar doctor), or change policy.run.environment",
        )


def needs(root: Path, rule: EnvironmentRule, project: Project | None) -> Iterator[Need]:
    """Say of each thing wanted how much there is.

    Args:
        root: The workspace; its disk is looked at.
        project: Says which store the network is measured to; None where there is no policy.
    """
    here = provenance.environment(root)
    yield _enough("cores", here.cores, rule.cores, "CPU cores", "training will be slow")
    memory = here.memory_bytes / GB
    yield _enough("memory", memory, rule.memory_gb, "GB of memory", "training may run out of it")
    yield _enough("disk", free(root) / GB, rule.disk_gb, "GB of free disk", ROOM)
    yield from _cards(here.accelerators, rule)
    yield from _network(root, rule, project)


def require(root: Path, project: Project) -> None:
    """See that this machine is one that the policy wants updates on.

    Raises:
        TooLittle: it is not, and `policy.run.environment.refuse` is set.
    """
    rule = project.policy.run.environment
    if rule.refuse and (short := [need for need in needs(root, rule, project) if need.todo]):
        raise TooLittle(short)


ROOM = "make room: artifacts and checkpoints are written here"


def free(root: Path) -> int:
    """Return the bytes that are free on the disk where a workspace is, or would be."""
    place = next(up for up in (root, *root.parents) if up.exists())
    return shutil.disk_usage(place).free


def _enough(what: str, found: float, limit: float, unit: str, todo: str) -> Need:
    said = f"{found:.1f}" if isinstance(found, float) else f"{found}"
    short = todo if found < limit else ""
    return Need(what, f"at least {limit:g} {unit}", f"{said} {unit}", short)


def _cards(accelerators: tuple[str, ...], rule: EnvironmentRule) -> Iterator[Need]:
    wanted = f"at least {rule.gpu_gb:g} GB of GPU memory"
    if not accelerators:
        yield Need("gpu", wanted, "no GPU: networks are trained on the CPU")
        return
    cards = provenance.cards()
    if not cards:
        todo = "install the driver's tools, or see why nvidia-smi fails"
        yield Need("gpu", wanted, "a GPU of which nvidia-smi tells nothing", todo)
    else:
        least = min(cards, key=lambda card: card.memory_bytes)
        said = f"{least.memory_bytes / GB:.1f} GB of GPU memory ({least.name})"
        short = least.memory_bytes < rule.gpu_gb * GB
        yield Need("gpu", wanted, said, "large networks may not fit" if short else "")
    for name, version, limit in (
        ("CUDA", provenance.cuda(), rule.cuda),
        ("cuDNN", provenance.cudnn(), rule.cudnn),
    ):
        old = not version or int(version.split(".")[0]) < limit
        todo = f"install {name} {limit} or later: torch leaves the GPU alone without it"
        said = f"{name} {version}" if version else f"no {name}"
        yield Need(name.lower(), f"{name} {limit} or later", said, todo if old else "")


def _network(root: Path, rule: EnvironmentRule, project: Project | None) -> Iterator[Need]:
    wanted = f"at least {rule.network_gbps:g} Gbit/s from the artifact store"
    if project is None or not project.store.artifacts:
        yield Need("network", wanted, "not measured: artifacts are kept in a folder here")
        return
    from instar.ledger.artifact_stores import rate_of

    try:
        rate = rate_of(root / ".instar", project.store)
    except InstarError as error:  # the store is at fault, and whoever uses it says so
        yield Need("network", wanted, f"not measured: {error.got} in place of {error.wanted}")
        return
    if rate is None:
        yield Need("network", wanted, "not measured: the store holds nothing of 1 MB or more yet")
        return
    gbps = rate * 8 / 1e9
    todo = "use a machine nearer to the store, or a faster line" if gbps < rule.network_gbps else ""
    yield Need("network", wanted, f"{gbps:.2f} Gbit/s from the artifact store", todo)
