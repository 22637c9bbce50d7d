from __future__ import annotations

from dataclasses import replace

from instar.core.digest import digest_bytes, is_digest
from instar.core.records import Environment, Fingerprint, TensorPrint
from instar.report import render
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


def test_lineage_names_the_parameters_and_the_code_of_a_training() -> None:
    story = good()
    assert story.training is not None
    printed = Fingerprint(
        digest_bytes(b"root"), (TensorPrint("w", "F32", (2,), digest_bytes(b"w")),)
    )
    where = Environment(
        instar="0.1.0",
        source=digest_bytes(b"source"),
        python="CPython 3.11.7",
        system="Linux",
        processor="a processor of note",
        cores=2,
        memory_bytes=1 << 34,
        libraries={"torch": "2.13.0"},
        locks={"uv.lock": digest_bytes(b"lock")},
    )
    training = replace(story.training, before=printed, after=printed, environment=where)
    told = replace(story, training=training)
    found = {origin.part: origin.digest for origin in lineage(told)}
    assert found["parameters before"] == found["parameters after"] == printed.root
    assert (found["code"], found["lock file"]) == (where.source, where.locks["uv.lock"])
    page = render(told)
    assert "a processor of note" in page
    assert "2.13.0" in page
    assert "a processor of note" not in render(story)
