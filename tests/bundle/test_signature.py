"""Rows of the standard's conformance list (TEST_CASES.md) stand beside the cases rebuilt here."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from instar.bundle import signature as oms
from instar.bundle.errors import (
    BadSignature,
    MalformedSignature,
    NotAKey,
    SignatureMismatch,
    UntrustedSignature,
)
from instar.core.digest import digest_bytes
from instar.testing.tools import FakeSigner
from tests.bundle.folders import DIGESTS, OMS, SIGNER, opened, signed

OTHER = FakeSigner(8)


# What others signed.


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])  # key-p256, key-p384, key-p521
def test_signature_of_the_library_is_read(curve: str) -> None:
    key = (OMS / f"{curve}.pub").read_bytes()
    assert oms.read((OMS / f"{curve}.sig").read_bytes(), [key]) == DIGESTS


@pytest.mark.parametrize("name", ["plain", "inside"])  # key-sig-inside-model
def test_signature_of_the_library_without_or_with_its_own_name_is_read(name: str) -> None:
    key = (OMS / "p256.pub").read_bytes()
    assert oms.read((OMS / f"{name}.sig").read_bytes(), [key], own="model.sig") == DIGESTS


def test_signature_of_one_file_is_read() -> None:  # key-single-file
    key = (OMS / "p256.pub").read_bytes()
    found = oms.read((OMS / "single.sig").read_bytes(), [key])
    assert found == {oms.SINGLE: DIGESTS["weights.bin"]}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ignoring", "left out"),
        ("inside", "left out"),  # its own name counts only where the signature lies in the folder
        ("shards", "hashed whole"),
        ("blake2", "hashed whole"),
        ("links", "links"),
    ],
)
def test_signature_of_the_library_that_leaves_room_is_refused(name: str, problem: str) -> None:
    key = (OMS / "p256.pub").read_bytes()
    with pytest.raises(MalformedSignature, match=problem):
        oms.read((OMS / f"{name}.sig").read_bytes(), [key])


def test_statement_is_the_one_that_the_library_makes() -> None:
    _, theirs = opened((OMS / "plain.sig").read_bytes())
    outer, ours = opened(oms.sign(DIGESTS, "folder", SIGNER))
    theirs["predicate"]["serialization"].pop("ignore_paths", None)
    assert ours == theirs
    their_outer, _ = opened((OMS / "p256.sig").read_bytes())
    assert {k: sorted(v) if isinstance(v, dict) else v for k, v in outer.items()} == {
        k: sorted(v) if isinstance(v, dict) else v for k, v in their_outer.items()
    }
    pem = (OMS / "p256.pub").read_bytes()
    assert their_outer["verificationMaterial"]["publicKey"]["hint"] == oms.fingerprint(pem)


# What is signed here.


def test_signature_is_read_by_its_key_among_others() -> None:
    made = oms.sign(DIGESTS, "model", SIGNER)
    assert oms.read(made, [OTHER.public, SIGNER.public]) == DIGESTS


def test_names_are_listed_in_the_order_of_their_bytes() -> None:  # key-multi-file
    names = ["a/b", "a.b", "a!", "é", "Z", "模", "\U0001f600", "￿"]
    _, statement = opened(oms.sign(dict.fromkeys(names, digest_bytes(b"")), "m", SIGNER))
    listed = [item["name"] for item in statement["predicate"]["resources"]]
    assert listed == sorted(names, key=str.encode)


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/../x", "a//b", ".", "a\nb", "\ud800", "a" * 5000]
)
def test_name_that_leads_out_is_not_signed(name: str) -> None:
    files = {"ok": digest_bytes(b""), name: digest_bytes(b"")}
    with pytest.raises((MalformedSignature, UnicodeEncodeError)):
        oms.sign(files, "m", SIGNER)


def test_nothing_is_not_signed() -> None:  # key-empty-model-rejected
    with pytest.raises(MalformedSignature, match="without files"):
        oms.sign({}, "m", SIGNER)


# Whose signature counts.


def test_key_in_the_signature_counts_for_nothing() -> None:  # key-simple-wrong-key_fail
    made = oms.sign(DIGESTS, "model", OTHER)
    with pytest.raises(UntrustedSignature):
        oms.read(made, [SIGNER.public])
    with pytest.raises(UntrustedSignature):
        oms.read(made, [])


@pytest.mark.parametrize("hint", ["0" * 64, "", None, 7, OTHER.public.decode()])
def test_hint_is_a_hint(hint: Any) -> None:
    def change(outer: dict[str, Any]) -> None:
        outer["verificationMaterial"]["publicKey"]["hint"] = hint

    assert oms.read(signed(outer=change), [SIGNER.public]) == DIGESTS


@pytest.mark.parametrize("keyid", ["", None, "anything", ...])  # keyid absent, empty, null
def test_key_id_is_a_hint(keyid: Any) -> None:
    def change(outer: dict[str, Any]) -> None:
        outer["dsseEnvelope"]["signatures"][0]["keyid"] = keyid
        if keyid is ...:
            del outer["dsseEnvelope"]["signatures"][0]["keyid"]

    assert oms.read(signed(outer=change), [SIGNER.public]) == DIGESTS


def test_raw_bytes_of_a_key_are_a_hint() -> None:  # historical-v1.0.0-elliptic-key
    def change(outer: dict[str, Any]) -> None:
        outer["verificationMaterial"] = {"publicKey": {"rawBytes": "x", "keyDetails": "y"}}

    assert oms.read(signed(outer=change), [SIGNER.public]) == DIGESTS


@pytest.mark.parametrize("place", range(0, 1500, 37))
def test_changed_payload_is_found(place: int) -> None:
    outer = json.loads(oms.sign(DIGESTS, "model", SIGNER))
    data = bytearray(base64.b64decode(outer["dsseEnvelope"]["payload"]))
    data[place % len(data)] ^= 1
    outer["dsseEnvelope"]["payload"] = base64.b64encode(bytes(data)).decode()
    with pytest.raises(UntrustedSignature):
        oms.read(json.dumps(outer).encode(), [SIGNER.public])


ED25519 = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""


@pytest.mark.parametrize(
    "key", [b"", b"x", ED25519, b"-----BEGIN EC PRIVATE KEY-----", SIGNER.public[:60]]
)
def test_key_of_another_kind_is_refused(key: bytes) -> None:
    with pytest.raises(NotAKey) as caught:
        oms.read(oms.sign(DIGESTS, "m", SIGNER), [key])
    assert "BEGIN" not in str(caught.value)


# What is no signature by the rules.


def put(*path: str | int, value: Any) -> Any:
    def change(top: Any) -> None:
        for step in path[:-1]:
            top = top[step]
        if value is ...:
            del top[path[-1]]
        else:
            top[path[-1]] = value

    return change


def resource(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "algorithm": "sha256", "digest": "0" * 64, **more}


HOW = ("predicate", "serialization")
LIST = ("predicate", "resources")
STATEMENTS = {
    "malformed-wrong-predicate": put("predicateType", value="https://example.org/x"),
    "older predicate": put("predicateType", value="https://model_signing/Digests/v0.1"),
    "key-simple-wrong-statement-type": put("_type", value="https://in-toto.io/Statement/v0.1"),
    "key-simple-empty-resources": put(*LIST, value=[]),
    "key-simple-missing-serialization": put(*HOW, value=...),
    "no predicate": put("predicate", value=...),
    "predicate is a list": put("predicate", value=[]),
    "resources is an object": put(*LIST, value={}),
    "no subject": put("subject", value=[]),
    "two subjects": put("subject", value=[{"name": "a", "digest": {"sha256": "0" * 64}}] * 2),
    "another root": put("subject", 0, "digest", "sha256", value="0" * 64),
    "no method": put(*HOW, "method", value=...),
    "shards": put(*HOW, "method", value="shards"),
    "shard size": put(*HOW, "shard_size", value=1000),
    "blake3": put(*HOW, "hash_type", value="blake3"),
    "links": put(*HOW, "allow_symlinks", value=True),
    "links, loosely": put(*HOW, "allow_symlinks", value=0),
    "ignored": put(*HOW, "ignore_paths", value=["cache"]),
    "ignored glob": put(*HOW, "ignore_paths", value=["*"]),
    "ignored all": put(*HOW, "ignore_paths", value=[""]),
    "ignored, no list": put(*HOW, "ignore_paths", value=".git"),
    "ignored, no text": put(*HOW, "ignore_paths", value=[7]),
    "unsorted": lambda top: top["predicate"]["resources"].reverse(),
    "twice": lambda top: top["predicate"]["resources"].insert(0, top["predicate"]["resources"][0]),
    "other algorithm": put(*LIST, 0, "algorithm", value="md5"),
    "no digest": put(*LIST, 0, "digest", value=...),
    "short digest": put(*LIST, 0, "digest", value="00"),
    "digest in capitals": put(*LIST, 0, "digest", value="A" * 64),
    "name is no text": put(*LIST, 0, "name", value=7),
    "parent": put(*LIST, value=[resource("../x")]),
    "absolute": put(*LIST, value=[resource("/etc/passwd")]),
    "inner parent": put(*LIST, value=[resource("a/../../x")]),
    "twice a slash": put(*LIST, value=[resource("a//x")]),
    "dot": put(*LIST, value=[resource("./x")]),
    "folder": put(*LIST, value=[resource("x/")]),
    "backslash": put(*LIST, value=[resource("..\\x")]),
    "drive": put(*LIST, value=[resource("C:x")]),
    "NUL": put(*LIST, value=[resource("a\0b")]),
    "newline": put(*LIST, value=[resource("a\nb")]),
    "lone surrogate": put(*LIST, value=[resource("\ud800")]),
    "endless": put(*LIST, value=[resource("a" * 5000)]),
    "the folder itself beside others": put(*LIST, value=[resource("."), resource("a")]),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statement_against_the_rules_is_refused_though_it_is_signed(name: str) -> None:
    with pytest.raises(MalformedSignature):
        oms.read(signed(STATEMENTS[name]), [SIGNER.public])


OUTER = {
    "key-simple-wrong-mediatype": put("mediaType", value="application/vnd.dev.sigstore.v0.1+json"),
    "no media type": put("mediaType", value=...),
    "malformed-missing-envelope": put("dsseEnvelope", value=...),
    "envelope is a text": put("dsseEnvelope", value="x"),
    "key-simple-no-signature": put("dsseEnvelope", "signatures", value=[]),
    "two signatures": lambda top: top["dsseEnvelope"]["signatures"].extend(
        top["dsseEnvelope"]["signatures"]
    ),
    "signature is a number": put("dsseEnvelope", "signatures", value=[{"sig": 7}]),
    "signature is no base64": put("dsseEnvelope", "signatures", 0, "sig", value="!!!!"),
    "payload is no base64": put("dsseEnvelope", "payload", value="*"),
    "payload with a line break": lambda top: top["dsseEnvelope"].update(
        payload=top["dsseEnvelope"]["payload"] + "\n"
    ),
    "no payload": put("dsseEnvelope", "payload", value=...),
    "sigstore-verify-as-key": put(
        "verificationMaterial", value={"certificate": {"rawBytes": ""}, "tlogEntries": []}
    ),
    "certificate-verify-as-key": put(
        "verificationMaterial", value={"x509CertificateChain": {"certificates": []}}
    ),
    "a key and a certificate": put("verificationMaterial", "certificate", value={"rawBytes": ""}),
    "no material": put("verificationMaterial", value=...),
}


@pytest.mark.parametrize("name", OUTER)
def test_outside_against_the_rules_is_refused(name: str) -> None:
    with pytest.raises(MalformedSignature):
        oms.read(signed(outer=OUTER[name]), [SIGNER.public])


WHOLE = oms.sign(DIGESTS, "model", SIGNER)
BYTES = {
    "malformed-empty-bundle": b"",
    "key-simple-truncated-bundle": WHOLE[:100],
    "key-simple-corrupted-bundle": b"{not json" + WHOLE[20:],
    "not UTF-8": b"\xff\xfe" + WHOLE,
    "a list": b"[]",
    "the same key twice": WHOLE.replace(b'{"dsse', b'{"mediaType":"x","dsse', 1),
    "NaN": b'{"mediaType":NaN}',
    "deep": b'{"a":' * 100_000,
    "huge": b" " * (oms.LARGEST + 1),
}


@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_are_no_signature_are_refused(name: str) -> None:
    with pytest.raises(MalformedSignature):
        oms.read(BYTES[name], [SIGNER.public])


def test_same_key_twice_in_the_statement_is_refused() -> None:
    _, statement = opened(WHOLE)
    payload = json.dumps(statement).encode()
    double = payload.replace(b'"predicate":', b'"predicate":{},"predicate":', 1)
    with pytest.raises(MalformedSignature, match="twice"):
        oms.read(signed(payload=double), [SIGNER.public])


def test_other_payload_type_is_refused() -> None:  # key-simple-wrong-payload-type_fail
    with pytest.raises(MalformedSignature, match="payload type"):
        oms.read(signed(media="application/octet-stream"), [SIGNER.public])


def test_git_names_may_be_listed_and_are_never_left_out() -> None:
    made = signed(put(*HOW, "ignore_paths", value=[".git", ".gitignore", ".github"]))
    wanted = oms.read(made, [SIGNER.public])
    with pytest.raises(SignatureMismatch, match=r"\.git/hook"):
        oms.check({**DIGESTS, ".git/hook": digest_bytes(b"planted")}, wanted)


# What was signed, and what is there.


def test_files_that_were_signed_pass() -> None:
    oms.check(dict(reversed(DIGESTS.items())), DIGESTS)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({**DIGESTS, "sub/x": digest_bytes(b"")}, "sub/x"),  # key-simple-extra-file_fail
        ({**DIGESTS, "config.json": digest_bytes(b"")}, "config.json"),  # tampered-content_fail
        ({k: v for k, v in DIGESTS.items() if k != "empty.txt"}, "empty.txt"),  # missing-file_fail
        ({k.upper(): v for k, v in DIGESTS.items()}, ".HIDDEN/CACHE"),
        ({k.replace("é", "e\u0301"): v for k, v in {"é": "d"}.items()}, "e"),
    ],
)
def test_files_that_were_not_signed_are_named(files: dict[str, str], name: str) -> None:
    with pytest.raises(SignatureMismatch) as caught:
        oms.check(files, DIGESTS)
    assert name in str(caught.value)


def test_every_refusal_is_a_bad_signature() -> None:
    assert {MalformedSignature, UntrustedSignature, SignatureMismatch} <= set(
        BadSignature.__subclasses__()
    )
