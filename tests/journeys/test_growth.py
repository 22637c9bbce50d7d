"""A champion that gets wider and deeper, sealed, judged and run again; one's own is refused."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.test_ensembles import lay_out, says
from tests.journeys.test_transfer import says_error

GROW = ("--set", "policy.plan.strategy=grow")
DATA = ("update", "one.parquet", "--reason", "it underfits", "--by", "alice")
NETS = """\
from instar.models.families.mlp import MLP

def build(inputs):
    return MLP(inputs, hidden=[8])
"""


def test_grown_champion_is_sealed_and_reproduced(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, "none")
    assert "train.deepen, or train.dropout" in says_error(folder, *DATA, *GROW)
    shape = ("--set", "policy.train.widen=2", "--set", "policy.train.deepen=1")
    says(folder, *DATA, *GROW, *shape, status=3)
    bodies = {entry["kind"]: entry["body"] for entry in says(folder, "show", "u0001")["entries"]}
    assert bodies["plan"]["strategy"] == "grow"
    assert bodies["training"]["network"]["options"] == {"hidden": [16, 16]}
    assert bodies["bundle"]["verdict"] == "pass"
    assert says(folder, "reproduce", "u0001", "--by", "bob")["equal"]


def test_network_of_ones_own_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    folder = lay_out(tmp_path, "none", network="nets:build")
    before = sorted((folder / ".instar" / "artifacts").rglob("*"))
    said = says_error(folder, *DATA, *GROW, "--set", "policy.train.widen=2")
    assert "`nets:build`" in said
    assert "plan.strategy: full" in said
    assert sorted((folder / ".instar" / "artifacts").rglob("*")) == before
