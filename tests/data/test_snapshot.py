from datetime import datetime

import polars as pl
import pytest

from instar.core.data import TaskKind
from instar.core.errors import IntegrityError
from instar.core.policy import DataSettings
from instar.data import snapshot as snapshots
from instar.data.schema import infer_schema, infer_task
from instar.data.snapshot import draw, group_rows, load, load_all, part, take
from instar.data.split import sample
from instar.testing.tools import MemoryArtifacts

FRAME = pl.DataFrame(
    {
        "when": [datetime.fromisoformat(f"2013-01-01T{hour:02}:00") for hour in range(24)],
        "x": [float(n) if n % 5 else None for n in range(24)],
        "y": ["a", "b", "c"] * 8,
    }
)
SCHEMA = infer_schema(FRAME, infer_task(FRAME, TaskKind.MULTICLASS, "y", "when"), DataSettings())


@pytest.fixture
def artifacts(tmp_path):
    return MemoryArtifacts(tmp_path)


def test_take_then_load_gives_the_rows_back(artifacts):
    snapshot = take(FRAME, SCHEMA, artifacts, "fresh.csv", "when")
    assert load(snapshot, artifacts).equals(FRAME)
    assert (snapshot.rows, snapshot.source) == (24, "fresh.csv")
    assert (snapshot.since, snapshot.until) == ("2013-01-01T00:00:00", "2013-01-01T23:00:00")


def test_take_same_rows_same_digest_however_they_were_put_together(artifacts):
    parts = pl.concat([FRAME[:7], FRAME[7:9], FRAME[9:]], rechunk=False)
    assert parts.n_chunks() == 3
    digests = {take(frame, SCHEMA, artifacts, "a").digest for frame in (FRAME, parts)}
    assert len(digests) == 1
    assert take(FRAME.reverse(), SCHEMA, artifacts, "a").digest not in digests


def test_load_all_column_that_one_lacks_is_missing_there(artifacts):
    shots = [take(frame, SCHEMA, artifacts, "a") for frame in (FRAME, FRAME.drop("x"))]
    frame = load_all(shots, artifacts)
    assert frame.height == 48
    assert frame["x"][24:].null_count() == 24


@pytest.mark.parametrize("rows", [0, 1, 17, 60, 72, 100])
def test_draw_gives_the_rows_that_a_sample_of_all_would(artifacts, monkeypatch, rows):
    """Pieces of five rows, over three files, one of which lacks a column."""
    monkeypatch.setattr(snapshots, "_step", lambda schema: 5)
    wider = FRAME.with_columns(more=pl.lit(1))
    shots = [take(frame, SCHEMA, artifacts, "a") for frame in (FRAME, FRAME.drop("x"), wider)]
    for seed in range(5):
        whole = sample(load_all(shots, artifacts), rows, seed)
        assert draw(shots, artifacts, rows, seed).equals(whole)


def test_part_gives_some_rows(artifacts):
    file = artifacts.path(take(FRAME, SCHEMA, artifacts, "a").digest)
    assert part(file, 7, 5).equals(FRAME[7:12])
    assert part(file, 20, 100).equals(FRAME[20:])


def test_row_groups_of_images_hold_fewer_rows(artifacts):
    assert group_rows(64) == 1 << 17
    assert group_rows(65) == 1 << 16
    images = pl.DataFrame({"image": [bytes(8_000)] * 4})
    assert snapshots._cells(images) == 1_001
    assert snapshots._cells(FRAME) == 3


def test_load_altered_bytes_are_refused(artifacts):
    snapshot = take(FRAME, SCHEMA, artifacts, "a")
    artifacts.kept[snapshot.digest] += b"x"
    with pytest.raises(IntegrityError):
        load(snapshot, artifacts)
