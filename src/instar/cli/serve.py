"""Gateway and dashboard side by side, until somebody interrupts."""

from __future__ import annotations

import signal
import threading

from instar.cli.show import console
from instar.service import Workspace


def run(space: Workspace, port: int, pages: int, workers: int = 0, cache: int = 0) -> None:
    """Serve predictions and pages on loopback; stop both on SIGINT or SIGTERM."""
    from instar.web.server import dashboard

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    serving = space.serve(port, workers=workers, cache=cache)
    with serving as gateway, dashboard(space, pages, space.token()) as url:
        console.print(f"[green]✔[/green] [bold]{space.champion().name}[/bold] serves")
        console.print(f"  predictions  {gateway.url}/v2/models/{space.project.model}/infer")
        console.print(f"  dashboard    {url}")
        console.print(f"  control      {url}api/v1/release, token in .instar/keys/api.token")
        console.print("  end with Ctrl-C")
        while not ended.wait(1):
            if gateway.process.poll() is not None:
                console.print("[red]✘[/red] the gateway has ended; see .instar/serve/gateway.err")
                break
