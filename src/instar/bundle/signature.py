"""Signatures of bundles: OpenSSF Model Signing, version 1.0, with keys. Bytes in, bytes out.

A signature is a Sigstore bundle around a DSSE envelope around an in-toto statement, whose
predicate lists every file by name and SHA-256. Other tools of that standard verify what is
signed here. What is read here must pass stricter rules than the standard's:

* the key comes from the one who verifies; what the signature says of keys is a hint, unused;
* exactly the files of the manifest: nothing is left out, not even what an ignore list names;
* nothing is accepted in two forms: no key twice in an object, no second signature, no older
  predicate, whole files by SHA-256 only, in the order of their names' bytes.

Source: https://github.com/ossf/model-signing-spec, version 1.0, and DSSE 1.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from instar.bundle.errors import MalformedSignature, NotAKey, SignatureMismatch, UntrustedSignature
from instar.core.digest import PREFIX, canonical, is_digest
from instar.core.tools import Signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
LARGEST = 4 << 20  # bytes of a signature: some 20,000 files
SINGLE = "."  # how the model-signing library 1.1 names the one file of a model
_GIT = frozenset({".git", ".gitattributes", ".github", ".gitignore", ".gitmodules"})
_LONGEST = 4096  # bytes of a name


def sign(files: Mapping[str, str], name: str, signer: Signer) -> bytes:
    """Sign files by their digests.

    Args:
        files: Digest by name; names are relative, with `/` between folders.
        name: What the files are together; it only informs.
        signer: Whose key signs.
    Returns:
        The signature, a JSON file.
    Raises:
        MalformedSignature: there is no file, or a name could lead out of the folder.
    """
    resources = [
        {"name": file, "algorithm": "sha256", "digest": files[file].removeprefix(PREFIX)}
        for file in sorted(files, key=str.encode)
    ]
    _names(resources)
    payload = canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": _root(resources)}}],
            "predicateType": PREDICATE,
            "predicate": {
                "resources": resources,
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                },
            },
        }
    )
    sig = signer.sign(_encoding(payload))
    return canonical(
        {
            "mediaType": MEDIA,
            "verificationMaterial": {
                "publicKey": {"hint": hashlib.sha256(signer.public).hexdigest()},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD,
                "signatures": [{"sig": base64.b64encode(sig).decode(), "keyid": ""}],
            },
        }
    )


def read(signature: bytes, keys: Iterable[bytes], own: str = "") -> dict[str, str]:
    """Verify a signature and return what it vouches for.

    Args:
        signature: The JSON file.
        keys: The trusted public keys, as PEM; nobody else's signature counts.
        own: The name of the signature's own file in the folder, if it lies there.
    Returns:
        Digest by name.
    Raises:
        MalformedSignature: it is no signature by the rules above.
        UntrustedSignature: none of the keys made it.
        NotAKey: one of `keys` is no public key on a curve of the standard.
    """
    envelope = _envelope(signature)
    payload = _base64(_text(envelope, "payload"))
    # Nothing inside the payload is looked at before somebody trusted is found to have said it.
    made = [key for key in map(public_key, keys) if _made(key, _sig(envelope), payload)]
    if not made:
        raise UntrustedSignature
    return _manifest(_json(payload), own)


def check(files: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Hold files against what a signature vouches for: the same names, the same bytes.

    Raises:
        SignatureMismatch: a file is missing, extra or another; the first one is named.
    Example:
        >>> check({"a": "sha256:1"}, {"a": "sha256:1"})
        >>> check({"a": "sha256:1", ".git/x": "sha256:2"}, {"a": "sha256:1"})
        Traceback (most recent call last):
            ...
        instar.bundle.errors.SignatureMismatch: wanted the files that were signed; \
got '.git/x', which was not signed; get the files again from who signed them
    """
    for name in sorted(files.keys() | wanted.keys()):
        if name not in wanted:
            raise SignatureMismatch(name, "which was not signed")
        if name not in files:
            raise SignatureMismatch(name, "which was signed and is missing")
        if files[name] != wanted[name]:
            raise SignatureMismatch(name, "which is not what was signed")


def fingerprint(key: bytes) -> str:
    """Name a public key by the SHA-256 of its PEM, as the hint in a signature does.

    Raises:
        NotAKey: the bytes are no such key.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    form = PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(public_key(key).public_bytes(Encoding.PEM, form)).hexdigest()


def public_key(key: bytes) -> EllipticCurvePublicKey:
    """Read a public key, PEM, on P-256, P-384 or P-521.

    Raises:
        NotAKey: the bytes are no such key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in key:
        raise NotAKey("a private key")
    try:
        found = load_pem_public_key(key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotAKey("something else") from error
    if not isinstance(found, EllipticCurvePublicKey) or found.key_size not in (256, 384, 521):
        raise NotAKey("a key of another kind")
    return found


def _made(key: EllipticCurvePublicKey, sig: bytes, payload: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    sized = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    try:
        key.verify(sig, _encoding(payload), ECDSA(sized[key.key_size]))
    except InvalidSignature:
        return False
    return True


def _encoding(payload: bytes) -> bytes:
    """Write what is signed: the pre-authentication encoding of DSSE 1.0."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _root(resources: Sequence[Mapping[str, str]]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources)).hexdigest()


def _envelope(signature: bytes) -> Mapping[str, Any]:
    outer = _json(signature)
    if outer.get("mediaType") != MEDIA:
        raise MalformedSignature("another media type")
    material, envelope = outer.get("verificationMaterial"), outer.get("dsseEnvelope")
    if not isinstance(material, dict) or not isinstance(material.get("publicKey"), dict):
        raise MalformedSignature("one that was not made with a key")
    if {"certificate", "x509CertificateChain"} & material.keys():
        raise MalformedSignature("one made with a key and a certificate")
    if not isinstance(envelope, dict) or envelope.get("payloadType") != PAYLOAD:
        raise MalformedSignature("another payload type")
    return envelope


def _sig(envelope: Mapping[str, Any]) -> bytes:
    match envelope.get("signatures"):
        case [{"sig": str(sig)}]:
            return _base64(sig)
    raise MalformedSignature("not exactly one signature in the envelope")


def _manifest(statement: Mapping[str, Any], own: str) -> dict[str, str]:
    if statement.get("_type") != STATEMENT:
        raise MalformedSignature("another kind of statement")
    if statement.get("predicateType") != PREDICATE:
        raise MalformedSignature("another kind of predicate")
    match statement.get("predicate"):
        case {"resources": list(resources), "serialization": dict(how)}:
            _serialization(how, own)
        case _:
            raise MalformedSignature("no list of files")
    found = _names(resources)
    match statement.get("subject"):
        case [{"name": str(), "digest": {"sha256": str(root)}}] if root == _root(resources):
            return found
    raise MalformedSignature("a root digest that is not that of the list")


def _serialization(how: Mapping[str, Any], own: str) -> None:
    if how.get("method") != "files" or how.get("hash_type") != "sha256" or "shard_size" in how:
        raise MalformedSignature("files that are not hashed whole with SHA-256")
    if how.get("allow_symlinks") is not False:
        raise MalformedSignature("links that were followed")
    ignored = how.get("ignore_paths", [])
    # The standard has every signer leave out the first four, and its own file. They may be named,
    # but a file of that name is an unsigned file all the same: no list is ever applied.
    named = {own} | _GIT if own else _GIT
    if not isinstance(ignored, list) or any(path not in named for path in ignored):
        raise MalformedSignature("files that were left out when it was made")


def _names(resources: Sequence[Any]) -> dict[str, str]:
    """Check a list of files and return it as digest by name."""
    found: dict[str, str] = {}
    for item in resources:
        match item:
            case {"name": str(name), "algorithm": "sha256", "digest": str(digest)}:
                pass
            case _:
                raise MalformedSignature("a file without name, algorithm or digest")
        if not is_digest(PREFIX + digest):
            raise MalformedSignature("a digest that is none")
        if name != SINGLE and not safe(name):
            raise MalformedSignature("a name that leads out of the folder")
        found[name] = PREFIX + digest
    if not found:
        raise MalformedSignature("a list without files")
    if SINGLE in found and len(found) > 1:
        raise MalformedSignature("a name that leads out of the folder")
    names = [str(item["name"]).encode() for item in resources]
    if names != sorted(set(names)):
        raise MalformedSignature("a list that is not sorted, or names a file twice")
    return found


def safe(name: str) -> bool:
    r"""Tell whether a relative name stays in its folder and is written in one way only.

    Example:
        >>> [safe(name) for name in ("a/b.bin", ".git/x", "模型.bin")]
        [True, True, True]
        >>> [safe(name) for name in ("../a", "/a", "a//b", "./a", "a/", "", "a\0", "a\\b", "C:a")]
        [False, False, False, False, False, False, False, False, False]
    """
    try:
        raw = name.encode()
    except UnicodeEncodeError:
        return False
    parts = name.split("/")
    plain = not any(ord(sign) < 32 or sign in "\\\x7f" for sign in name)
    drive = len(name) > 1 and name[1] == ":"
    return plain and not drive and len(raw) <= _LONGEST and not {"", ".", ".."} & set(parts)


def _json(data: bytes) -> dict[str, Any]:
    if len(data) > LARGEST:
        raise MalformedSignature(f"more than {LARGEST >> 20} MiB")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_never)
    except (ValueError, RecursionError) as error:
        raise MalformedSignature("something else than JSON") from error
    if not isinstance(value, dict):
        raise MalformedSignature("something else than a JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedSignature("an object with the same key twice")
    return value


def _never(text: str) -> None:
    raise MalformedSignature(f"the number {text}")


def _text(value: Mapping[str, Any], key: str) -> str:
    if not isinstance(found := value.get(key), str):
        raise MalformedSignature(f"an envelope without {key}")
    return found


def _base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedSignature("something else than base64") from error
    if base64.b64encode(data).decode() != text:
        raise MalformedSignature("base64 that says the same in another way")
    return data
