"""The folder that the signatures in `oms/` are of, and ways to sign anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from instar.bundle import signature as oms
from instar.core.digest import digest_bytes
from instar.testing.tools import FakeSigner

OMS = Path(__file__).parent / "oms"
FILES = {
    "weights.bin": b"weights of a tiny model\n",
    "config.json": b'{"layers":[8]}\n',
    "sub/adapter.bin": b"adapter\n",
    "empty.txt": b"",
    ".hidden/cache": b"x\n",
    "模型 (v1).bin": b"m\n",
}
DIGESTS = {name: digest_bytes(data) for name, data in FILES.items()}
SIGNER = FakeSigner(7)


def write(place: Path, files: dict[str, bytes] | None = None) -> Path:
    for name, data in (FILES if files is None else files).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def opened(signature: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The outer object and the statement of a signature."""
    outer = json.loads(signature)
    return outer, json.loads(base64.b64decode(outer["dsseEnvelope"]["payload"]))


def signed(
    statement: Callable[[dict[str, Any]], Any] = lambda _: None,
    outer: Callable[[dict[str, Any]], Any] = lambda _: None,
    payload: bytes | None = None,
    media: str = oms.PAYLOAD,
) -> bytes:
    """Sign the folder with SIGNER, after a change inside, and before one outside."""
    made, inner = opened(oms.sign(DIGESTS, "model", SIGNER))
    statement(inner)
    data = payload if payload is not None else json.dumps(inner).encode()
    message = b"DSSEv1 %d %s %d %s" % (len(media), media.encode(), len(data), data)
    envelope = made["dsseEnvelope"]
    envelope["payload"] = base64.b64encode(data).decode()
    envelope["payloadType"] = media
    envelope["signatures"][0]["sig"] = base64.b64encode(SIGNER.sign(message)).decode()
    outer(made)
    return json.dumps(made).encode()
