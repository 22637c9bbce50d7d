"""The demo on a terminal: progress while it plays, a word after each act, one last screen."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from instar.cli import show
from instar.core.codec import encode
from instar.core.errors import InputError
from instar.demo.acts import Act, Play

FOLDER = Path("instar-demo")
MARK = ".instar-demo"
WANTED = ("promoted", "refused", "rolled back", "rolled back")


def run(*, as_json: bool, keep: bool, seed: int, folder: Path | None) -> int:
    """Play the four acts; return 0 if each ended as it must."""
    place = (folder or FOLDER).resolve()
    _clear(place)
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()
    play = Play(place, seed)
    _title(console, "before", "a champion in service, and its data", as_json=as_json)
    with show.progress(as_json) as play.tell:
        play.set_up()
    acts: list[Act] = []
    with play.bob.serve() as gateway:
        for number, (name, scene) in enumerate(play.scenes(gateway.url), 1):
            _title(console, f"act {number}", name, as_json=as_json)
            since = time.monotonic()
            with show.progress(as_json) as play.tell:
                act = scene()
            acts.append(replace(act, seconds=time.monotonic() - since))
            if not as_json:
                _curtain(console, acts[-1])
        seconds = time.monotonic() - began
        if not as_json:
            _last_screen(acts, seconds)
        if keep:
            _keep(console, gateway.url)
    good = tuple(act.state for act in acts) == WANTED and acts[-1].verdict == "pass"
    if as_json:
        print(json.dumps({"acts": [encode(a) for a in acts], "seconds": seconds, "passed": good}))
    return 0 if good else 1


def _clear(place: Path) -> None:
    """Make room for the demo: what an earlier one left goes, and nothing else ever does."""
    if place.exists() and not (place / MARK).is_file() and any(place.iterdir()):
        raise InputError(
            "an empty folder, or an earlier demo's", repr(place.name), "choose another: --folder"
        )
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / MARK).touch()


def _title(console: Console, number: str, name: str, *, as_json: bool) -> None:
    if not as_json:
        console.print()
        console.rule(f"[bold]{number}[/bold]  {name}", align="left", style="dim")


def _curtain(console: Console, act: Act) -> None:
    console.print(Text.assemble(show.mark(act.verdict), f" {act.update} ", (act.state, "bold")))
    for line in act.said:
        console.print(Text(f"  {line}"), soft_wrap=True)


def _last_screen(acts: Sequence[Act], seconds: float) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("", "act", "update", "ended", "champion after", "metric", "requests", "s"):
        table.add_column(name, justify="right" if name in ("requests", "s") else "left")
    for act in acts:
        moved = act.champion_after != act.champion_before
        requests = act.facts.get("requests")
        table.add_row(
            show.mark(act.verdict),
            act.name,
            act.update,
            act.state,
            Text(act.champion_after, style="bold" if moved else "dim"),
            _metric(act),
            f"{requests:,} ({act.facts['failed']} failed)" if requests else "",
            f"{act.seconds:.0f}",
        )
    show.console.print()
    show.console.print(Panel(table, title=f"instar demo, {seconds:.0f} s", title_align="left"))
    for act in acts:
        if act.report:
            show.console.print(f"  report of {act.update}  {act.report}", soft_wrap=True)


def _metric(act: Act) -> str:
    if act.champion is None or act.candidate is None:
        return ""
    return f"{act.metric} {act.champion:.3f} → {act.candidate:.3f}"


def _keep(console: Console, url: str) -> None:
    console.print(f"serving at {url}; end with Ctrl-C")
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
