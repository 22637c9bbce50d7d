from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from instar.ledger import notes
from instar.ledger.notes import BadNote

# The key and the note of the Go implementation, golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann"
SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PUBLIC = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]
SAID = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    f"{SAID}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgK"
    "vqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@pytest.fixture(scope="module")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def text(key: Ed25519PrivateKey) -> str:
    return notes.checkpoint(key, 128, b"r" * 32).text


def public(key: Ed25519PrivateKey) -> Ed25519PublicKey:
    return key.public_key()


def test_note_is_that_of_the_reference_implementation() -> None:
    peter = Ed25519PrivateKey.from_private_bytes(SEED)
    assert notes.raw(peter.public_key()) == PUBLIC
    assert notes.sign(peter, PETER, SAID) == NOTE
    assert notes.opened(NOTE, PETER, peter.public_key()) == SAID


def test_checkpoint_has_the_lines_of_a_transparency_log(key: Ed25519PrivateKey, text: str) -> None:
    lines = text.split("\n")
    assert lines[0] == notes.origin(public(key))
    assert lines[1:4] == ["128", base64.b64encode(b"r" * 32).decode(), ""]
    assert lines[4].startswith(f"— {lines[0]} ")
    assert lines[5:] == [""]


def test_checkpoint_reads_back_as_signed(key: Ed25519PrivateKey, text: str) -> None:
    note = notes.verify(notes.read(text), public(key))
    assert (note.size, note.root, note.text) == (128, b"r" * 32, text)
    assert text.startswith(note.signed + "\n")


@pytest.mark.parametrize("size", [0, 1, 10**17])
def test_checkpoint_of_any_size_reads_back(key: Ed25519PrivateKey, size: int) -> None:
    made = notes.checkpoint(key, size, bytes(32))
    assert notes.verify(notes.read(made.text), public(key)).size == size


def test_signature_of_another_key_is_passed_over(key: Ed25519PrivateKey, text: str) -> None:
    other = Ed25519PrivateKey.generate()
    note = notes.read(text)
    line = notes.sign(other, "witness.example/w1", note.signed).rpartition("\n\n")[2]
    assert notes.verify(notes.read(text + line), public(key)).size == 128
    with pytest.raises(BadNote, match="no signature"):
        notes.verify(notes.read(f"{note.signed}\n{line}"), public(key))


def test_second_signature_by_our_key_must_fit_too(key: Ed25519PrivateKey, text: str) -> None:
    note = notes.read(text)
    line = notes.sign(key, note.origin, "another\n").rpartition("\n\n")[2]
    with pytest.raises(BadNote, match="does not fit"):
        notes.verify(notes.read(text + line), public(key))
    assert notes.verify(notes.read(text + text.rpartition("\n\n")[2]), public(key))


def test_every_flipped_bit_is_found(key: Ed25519PrivateKey, text: str) -> None:
    data = text.encode()
    for bit in range(8 * len(data)):
        bad = bytearray(data)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises((BadNote, UnicodeDecodeError)):
            notes.verify(notes.read(bad.decode()), public(key))


CHANGES: dict[str, Any] = {
    "empty": lambda text: "",
    "cut": lambda text: text[:-1],
    "no signature": lambda text: text.rpartition("\n\n")[0] + "\n\n",
    "no blank line": lambda text: text.replace("\n\n", "\n"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "a tab": lambda text: text.replace("128", "128\t"),
    "NUL": lambda text: text.replace("128", "128\0"),
    "negative": lambda text: text.replace("\n128\n", "\n-128\n"),
    "plus": lambda text: text.replace("\n128\n", "\n+128\n"),
    "zeros in front": lambda text: text.replace("\n128\n", "\n0128\n"),
    "other digits": lambda text: text.replace("\n128\n", "\n١٢٨\n"),
    "huge": lambda text: text.replace("\n128\n", f"\n{10**30}\n"),
    "no number": lambda text: text.replace("\n128\n", "\nmany\n"),
    "root of no base64": lambda text: text.replace("\ncnJy", "\n!!!!"),
    "root too short": lambda text: text.replace("cnJycnJy", "", 1),
    "root in another form": lambda text: text.replace("cnI=\n", "cnJ=\n"),
    "long": lambda text: text + text.rpartition("\n\n")[2] * 200,
    "a dash for the em dash": lambda text: text.replace("— ", "- "),
    "other origin": lambda text: text.replace("instar/", "other/"),
    "wrong key id": lambda text: _signature(text, lambda made: bytes(4) + made[4:]),
    "short signature": lambda text: _signature(text, lambda made: made[:20]),
    "no bytes": lambda text: _signature(text, lambda made: b""),
    "empty line": lambda text: text.replace("\n128\n", "\n\n128\n"),
    "line separator": lambda text: text.replace("\n\n", "\u2028\n"),
}


def _signature(text: str, change: Any) -> str:
    head, _, last = text.rstrip("\n").rpartition(" ")
    return f"{head} {base64.b64encode(change(base64.b64decode(last))).decode()}\n"


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_note_that_is_none_is_refused(key: Ed25519PrivateKey, text: str, change: Any) -> None:
    changed = change(text)
    assert changed != text
    with pytest.raises(BadNote):
        notes.verify(notes.read(changed), public(key))


def test_checkpoint_of_another_key_is_refused(text: str) -> None:
    with pytest.raises(BadNote, match="not of"):
        notes.verify(notes.read(text), public(Ed25519PrivateKey.generate()))
