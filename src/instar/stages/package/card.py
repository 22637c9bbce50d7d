"""The model card: what a stranger must know before relying on a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from instar.core.data import Column, Kind, Preprocessing, Schema, Task
from instar.core.finding import Finding
from instar.tasks import form_of


def write_card(
    version: str,
    task: Task,
    schema: Schema,
    how: Preprocessing,
    *,
    precision: str,
    metrics: Mapping[str, float],
    rows: int,
    findings: Iterable[Finding],
    notes: Mapping[str, str],
) -> str:
    """Write the card in Markdown.

    Args:
        metrics: By name, measured with the graph that serves.
        rows: How many validation rows they were measured on.
        notes: Further facts by name: data, strategy, lineage.
    """
    classes = ", ".join(f"`{name}`" for name in task.classes)
    meaning = form_of(task).meaning.format(classes=classes, target=task.target)
    checked = [f"- {finding.code}: {_outcome(finding)}" for finding in findings]
    return "\n".join(
        [
            f"# {version}",
            "",
            f"Answers with {meaning}, for `{task.shown}`, in {precision.upper()}.",
            "",
            "## Where it comes from",
            "",
            *(_table(("what", "is"), notes.items()) if notes else ["Adopted as it was."]),
            "",
            "## How good it is",
            "",
            f"On {rows} validation rows, with the graph that serves.",
            "The report of its gates has intervals and slices, on rows that nothing learnt from.",
            "",
            *_table(("metric", "value"), ((k, f"{v:.4f}") for k, v in metrics.items())),
            "",
            *checked,
            "",
            "## What it reads",
            "",
            *_table(("column", "kind", "seen in training", "missing"), _columns(schema, how)),
            "",
            "## Limits",
            "",
            "- Values beyond those seen in training are answered; how well is not known.",
            "- Missing numbers are filled with fixed values; unknown categories count as missing.",
            *_probability_limit(task),
            "",
        ]
    )


def _outcome(finding: Finding) -> str:
    # Not the message: it tells timings, and the same network shall give the same card.
    if finding.measured is None or finding.limit is None:
        return finding.verdict.value
    return f"{finding.verdict.value}, {finding.measured:.2g} where {finding.limit:g} is allowed"


def _probability_limit(task: Task) -> list[str]:
    if not task.kind.judged:
        return ["- The answer carries no interval of its own."]
    return ["- Probabilities are as calibrated as the calibration figure of the report says."]


def _columns(schema: Schema, how: Preprocessing) -> Iterable[tuple[str, ...]]:
    for column in (schema[name] for name in how.columns if name in schema):
        yield f"`{column.name}`", column.kind.value, _seen(column), f"{column.missing:.1%}"


def _seen(column: Column) -> str:
    if column.kind is Kind.CATEGORY:
        return f"{len(column.categories)} values"
    if column.kind is Kind.IMAGE:
        height, width = column.size or (0, 0)
        return f"{height} x {width} {column.mode}"
    return "nothing" if column.low is None else f"{column.low:g} to {column.high:g}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
