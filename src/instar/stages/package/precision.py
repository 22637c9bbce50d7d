"""FP32 or INT8: measured on validation rows, then decided."""

from __future__ import annotations

from dataclasses import dataclass

from instar.core.data import Task
from instar.core.finding import Finding, Verdict
from instar.core.policy import PackagePolicy
from instar.stages.package.parity import AGREEMENT, disagreement
from instar.stages.package.trial import Rows, Trial, speeds
from instar.stats.metrics import deciding

ROW_FLOOR = 0.95  # one row may take this much longer in INT8: within what timing can tell
FASTER = 1.10  # and one row or a batch must be answered this much faster, or why bother


@dataclass(frozen=True, slots=True)
class Compared:
    """INT8 against FP32: losses as fractions, speed-ups as ratios (above 1: INT8 is faster)."""

    name: str
    loss: float
    apart: float
    row: float
    batch: float
    row_us: tuple[float, float]
    batch_us: tuple[float, float]
    sizes: tuple[int, int]
    n: int

    @property
    def faster(self) -> bool:
        return self.row >= ROW_FLOOR and max(self.row, self.batch) >= FASTER

    def holds(self, policy: PackagePolicy) -> bool:
        """Tell whether INT8 loses no more than it may; NaN is a loss."""
        return self.loss <= policy.int8_drop and self.apart <= AGREEMENT

    def text(self) -> str:
        return (
            f"INT8 against FP32: {self.name} {-self.loss:+.4f}, one row {self.row_us[1]:.0f} "
            f"against {self.row_us[0]:.0f} µs, 64 rows {self.batch_us[1]:.0f} against "
            f"{self.batch_us[0]:.0f} µs, {self.sizes[1] / 1e3:.0f} against "
            f"{self.sizes[0] / 1e3:.0f} kB"
        )


def compare(task: Task, plain: Trial, small: Trial, rows: Rows) -> Compared:
    """Measure quality and speed of both graphs on the same rows."""
    metric = deciding(task)
    before, after = metric(plain.scores, rows.labels), metric(small.scores, rows.labels)
    loss = before - after if metric.higher else after - before
    (row, batch), (small_row, small_batch) = speeds((plain, small), rows)
    return Compared(
        name=metric.name,
        loss=loss / max(abs(before), 1e-12) if metric.relative else loss,
        apart=disagreement(task, plain.scores, small.scores, rows.labels),
        row=row / small_row,
        batch=batch / small_batch,
        row_us=(row, small_row),
        batch_us=(batch, small_batch),
        sizes=(len(plain.graph), len(small.graph)),
        n=len(rows.labels),
    )


def decide(seen: Compared, policy: PackagePolicy) -> tuple[bool, Finding]:
    """Say whether INT8 serves, and why, in a finding."""
    holds = seen.holds(policy)
    serves = holds and (seen.faster or policy.int8 == "require")
    refused = policy.int8 == "require" and not holds
    if serves:
        verdict = "INT8 serves."
    elif holds:
        verdict = "FP32 serves, since INT8 is not faster on this machine."
    else:
        verdict = f"FP32 serves, since INT8 loses more than {policy.int8_drop:g}."
    return serves, Finding(
        "int8",
        Verdict.FAIL if refused else Verdict.PASS,
        f"{verdict} {seen.text()}",
        measured=seen.loss,
        limit=policy.int8_drop,
        unit=seen.name,
        n=seen.n,
        passes_if="INT8 loses less, or package.int8 is auto" if refused else "",
        picture=_picture(seen),
    )


def unquantisable(problem: str, policy: PackagePolicy) -> Finding:
    """Report a network that does not quantise: FP32 serves unless INT8 is required."""
    required = policy.int8 == "require"
    return Finding(
        "int8",
        Verdict.FAIL if required else Verdict.PASS,
        f"FP32 serves, since the network does not quantise ({problem}).",
        passes_if="package.int8 is auto or never" if required else "",
    )


def _picture(seen: Compared) -> dict[str, object]:
    labels = ("FP32, one row", "INT8, one row", "FP32, 64 rows", "INT8, 64 rows")
    values = (*seen.row_us, *seen.batch_us)
    items = [
        {"label": label, "value": float(f"{value:.4g}")}
        for label, value in zip(labels, values, strict=True)
    ]
    return {"kind": "bars", "items": items, "limit": None, "unit": "µs"}
