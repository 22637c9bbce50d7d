"""The workspace's private keys: made once, read by their owner alone.

`keys/ledger.pem` (Ed25519) signs checkpoints of the ledger, `keys/bundle.pem` (ECDSA on P-256,
which the model-signing tools read) signs bundles. The public halves lie beside them as `.pub`.
Whoever holds a private key can forge what it signs: move the folder to a machine or a medium of
its own where that matters, and keep the public halves where the verifiers are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from instar.core.errors import IntegrityError
from instar.ledger import trust
from instar.ledger.safedir import SafeDir

PASSPHRASE = "INSTAR_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey

_KINDS: dict[str, tuple[type, Callable[[], PrivateKey]]] = {
    "ledger": (Ed25519PrivateKey, Ed25519PrivateKey.generate),
    "bundle": (EllipticCurvePrivateKey, lambda: generate_private_key(SECP256R1())),
}


class BadKey(IntegrityError):
    """Refuse a key file that cannot sign; its content is never shown."""

    code = "integrity.bad_key"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            f"a private key in keys/{name}.pem", problem, "restore it from your key backup"
        )


def private_key(home: Path, name: str) -> PrivateKey:
    """Return a key of the workspace; make it, durably, where there is none.

    Args:
        home: The workspace's own folder, `.instar`.
        name: `ledger` or `bundle`.
    Raises:
        BadKey: the file holds no key of this kind, or `INSTAR_KEY_PASSPHRASE` does not open it.
    Example:
        >>> import tempfile
        >>> home = Path(tempfile.mkdtemp())
        >>> private_key(home, "ledger").sign(b"x") == private_key(home, "ledger").sign(b"x")
        True
    """
    kind, make = _KINDS[name]
    place = SafeDir(home, mode=0o700)
    private, public = f"keys/{name}.pem", f"keys/{name}.pub"
    secret = os.environ.get(PASSPHRASE, "").encode() or None
    # Of two processes that make a key at once, the first one's stays. Whoever made it may have
    # died before its public half was there.
    if not (place.holds(private) and place.holds(public)):
        with place.alone("keys/lock"):
            if not place.holds(private):
                place.keep(private, [_private_pem(make(), secret)], mode=0o400)
            found = _load(place, name, private, kind, secret)
            place.keep(public, [public_pem(found)])
            return found
    return _load(place, name, private, kind, secret)


def _load(place: SafeDir, name: str, private: str, kind: type, secret: bytes | None) -> PrivateKey:
    try:
        found = serialization.load_pem_private_key(place.read(private), secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(name, "something that does not open") from error
    if not isinstance(found, kind):
        raise BadKey(name, "a key of another kind")
    return found  # type: ignore[return-value] # one of the two kinds


def public_key(home: Path) -> Ed25519PublicKey | None:
    """Return the key that verifies checkpoints; None where none was ever made.

    The private key is not needed: it may be kept elsewhere.

    Raises:
        BadKey: what lies there is no such key.
    """
    place = SafeDir(home)
    try:
        found = serialization.load_pem_public_key(place.read("keys/ledger.pub"))
    except FileNotFoundError:
        return None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("ledger", "a public half that does not open") from error
    if not isinstance(found, Ed25519PublicKey):
        raise BadKey("ledger", "a public half of another kind")
    return found


class NoPrivateKey(IntegrityError):
    """Refuse to sign where the trusted keys lie and the key that signs does not."""

    code = "integrity.no_private_key"

    def __init__(self) -> None:
        super().__init__(
            "the key that signs bundles, keys/bundle.pem",
            "none, but public keys that are trusted",
            "put it back, or do this where it lies",
        )


class BundleSigner:
    """Sign with the workspace's bundle key: `instar.core.tools.Signer`.

    The key is made when it is first used, in a workspace that trusts none yet.

    Example:
        >>> import tempfile
        >>> signer = BundleSigner(Path(tempfile.mkdtemp()))
        >>> len(signer.trusted), signer.sign(b"x") == signer.sign(b"x"), len(signer.trusted)
        (0, True, 1)
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    @property
    def public(self) -> bytes:
        """Return the public half of the signing key, as PEM."""
        return public_pem(self._key())

    @property
    def trusted(self) -> tuple[bytes, ...]:
        """Return the public keys whose signatures count, as PEM."""
        return trust.trusted(self._home)

    def sign(self, message: bytes) -> bytes:
        """Sign a message: ECDSA on P-256 with SHA-256, as DER; the same one in the same way.

        Raises:
            NoPrivateKey: there are trusted keys here, but not this one.
            BadKey: the key does not open.
        """
        try:
            # With a nonce from the message: a stage that is run again ends in the same bytes.
            return self._key().sign(message, ECDSA(SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm:  # before OpenSSL 3.2
            return self._key().sign(message, ECDSA(SHA256()))

    def _key(self) -> EllipticCurvePrivateKey:
        if not (self._home / "keys" / "bundle.pem").exists() and self.trusted:
            raise NoPrivateKey
        return cast("EllipticCurvePrivateKey", private_key(self._home, "bundle"))


def bundle_signer(home: Path) -> BundleSigner | None:
    """Return who signs bundles here; None in a workspace that has no keys."""
    has = (home / "keys" / "bundle.pem").exists() or trust.trusted(home)
    return BundleSigner(home) if has else None


def public_pem(key: PrivateKey) -> bytes:
    """Write the public half of a key as PEM."""
    return pem(key.public_key())


def pem(key: Ed25519PublicKey | EllipticCurvePublicKey) -> bytes:
    """Write a public key as PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _private_pem(key: PrivateKey, secret: bytes | None) -> bytes:
    how = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)
