"""F45. A graph that does not answer like the network is not promoted, however good it looks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.faults import journey
from tests.faults.journey import House

# While it is exported, and only once the file is there, it adds to what it says.
NETS = """
from pathlib import Path
import torch
from torch import nn

class Drifting(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(1, 1)
    def forward(self, numbers, categories):
        said = self.body(numbers)
        if torch.compiler.is_exporting() and Path("drifts").exists():
            return said + 1.0
        return said

def build(inputs):
    return Drifting()
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = journey.lay_out(tmp_path / "demand", subprocess.Popen, journey.Sqlite())
    (house.folder / "nets.py").write_text(NETS)
    policy = journey.YAML.replace("{family: mlp, hidden: [8]}", "{build: nets:build}")
    (house.folder / "instar.yaml").write_text(policy)
    torch.manual_seed(0)
    linear = torch.nn.Linear(1, 1)
    tensors = {f"body.{name}": tensor for name, tensor in linear.state_dict().items()}
    save_file(tensors, house.folder / "champion.safetensors")
    data = ("--train", "train.parquet", "--holdout", "holdout.parquet", "--by", "alice")
    status, said = house.types("adopt", "champion.safetensors", *data)
    assert status == 0, said
    return house


def test_graph_that_differs_from_the_network_is_refused_and_the_champion_stays(
    house: House,
) -> None:
    champion = house.reads("status")[1]["champion"]
    (house.folder / "drifts").touch()
    given = ("--reason", "weekly", "--by", "alice")
    status, said = house.types("update", "fresh.parquet", *given)
    assert status == 1, said
    row = house.updates()["u0001"]
    assert (row["state"], row["stage"]) == ("refused", "bundle")
    bundle = next(e["body"] for e in house.history() if e["kind"] == "bundle")
    parity = {finding["code"]: finding for finding in bundle["findings"]}["parity:fp32"]
    assert parity["verdict"] == "fail"
    assert parity["measured"] > parity["limit"]
    assert house.types("approve", "u0001", "--by", "bob")[0] == 2
    assert house.reads("status")[1]["champion"] == champion


def test_the_same_network_that_does_not_drift_waits_for_people(house: House) -> None:
    status, said = house.types("update", "fresh.parquet", "--reason", "weekly", "--by", "alice")
    assert status == 3, said
