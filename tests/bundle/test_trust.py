from __future__ import annotations

import pytest

from instar.bundle import trust
from instar.bundle.errors import (
    BrokenBundle,
    MalformedSignature,
    SignatureMismatch,
    UnsignedBundle,
    UntrustedSignature,
)
from instar.bundle.runtime import ServedBundle
from instar.core.errors import IntegrityError
from instar.testing.bundles import tiny_bundle
from instar.testing.tools import FakeSigner, MemoryArtifacts

SIGNER, OTHER = FakeSigner(1), FakeSigner(2)
STORE = MemoryArtifacts()
MANIFEST = tiny_bundle(STORE, "model_v20260101_0000")
SECOND = tiny_bundle(STORE, "model_v20260102_0000", bias=1.0)
SIGNATURE = trust.sign(STORE, MANIFEST, SIGNER)


def test_signed_bundle_opens_with_its_key() -> None:
    served = ServedBundle.open(STORE, MANIFEST, signature=SIGNATURE, keys=SIGNER.trusted)
    assert served.version == "model_v20260101_0000"
    trust.verify(STORE, MANIFEST, SIGNATURE, [OTHER.public, SIGNER.public])


REFUSED = {
    "no signature": (MANIFEST, None, SIGNER.trusted, UnsignedBundle),
    "no key": (MANIFEST, SIGNATURE, (), UntrustedSignature),
    "another key": (MANIFEST, SIGNATURE, OTHER.trusted, UntrustedSignature),
    "another bundle": (SECOND, SIGNATURE, SIGNER.trusted, SignatureMismatch),
    "something else": (MANIFEST, STORE.put(b"x"), SIGNER.trusted, MalformedSignature),
    "a lost one": (MANIFEST, "sha256:" + "0" * 64, SIGNER.trusted, IntegrityError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bundle_is_refused_before_its_graph_is_loaded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, signature, keys, error = REFUSED[name]
    monkeypatch.setattr("instar.bundle.session.start", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(error):
        ServedBundle.open(STORE, manifest, signature=signature, keys=keys)
    with pytest.raises(error):
        trust.verify(STORE, manifest, signature, keys)


def test_nothing_is_asked_without_signature_and_keys() -> None:
    trust.verify(STORE, "sha256:nothing", None, ())
    assert ServedBundle.open(STORE, MANIFEST).version == "model_v20260101_0000"


def test_damaged_bundle_is_not_signed() -> None:
    store = MemoryArtifacts()
    manifest = tiny_bundle(store)
    graph = next(d for d in store.kept if d != manifest)
    store.kept[graph] += b"x"
    with pytest.raises(IntegrityError):
        trust.sign(store, manifest, SIGNER)


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "", "manifest.json", "model.sig", "a\0"])
def test_manifest_with_a_name_that_leads_out_is_refused(name: str) -> None:
    store = MemoryArtifacts()
    manifest = store.read(tiny_bundle(store)).replace(b'"card.md"', f'"{name}"'.encode())
    with pytest.raises(BrokenBundle):
        ServedBundle.open(store, store.put(manifest.replace(b"\0", b"\\u0000")))
