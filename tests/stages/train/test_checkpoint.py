from __future__ import annotations

import pytest
import torch
from torch import nn

from instar.ledger import files
from instar.ledger.files import Disk, StoreFailed
from instar.ledger.safedir import SafeDir
from instar.stages.train import checkpoint
from instar.stages.train.checkpoint import NAME, Checkpoint

POINT = Checkpoint("key", {"net/w": torch.arange(3.0), "best/w": torch.ones(2)}, {"epoch": 4})


def load(folder, key="key"):
    return checkpoint.load(SafeDir(folder), key)[0]


def test_save_then_load_gives_the_same(tmp_path):
    checkpoint.save(SafeDir(tmp_path), POINT)
    found = load(tmp_path)
    assert torch.equal(found.part("net")["w"], torch.arange(3.0))
    assert found.plain == {"epoch": 4}
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_load_ignores_another_trainings_checkpoint(tmp_path):
    checkpoint.save(SafeDir(tmp_path), POINT)
    assert load(tmp_path, "other") is None
    assert load(tmp_path / "nowhere") is None


@pytest.mark.parametrize("cut", [0, 10, 71, 90, -1])
def test_load_ignores_a_torn_file(tmp_path, cut):
    checkpoint.save(SafeDir(tmp_path), POINT)
    path = tmp_path / NAME
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:cut])
    assert load(tmp_path) is None


def test_load_ignores_a_flipped_bit(tmp_path):
    checkpoint.save(SafeDir(tmp_path), POINT)
    data = bytearray((tmp_path / NAME).read_bytes())
    data[-1] ^= 1
    (tmp_path / NAME).chmod(0o644)
    (tmp_path / NAME).write_bytes(data)
    assert load(tmp_path) is None


def test_save_leaves_the_last_one_when_writing_fails(tmp_path):
    checkpoint.save(SafeDir(tmp_path), POINT)

    class Full(Disk):
        def fsync(self, handle):
            raise OSError(28, "no space left")

    with files.using(Full()), pytest.raises(StoreFailed, match="no space"):
        checkpoint.save(SafeDir(tmp_path), Checkpoint("key", POINT.tensors, {"epoch": 5}))
    assert load(tmp_path).plain == {"epoch": 4}


@pytest.mark.parametrize("rule", [torch.optim.AdamW, torch.optim.RMSprop])
def test_unpacked_optimiser_goes_on_bit_for_bit(tmp_path, rule):
    def step(weight, optimizer, value):
        weight.grad = torch.full_like(weight, value)
        optimizer.step()

    first = nn.Parameter(torch.ones(3))
    optimizer = rule([first], lr=0.1)
    step(first, optimizer, 0.5)
    second = nn.Parameter(first.detach().clone())
    resumed = rule([second], lr=0.1)
    checkpoint.save(SafeDir(tmp_path), Checkpoint("key", checkpoint.pack(optimizer), {}))
    checkpoint.unpack(resumed, load(tmp_path).tensors)
    step(first, optimizer, 0.2)
    step(second, resumed, 0.2)
    assert torch.equal(first, second)


def test_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    checkpoint.save(SafeDir(tmp_path), POINT)
    checkpoint.save(SafeDir(tmp_path), Checkpoint("key", POINT.tensors, {"epoch": 5}))
    assert load(tmp_path).plain == {"epoch": 5}
    (tmp_path / NAME).chmod(0o644)
    (tmp_path / NAME).write_bytes(b"torn")
    found, damaged = checkpoint.load(SafeDir(tmp_path), "key")
    assert found.plain == {"epoch": 4}
    assert damaged == [NAME]


def test_checkpoint_after_a_damaged_one_leaves_the_sound_one_before_it(tmp_path):
    checkpoint.save(SafeDir(tmp_path), POINT)
    checkpoint.save(SafeDir(tmp_path), Checkpoint("key", POINT.tensors, {"epoch": 5}))
    (tmp_path / NAME).chmod(0o644)
    (tmp_path / NAME).write_bytes(b"torn")
    assert load(tmp_path).plain == {"epoch": 4}
    checkpoint.save(SafeDir(tmp_path), Checkpoint("key", POINT.tensors, {"epoch": 6}))
    (tmp_path / NAME).chmod(0o644)
    (tmp_path / NAME).write_bytes(b"torn again")
    assert load(tmp_path).plain == {"epoch": 4}
