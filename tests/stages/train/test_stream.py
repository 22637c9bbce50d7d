"""Training rows that are read piece by piece: dealt as if all were held, within little memory."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from instar.core.errors import Interrupted
from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy, TuneRule
from instar.core.tools import Machine
from instar.ledger.safedir import SafeDir
from instar.models.strategies import STRATEGIES, Case
from instar.stages.train import attempt, loop, reading
from instar.stages.train.course import Group
from instar.stages.train.keeper import Keeper
from instar.stages.train.rows import Rows
from instar.stages.train.source import batches
from instar.stages.train.stream import Piece, Stream
from instar.testing.tools import FakeClock
from tests.few import few
from tests.stages.train.test_compute import Pulse
from tests.stages.train.test_loop import PLAIN
from tests.stages.train.test_train import quality, run

ALWAYS = TrainPolicy(stream="always", checkpoint_s=0.0)
TIGHT = Machine("cpu", 60_000)  # bytes: pieces are as small as they come


def numbered(rows=1000, piece=100, window=250, replay=0):
    """Rows whose one input is their number; replayed ones come below nought."""
    read = []

    def of(piece):
        read.append(piece.start)
        x = torch.arange(piece.start, piece.start + piece.rows).float()[:, None]
        return Rows((x,), (x % 2 > 0.5).float())

    pieces = [Piece(None, i, piece, min(piece, rows - i)) for i in range(0, rows, piece)]
    old = -1 - torch.arange(replay).float()[:, None]
    made = Stream(pieces, of, window, Rows((old,), torch.zeros(replay, 1)) if replay else None)
    return made, read


def dealt(made, course, seed=0):
    order = torch.Generator().manual_seed(seed)
    return [
        rows.take(places).inputs[0].flatten().tolist() for rows, places in made.deal(order, course)
    ]


@pytest.mark.parametrize(("rows", "batch"), [(1000, 64), (999, 100), (257, 250), (300, 300)])
def test_stream_deals_every_row_once_in_batches_as_large_as_those_of_held_rows(rows, batch):
    made, _ = numbered(rows)
    course = dataclasses.replace(PLAIN, batch=batch)
    got = dealt(made, course)
    assert sorted(itertools.chain(*got)) == list(range(rows))
    held = batches(torch.Generator(), rows, rows, course)
    assert [len(one) for one in got] == [len(one) for one in held]


def test_stream_shuffles_pieces_and_rows_anew_each_epoch_and_the_same_for_a_seed():
    made, read = numbered()
    course = dataclasses.replace(PLAIN, batch=50)
    order = torch.Generator().manual_seed(0)
    epochs = [
        [rows.take(i).inputs[0].flatten().tolist() for rows, i in made.deal(order, course)]
        for _ in range(2)
    ]
    assert dealt(made, course) == epochs[0] != epochs[1]
    assert read[:10] != sorted(read[:10])
    first = epochs[0][0]
    assert len({int(row) // 100 for row in first}) == 3  # of the three pieces of the first window
    assert max(sum(a < b for a, b in itertools.pairwise(one)) for one in epochs[0]) < 45


def test_stream_lets_replayed_rows_join_evenly():
    made, _ = numbered(replay=110)
    course = dataclasses.replace(PLAIN, batch=32, replay_ratio=0.5)
    order = torch.Generator().manual_seed(0)
    counts = torch.zeros(110)
    for rows, places in made.deal(order, course):
        values = rows.take(places).inputs[0].flatten()
        assert int((values < 0).sum()) == 16
        assert torch.equal(places >= rows.fresh, values < 0)
        counts[(-1 - values[values < 0]).long()] += 1
    assert (counts.min(), counts.max()) == (4, 5)  # 512 drawn from 110 in whole decks


def test_stream_cut_off_within_an_epoch_goes_on_bit_for_bit(tmp_path):
    made, _ = numbered(replay=40)
    course = dataclasses.replace(PLAIN, batch=64, epochs=3, replay_ratio=0.25, lr=1e-4)
    valid = made.read(Piece(None, 0, 50, 50))

    def fit(folder, at=math.inf):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
        keeper = Keeper(SafeDir(folder), "key", FakeClock(), math.inf, Pulse(at))
        groups = [Group(list(net.parameters()))]
        with contextlib.suppress(Interrupted):
            return loop.fit(
                net,
                made,
                made.fresh,
                valid,
                course,
                groups=groups,
                keeper=keeper,
                tell=lambda epoch: None,
            )
        return None

    whole = fit(tmp_path / "whole")
    assert fit(tmp_path / "cut", at=21) is None  # within the second epoch of 16 steps
    run = fit(tmp_path / "cut")
    assert (run.history, run.norms) == (whole.history, whole.norms)
    assert all(torch.equal(run.best[name], tensor) for name, tensor in whole.best.items())


def bounded(world, machine=TIGHT):
    tools = dataclasses.replace(world.tools, machine=machine)
    return dataclasses.replace(world, tools=tools)


def finding(training):
    return next((f for f in training.findings if f.code == reading.CODE), None)


@pytest.mark.parametrize(
    "strategy",
    few(["incremental", "incremental-stable", "warm", "full", "hybrid"], "full", "hybrid"),
)
def test_train_streams_where_rows_do_not_fit_and_gains_as_it_does_elsewhere(
    line, planned, strategy
):
    room = Machine("cpu", 500_000)  # for a batch, and not for the rows
    world = bounded(line(turn=1.2, old_rows=6_000, fresh_rows=12_000), room)
    policy = TrainPolicy(full_epochs=4)
    training = run(world, planned(strategy), policy)
    assert finding(training).verdict is Verdict.PASS
    assert finding(training).measured > finding(training).limit
    before, after = quality(world, training, world.admission.split.test)
    assert training.verdict is Verdict.PASS
    assert after > before + 0.01
    roomy = run(bounded(world, Machine("cpu", 10**9)), planned(strategy), policy)
    assert finding(roomy) is None
    steps, same = (one.steps / len(one.history) for one in (training, roomy))
    assert steps == same


@pytest.mark.parametrize("strategy", ["head", "adapt-stats"])
def test_train_without_gradient_steps_reads_a_draw(line, planned, strategy):
    world = bounded(line(turn=1.2, fresh_rows=3_000))
    training = run(world, planned(strategy))
    assert "drawn ones stand for them" in finding(training).message
    assert finding(training).n == 1_000


def test_train_streamed_and_cut_off_goes_on_bit_for_bit(line, planned, tmp_path):
    class Killed(Exception):
        pass

    def killed(what, done=0, total=0, note=""):
        if done == 2:
            raise Killed

    world = line(turn=0.8, fresh_rows=2_000)
    whole = run(world, planned("incremental"), ALWAYS)
    (tmp_path / "again").mkdir()
    with pytest.raises(Killed):
        run(world, planned("incremental"), ALWAYS, scratch=tmp_path / "again", progress=killed)
    seen = []
    resumed = run(
        world,
        planned("incremental"),
        ALWAYS,
        scratch=tmp_path / "again",
        progress=lambda what, done=0, total=0, note="": seen.append(done),
    )
    assert seen[0] == 2
    assert (resumed.weights, resumed.replay) == (whole.weights, whole.replay)
    assert finding(resumed)


def test_train_keeps_to_the_memory_that_was_free_when_it_began(line, monkeypatch, tmp_path):
    world = line()
    tools = dataclasses.replace(world.tools, scratch=tmp_path / "own")
    snapshots = (world.admission.split.train,)
    monkeypatch.setattr(reading.Cpu, "allowed", lambda self: 12_345)
    assert reading._allowed(snapshots, tools) == 12_345
    monkeypatch.setattr(reading.Cpu, "allowed", lambda self: 99)
    assert reading._allowed(snapshots, tools) == 12_345
    assert reading._allowed(world.champion.train, tools) == 99  # of another training


def test_train_streamed_never_learns_from_the_old_rows_it_chooses_on(line):
    world = bounded(line(turn=0.5, old_rows=6_000))
    case = Case(world.champion.recipe, fresh=560, old=4_800)
    given = attempt.Given(world.request, world.champion, world.admission, world.tools)
    ready = attempt.ready(given, STRATEGIES["warm"].route(case), ALWAYS)
    chosen_on = {tuple(row) for row in ready.start.ground.old_valid.inputs[0].tolist()}
    order = torch.Generator().manual_seed(0)
    learnt = [
        tuple(row)
        for rows, places in ready.start.stream.deal(order, ready.course)
        for row in rows.take(places).inputs[0].tolist()
    ]
    assert len(learnt) == 560 + 4_800 - len(chosen_on) == ready.start.rows
    assert not chosen_on & set(learnt)


def test_tuning_streams_too(line, planned):
    rule = TuneRule(trials=2, sampler="random", space={"lr": [0.001, 0.01]})
    policy = dataclasses.replace(ALWAYS, tune=rule, epochs=2)
    training = run(line(turn=1.0), planned("incremental"), policy)
    assert finding(training)
    assert len(training.trials) == 2


def test_one_step_over_all_rows_holds_them(line, planned):
    policy = dataclasses.replace(ALWAYS, batch=0)
    training = run(bounded(line(turn=1.0, fresh_rows=3_000)), planned("incremental"), policy)
    assert finding(training) is None


PREPARE = """
import json, sys
from pathlib import Path
import numpy as np, polars as pl
from instar.core.codec import encode
from instar.core.data import Task, TaskKind
from instar.core.policy import DataSettings
from instar.data import preprocessing, snapshot
from instar.data.schema import infer_schema
from instar.ledger.artifacts import DirectoryArtifacts

folder, rows = Path(sys.argv[1]), int(sys.argv[2])
artifacts = DirectoryArtifacts(folder / "artifacts")
task = Task(TaskKind.BINARY, "y", ("0", "1"))

def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 7)).astype(np.float64)
    y = (x.sum(1) + rng.logistic(size=rows) > 0).astype(np.int64).astype(str)
    return pl.DataFrame({**{f"x{i}": x[:, i] for i in range(7)}, "y": y})

few = table(2_000, 1)
schema = infer_schema(few, task, DataSettings())
how = preprocessing.fit(few, schema, DataSettings())
taken = {
    name: encode(snapshot.take(table(count, seed), schema, artifacts, name))
    for seed, (name, count) in enumerate(
        {"old": 2_000, "train": rows, "valid": rows // 5, "test": 2_000}.items(), 1
    )
}
data = {**taken, "schema": encode(schema), "how": encode(how)}
(folder / "data.json").write_text(json.dumps(data))
"""
MEASURE = """
import json, sys
from pathlib import Path
import torch
from instar.core.clock import SystemClock
from instar.core.codec import decode
from instar.core.data import Preprocessing, Schema, Snapshot, Split, Task, TaskKind
from instar.core.finding import Verdict
from instar.core.policy import TrainPolicy
from instar.core.records import Admission, Bundle, ModelVersion, Network, Plan, Request
from instar.core.tools import Machine, Tools
from instar.engines.local import Local
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.safedir import SafeDir
from instar.models import build, weights
from instar.stages.train import train
from instar.testing.tools import silent

folder, stream, allowed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
data = json.loads((folder / "data.json").read_text())
parts = {name: decode(Snapshot, data[name]) for name in ("old", "train", "valid", "test")}
schema, how = decode(Schema, data["schema"]), decode(Preprocessing, data["how"])
task = Task(TaskKind.BINARY, "y", ("0", "1"))
network = Network(family="mlp", options={"hidden": [8]})
artifacts = DirectoryArtifacts(folder / "artifacts")
scratch = folder / stream
scratch.mkdir()
tools = Tools(artifacts=artifacts, clock=SystemClock(), progress=silent, engine=Local(),
              scratch=scratch, folder=SafeDir, project=folder, machine=Machine("cpu", allowed))
torch.manual_seed(0)
net = build.build(network, how.inputs(1), folder)
champion = ModelVersion("m", task, network, schema, how, artifacts.put(weights.save(net)),
    Bundle("m", "", (), "", "fp32", Verdict.PASS, ()), (parts["old"],), ())
request = Request("u", "m", "", "", parts["train"], task, network, how.columns, "", 0, "m")
plan = Plan(Verdict.PASS, (), "recent", "", ())
policy = TrainPolicy(stream=stream, epochs=1, batch=16384, lr=0.02, checkpoint_s=1e9)

def status(name):
    return 1024 * int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0])

def made_of(learn, valid):
    split = Split(learn, valid, parts["test"])
    admission = Admission(Verdict.PASS, (), learn.rows, schema, split=split)
    return train(request, champion, admission, plan, policy=policy, tools=tools)

made_of(parts["old"], parts["test"])  # what is loaded for any training is loaded now
Path("/proc/self/clear_refs").write_text("5")  # the peak begins again at what there is
before = status("VmRSS")
made = made_of(parts["train"], parts["valid"])
grew = status("VmHWM") - before
print(json.dumps({"grew": grew, "passes": made.passes, "metric": made.history[-1].metric}))
"""


def test_training_takes_little_memory_for_five_times_as_much_data(tmp_path):
    """20 MB are allowed; the table's numbers take 100 MB. Peaks of processes of their own."""
    allowed, rows = 20_000_000, 1_562_500
    assert rows * 8 * 8 == 5 * allowed
    subprocess.run([sys.executable, "-c", PREPARE, str(tmp_path), str(rows)], check=True)
    found = {}
    for how in ("auto", "never"):
        words = [sys.executable, "-c", MEASURE, str(tmp_path), how, str(allowed)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        found[how] = json.loads(done.stdout)
    assert found["auto"]["passes"] == found["never"]["passes"] == rows
    assert found["auto"]["metric"] == pytest.approx(found["never"]["metric"], abs=0.01)
    assert found["auto"]["grew"] < 3 * allowed  # readers and allocators keep something besides
    assert found["never"]["grew"] > 6 * allowed
