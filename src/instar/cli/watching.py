"""`instar status -w`: a release as it goes, drawn anew every second until it has ended."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from instar.cli.show import console, mark
from instar.service import Workspace

_BAR = 40
_OPEN = ("running", "waiting", "releasing")
_COLOURS = ("cyan", "magenta")  # champion, candidate
_STALE_S = 10.0


def watch(space: Workspace, update: str | None, *, every_s: float, as_json: bool) -> int:
    """Follow a release to its end; return the exit status of its outcome.

    As JSON it is one object a line.
    """
    view = space.live(update)
    named = view["update"]
    if as_json:
        while True:
            print(json.dumps(view, ensure_ascii=False), flush=True)
            if view["state"] not in _OPEN:
                return int(view["exit_code"])
            time.sleep(every_s)
            view = space.live(named)
    with Live(draw(view), console=console, auto_refresh=False) as shown:
        while view["state"] in _OPEN:
            time.sleep(every_s)
            view = space.live(named)
            shown.update(draw(view), refresh=True)
    return int(view["exit_code"])


def draw(view: Mapping[str, Any], now: float | None = None) -> RenderableType:
    """Draw a release: where it stands, who serves what, what the gates say, what is missing."""
    now = time.time() if now is None else now
    parts: list[RenderableType] = [_title(view), _steps(view), Text(), _shares(view)]
    if view["findings"]:
        parts += [Text(), _gates(view["findings"])]
    if view["moves"]:
        parts += [Text(), _moves(view["moves"])]
    return Group(*parts, Text(), *_foot(view, now))


def _title(view: Mapping[str, Any]) -> Text:
    why = f" ({view['paused']})" if view["paused"] else ""
    phase = f"{view['phase'] or view['state']}{why}".replace("_", " ")
    sign = mark(view["verdict"]) if view["verdict"] else Text("·")
    line = Text.assemble(sign, " ", (view["update"], "bold"), f" of {view['model']}: ")
    line.append(phase, style="bold")
    if view["strategy"]:
        line.append(f"  {view['strategy'].replace('_', '-')}", style="dim")
    return line


def _steps(view: Mapping[str, Any]) -> Text:
    """Lay the plan out: steps that are over, the one that is under way, those that follow."""
    line, ended = Text("  "), view["phase"] in ("promoting", "promoted", "retired")
    for number, step in enumerate(view["steps"], 1):
        here = number == view["step"] and not ended
        over = number < view["step"] or ended
        style = "bold reverse" if here else "green" if over else "dim"
        line.append(f" {step['share']:.4g} ", style=style)
        line.append(" › ", style="dim")
    line.append(" all ", style="green" if view["phase"] in ("promoted", "retired") else "dim")
    if view["step"] and view["steps"]:
        line.append(f"   step {view['step']} of {len(view['steps'])}", style="dim")
    return line


def _shares(view: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("", "share of the traffic", "", "requests", "failed", "p99 ms"):
        right = name in ("requests", "failed", "p99 ms")
        table.add_column(name, justify="right" if right else "left", header_style="dim")
    roles = ((view["champion"], "champion"), (view["candidate"], "candidate"))
    for (version, role), colour in zip(roles, _COLOURS, strict=True):
        if version is None:
            continue
        share, served = view["shares"].get(version, 0.0), view["served"].get(version, {})
        full = round(_BAR * share) or int(share > 0)
        bar = Text.assemble(("█" * full, colour), ("░" * (_BAR - full), "dim"))
        who = Text.assemble(f"  {version} ", (role, "dim"))
        failed = served.get("failed")
        table.add_row(
            who,
            bar,
            f"{share:6.1%}",
            f"{served.get('requests', 0):,}",
            "" if failed is None else f"{failed:,}",
            f"{served['p99_ms']:.1f}" if served.get("p99_ms") else "",
        )
    return table


def _gates(findings: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("", "gate", "says", "is missing"):
        table.add_column(name, header_style="dim")
    for found in findings:
        style = "" if found["enforced"] else "dim"
        table.add_row(
            Text.assemble("  ", mark(found["verdict"])),
            Text(found["code"], style="bold" if found["enforced"] else "dim"),
            Text(found["message"], style=style),
            Text(found["passes_if"], style="yellow" if found["enforced"] else "dim"),
        )
    return table


def _moves(moves: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("", "phase", "by", "because"):
        table.add_column(name, header_style="dim", no_wrap=name == "")
    for move in moves:
        why = f" ({move['paused']})" if move["paused"] else ""
        phase = f"{move['phase']}{why}".replace("_", " ")
        step = f" {move['step']}" if move["phase"] == "step" else ""
        table.add_row(
            time.strftime("  %H:%M:%S", time.gmtime(move["at"])),
            phase + step,
            move["cause"],
            move["reason"],
        )
    return table


def _foot(view: Mapping[str, Any], now: float) -> list[Text]:
    lines = [Text(f"  {view['reason']}")] if view["reason"] else []
    if view["state"] == "releasing":
        seen = view["looked_at"]
        if not view["carried"]:
            lines.append(Text("  nobody carries it: the gates are not looked at", style="yellow"))
        elif seen and now - seen > _STALE_S:
            lines.append(Text(f"  the last look is {now - seen:.0f} s old", style="yellow"))
        if view["orders"]:
            lines.append(Text(f"  {view['orders']} orders wait to be heeded", style="yellow"))
        if not view["gateway"]:
            lines.append(Text("  the gateway does not answer", style="yellow"))
    lines.append(Text(f"  next: {view['next']}", style="bold"))
    return lines


def picture(view: Mapping[str, Any], now: float, width: int = 140) -> str:
    """Draw a release as an SVG, for a page; in a font of the reader's, since nothing is fetched."""
    paper = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    paper.print(draw(view, now))
    drawn = paper.export_svg(title="instar status -w")
    return re.sub(r"\s*@font-face \{.*?\}|<!--.*?-->", "", drawn, flags=re.DOTALL)
