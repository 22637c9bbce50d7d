"""The files of a bundle: a manifest that names every other file by digest.

    manifest.json     format, version, files: name, digest, size; its own digest names the bundle
    bundle.json       task, preprocessing, schema, the graph that serves, its precision
    model.onnx        raw columns in, `scores` out
    model.int8.onnx   the same, quantised, where that held
    card.md           the model card

Exported as a folder, there is one file more, `model.sig`: the signature over all the others.

The version stands in the manifest and the card only, so that the other files of two bundles with
equal content are equal byte by byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from instar.bundle.errors import BrokenBundle, NewerBundle
from instar.bundle.signature import safe
from instar.core import codec, digest
from instar.core.data import Preprocessing, Schema, Task
from instar.core.files import File
from instar.core.names import is_name
from instar.core.tools import Artifacts

FORMAT = "instar.bundle/1"
CONTENTS = "bundle.json"
MANIFEST = "manifest.json"
SIGNATURE = "model.sig"


@dataclass(frozen=True, slots=True)
class Manifest:
    """List the files of a bundle."""

    format: str
    version: str
    files: tuple[File, ...]

    def file(self, name: str) -> File:
        for file in self.files:
            if file.name == name:
                return file
        raise BrokenBundle(name, "a manifest without it")


@dataclass(frozen=True, slots=True)
class Contents:
    """Say how to serve: which graph, which columns go in, what the scores mean.

    `outputs` names the columns of `scores`, in order.
    """

    task: Task
    preprocessing: Preprocessing
    schema: Schema
    graph: str
    precision: str
    outputs: tuple[str, ...]


def write(
    artifacts: Artifacts, version: str, contents: Contents, files: Mapping[str, bytes]
) -> tuple[str, tuple[File, ...]]:
    """Seal files into a bundle; return the manifest's digest and the files in it, by name."""
    everything = {**files, CONTENTS: digest.canonical(codec.encode(contents))}
    sealed = tuple(
        File(name, artifacts.put(data), len(data)) for name, data in sorted(everything.items())
    )
    manifest = Manifest(FORMAT, version, sealed)
    return artifacts.put(digest.canonical(codec.encode(manifest))), sealed


def read(artifacts: Artifacts, manifest: str) -> tuple[Manifest, Contents, bytes]:
    """Read a bundle whole: its manifest, its contents, and the bytes of the graph that serves.

    Raises:
        IntegrityError: a file is not what its digest says, or cannot be read.
        NewerBundle: the bundle's format is not this one.
    """
    sealed = codec.decode(Manifest, _json(MANIFEST, artifacts.read(manifest), manifest))
    _plain(sealed)
    files = {file.name: _verified(artifacts, file) for file in sealed.files}
    about = sealed.file(CONTENTS)
    contents = codec.decode(Contents, _json(CONTENTS, files[CONTENTS], about.digest))
    return sealed, contents, files[sealed.file(contents.graph).name]


def _plain(sealed: Manifest) -> None:
    """Refuse a manifest whose names could lead elsewhere, or mean two files."""
    taken = {MANIFEST, SIGNATURE}
    if not isinstance(sealed.version, str):
        raise BrokenBundle(MANIFEST, "a version that is no text")
    for file in sealed.files:
        if not (is_name(file.name) and safe(file.name)):
            raise BrokenBundle(MANIFEST, "a name that leads out of the bundle")
        if not (isinstance(file.digest, str) and digest.is_digest(file.digest)):
            raise BrokenBundle(MANIFEST, "a digest that is none")
        if file.name in taken:
            raise BrokenBundle(MANIFEST, "a name that is taken")
        taken.add(file.name)


def _verified(artifacts: Artifacts, file: File) -> bytes:
    # Stores verify too; the reader does not lean on it, since this is what will answer requests.
    data = artifacts.read(file.digest)
    if len(data) != file.size or digest.digest_bytes(data) != file.digest:
        raise BrokenBundle(file.name, "other bytes")
    return data


def _json(name: str, data: bytes, wanted: str) -> object:
    if digest.digest_bytes(data) != wanted:
        raise BrokenBundle(name, "other bytes")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BrokenBundle(name, "something else than JSON") from error
    if isinstance(value, dict) and value.get("format", FORMAT) != FORMAT:
        raise NewerBundle(FORMAT, str(value["format"]))
    return value
