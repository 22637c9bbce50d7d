"""What is kept of predictions: off the reply path, bounded, and whole after a crash."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from instar.bundle.columns import NUMBERS
from instar.core.data import Task, TaskKind
from instar.core.errors import BackendError
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.safedir import SafeDir
from instar.serving import recorder as module
from instar.serving import segments
from instar.serving.models import Shelf, stock
from instar.serving.recorder import Keeping, Recorder, named, told
from instar.serving.segments import NoSegments
from instar.testing.bundles import TASK, tiny_bundle

OLD = "model_v20260101_0000"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    artifacts = DirectoryArtifacts(tmp_path_factory.mktemp("recorder") / "artifacts")
    manifests = {OLD: tiny_bundle(artifacts, OLD)}
    return stock(Route("m", 1, {OLD: 1.0}, manifests, OLD), "m", artifacts, None)


@pytest.fixture
def job(shelf: Shelf) -> Callable[..., Any]:
    arm = SimpleNamespace(version=shelf.champion, generation=7)

    def make(name: str, **columns: Any) -> Any:
        return SimpleNamespace(name=name, columns=columns or {"x": [1.5]}, arm=arm)

    return make


def begun(root: Path, **keep: Any) -> Recorder:
    return Recorder(root, 0, replace(Keeping(share=1.0), **keep))


def found(root: Path) -> segments.Found:
    return segments.read(SafeDir(root / "serve"))


def rows(root: Path) -> list[dict[str, Any]]:
    return [row for table in found(root).answers for row in table.to_pylist()]


def files(root: Path) -> list[Path]:
    return sorted((root / "serve" / segments.FOLDER).glob("*.arrows"))


def test_answer_is_kept_with_its_inputs_by_name(tmp_path: Path, job: Callable[..., Any]) -> None:
    kept = begun(tmp_path)
    kept.see(job("one", x=[1.5], colour=[None]), [[0.25, 0.75]])
    kept.see(job("two", **{NUMBERS: [[1, None], [3, 4]]}), [[0.5, 0.5], [1.0, 0.0]])
    kept.see(job("", x=[2.0]), [[1.0, 0.0]])
    kept.flush(end=True)
    first, *two, nameless = rows(tmp_path)
    assert first["inputs"] == {"x": 1.5, "y": None, "colour": None}
    assert (first["id"], first["version"], first["generation"]) == ("one", OLD, 7)
    assert (first["scores"], first["at"].tzinfo is not None) == ([0.25, 0.75], True)
    assert [row["id"] for row in two] == ["two/0", "two/1"]
    assert [(row["inputs"]["x"], row["inputs"]["y"]) for row in two] == [(1, None), (3, 4)]
    assert nameless["id"] is None
    assert (kept.kept, kept.dropped, found(tmp_path).torn) == (4, 0, 0)


def test_part_of_the_requests_is_kept(tmp_path: Path, job: Callable[..., Any]) -> None:
    kept = begun(tmp_path, share=0.25)
    for number in range(400):
        kept.see(job(f"r{number}"), [[1.0, 0.0]])
    kept.flush(end=True)
    assert 60 <= kept.kept <= 150


def test_segment_that_was_cut_off_is_read_up_to_its_last_whole_batch(
    tmp_path: Path, job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 1)
    other = begun(tmp_path)
    other.see(job("other"), [[1.0, 0.0]])
    other.flush(end=True)
    kept = begun(tmp_path)
    for number in range(5):
        kept.see(job(f"r{number}"), [[1.0, 0.0]])
        kept.flush()
    for segment in kept._open.values():  # a process that is killed ends nothing
        segment._sink.close()
    path = files(tmp_path)[-1]
    data = path.read_bytes()
    seen = []
    for cut in range(0, len(data) + 1, 101):
        path.write_bytes(data[:cut])
        told = found(tmp_path)
        names = [row["id"] for table in told.answers for row in table.to_pylist()]
        assert names[0] == "other"
        assert names[1:] == [f"r{number}" for number in range(len(names) - 1)]
        assert told.torn == 1
        seen.append(len(names) - 1)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] >= 4


def test_full_memory_drops_and_counts_and_blocks_nobody(
    tmp_path: Path, job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS", 10)
    kept = begun(tmp_path)
    for number in range(25):
        kept.see(job(f"r{number}"), [[1.0, 0.0]])
    assert kept.dropped == 15
    kept.flush(end=True)
    kept.see(job("after"), [[1.0, 0.0]])
    kept.flush(end=True)
    assert kept.kept == 11
    monkeypatch.setattr(module, "_VALUES", 100)
    kept.see(job("large", i=np.zeros((1, 20, 20))), [[1.0, 0.0]])
    assert kept.dropped == 16


def test_disk_that_refuses_costs_what_it_was_given(
    tmp_path: Path, job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = begun(tmp_path)
    kept.see(job("lost"), [[1.0, 0.0]])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segments.Segment, "write", full)
    with pytest.raises((OSError, BackendError)):
        kept.flush(end=True)
    assert (kept.kept, kept.dropped) == (0, 1)
    monkeypatch.undo()
    kept.see(job("kept"), [[1.0, 0.0]])
    kept.flush(end=True)
    assert [row["id"] for row in rows(tmp_path)] == ["kept"]


def test_segments_are_closed_when_full_and_the_oldest_make_room(
    tmp_path: Path, job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 1)
    kept = begun(tmp_path, segment_mb=0.004, total_mb=0.02)
    for number in range(60):
        kept.see(job(f"r{number}"), [[1.0, 0.0]])
        kept.flush()
    kept.flush(end=True)
    assert len(files(tmp_path)) > 2
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 21_000
    names = [row["id"] for row in rows(tmp_path)]
    assert names == [f"r{number}" for number in range(60 - len(names), 60)]
    assert len(names) < 60


def test_segment_is_closed_when_it_is_old(
    tmp_path: Path, job: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 1)
    kept = begun(tmp_path, segment_s=0.0)
    for number in range(3):
        kept.see(job(f"r{number}"), [[1.0, 0.0]])
        kept.flush()
    assert len(files(tmp_path)) == 3
    assert found(tmp_path).torn == 0


def test_labels_are_kept_as_data_hold_them(tmp_path: Path) -> None:
    kept = begun(tmp_path)
    kept.label("one", 1.0, TASK)
    kept.flush(end=True)
    (table,) = found(tmp_path).labels
    (row,) = table.to_pylist()
    assert (row["id"], json.loads(row["label"])) == ("one", "yes")
    several = Task(TaskKind.MULTILABEL, classes=("a", "b"), targets=("a", "b"))
    assert json.loads(told([1.0, None], several)) == {"a": 1.0, "b": None}
    assert told(2.5, Task(TaskKind.REGRESSION, "minutes")) == "2.5"


def test_value_that_no_column_holds_is_dropped_with_its_row(
    tmp_path: Path, job: Callable[..., Any]
) -> None:
    kept = begun(tmp_path)
    kept.see(job("odd", x=[10**400]), [[1.0, 0.0]])
    kept.see(job("good"), [[1.0, 0.0]])
    kept.flush(end=True)
    assert [row["id"] for row in rows(tmp_path)] == ["good"]
    assert kept.dropped == 1


def test_image_is_kept_as_its_bytes(shelf: Shelf) -> None:
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    inputs = {"i": {"name": "i", "datatype": "UINT8", "shape": [-1, 2, 3]}}
    version = replace(shelf.champion, inputs=inputs)
    assert named({"i": image}, version, 1) == {"i": [bytes(range(6))]}
    assert segments.answers(inputs).field("inputs").type.field("i").metadata[b"shape"] == b"[2, 3]"


def test_folder_without_segments_says_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(NoSegments, match="log_share"):
        found(tmp_path)


def test_several_processes_write_beside_each_other(tmp_path: Path, job: Callable[..., Any]) -> None:
    for slot in range(2):
        if os.fork() == 0:
            kept = Recorder(tmp_path, slot, Keeping(share=1.0))
            for number in range(10):
                kept.see(job(f"{slot}-{number}"), [[1.0, 0.0]])
            kept.flush(end=True)
            os._exit(0)
    for _ in range(2):
        os.wait()
    assert len({row["id"] for row in rows(tmp_path)}) == 20
