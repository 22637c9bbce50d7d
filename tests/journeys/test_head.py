"""The name of a head, from the file that a team writes to the update that goes by it."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.test_ensembles import lay_out, says
from tests.journeys.test_transfer import says_error

NETS = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.head = nn.Linear(8, inputs.outputs)
        self.body = nn.Sequential(nn.Linear(inputs.numbers, 8), nn.ReLU())

    def forward(self, x):
        return self.head(self.body(x))

def build(inputs):
    return Net(inputs)
"""
DATA = ("update", "one.parquet", "--reason", "weekly", "--by", "alice")
HEAD = ("--set", "policy.plan.strategy=head")


def test_head_is_named_and_refitted_and_a_wrong_name_lists_the_layers(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    folder = lay_out(tmp_path, "none", network="nets:build")
    before = sorted((folder / ".instar" / "artifacts").rglob("*"))
    wrong = ("--set", "network={build: 'nets:build', head: body.1}")
    said = says_error(folder, *DATA, *HEAD, *wrong)
    assert "a dense layer out of head, body.0; got 'body.1', a ReLU" in said
    assert sorted((folder / ".instar" / "artifacts").rglob("*")) == before
    named = ("--set", "network={build: 'nets:build', head: head}")
    says(folder, *DATA, *HEAD, *named, status=3)
    bodies = {entry["kind"]: entry["body"] for entry in says(folder, "show", "u0001")["entries"]}
    assert bodies["plan"]["strategy"] == "head"
    moved = {one["name"] for one in bodies["training"]["changes"] if one["l2"]}
    assert moved == {"head.weight", "head.bias"}
