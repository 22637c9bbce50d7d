"""Gateway and dashboard side by side, until somebody interrupts."""

from __future__ import annotations

import signal
import threading

from instar.cli.show import console
from instar.service import Workspace


def run(space: Workspace, port: int, pages: int, **how: int | None) -> None:
    """Serve predictions and pages on loopback; stop both on SIGINT or SIGTERM.

    `how`: `workers`, `cache` and `grpc`, as `Workspace.serve` takes them.
    """
    from instar.web.server import dashboard

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    serving = space.serve(port, **how)
    with serving as gateway, dashboard(space, pages, space.token()) as url:
        console.print(f"[green]✔[/green] [bold]{space.champion().name}[/bold] serves")
        console.print(f"  predictions  {gateway.url}/v2/models/{space.project.model}/infer")
        if gateway.grpc:
            console.print(f"  over gRPC    {gateway.grpc}")
        console.print(f"  dashboard    {url}")
        console.print(f"  control      {url}api/v1/release, token in .instar/keys/api.token")
        console.print("  end with Ctrl-C")
        while not ended.wait(1):
            if gateway.process.poll() is not None:
                console.print("[red]✘[/red] the gateway has ended; see .instar/serve/gateway.err")
                break
