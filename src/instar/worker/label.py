"""The task behind `instar label`: choose rows, and write them for people. Nothing is recorded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from instar.data.read import read_frame
from instar.labels import WAYS
from instar.labels.pool import gather
from instar.labels.pseudo import answers, audit, sure
from instar.labels.sheet import own, sheet
from instar.ledger import files
from instar.worker.work import Work


def label(
    work: Work,
    *,
    source: str,
    output: str,
    rows: int | None,
    by: str | None,
    pseudo: float | None,
    audit_output: str | None,
    audit_rows: int,
    seed: int,
) -> dict[str, Any]:
    """Choose `rows` rows in the way `by`, or those surer than `pseudo`, and write them as CSV."""
    champion, tell = work.champion(), work.tools.progress
    way = WAYS[by] if by else None  # an unknown one is told before anything is read
    tell("label", 0, 3, "read")
    frame = read_frame(source)
    pool = gather(frame, champion, work.tools, seed)
    chosen = way(pool, rows or 0) if way else sure(pool, pseudo or 1.0)
    tell("label", 2, 3, f"{len(chosen.rows):,} rows chosen")
    said = answers(pool, chosen.rows)
    made = sheet(frame, pool, chosen, None if way else said, blind=False)
    drawn = audit(chosen, audit_rows, seed) if audit_output else None
    if audit_output and drawn:
        _write(audit_output, sheet(frame, pool, drawn, None, blind=True))
    _write(output, made)
    tell("label", 3, 3, Path(output).name)
    counts = Counter(said)
    return {
        "file": output,
        "champion": champion.name,
        "target": champion.task.shown,
        "columns": [own("row", frame), own("score", frame)],
        "rows": len(chosen.rows),
        "unlabelled": len(pool.numbers),
        "by": by,
        "pseudo": pseudo,
        "classes": {name: counts[name] for name in champion.task.classes if said},
        "audit": {"file": audit_output, "rows": len(drawn.rows)} if drawn else None,
    }


def _write(name: str, data: bytes) -> None:
    out = Path(name)
    with files.mapped():
        files.settle(files.write(out.parent, [data], mode=0o644), out)
