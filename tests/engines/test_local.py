from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from instar.engines import ENGINES
from instar.engines.local import Local
from instar.testing.contracts.engines import EngineContract, gone, until
from instar.testing.contracts.families import unknown_name

WORK = """
import os
from instar.core.errors import InputError

class OwnError(InputError):
    code = "input.own"
    def __init__(self, number):
        super().__init__("an even number", str(number), "add one")
        self.number = number

def where(item):
    return item, os.getpid()

def even(item):
    if item % 2:
        raise OwnError(item)
    return item
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A module that workers can import, too: they inherit the path."""
    (tmp_path / "engine_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("engine_work")
    del sys.modules["engine_work"]


def test_map_keeps_the_order_in_other_processes(work):
    results = Local(2).map(work.where, range(8))
    assert [item for item, _ in results] == list(range(8))
    assert os.getpid() not in {pid for _, pid in results}


def test_map_with_one_worker_or_item_stays_here(work):
    assert Local(1).map(work.where, [1, 2]) == [(1, os.getpid()), (2, os.getpid())]
    assert Local(4).map(work.where, [1]) == [(1, os.getpid())]
    assert Local(4).map(work.where, []) == []


def test_map_carries_the_first_error_over_whole(work):
    with pytest.raises(work.OwnError) as caught:
        Local(2).map(work.even, [0, 2, 5, 7])
    error = caught.value
    assert str(error) == "wanted an even number; got 5; add one"
    assert (error.number, error.todo) == (5, "add one")
    assert "in even" in error.__notes__[0]


class TestLocal(EngineContract):
    def make(self):
        return Local(2)


ALONE = """
import sys, time
from pathlib import Path
from instar.engines.local import Local
from instar.testing.contracts.engines import write_and_wait

if __name__ == "__main__":
    Local().submit(write_and_wait, Path(sys.argv[1]))
    time.sleep(600)
"""


def test_worker_ends_with_the_one_that_started_it_however_that_ends(tmp_path):
    script, file = tmp_path / "alone.py", tmp_path / "pid"
    script.write_text(ALONE)
    parent = subprocess.Popen([sys.executable, str(script), str(file)])
    until(lambda: file.exists() and file.read_text())
    assert not gone(file)
    parent.kill()
    parent.wait()
    until(lambda: gone(file))


def test_engines_name_what_they_know():
    assert ENGINES["local"](3).workers == 3
    unknown_name(ENGINES)
