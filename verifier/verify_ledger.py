"""Verify a ledger that Instar exported, without Instar: this one file, Python and `cryptography`.

    python verify_ledger.py FOLDER --key KEY [--witness NOTE ...]
    python verify_ledger.py --prove PROOF --key KEY

FOLDER holds `ledger.jsonl`, one entry a line, and `checkpoints`, the signed notes. KEY is the
public key (PEM) that you got from somebody you trust, NOTE a checkpoint that a witness keeps. The
form of all of these is told in README.md beside this file.

Exit codes: 0 sound; 2 usage; 4 cannot be read; 41 altered; 42 entries are missing; 43 older than a
checkpoint that you hold; 44 a checkpoint is not as it was signed, or there is none; 45 another
ledger than a witness saw. Where several are true, the lowest.
"""

import argparse
import base64
import hashlib
import heapq
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

UNREADABLE, ALTERED, CUT, OLDER, SIGNATURE, WITNESS = 4, 41, 42, 43, 44, 45
GENESIS = "sha256:" + "0" * 64
LONGEST = 64 << 20  # bytes of a line
FIELDS = ["actor", "at", "body", "epoch", "hash", "key", "kind", "model", "prev", "seq", "update"]
AFTER_BODY = b',"epoch":'
TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
TAIL = re.compile(  # what follows the body: the hash with its member, the hash before, the number
    rb',"epoch":(?:null|[0-9]+)(,"hash":"(sha256:[0-9a-f]{64})"),"key":(?:null|%b),"kind":%b,'
    rb'"model":%b,"prev":"(sha256:[0-9a-f]{64})","seq":([1-9][0-9]{0,17}),"update":(?:null|%b)'
    rb'(?:,"work":\{.*\})?\}\n' % (TEXT, TEXT, TEXT, TEXT)
)
SIGNED = re.compile("— ([^ +]+) ([A-Za-z0-9+/]+=*)")
OWN = "its own checkpoint"


class Entry(NamedTuple):
    seq: int
    prev: str
    hash: str
    seal: str


class Note(NamedTuple):
    size: int
    root: bytes
    by: str
    flaw: str = ""


# Entries.


def canonical(value: Any) -> bytes:
    """Write JSON in the one form that is hashed."""
    form: dict[str, Any] = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}
    return json.dumps(value, allow_nan=False, **form).encode()


def read_entry(line: bytes, *, strict: bool) -> Entry | None:
    """Take a line apart; None if it is no entry. What was hashed is the line without its hash.

    The bytes decide, so that the JSON need not be read. It is where no checkpoint covers the entry,
    and where the place of the hash is not certain.
    """
    if strict or line.count(AFTER_BODY) != 1:
        try:
            made = json.loads(line)
            if canonical(made) != line[:-1] or [key for key in made if key != "work"] != FIELDS:
                return None  # not canonical: spaces, a key twice, another order
        except (ValueError, TypeError, RecursionError):
            return None
        at = len(canonical({key: made[key] for key in FIELDS[:3]})) - 1
    else:
        at = line.index(AFTER_BODY)
    tail = TAIL.fullmatch(line, at)
    if tail is None:
        return None
    seal = hashlib.sha256(line[: tail.start(1)] + line[tail.end(1) : -1]).hexdigest()
    return Entry(int(tail[4]), tail[3].decode(), tail[2].decode(), f"sha256:{seal}")


# The Merkle tree of RFC 6962: leaves are the 32 bytes of the entries' hashes.


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def add(peaks: list[bytes], size: int, leaf: bytes) -> None:
    """Add a leaf to the roots of the complete subtrees of `size` leaves."""
    here = hashlib.sha256(b"\x00" + leaf).digest()
    while size & 1:
        here, size = hashlib.sha256(b"\x01" + peaks.pop() + here).digest(), size >> 1
    peaks.append(here)


def root_of(peaks: Sequence[bytes]) -> bytes:
    here = peaks[-1]
    for peak in reversed(peaks[:-1]):
        here = node(peak, here)
    return here


def root_by(path: Sequence[bytes], place: int, size: int, leaf: bytes) -> bytes | None:
    """Follow a proof of inclusion (RFC 9162, 2.1.3.2); None if its length is wrong."""
    here, last = hashlib.sha256(b"\x00" + leaf).digest(), size - 1
    for step in path:
        if last == 0:
            return None
        if place & 1 or place == last:
            here = node(step, here)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            here = node(here, step)
        place, last = place >> 1, last >> 1
    return here if last == 0 else None


# Checkpoints: signed notes of C2SP.


def read_note(text: str, key: Ed25519PublicKey, by: str) -> Note:
    """Read a checkpoint and verify its signature; what is wrong with it is its flaw."""
    raw = key.public_bytes_raw()
    name = "instar/" + hashlib.sha256(raw).hexdigest()[:16]
    key_id = hashlib.sha256(name.encode() + b"\n\x01" + raw).digest()[:4]
    head, blank, tail = text.rpartition("\n\n")
    lines, signed = head.split("\n"), [SIGNED.fullmatch(line) for line in tail.split("\n")[:-1]]
    if not blank or len(lines) != 3 or None in signed or not text.endswith("\n"):
        return Note(0, b"", by, "it is no checkpoint")
    if lines[0] != name:
        return Note(0, b"", by, "it is of another ledger, or signed by another key")
    try:
        root = base64.b64decode(lines[2], validate=True)
        made = [base64.b64decode(one[2], validate=True) for one in signed if one and one[1] == name]
        made = [data[4:] for data in made if data[:4] == key_id]
        for signature in made:
            key.verify(signature, f"{head}\n".encode())
    except (InvalidSignature, ValueError):
        return Note(0, b"", by, "its signature does not fit")
    if not made or len(root) != 32 or not re.fullmatch("[1-9][0-9]{0,17}", lines[1], re.ASCII):
        return Note(0, b"", by, "it is no checkpoint that this key has signed")
    return Note(int(lines[1]), root, by)


def own_notes(path: Path, key: Ed25519PublicKey) -> Iterator[Note]:
    """Give the checkpoints of the export in their order; an empty line follows each."""
    last, text, blanks = 0, "", 0
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        while line := file.readline(LONGEST):
            text, blanks = text + line, blanks + (line == "\n")
            if blanks == 2 or len(text) > 16_384:
                note = read_note(text[:-1], key, OWN)
                if not note.flaw and note.size <= last:
                    note = note._replace(flaw=f"the one of {note.size} follows that of {last}")
                last = max(last, note.size)
                yield note._replace(size=last)
                text, blanks = "", 0
    if text:
        yield Note(last, b"", OWN, "the last one is torn")


# The walk.


def verify(folder: Path, key: Ed25519PublicKey, witnesses: Sequence[Note]) -> int:
    """Walk an export once, in little memory; say what is wrong, and return the exit code."""
    codes: list[int] = []

    def wrong(code: int, message: str) -> None:
        codes.append(code)
        if len(codes) <= 100:
            print(code, message)

    held = sorted(witnesses, key=lambda note: note.size)
    notes = heapq.merge(own_notes(folder / "checkpoints", key), held, key=lambda note: note.size)
    note = next(notes, None)
    seq, prev, whole, agreed, fit = 0, GENESIS, True, 0, 0
    doubted: set[str] = set()
    peaks: list[bytes] = []
    with (folder / "ledger.jsonl").open("rb") as file:
        while line := file.readline(LONGEST):
            if not line.endswith(b"\n") or line[:1] == b"\0":
                wrong(CUT, f"the line after entry {seq} is torn; what is before it is looked at")
                break
            entry = read_entry(line, strict=note is None)
            if entry is None:
                wrong(ALTERED, f"the line after entry {seq} is no entry as Instar writes it")
                seq, prev, whole = seq + 1, "", False
                continue
            if entry.seq != seq + 1:
                code, how = (CUT, "follows") if entry.seq > seq else (ALTERED, "stands after")
                wrong(code, f"entry {entry.seq} {how} entry {seq}")
                whole = False
            elif prev and entry.prev != prev:
                wrong(ALTERED, f"entry {entry.seq} does not follow from {seq}")
                whole = False
            if entry.seal != entry.hash:
                wrong(ALTERED, f"entry {entry.seq} is not what was sealed")
            if whole:
                add(peaks, seq, bytes.fromhex(entry.hash[7:]))
            seq, prev = entry.seq, entry.hash
            while note is not None and note.size <= seq:
                if note.flaw:
                    wrong(SIGNATURE, f"{note.by}: {note.flaw}")
                elif whole and note.size == seq and root_of(peaks) == note.root:
                    agreed, fit = seq, fit + (note.by == OWN)
                elif whole and note.by not in doubted:
                    doubted.add(note.by)
                    where = f"an entry out of {agreed + 1} to {note.size}"
                    wrong(
                        ALTERED if note.by == OWN else WITNESS,
                        f"{where} is not what {note.by} says",
                    )
                note = next(notes, None)
    while note is not None:
        if note.flaw:
            wrong(SIGNATURE, f"{note.by}: {note.flaw}")
        else:
            known = f"the ledger ends at entry {seq}; {note.by} knows of {note.size}"
            wrong(CUT if note.by == OWN else OLDER, known)
        note = next(notes, None)
    if seq and not fit and not codes:
        wrong(SIGNATURE, "no checkpoint covers any of it")
    print(f"{seq} entries; {fit} checkpoints fit, which cover the first {agreed}")
    return min(codes, default=0)


def prove(proof: dict[str, Any], key: Ed25519PublicKey) -> int:
    """Check that a checkpoint covers one entry; return the exit code."""
    note = read_note(proof["checkpoint"], key, OWN)
    entry = read_entry(canonical(proof["entry"]) + b"\n", strict=True)
    if note.flaw:
        print(SIGNATURE, f"{OWN}: {note.flaw}")
        return SIGNATURE
    if entry is None or entry.seal != entry.hash or entry.seq > note.size:
        print(ALTERED, "the entry is not what was sealed")
        return ALTERED
    path = [bytes.fromhex(step) for step in proof["path"]]
    if root_by(path, entry.seq - 1, note.size, bytes.fromhex(entry.hash[7:])) != note.root:
        print(ALTERED, f"entry {entry.seq} is not in the ledger that was signed")
        return ALTERED
    print(f"entry {entry.seq} is one of the {note.size} that were signed")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify a ledger that Instar exported.")
    parser.add_argument("folder", nargs="?", type=Path, help="the export")
    parser.add_argument("--key", type=Path, help="the public key that you trust (PEM)")
    parser.add_argument("--witness", type=Path, action="append", default=[], help="a kept note")
    parser.add_argument("--prove", type=Path, help="a proof of one entry, instead of an export")
    given = parser.parse_args()
    if (given.folder is None) == (given.prove is None) or (given.prove and not given.key):
        parser.error("give a FOLDER, or a PROOF and a KEY")
    if given.key is None:
        print(
            "WARNING: the key is the export's own, so that this shows only that the export agrees"
            " with itself. Get the key from somebody you trust: --key KEY",
            file=sys.stderr,
        )
    try:
        key = load_pem_public_key((given.key or given.folder / "ledger.pub").read_bytes())
        if not isinstance(key, Ed25519PublicKey):
            parser.error("the key is none of Ed25519")
        if given.prove:
            return prove(json.loads(given.prove.read_bytes()), key)
        texts = [(path.name, path.read_bytes().decode(errors="replace")) for path in given.witness]
        seen = [read_note(text, key, f"the witness's {name}") for name, text in texts]
        return verify(given.folder, key, seen)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        print(f"{UNREADABLE} it cannot be read: {type(error).__name__}: {error}", file=sys.stderr)
        return UNREADABLE


if __name__ == "__main__":
    sys.exit(main())
