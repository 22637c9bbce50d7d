"""How results look: words and marks for people on standard output, or one JSON object."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from instar.core.codec import encode
from instar.core.finding import Verdict
from instar.service.outcome import Outcome

Tell = Callable[[Mapping[str, Any]], None]

MARKS = {
    "pass": ("✔", "green"),
    "fail": ("✘", "red"),
    "inconclusive": ("?", "yellow"),
    "error": ("!", "magenta"),
}
STAGES = {
    "example": "example",
    "admit": "data gate",
    "plan": "plan",
    "train": "training",
    "package": "packaging",
    "validate": "validation",
    "approve": "approval",
    "release": "release",
}

console = Console(highlight=False)


def exit_of(verdict: str) -> int:
    """Turn a verdict into the exit code of a command."""
    return {"pass": 0, "fail": 1, "inconclusive": 3, "error": 1}[verdict]


@contextmanager
def progress(as_json: bool) -> Iterator[Tell]:
    """Show a bar for each stage on standard error while the work goes on."""
    bars = Progress(
        SpinnerColumn(finished_text="[green]✔"),
        TextColumn("{task.description:<11}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}", table_column=Column()),  # alone gives way
        console=Console(stderr=True, highlight=False),
        disable=as_json,
    )
    tasks: dict[str, Any] = {}

    def tell(line: Mapping[str, Any]) -> None:
        stage = str(line["what"])
        if stage not in tasks:
            tasks[stage] = bars.add_task(STAGES.get(stage, stage), total=None, note="")
        total = line["total"] or None
        bars.update(tasks[stage], completed=line["done"], total=total, note=line["note"])

    with bars:
        yield tell
        for task in tasks.values():
            bars.update(task, total=1, completed=1)


def result(done: Any, as_json: bool, draw: Callable[[Any], None]) -> None:
    """Print a result for people, or as JSON."""
    if as_json:
        print(json.dumps(encode(done), ensure_ascii=False))
    else:
        draw(done)


def outcome(done: Outcome, as_json: bool, *, leave: bool = True) -> None:
    """Say where an update stands and what comes next; leave with its exit code."""
    result({**encode(done), "exit_code": done.exit_code} if as_json else done, as_json, _outcome)
    if leave:
        sys.exit(done.exit_code)


def _outcome(done: Outcome) -> None:
    verdict = ("pass", "fail", "", "inconclusive")[done.exit_code]
    line = Text.assemble(mark(verdict), " ", (done.update, "bold"), f" is {done.state.value}")
    console.print(line)
    console.print(f"  champion  {done.champion}")
    if done.candidate:
        console.print(f"  candidate {done.candidate}")
    bad = [f for f in done.findings if f.verdict is not Verdict.PASS]
    findings([encode(f) for f in bad])
    if done.message != "; ".join(f.message for f in bad):  # else it stands there already
        console.print(Text(f"  {done.message}"), soft_wrap=True)
    console.print(Text(f"  next: {done.next}", style="bold"), soft_wrap=True)


def nothing(done: Mapping[str, Any]) -> None:
    """Say that there was nothing to do."""
    console.print(f"[green]✔[/green] {done['message']}")


def mark(verdict: str) -> Text:
    """Draw a verdict as a sign that does not rest on colour."""
    sign, colour = MARKS[verdict]
    return Text(sign, style=colour)


def findings(found: list[Mapping[str, Any]]) -> None:
    """Show findings one by one, each that decides with what would make it pass."""
    for finding in found:
        watched = "" if finding["enforced"] else "  (reported only)"
        console.print(
            Text.assemble(
                "  ",
                mark(finding["verdict"]),
                " ",
                (finding["code"], "bold"),
                " ",
                finding["message"],
                (watched, "dim"),
            ),
            soft_wrap=True,
        )
        if finding["passes_if"] and finding["enforced"]:
            line = Text(f"      passes if {finding['passes_if']}", style="dim")
            console.print(line, soft_wrap=True)


def _sorted(findings: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    order = ["error", "fail", "inconclusive", "pass"]
    return sorted(findings, key=lambda f: (order.index(f["verdict"]), not f["enforced"]))


def begun(done: Mapping[str, Any]) -> None:
    """Say what was written, and what comes next."""
    console.print(f"[green]✔[/green] {done['file']} for [bold]{done['model']}[/bold]")
    console.print("  next: instar adopt WEIGHTS --train DATA --holdout DATA")


def adopted(done: Mapping[str, Any]) -> None:
    """Say what was taken over."""
    metric, value = next(iter(done["metrics"].items()))  # the one that decides; --json has all
    console.print(f"[green]✔[/green] [bold]{done['champion']}[/bold] is the champion")
    console.print(f"  {metric} {value:.4f} on its holdout")
    console.print("  next: instar check DATA, instar update DATA --reason WHY, instar serve")


def admission(done: Mapping[str, Any]) -> None:
    """Show what the data gate saw."""
    found = done["admission"]
    said = {"pass": "admitted", "fail": "refused"}.get(found["verdict"], found["verdict"])
    console.print(Text.assemble(mark(found["verdict"]), f" {found['rows']:,} rows: {said}"))
    findings(_sorted(found["findings"]))
    for step in found["cleaning"]:
        what = " ".join(word for word in (step["action"], step["column"]) if word)
        console.print(Text(f"  {what}: {step['rows']:,} rows"))


def plan(done: Mapping[str, Any]) -> None:
    """Show the strategies side by side, and the reason for the choice."""
    if done["plan"] is None:
        admission(done)
        return
    chosen = done["plan"]
    table = Table("strategy", "gain", "forgetting", "flips", "CPU s", "s", "MB", box=None)
    for row in chosen["forecasts"]:
        figures = (row["gain"], row["forgetting"], row["flips"])
        style = "bold" if row["strategy"] == chosen["strategy"] else ""
        cells = [f"{value:+.4f}" for value in figures]
        cells += [f"{row['cpu_s']:.1f}", f"{row['wall_s']:.1f}", f"{row['peak_bytes'] / 1e6:,.0f}"]
        table.add_row(row["strategy"], *cells, style=style)
    console.print(table)
    console.print(Text.assemble((chosen["strategy"], "bold"), f": {chosen['reason']}"))


def rolled_back(done: Mapping[str, Any]) -> None:
    """Say who serves again."""
    moved = f"traffic moved in {done['seconds'] * 1000:.0f} ms"
    if not done["in_force"]:
        moved = "no gateway answers; it follows as soon as one runs"
    console.print(
        f"[green]✔[/green] [bold]{done['champion']}[/bold] serves again instead of {done['was']}; "
        f"{moved}"
    )


def status(done: Mapping[str, Any]) -> None:
    """Show the model line and its updates."""
    console.print(f"[bold]{done['model']}[/bold]  champion {done['champion'] or 'none yet'}")
    if not done["champion"]:
        console.print("  next: instar adopt WEIGHTS --train DATA --holdout DATA")
    if found := done["traffic"]:
        after = found["next"] or "closed by the next command that works, or by instar serve"
        gap = Text.assemble("  ", mark("inconclusive"), f" {found['problem']}; {after}")
        console.print(gap, soft_wrap=True)
    if due := done["due"]:
        sign = ("! ", "yellow") if due["due"] else ("", "")
        said = Text.assemble(
            "  ", sign, f"next update  {'due: ' if due['due'] else ''}{due['reason']}"
        )
        console.print(said, soft_wrap=True)
    for row in done["queued"]:
        waits = f"  queued (entry {row['entry']})  {row['reason']}; next: instar resume"
        console.print(Text(waits), soft_wrap=True)
    for row in done["updates"]:
        line = f"  {row['update']}  {row['state']:<12} {row['stage']:<11} {row['reason']}"
        console.print(Text(line))


def history(done: Mapping[str, Any]) -> None:
    """Show the ledger, one entry a line."""
    for entry in done["entries"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(entry.at))
        words = ("verdict", "kind", "name", "reason")
        said = " ".join(str(entry.body[word]) for word in words if entry.body.get(word))
        what = f"{entry.update or '':6} {entry.kind:<11} {entry.actor:<10} {said}"
        console.print(Text(f"{entry.seq:5}  {when}  {what}"), soft_wrap=True)


def written(done: Mapping[str, Any]) -> None:
    """Say where a file lies."""
    console.print(f"[green]✔[/green] {done['file']} ({done['bytes'] / 1000:,.0f} kB)")


def watch(done: Mapping[str, Any]) -> None:
    """Show what production says of the champion."""
    found = done["watch"]
    said = f" over {found['window']:,} labelled answers"
    console.print(Text.assemble(mark(found["verdict"]), said))
    findings(_sorted(found["findings"]))
    if found["ask"]:
        console.print(Text(f"  a new update is asked for: {found['ask']}", style="bold"))


def policy(done: Mapping[str, Any]) -> None:
    """Show every setting, its value and its origin."""
    table = Table(box=None)
    table.add_column("setting", no_wrap=True)
    for name in ("value", "from", "meaning"):
        table.add_column(name)
    for row in done["settings"]:
        table.add_row(row["key"], str(row["value"]), row["origin"], row["doc"])
    console.print(table)
