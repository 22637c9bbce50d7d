"""What is wanted of a machine is told, and refused only where the policy says so."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instar import provenance
from instar.core.errors import BackendError
from instar.core.policy import EnvironmentRule
from instar.ledger import artifact_stores
from instar.policy import Project, read
from instar.service import Workspace, doctor, environment
from tests.service import line

Needs = dict[str, environment.Need]
CARD = provenance.Card("T4", 15360 << 20, 70.0)


def machine(monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    """Put a sound machine in the place of this one, different in what is named."""
    known = provenance.environment(Path("nowhere"))
    sound = {"cores": 8, "memory_bytes": 32 << 30, "accelerators": ("T4",)} | more
    monkeypatch.setattr(provenance, "environment", lambda _: replace(known, **sound))
    monkeypatch.setattr(provenance, "cards", lambda: (CARD,))
    monkeypatch.setattr(provenance, "cuda", lambda: "12.4")
    monkeypatch.setattr(provenance, "cudnn", lambda: "9.1.0.70")


def needs(root: Path, project: Project | None = None, **rule: Any) -> Needs:
    found = environment.needs(root, EnvironmentRule(**rule), project)
    return {need.what: need for need in found}


def project(root: Path, more: str = "") -> Project:
    (root / "instar.yaml").write_text(line.YAML + more)
    return read(root / "instar.yaml")


def short(found: Needs) -> list[str]:
    return [name for name, need in found.items() if need.todo]


def test_sound_machine_lacks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    found = needs(tmp_path, disk_gb=0.0)
    assert short(found) == []
    assert list(found) == ["cores", "memory", "disk", "gpu", "cuda", "cudnn", "network"]
    assert found["gpu"].found == "16.1 GB of GPU memory (T4)"
    assert found["network"].found == "not measured: artifacts are kept in a folder here"


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ({"cores": 9}, "cores"),
        ({"memory_gb": 35.0}, "memory"),
        ({"disk_gb": 1e9}, "disk"),
        ({"gpu_gb": 17.0}, "gpu"),
        ({"cuda": 13}, "cuda"),
        ({"cudnn": 10}, "cudnn"),
    ],
)
def test_machine_with_less_than_the_limit_is_told_what_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: dict[str, Any], what: str
) -> None:
    machine(monkeypatch)
    assert short(needs(tmp_path, **{"disk_gb": 0.0} | rule)) == [what]


def test_gpu_is_wanted_only_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, accelerators=())
    found = needs(tmp_path, disk_gb=0.0)
    assert found["gpu"].found == "no GPU: networks are trained on the CPU"
    assert (short(found), "cuda" in found) == ([], False)


def test_gpu_without_a_driver_that_tells_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch)
    for name, told in (("cards", ()), ("cuda", ""), ("cudnn", "")):
        monkeypatch.setattr(provenance, name, lambda told=told: told)
    assert short(needs(tmp_path, disk_gb=0.0)) == ["gpu", "cuda", "cudnn"]


@pytest.mark.parametrize(
    ("rate", "said", "lacks"),
    [
        (1e9 / 8 * 2, "2.00 Gbit/s from the artifact store", []),
        (1e9 / 8 / 4, "0.25 Gbit/s from the artifact store", ["network"]),
        (None, "not measured: the store holds nothing of 1 MB or more yet", []),
        (BackendError("an answer", "none", "look"), "not measured: none in place of an answer", []),
    ],
)
def test_network_is_measured_to_a_store_elsewhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rate: float | BackendError | None,
    said: str,
    lacks: list[str],
) -> None:
    def answer(*_: Any) -> float | None:
        if isinstance(rate, BackendError):
            raise rate
        return rate

    machine(monkeypatch)
    monkeypatch.setattr(artifact_stores, "rate_of", answer)
    far = project(tmp_path, "store: {artifacts: 's3://models/here'}\n")
    found = needs(tmp_path, far, disk_gb=0.0)
    assert (found["network"].found, short(found)) == (said, lacks)


def test_update_is_refused_before_anything_is_written_where_the_policy_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, cores=2)
    project(tmp_path, "policy: {run: {environment: {refuse: true, disk_gb: 0}}}\n")
    with pytest.raises(environment.TooLittle) as caught:
        Workspace(tmp_path).update("fresh.csv", reason="why")
    assert str(caught.value).startswith("wanted at least 8 CPU cores; got 2 CPU cores; use another")
    assert [file.name for file in tmp_path.iterdir()] == ["instar.yaml"]


def test_update_goes_on_where_the_policy_only_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, cores=2)
    environment.require(tmp_path, project(tmp_path))


@pytest.mark.parametrize(("refuse", "verdict", "code"), [("false", "warn", 0), ("true", "fail", 1)])
def test_doctor_warns_and_fails_where_an_update_would_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuse: str, verdict: str, code: int
) -> None:
    machine(monkeypatch, cores=2)
    rule = f"{{refuse: {refuse}, disk_gb: 0}}"
    project(tmp_path, f"policy: {{run: {{environment: {rule}}}}}\n")
    lines = [made._asdict() for made in doctor.examine(tmp_path, {})]
    found = next(made for made in lines if made["what"] == "cores")
    assert (found["verdict"], doctor.exit_code(lines)) == (verdict, code)
    assert found["found"] == "2 CPU cores; wanted: at least 8 CPU cores"


def test_examination_loads_no_tensor_library() -> None:

    code = (
        "import sys; from pathlib import Path; from instar.service import doctor\n"
        "list(doctor.examine(Path('nowhere'), {})); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
