"""A peer of the benchmark gives the gateway's own answers, else it would be no comparison."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.serving import cases
from instar.bundle.runtime import ServedBundle
from instar.ledger.artifacts import DirectoryArtifacts

pytest.importorskip("pandas")
twin = pytest.importorskip("benchmarks.serving.peers.twin")


def test_rows_prepared_in_pandas_score_as_those_of_the_bundle(tmp_path: Path) -> None:
    artifacts = DirectoryArtifacts(tmp_path)
    bundle = ServedBundle.open(artifacts, cases.bundle(artifacts, "columns"))
    rows = {
        **{f"n{i}": [0.5 * i, None, -1.25] for i in range(12)},
        **{f"c{i}": ["green", None, "red"] for i in range(3)},
    }
    tensors = [SimpleNamespace(name=name, data=data) for name, data in rows.items()]
    found = twin.in_pandas(bundle)(tensors)
    np.testing.assert_allclose(found, bundle.predict(rows), rtol=1e-6)
    assert len({row.tobytes() for row in found}) == 3
