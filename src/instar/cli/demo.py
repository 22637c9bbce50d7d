"""The demo on a terminal: progress while it plays, a word after each act, one last screen."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from instar.cli import show
from instar.core.codec import encode
from instar.demo.acts import Act, Play, perform

FOLDER = Path("instar-demo")
WANTED = ("promoted", "refused", "rolled back", "rolled back")


def run(*, as_json: bool, keep: bool, seed: int, folder: Path | None) -> int:
    """Play the four acts; return 0 if each ended as it must."""
    place = (folder or FOLDER).resolve()
    shutil.rmtree(place, ignore_errors=True)
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()
    with show.progress(as_json) as tell:
        play = Play(place, seed, tell)
        play.set_up()
        with play.bob.serve() as gateway:
            acts = perform(
                play, gateway.url, lambda act: None if as_json else _curtain(console, act)
            )
            seconds = time.monotonic() - began
            if keep and not as_json:
                _last_screen(acts, seconds)
                _keep(console, gateway.url)
    good = tuple(act.state for act in acts) == WANTED and acts[-1].verdict == "pass"
    if as_json:
        print(json.dumps({"acts": [encode(a) for a in acts], "seconds": seconds, "passed": good}))
    elif not keep:
        _last_screen(acts, seconds)
    return 0 if good else 1


def _curtain(console: Console, act: Act) -> None:
    console.print(
        Text.assemble(
            show.mark(act.verdict), " ", (act.name, "bold"), f": {act.update} {act.state}"
        )
    )
    for line in act.said:
        console.print(Text(f"    {line}", style="dim"))


def _last_screen(acts: Sequence[Act], seconds: float) -> None:
    table = Table("act", "update", "ended", "champion", "metric", "figures", "s", box=None)
    for number, act in enumerate(acts, 1):
        moved = act.champion_after if act.champion_after != act.champion_before else "unchanged"
        table.add_row(
            f"{number} {act.name}",
            act.update,
            Text.assemble(show.mark(act.verdict), f" {act.state}"),
            moved,
            _metric(act),
            ", ".join(f"{key} {value:,.4g}" for key, value in act.facts.items()),
            f"{act.seconds:.0f}",
        )
    reports = "\n".join(f"report of {act.update}: {act.report}" for act in acts if act.report)
    show.console.print(Panel(table, title=f"instar demo, {seconds:.0f} s"))
    show.console.print(Text(reports))


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
