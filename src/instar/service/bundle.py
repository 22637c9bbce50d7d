"""Bundles as folders: written out for others, held against their signature, signed afterwards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instar.core.errors import TakenFolder
from instar.service.errors import NotNow

if TYPE_CHECKING:
    from instar.core.records import ModelVersion
    from instar.ledger.keys import BundleSigner
    from instar.service import Workspace


def export(space: Workspace, version: str, folder: Path) -> dict[str, Any]:
    """Write a version's bundle as a folder, with its signature as `model.sig`.

    Raises:
        UnknownVersion: the ledger does not hold it.
        IntegrityError: a file is not what the manifest says, or nobody trusted signed it.
        TakenFolder: the folder is there already, or cannot be made.
    """
    from instar.bundle import format as sealed
    from instar.bundle import trust
    from instar.bundle.errors import UnsignedBundle
    from instar.ledger import files
    from instar.ledger.stores import open_artifacts
    from instar.ledger.trust import trusted

    bundle = space.version(version).bundle
    if bundle.signature is None:
        raise UnsignedBundle(version)
    artifacts = open_artifacts(space.home, space.project.store)
    trust.verify(artifacts, bundle.manifest, bundle.signature, trusted(space.home))
    inner, _, _ = sealed.read(artifacts, bundle.manifest)
    written = trust.names(bundle.manifest, inner)
    try:
        folder.mkdir()
    except OSError as error:
        raise TakenFolder(folder.name, str(error.strerror)) from error
    with files.mapped():
        # The signature comes last: a folder that has it is whole.
        for name, digest in {**written, sealed.SIGNATURE: bundle.signature}.items():
            files.settle(files.write(folder, [artifacts.read(digest)]), folder / name)
    return {"version": version, "folder": str(folder), "files": sorted(written)}


def verify(folder: Path, keys: list[Path], signature: Path | None = None) -> dict[str, Any]:
    """Hold a folder, or one file, against its signature and public keys; no workspace is needed.

    Args:
        folder: The folder; every file in it counts, hidden ones too, but for the signature's own.
        keys: Files with the public keys that are trusted, at least one.
        signature: By default `model.sig` in the folder; beside a single file, `NAME.sig`.
    Raises:
        BadSignature: a file is missing, extra or another; or nobody trusted made the signature.
        InputError: a file is not there, or is a link; a key is no public key.
    """
    from instar.bundle import folder as place
    from instar.bundle.format import SIGNATURE
    from instar.bundle.signature import LARGEST, fingerprint

    beside = folder / SIGNATURE if folder.is_dir() else folder.with_name(f"{folder.name}.sig")
    where = signature or beside
    own = where.name if where.absolute().parent == folder.absolute() else ""
    trusted = [place.read(key, 1 << 16) for key in keys]
    root, found = place.verify(folder, place.read(where, LARGEST), trusted, own)
    return {
        "files": found,
        "root": root,
        "trusted": [fingerprint(key) for key in trusted],
    }


def sign(space: Workspace) -> dict[str, Any]:
    """Sign what serves with the workspace's key: after an upgrade, or with a new key.

    The champion, the one before it and every version of the route are verified file by file and
    signed, unless the key has signed them; each signature is an entry of the ledger, and the
    route names them. The key is made where there is none: from then on the gateway loads nothing
    that is unsigned.

    Raises:
        NotNow: an update is open; its candidate would be unsigned.
        IntegrityError: a bundle is damaged, or the key does not open.
    """
    from instar.ledger.keys import BundleSigner
    from instar.serving.client import GatewayTraffic

    champion = space.champion()
    for update in space.update_ids():
        if (state := space.state(update).state).open:
            raise NotNow(
                "no open update", update, state.value, f"finish it: instar status {update}"
            )
    signer = BundleSigner(space.home)
    traffic = GatewayTraffic(space.home, space.project.model)
    route = traffic.route()
    names = dict.fromkeys((champion.name, champion.parent, *route.shares, *route.warm))
    versions = [space.version(name) for name in names if name]
    signed = {made.name: _signed(space, made, signer) for made in versions}
    wanted = {name: digest for name, digest in signed.items() if name in route.manifests}
    if wanted != dict(route.signatures):
        traffic.put(replace(route, generation=route.generation + 1, signatures=wanted))
    return {"signed": signed}


def _signed(space: Workspace, made: ModelVersion, signer: BundleSigner) -> str:
    """Return the digest of a version's signature by the key that signs now."""
    from instar.bundle import trust
    from instar.bundle.signature import fingerprint
    from instar.ledger.stores import open_artifacts

    artifacts = open_artifacts(space.home, space.project.store)
    manifest = made.bundle.manifest
    signature = trust.sign(artifacts, manifest, signer)
    if signature == made.bundle.signature:
        return signature
    trust.verify(artifacts, manifest, signature, signer.trusted)
    space.journal.append(
        "signature",
        {
            "version": made.name,
            "manifest": manifest,
            "signature": signature,
            "key": fingerprint(signer.public),
        },
        update=made.update,
        model=space.project.model,
        actor=space.actor,
    )
    return signature
