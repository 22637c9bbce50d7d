from __future__ import annotations

import json

import pytest

from instar.bundle import format as files
from instar.bundle.errors import BrokenBundle, NewerBundle
from instar.core.codec import BadRecord
from instar.core.digest import canonical, digest_bytes
from instar.testing.bundles import PREPROCESSING, SCHEMA, TASK, tiny_bundle
from instar.testing.tools import MemoryArtifacts


class Lying:
    """A store that does not verify what it hands out."""

    def __init__(self, artifacts: MemoryArtifacts) -> None:
        self.kept = artifacts.kept

    def read(self, digest: str) -> bytes:
        return self.kept[digest]


def test_read_returns_what_was_written():
    artifacts = MemoryArtifacts()
    contents = files.Contents(TASK, PREPROCESSING, SCHEMA, "model.onnx", "fp32", TASK.classes)
    name, sealed = files.write(artifacts, "v1", contents, {"model.onnx": b"graph", "card.md": b"#"})
    manifest, read, graph = files.read(artifacts, name)
    assert (manifest.version, read, graph) == ("v1", contents, b"graph")
    assert manifest.files == sealed
    assert [file.name for file in sealed] == ["bundle.json", "card.md", "model.onnx"]
    assert name == digest_bytes(artifacts.read(name))


def test_write_differs_by_version_in_the_manifest_alone():
    artifacts = MemoryArtifacts()
    contents = files.Contents(TASK, PREPROCESSING, SCHEMA, "model.onnx", "fp32", TASK.classes)
    first = files.write(artifacts, "v1", contents, {"model.onnx": b"graph"})
    again = files.write(artifacts, "v1", contents, {"model.onnx": b"graph"})
    other = files.write(artifacts, "v2", contents, {"model.onnx": b"graph"})
    assert first == again
    assert first[0] != other[0]
    assert first[1] == other[1]


@pytest.mark.parametrize("name", ["bundle.json", "card.md", "model.onnx"])
def test_read_refuses_a_changed_file_even_from_a_store_that_does_not_look(name):
    artifacts = MemoryArtifacts()
    digest = tiny_bundle(artifacts)
    changed = files.read(artifacts, digest)[0].file(name).digest
    artifacts.kept[changed] = artifacts.kept[changed][:-1] + b"?"
    with pytest.raises(BrokenBundle, match=name):
        files.read(Lying(artifacts), digest)


def test_read_refuses_a_changed_manifest():
    artifacts = MemoryArtifacts()
    digest = tiny_bundle(artifacts)
    artifacts.kept[digest] = artifacts.kept[digest].replace(b"model_v2026", b"model_v2027")
    with pytest.raises(BrokenBundle, match=r"manifest\.json"):
        files.read(Lying(artifacts), digest)


def test_read_refuses_a_newer_format():
    artifacts = MemoryArtifacts()
    manifest = json.loads(artifacts.read(tiny_bundle(artifacts)))
    newer = artifacts.put(canonical(manifest | {"format": "instar.bundle/2"}))
    with pytest.raises(NewerBundle, match="bundle/2"):
        files.read(artifacts, newer)


@pytest.mark.parametrize("data", [b"", b"not json", b"\xff\xfe"])
def test_read_refuses_what_is_no_manifest(data):
    artifacts = MemoryArtifacts()
    with pytest.raises(BrokenBundle, match="JSON"):
        files.read(artifacts, artifacts.put(data))


def test_read_refuses_json_that_is_no_manifest():
    artifacts = MemoryArtifacts()
    with pytest.raises(BadRecord):
        files.read(artifacts, artifacts.put(b'{"files":"all of them"}'))


def test_read_refuses_a_manifest_without_the_graph_that_serves():
    artifacts = MemoryArtifacts()
    contents = files.Contents(TASK, PREPROCESSING, SCHEMA, "model.onnx", "fp32", TASK.classes)
    digest, _ = files.write(artifacts, "v1", contents, {"card.md": b"#"})
    with pytest.raises(BrokenBundle, match=r"model\.onnx"):
        files.read(artifacts, digest)
