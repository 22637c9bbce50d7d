"""A picture of strategies: one figure against another, with the spread over seeds, as SVG."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BELOW = 560, 340, 52, 44
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2933}.small{font-size:11px;fill:#52606d}"
    "line,path{stroke:#9aa5b1}circle{fill:#2f855a}.peer{fill:#b7791f}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.small{fill:#9aa5b1}}"
)
Figures = Mapping[str, Mapping[str, Sequence[float]]]


def scatter(figures: Figures, x: str, y: str, title: str, peers: Sequence[str]) -> str:
    """Draw each row of a table as a point with bars of one standard deviation.

    Args:
        figures: By row, by column, one value a seed.
        x, y: The columns.
        peers: Rows that are no strategy of ours; drawn in another colour.
    """
    mean = {n: (statistics.fmean(r[x]), statistics.fmean(r[y])) for n, r in figures.items()}
    sd = {n: (statistics.pstdev(r[x]), statistics.pstdev(r[y])) for n, r in figures.items()}
    xs, ys = _span([p[0] for p in mean.values()]), _span([p[1] for p in mean.values()])

    def at(value: float, span: tuple[float, float], low: float, high: float) -> float:
        return low + (value - span[0]) / (span[1] - span[0]) * (high - low)

    marks, taken = [], list[tuple[float, float]]()
    for name, (a, b) in sorted(mean.items(), key=lambda item: item[1][1]):
        px, py = at(a, xs, LEFT, WIDTH - 130), at(b, ys, HEIGHT - BELOW, 34)
        dx = sd[name][0] / (xs[1] - xs[0]) * (WIDTH - 130 - LEFT)
        dy = sd[name][1] / (ys[1] - ys[0]) * (HEIGHT - BELOW - 34)
        marks.append(f'<line x1="{px - dx:.1f}" x2="{px + dx:.1f}" y1="{py:.1f}" y2="{py:.1f}"/>')
        marks.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{py - dy:.1f}" y2="{py + dy:.1f}"/>')
        kind = ' class="peer"' if name in peers else ""
        marks.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4"{kind}/>')
        row = py + 4
        while any(abs(row - other) < 13 and abs(px - ox) < 150 for ox, other in taken):
            row -= 13
        taken.append((px, row))
        marks.append(f'<text x="{px + 8:.1f}" y="{row:.1f}">{escape(name)}</text>')
    floor = HEIGHT - BELOW
    axes = [
        f'<path d="M{LEFT} 28V{floor}H{WIDTH - 20}" fill="none"/>',
        f'<text x="{LEFT}" y="16">{escape(title)}</text>',
        f'<text class="small" x="{LEFT}" y="{HEIGHT - 8}">{escape(x)}</text>',
        f'<g transform="rotate(-90 14 {floor})">{_small(escape(y), 14, floor)}</g>',
    ]
    for span, across in ((xs, True), (ys, False)):
        for part in range(5):
            value = span[0] + part / 4 * (span[1] - span[0])
            if across:
                where = at(value, xs, LEFT, WIDTH - 130)
                axes.append(_small(f"{value:.1f}", where, floor + 16, "middle"))
            else:
                axes.append(_small(f"{value:.1f}", LEFT - 6, at(value, ys, floor, 34) + 4, "end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img"><title>{escape(title)}</title><style>{_STYLE}</style>'
        + "\n".join([*axes, *marks])
        + "</svg>\n"
    )


def _small(words: str, x: float, y: float, anchor: str = "start") -> str:
    return f'<text class="small" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.06 * (high - low or 1.0)
    return low - room, high + room
