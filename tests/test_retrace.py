"""An update says what it was made of, and one that is run again comes to the same."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import instar
from instar import provenance, retrace
from instar.core.codec import encode
from instar.core.differences import differences
from instar.core.digest import canonical, digest_json
from instar.core.fingerprint import fingerprint
from instar.core.update import State
from instar.ledger.journal import Entry, SqliteJournal
from instar.ledger.keys import bundle_signer
from instar.ledger.stores import open_artifacts
from instar.policy import read
from instar.retrace import stable
from instar.testing.tools import fake_tools
from tests import demand

YAML = """\
model: demand
task: {kind: binary, target: up}
network: nets:build
policy:
  admit: {min_rows: 50}
  plan: {strategy: full}
  train: {full_epochs: 3, patience: 3, batch: 16, checkpoint_s: 0}
  package: {int8: never}
  validate:
    attack: {rows: 20, steps: 2}
    flips: {max: 1, old_max: 1}
    suspicious_gain: 0.9
    latency_ms: 10000
  run: {owners: {train: dora}}
"""
NETS = """\
from instar.models.families.mlp import MLP

def build(inputs):
    return MLP(inputs, hidden=[8])
"""
MADE = ("admission", "plan", "training", "bundle")


def command(folder: Path, *words: str) -> tuple[int, Any, str]:
    """Run a command with --json in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "instar", *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.fixture(scope="module")
def updated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out a workspace whose first update waits for people."""
    folder = tmp_path_factory.mktemp("retrace") / "demand"
    folder.mkdir()
    (folder / "nets.py").write_text(NETS)
    sizes = {"train": 300, "holdout": 150, "fresh": 400}
    demand.adopted(folder, YAML, sizes, columns=("x", "shop", "up"))
    instar.open(folder, by="alice").update("fresh.parquet", reason="weekly", seed=3)
    return folder


@pytest.fixture
def folder(updated: Path, tmp_path: Path) -> Path:
    shutil.copytree(updated, tmp_path / "demand")
    return tmp_path / "demand"


def entries(folder: Path) -> list[Entry]:
    journal = SqliteJournal(folder / ".instar" / "ledger.db")
    try:
        return journal.entries()
    finally:
        journal.close()


def people(folder: Path) -> dict[str, str]:
    """Who is who behind the pseudonyms."""
    journal = SqliteJournal(folder / ".instar" / "ledger.db")
    try:
        return journal.people()
    finally:
        journal.close()


def artifacts(folder: Path) -> Any:
    return open_artifacts(folder / ".instar", read(folder / "instar.yaml").store)


def gone(folder: Path, digest: str) -> None:
    name = digest.removeprefix("sha256:")
    (place,) = (folder / ".instar" / "artifacts").rglob(name)
    place.unlink()


# What an entry says of its making.


def test_inputs_of_a_stage_are_the_digests_of_the_entries_before_it(updated: Path) -> None:
    found = {entry.kind: entry for entry in entries(updated)}
    bodies = {kind: digest_json(entry.body) for kind, entry in found.items()}
    bodies["champion"] = bodies.pop("adoption")
    bodies["past"] = bodies["rungs"] = digest_json([])  # the first update, at its first plan
    needs = {
        "admission": {"request", "champion"},
        "plan": {"request", "champion", "admission", "past", "rungs"},
        "training": {"request", "champion", "admission", "plan"},
        "bundle": {"request", "champion", "admission", "training"},
        "validation": {"request", "champion", "admission", "plan", "training", "bundle"},
    }
    for kind, names in needs.items():
        work = found[kind].work
        assert work is not None
        assert work["inputs"] == {name: bodies[name] for name in names}
        assert work["output"] == digest_json(found[kind].body)
        assert work["attempt"] == 1


def test_work_names_owner_policy_and_code(updated: Path) -> None:
    found = {entry.kind: entry for entry in entries(updated)}
    policy = read(updated / "instar.yaml").policy
    for kind, stage, owner in (("plan", "plan", "alice"), ("training", "train", "dora")):
        work = found[kind].work
        assert work is not None
        assert (work["stage"], people(updated)[work["owner"]]) == (stage, owner)
        assert work["policy"] == digest_json(encode(getattr(policy, stage)))
        assert work["code"] == provenance.code()
    request, adoption = found["request"].work, found["adoption"].work
    assert request is not None
    assert adoption is not None
    assert request["inputs"]["fresh"] == found["request"].body["fresh"]["digest"]
    assert request["inputs"]["champion"] == adoption["output"]
    assert request["policy"] == found["request"].body["policy"]
    assert adoption["inputs"]["weights"] == found["adoption"].body["weights"]


def test_work_names_people_by_their_pseudonyms_alone(updated: Path) -> None:
    assert {"alice", "dora"} <= set(people(updated).values())
    for entry in entries(updated):
        said = canonical(entry.plain()).decode()
        assert not [name for name in ("alice", "dora") if name in said]


def test_training_carries_the_parameters_before_and_after(updated: Path) -> None:
    found = {entry.kind: entry.body for entry in entries(updated)}
    training, store = found["training"], artifacts(updated)
    for side, digest in (("before", found["adoption"]["weights"]), ("after", training["weights"])):
        assert training[side] == encode(fingerprint(store.read(digest)))
    assert training["before"]["root"] != training["after"]["root"]
    assert training["environment"] == found["request"]["environment"]
    assert training["environment"]["project"] is not None


# Running it again.


def again(folder: Path, scratch: Path) -> dict[str, Any]:
    """Run the update again in this process, as the worker does in its own."""
    scratch.mkdir()
    signer = bundle_signer(folder / ".instar")
    lent = replace(fake_tools(scratch), artifacts=artifacts(folder), project=folder, signer=signer)
    journal = SqliteJournal(folder / ".instar" / "ledger.db")
    try:
        return retrace.reproduce(journal, "u0001", lent, by="bob")
    finally:
        journal.close()


def test_update_that_is_run_again_comes_to_the_same(folder: Path) -> None:
    before = {file for file in (folder / ".instar").rglob("*") if file.is_file()}
    code, done, err = command(folder, "reproduce", "u0001", "--by", "bob")
    assert code == 0, err
    assert done["equal"], done
    assert [stage["kind"] for stage in done["stages"]] == list(MADE)
    assert all(stage["recorded"] == stage["again"] for stage in done["stages"])
    assert done["environment"] == []
    after = {file for file in (folder / ".instar").rglob("*") if file.is_file()}
    new = {file.name for file in after - before}
    assert not {name for name in new if len(name) == 64}  # no artifact was added
    last = entries(folder)[-1]
    assert (last.kind, last.body["equal"]) == ("reproduction", True)
    assert people(folder)[last.actor] == "bob"
    # It is no part of the update.
    assert instar.open(folder).state("u0001").state is State.WAITING


def test_update_is_run_again_with_the_network_of_then(folder: Path, tmp_path: Path) -> None:
    (folder / "nets.py").write_text(NETS.replace("[8]", "[9]"))
    done = again(folder, tmp_path / "scratch")
    assert done["equal"]
    assert [line.split(":")[0] for line in done["environment"]] == ["project"]


def test_update_that_comes_out_different_says_where(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is made to do another thing than it did then."""
    real = torch.optim.AdamW.__init__

    def slower(self: Any, *given: Any, **more: Any) -> None:
        real(self, *given, **more)
        for group in self.param_groups:
            group["weight_decay"] = 0.5

    monkeypatch.setattr(torch.optim.AdamW, "__init__", slower)
    done = again(folder, tmp_path / "scratch")
    equal = {stage["kind"]: stage["equal"] for stage in done["stages"]}
    # The plan's probe learns by the same library.
    assert equal == {"admission": True, "plan": False, "training": False, "bundle": True}
    assert not done["equal"]
    said = " ".join(done["stages"][2]["differences"])
    assert "weights:" in said
    assert "after.root:" in said


@pytest.mark.parametrize("what", ["fresh", "policy", "weights", "source"])
def test_update_whose_artifacts_are_gone_cannot_be_run_again(
    folder: Path, tmp_path: Path, what: str
) -> None:
    found = {entry.kind: entry.body for entry in entries(folder)}
    digests = {
        "fresh": found["request"]["fresh"]["digest"],
        "policy": found["request"]["policy"],
        "weights": found["adoption"]["weights"],
        "source": found["request"]["network"]["source"],
    }
    gone(folder, digests[what])
    if what == "source":
        (folder / "nets.py").write_text(NETS + "\n")
    with pytest.raises(retrace.GoneArtifacts, match="u0001 was made from"):
        again(folder, tmp_path / "scratch")
    assert entries(folder)[-1].kind == "validation"


# What is compared.


def test_costs_and_timings_are_no_part_of_the_comparison() -> None:
    one = {"cost": {"cpu_s": 1.0}, "layers": [{"time_us": 1.0, "name": "a"}], "n": 1}
    other = {"cost": {"cpu_s": 2.0}, "layers": [{"time_us": 2.0, "name": "a"}], "n": 1}
    assert stable(one) == stable(other)
    texts = [f"one row {a} against {b} µs, AUROC 0.75" for a, b in (("12", "34"), ("1.5", "1,000"))]
    assert stable(texts[0]) == stable(texts[1])
    assert stable("gain 0.5") != stable("gain 0.6")
    picture = {"kind": "bars", "unit": "µs", "items": [{"value": 3.0}]}
    assert stable(picture) == {"unit": "µs"}
    assert list(differences(stable({"a": 1}), stable({"a": 2}))) == [("a", 1, 2)]
