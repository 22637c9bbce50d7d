"""Whose bundles may serve: sealed ones are signed here, and asked for it before they are used."""

from __future__ import annotations

from collections.abc import Sequence

from instar.bundle import format as files
from instar.bundle import signature as oms
from instar.bundle.errors import UnsignedBundle, UntrustedSignature
from instar.bundle.format import MANIFEST, Manifest
from instar.core.tools import Artifacts, Signer


def names(manifest: str, sealed: Manifest) -> dict[str, str]:
    """List the files of a bundle as they are signed: digest by name, the manifest among them."""
    return {MANIFEST: manifest, **{file.name: file.digest for file in sealed.files}}


def sign(artifacts: Artifacts, manifest: str, signer: Signer) -> str:
    """Sign a sealed bundle whose files are all there; return the signature's digest.

    Raises:
        IntegrityError: a file is not what the manifest says.
    """
    sealed, _, _ = files.read(artifacts, manifest)
    signature = oms.sign(names(manifest, sealed), sealed.version, signer)
    return artifacts.put(signature)


def check(
    artifacts: Artifacts,
    manifest: str,
    sealed: Manifest,
    signature: str | None,
    keys: Sequence[bytes],
) -> None:
    """Ask a bundle that was read for its signature.

    Where no key is trusted and no signature is named, nothing is asked: so it is in a workspace
    from before signing. Either of them alone is refused.

    Raises:
        UnsignedBundle: it has none.
        BadSignature: it has one that does not count, or that is of other files.
    """
    if signature is None and not keys:
        return
    if signature is None:
        raise UnsignedBundle(sealed.version)
    if not keys:
        raise UntrustedSignature
    oms.check(names(manifest, sealed), oms.read(artifacts.read(signature), keys))


def verify(
    artifacts: Artifacts, manifest: str, signature: str | None, keys: Sequence[bytes]
) -> None:
    """Ask a bundle in the store for all its files, and for its signature.

    Raises:
        IntegrityError: see `check`; or a file is not what the manifest says.
    """
    if signature is None and not keys:
        return
    sealed, _, _ = files.read(artifacts, manifest)
    check(artifacts, manifest, sealed, signature, keys)
