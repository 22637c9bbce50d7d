"""The records of one made-up model line, that the sample stories are put together from."""

from __future__ import annotations

import base64
import math
import struct
import zlib

from instar.core.data import (
    Column,
    Kind,
    NumberColumn,
    Preprocessing,
    Role,
    Schema,
    Snapshot,
    Split,
    Task,
    TaskKind,
)
from instar.core.digest import digest_bytes
from instar.core.finding import Finding, Interval, Verdict
from instar.core.records import (
    Bundle,
    Epoch,
    File,
    LayerChange,
    ModelVersion,
    Network,
    Request,
)

DAY = 1_764_000_000.0
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "UA", "US", "VX", "WN")
FEATURES = ("hour", "minute", "weekday", "carrier", "origin", "dest", "distance", "age", "temp")


def digest(name: str) -> str:
    return digest_bytes(name.encode())


SCHEMA = Schema((Column("late", Kind.CATEGORY, Role.TARGET, "String", ("no", "yes")),))
TASK = Task(TaskKind.BINARY, "late", ("no", "yes"), time="when")
PREPROCESSING = Preprocessing(numbers=(NumberColumn("temp", 55.0, 0.02, -1.1),))


def snapshot(
    source: str, rows: int, since: str | None = None, until: str | None = None
) -> Snapshot:
    return Snapshot(digest(source), rows, SCHEMA, source, since, until)


def bundle(version: str, findings: tuple[Finding, ...] = ()) -> Bundle:
    names = (("model.onnx", 412_310), ("model.int8.onnx", 121_004), ("bundle.json", 9_120))
    files = tuple(File(name, digest(version + name), size) for name, size in names)
    return Bundle(version, digest(version), files, "model.onnx", "fp32", Verdict.PASS, findings)


CHAMPION = ModelVersion(
    name="model_v20251101_0900",
    task=TASK,
    network=Network(build="nets:build", source=digest("nets.py")),
    schema=SCHEMA,
    preprocessing=PREPROCESSING,
    weights=digest("champion weights"),
    bundle=bundle("model_v20251101_0900"),
    train=(snapshot("2013-01-05.parquet", 95_210, "2013-01-01T05:15", "2013-05-31T23:59"),),
    holdout=(snapshot("2013-01-05-test.parquet", 20_403),),
)
REQUEST = Request(
    update="u-20251124-0001",
    model="flights",
    reason="the flights of June",
    by="ann",
    fresh=snapshot("2013-06.parquet", 28_243, "2013-06-01T05:00", "2013-06-30T23:59"),
    task=TASK,
    network=CHAMPION.network,
    features=FEATURES,
    policy=digest("policy"),
    seed=7,
    champion=CHAMPION.name,
)
SPLIT = Split(snapshot("train", 19_301), snapshot("valid", 4_136), snapshot("test", 4_136))
HISTORY = tuple(
    Epoch(
        epoch=i,
        loss=0.52 + 0.06 * math.exp(-i / 2.0),
        valid_loss=0.535 + 0.045 * math.exp(-i / 1.6) + 0.0009 * i,
        metric=0.757 - 0.016 * math.exp(-i / 1.7),
        lr=1e-3 * (1 + math.cos(math.pi * i / 9)) / 2,
        gradient_norm=0.9 * math.exp(-i / 6) + 0.12,
    )
    for i in range(1, 9)
)
CHANGES = tuple(
    LayerChange(name, 0.8 * relative * 10, relative, relative / 3, 1 - relative**2, 0.999)
    for name, relative in (
        ("embeddings.carrier.weight", 0.081),
        ("embeddings.origin.weight", 0.043),
        ("embeddings.dest.weight", 0.117),
        ("body.0.weight", 0.062),
        ("body.0.bias", 0.058),
        ("body.3.weight", 0.049),
        ("body.3.bias", 0.031),
        ("head.weight", 0.148),
        ("head.bias", 0.212),
    )
)


def span(middle: float, half: float) -> Interval:
    return Interval(middle - half, middle + half)


def roc(champion: float, candidate: float) -> dict:
    grid = [i / 40 for i in range(41)]
    curves = [
        {"name": name, "fpr": grid, "tpr": [x ** (1 / auc - 1) for x in grid], "auc": auc}
        for name, auc in (("champion", champion), ("candidate", candidate))
    ]
    return {"kind": "roc", "curves": curves}


def calibration() -> dict:
    said = [0.05 + 0.1 * i for i in range(9)]
    n = [640, 1090, 880, 620, 410, 260, 140, 70, 26]
    curves = [
        {"name": "champion", "predicted": said, "observed": [0.8 * p for p in said], "n": n},
        {
            "name": "candidate",
            "predicted": said,
            "observed": [0.95 * p + 0.01 for p in said],
            "n": n,
        },
    ]
    return {"kind": "calibration", "curves": curves}


def confusion() -> dict:
    matrices = [
        {"name": "champion", "counts": [[2_489, 411], [702, 534]]},
        {"name": "candidate", "counts": [[2_521, 379], [664, 572]]},
    ]
    return {"kind": "confusion", "classes": ["on time", "late"], "matrices": matrices}


def temperature() -> dict:
    edges = [float(f) for f in range(0, 110, 10)]
    old = [0.01, 0.02, 0.06, 0.14, 0.18, 0.17, 0.16, 0.13, 0.09, 0.03, 0.01]
    fresh = [0.0, 0.1, 0.17, 0.08, 0.0, 0.01, 0.1, 0.24, 0.22, 0.07, 0.01]
    return {"kind": "histograms", "name": "temp", "bins": edges, "old": old, "fresh": fresh}


def bars(values: dict[str, float], limit: float | None, unit: str = "") -> dict:
    items = [{"label": label, "value": value} for label, value in values.items()]
    return {"kind": "bars", "items": items, "limit": limit, "unit": unit}


def carriers(worst: float) -> dict:
    rows = [
        {
            "label": f"carrier={name}",
            "value": 0.02 * math.sin(i * 1.7) + (worst if name == "HA" else 0.006),
            "low": 0.02 * math.sin(i * 1.7) + (worst if name == "HA" else 0.006) - 0.01 - 0.002 * i,
            "high": 0.02 * math.sin(i * 1.7)
            + (worst if name == "HA" else 0.006)
            + 0.01
            + 0.002 * i,
        }
        for i, name in enumerate(CARRIERS)
    ]
    return {"kind": "intervals", "rows": rows, "zero": 0, "limit": -0.03, "unit": ""}


def flips() -> dict:
    rows = [
        ["B6 1183", "JFK", 18, 71.1, "late", 0.58, 0.46],
        ["EV 4667", "EWR", 19, 84.0, "late", 0.61, 0.49],
        ["UA 1545", "EWR", 6, 66.9, "on time", 0.41, 0.53],
    ]
    columns = ["flight", "origin", "hour", "temp", "truth", "champion said", "candidate says"]
    return {"kind": "table", "columns": columns, "rows": rows}


def png(shade: int, side: int = 8) -> str:
    """Write a tiny grey PNG by hand, as base64."""
    lines = b"".join(
        b"\0" + bytes((shade + 25 * ((x + y) % 3)) % 256 for x in range(side)) for y in range(side)
    )
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def images() -> dict:
    items = [{"png": png(20 * i), "caption": f"row {i}: 3, now 8"} for i in range(6)]
    return {"kind": "images", "items": items}
