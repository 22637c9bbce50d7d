"""Checkpoints as signed notes, in the formats that transparency logs share.

    instar/4d9c0e0f6a1b2c3d
    128
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — instar/4d9c0e0f6a1b2c3d Az3grlgtzPICa5OS8npVmf1Myq/...

That is: the origin, which is the name of the key; how many entries there were; the Merkle root over
their hashes; and below the blank line a signature by Ed25519.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from instar.core.errors import IntegrityError

MOST = 16_384  # characters; a note of ours has about 200
_ED25519 = b"\x01"
_SIGNATURE = re.compile("— ([^ +]+) ([A-Za-z0-9+/]+=*)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class BadNote(IntegrityError):
    """Refuse a checkpoint that is none, or that our key has not signed."""

    code = "integrity.bad_checkpoint"

    def __init__(self, problem: str) -> None:
        super().__init__(
            "a checkpoint as it was signed", problem, "take the one that a witness keeps"
        )


@dataclass(frozen=True, slots=True)
class Note:
    """Say how long a ledger was, and what it held: `size` entries, under a Merkle `root`.

    `text` is the whole note, `signed` the part that its signatures are of.
    """

    origin: str
    size: int
    root: bytes
    text: str

    @property
    def signed(self) -> str:
        return self.text[: self.text.rindex("\n\n") + 1]


def raw(key: Ed25519PublicKey) -> bytes:
    """Give a public key as 32 bytes."""
    return key.public_bytes_raw()


def origin(key: Ed25519PublicKey) -> str:
    """Name a ledger by the key that signs its checkpoints."""
    return f"instar/{hashlib.sha256(raw(key)).hexdigest()[:16]}"


def sign(key: Ed25519PrivateKey, name: str, text: str) -> str:
    """Sign a text that ends with a line break, under a key's name.

    Source:
        C2SP, "Note" (signed-note), type 0x01.
    """
    made = _key_id(name, key.public_key()) + key.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(made).decode()}\n"


def checkpoint(key: Ed25519PrivateKey, size: int, root: bytes) -> Note:
    """Sign that a ledger has `size` entries under a root.

    Source:
        C2SP, "Transparency Log Checkpoints" (tlog-checkpoint).
    Example:
        >>> note = checkpoint(Ed25519PrivateKey.generate(), 3, bytes(32))
        >>> read(note.text) == note, note.size
        (True, 3)
    """
    name = origin(key.public_key())
    text = f"{name}\n{size}\n{base64.b64encode(root).decode()}\n"
    return Note(name, size, root, sign(key, name, text))


def read(text: str) -> Note:
    """Read a checkpoint's form; nothing is known to be signed before `verify`.

    Raises:
        BadNote: it is no checkpoint.
    """
    if len(text) > MOST or _CONTROL.search(text) or not text.endswith("\n"):
        raise BadNote("a text that is no note")
    said, blank, _ = text.rpartition("\n\n")
    lines = said.split("\n")
    if not blank or len(lines) < 3 or not all(lines):
        raise BadNote("a text that is no note")
    if not _SIZE.fullmatch(lines[1]):
        raise BadNote(f"the size {lines[1][:20]!r}")
    root = _bytes(lines[2])
    if len(root) != 32:
        raise BadNote(f"a root of {len(root)} bytes")
    return Note(lines[0], int(lines[1]), root, text)


def verify(note: Note, key: Ed25519PublicKey) -> Note:
    """Return a checkpoint of ours, signed by our key; signatures by others do not count.

    Raises:
        BadNote: it is of another ledger, or a signature by our key is missing or does not fit.
    """
    name = origin(key)
    if note.origin != name:
        raise BadNote(f"one of {note.origin[:60]!r}, not of {name!r}")
    opened(note.text, name, key)
    return note


def opened(text: str, name: str, key: Ed25519PublicKey) -> str:
    """Return what a note says, if this key has signed it under this name.

    Raises:
        BadNote: no signature, or a false one.
    Source:
        C2SP, "Note" (signed-note).
    """
    head, _, tail = text.rpartition("\n\n")
    known, seen = _key_id(name, key), False
    for line in tail.splitlines():
        found = _SIGNATURE.fullmatch(line)
        if found is None:
            raise BadNote("a signature line that is none")
        made = _bytes(found[2])
        if (found[1], made[:4]) != (name, known):
            continue
        try:
            key.verify(made[4:], f"{head}\n".encode())
        except InvalidSignature as error:
            raise BadNote("a signature that does not fit") from error
        seen = True
    if not seen:
        raise BadNote("no signature by this ledger's key")
    return f"{head}\n"


def _key_id(name: str, key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + raw(key)).digest()[:4]


def _bytes(text: str) -> bytes:
    try:
        made = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote("base64 that is none") from error
    if base64.b64encode(made).decode() != text:
        raise BadNote("base64 in another form")
    return made
