from __future__ import annotations

from instar.core.digest import is_digest
from instar.report.lineage import lineage
from tests.report.stories import good, refused


def test_lineage_names_everything_by_digest_from_policy_to_bundle() -> None:
    parts = [origin.part for origin in lineage(good())]
    assert parts[:2] == ["policy", "fresh data"]
    assert parts[-1] == "bundle file"
    assert {"champion learnt from", "champion holdout", "quarantine", "stratified test"} <= set(
        parts
    )
    assert all(is_digest(origin.digest) for origin in lineage(good()))


def test_lineage_of_a_refused_update_has_no_candidate() -> None:
    assert not [origin for origin in lineage(refused()) if "candidate" in origin.part]
