"""Draw the board: each panel's queries, as a real Prometheus answers them during a release.

    python -m tools.board docs/pictures/board.svg

A gateway, a Prometheus and clients run for a minute on this machine; a candidate is given more
and more traffic, fails, and loses it, while another one answers in the shadow. Grafana is not
needed, and draws the same data otherwise.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import httpx

from instar.core.finding import Verdict
from instar.core.policy import ServeSettings
from instar.core.records import Phase, Release, ReleasePlan
from instar.core.tools import Route
from instar.serving import looks, monitoring
from instar.serving.client import GatewayTraffic, start
from tests.servers import prometheus
from tests.servers.prometheus import Prometheus
from tests.serving.conftest import NEW, OLD, WILD, body, build

ACT_S, RATE = 10.0, 100  # seconds of each act, requests a second
WIDTH, HEIGHT, LEFT, BELOW = 300, 150, 46, 34
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#805ad5", "#b7791f", "#4a5568", "#c53030")
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#1f2933}.t{font-weight:600}.s{font-size:9px;"
    "fill:#52606d}.p{fill:#fff;stroke:#cbd2d9}.g{stroke:#e4e7eb}.n{font-size:22px}"
    "path{fill:none;stroke-width:1.4}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.s{fill:#9aa5b1}.p{fill:#1f2933;"
    "stroke:#3e4c59}.g{stroke:#323f4b}}"
)
Series = list[tuple[str, list[tuple[float, float]]]]


class Clients:
    """Ask so many times a second, and tell the true label a little later."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=10)
        self.wild = 0.0  # share of requests with a number that the candidate cannot stand
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        draw, number = random.Random(0), 0
        due = time.monotonic()
        while not self.stop.is_set():
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            x = 9.0 if draw.random() < self.wild else draw.gauss(0.5, 1.0)
            number += 1
            asked: dict[str, Any] = body(x, f"r{number}")
            if draw.random() < 0.01:  # a client that forgets a column
                asked["inputs"] = asked["inputs"][:2]
            self.http.post("/v2/models/m/infer", json=asked)
            if number % 20 == 0:
                told = [
                    {"id": f"r{n}", "label": "yes" if draw.random() < 0.7 else "no"}
                    for n in range(number - 19, number + 1)
                ]
                self.http.post("/api/v1/feedback", json={"items": told})

    def end(self) -> None:
        self.stop.set()
        self.thread.join()
        self.http.close()


def play(root: Path, traffic: GatewayTraffic, clients: Clients, manifests: dict[str, str]) -> None:
    """Go through a release that ends badly."""
    planned = ReleasePlan(OLD, WILD, "canary", (), {}, "")

    def stand(phase: Phase, step: int) -> None:
        now = time.time()
        made = Release(phase, step, {}, Verdict.PASS, (), "", began_at=now, since=now, plan=planned)
        looks.note(root, "u0001", made, now, 0)

    time.sleep(ACT_S)
    for step, share in enumerate((0.1, 0.25, 0.5), 1):
        shares = {OLD: 1 - share, WILD: share}
        traffic.move(Route("m", step + 1, shares, manifests, OLD, shadow={NEW: 0.5}))
        stand(Phase.STEP, step)
        time.sleep(ACT_S)
    clients.wild = 0.1
    time.sleep(ACT_S / 2)
    traffic.move(traffic.route().home(OLD, manifests[OLD], ""))
    stand(Phase.ROLLED_BACK, 3)
    time.sleep(ACT_S)


def series(server: Prometheus, target: dict[str, Any], since: float, until: float) -> Series:
    """Ask for a query over the time of the play."""
    query = target["expr"].replace("$model", "m").replace("$__rate_interval", "5s")
    found = server.get("query_range", query=query, start=since, end=until, step=0.5)
    named = []
    for one in found["result"]:
        name = target["legendFormat"]
        for key, value in one["metric"].items():
            name = name.replace("{{" + key + "}}", value)
        points = [(at, float(value)) for at, value in one["values"]]
        named.append((name, [point for point in points if point[1] == point[1]]))
    return [one for one in named if one[1]]


def shown(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        return f"{1000 * value:.3g} ms"
    if unit == "bytes":
        return f"{value / 1e6:.0f} MB"
    return f"{value:.3g}"


def panel(
    title: str, kind: str, unit: str, lines: Series, since: float, until: float
) -> Iterator[str]:
    yield f'<rect class="p" width="{WIDTH}" height="{HEIGHT}" rx="3"/>'
    yield f'<text class="t" x="8" y="16">{escape(title)}</text>'
    if not lines:
        yield f'<text class="s" x="8" y="{HEIGHT / 2}">no data</text>'
        return
    if kind == "stat":
        last = shown(lines[0][1][-1][1], unit)
        place = f'x="{WIDTH / 2}" y="{HEIGHT / 2 + 16}" text-anchor="middle"'
        yield f'<text class="n" {place}>{last}</text>'
        return
    if kind == "heatmap":
        yield from _heat(lines, since, until)
        return
    top = max(value for _, points in lines for _, value in points) or 1.0
    for part in (0.0, 0.5, 1.0):
        y = HEIGHT - BELOW - part * (HEIGHT - BELOW - 26)
        yield f'<line class="g" x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>'
        place = f'x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end"'
        yield f'<text class="s" {place}>{shown(part * top, unit)}</text>'
    for number, (_, points) in enumerate(lines):
        path = "L".join(
            f"{LEFT + (at - since) / (until - since) * (WIDTH - LEFT - 8):.1f} "
            f"{HEIGHT - BELOW - value / top * (HEIGHT - BELOW - 26):.1f}"
            for at, value in points
        )
        yield f'<path d="M{path}" stroke="{COLOURS[number % len(COLOURS)]}"/>'
    yield from _legend([name for name, _ in lines])


def _legend(names: list[str]) -> Iterator[str]:
    x, y = 8.0, HEIGHT - 16
    for number, name in enumerate(names):
        short = name.replace("model_v2026", "v").replace("_0000", "")
        if x + 6 * len(short) > WIDTH - 8:
            x, y = 8.0, y + 11
        if y > HEIGHT - 4:
            return
        fill = COLOURS[number % len(COLOURS)]
        yield f'<rect x="{x}" y="{y - 6}" width="6" height="6" fill="{fill}"/>'
        yield f'<text class="s" x="{x + 9}" y="{y}">{escape(short)}</text>'
        x += 18 + 4.8 * len(short)


def _heat(lines: Series, since: float, until: float) -> Iterator[str]:
    """Draw buckets, which come added up, as a map."""
    rows = sorted(((float(name), dict(points)) for name, points in lines if name != "+Inf"))
    cells = []
    for place, (bound, points) in enumerate(rows):
        below = rows[place - 1][1] if place else {}
        cells += [(at, bound, value - below.get(at, 0.0)) for at, value in points.items()]
    top, step = max(value for _, _, value in cells) or 1.0, 1.0 / len(rows)
    tall, wide = HEIGHT - BELOW - 26, WIDTH - LEFT - 8
    for at, bound, value in cells:
        if value > 0:
            x, y = LEFT + (at - since) / (until - since) * wide, HEIGHT - BELOW - bound * tall
            yield (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{0.5 / (until - since) * wide:.1f}" '
                f'height="{step * tall:.1f}" fill="#2b6cb0" opacity="{value / top:.2f}"/>'
            )
    for part in (0.0, 1.0):
        y = HEIGHT - BELOW - part * tall
        yield f'<text class="s" x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{part:g}</text>'


def draw(server: Prometheus, since: float, until: float) -> str:
    """Draw all panels, six numbers in a row, then three graphs in a row."""
    board = json.loads(monitoring.shipped(monitoring.BOARD))
    parts, heights = [], 0
    for number, one in enumerate(board["panels"]):
        lines = [s for target in one["targets"] for s in series(server, target, since, until)]
        unit = one["fieldConfig"]["defaults"]["unit"]
        column, row = number % 3, number // 3
        heights = max(heights, row + 1)
        inside = "".join(panel(one["title"], one["type"], unit, lines, since, until))
        place = f"translate({column * (WIDTH + 8) + 4} {row * (HEIGHT + 8) + 4})"
        parts.append(f'<g transform="{place}">{inside}</g>')
    size = f"{3 * (WIDTH + 8)} {heights * (HEIGHT + 8)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img">'
        f"<title>The board of Instar's gateway during a release that fails</title>"
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def main() -> None:
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        root, watching = Path(folder) / "root", Path(folder) / "prometheus"
        manifests, traffic = build(root), GatewayTraffic(root, "m")
        traffic.put(Route("m", 1, {OLD: 1.0}, {OLD: manifests[OLD]}, OLD))
        gateway = start(root, "m", how=ServeSettings(workers=2, cache=1000))
        clients = Clients(gateway.url)
        try:
            monitoring.write(watching, [gateway.url.removeprefix("http://")], every="500ms")
            with prometheus.running(watching) as server:
                since = time.time() + 3
                play(root, traffic, clients, manifests)
                target.write_text(draw(server, since, time.time()), "utf-8")
        finally:
            clients.end()
            gateway.stop()


if __name__ == "__main__":
    main()
