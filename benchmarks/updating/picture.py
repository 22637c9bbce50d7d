"""A picture of strategies: one figure against another, with the spread over seeds, as SVG."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, ABOVE, BELOW = 640, 360, 52, 176, 34, 44
_ROW = 15  # between two names
_TICKS = (0, 1, 3, 10, 30, 100, 300, 1000)
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2933}.small{font-size:11px;fill:#52606d}"
    "line,path{stroke:#9aa5b1}.faint{stroke-width:.5;stroke-dasharray:2 3}"
    "circle{fill:#2f855a}.peer{fill:#b7791f}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.small{fill:#9aa5b1}}"
)
Figures = Mapping[str, Mapping[str, Sequence[float]]]


def scatter(figures: Figures, x: str, y: str, title: str, peers: Sequence[str]) -> str:
    """Draw each row of a table as a point with bars of one standard deviation.

    What is cheap lies close together, so that the axis is one of log(1 + x). Names stand in a
    column of their own, in the order of y.

    Args:
        figures: By row, by column, one value a seed.
        x, y: The columns.
        peers: Rows that are no strategy of ours; drawn in another colour.
    """
    mean = {n: (statistics.fmean(r[x]), statistics.fmean(r[y])) for n, r in figures.items()}
    sd = {n: (statistics.pstdev(r[x]), statistics.pstdev(r[y])) for n, r in figures.items()}
    low, high = _span([y for _, y in mean.values()])
    right, floor = WIDTH - RIGHT, HEIGHT - BELOW
    end = math.log1p(1.1 * max(x for x, _ in mean.values()))

    def across(value: float) -> float:
        return LEFT + 10 + math.log1p(max(0.0, value)) / end * (right - LEFT - 10)

    def down(value: float) -> float:
        return floor - (value - low) / (high - low) * (floor - ABOVE)

    marks = []
    best = sorted(mean.items(), key=lambda item: -item[1][1])
    rows = _rows([down(b) for _, (_, b) in best], ABOVE, floor)
    for (name, (a, b)), row in zip(best, rows, strict=True):
        px, py, (da, db) = across(a), down(b), sd[name]
        kind = ' class="peer"' if name in peers else ""
        marks += [
            _line(across(a - da), across(a + da), py, py),
            _line(px, px, down(b - db), down(b + db)),
            _line(px + 5, right + 10, py, row, faint=True),
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4"{kind}/>',
            f'<text x="{right + 14}" y="{row + 4:.1f}">{escape(name)}</text>',
        ]
    axes = [
        f'<path d="M{LEFT} 28V{floor}H{right}" fill="none"/>',
        f'<text x="{LEFT}" y="16">{escape(title)}</text>',
        f'<text class="small" x="{LEFT}" y="{HEIGHT - 8}">{escape(x)}</text>',
        f'<g transform="rotate(-90 14 {floor})">{_small(escape(y), 14, floor)}</g>',
    ]
    axes += [
        _small(f"{tick}", across(tick), floor + 16, "middle")
        for tick in _TICKS
        if math.log1p(tick) <= end
    ]
    for part in range(5):
        value = low + part / 4 * (high - low)
        axes.append(_small(f"{value:.1f}", LEFT - 6, down(value) + 4, "end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img"><title>{escape(title)}</title><style>{_STYLE}</style>'
        + "\n".join([*axes, *marks])
        + "</svg>\n"
    )


def _rows(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Move names, from the top down, apart from each other, and into the picture."""
    rows: list[float] = []
    for row in wanted:
        rows.append(max([row, top, *(rows[-1:] and [rows[-1] + _ROW])]))
    for place in range(len(rows) - 1, -1, -1):
        rows[place] = min(rows[place], bottom - _ROW * (len(rows) - 1 - place))
    return rows


def _line(x1: float, x2: float, y1: float, y2: float, *, faint: bool = False) -> str:
    kind = ' class="faint"' if faint else ""
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"{kind}/>'


def _small(words: str, x: float, y: float, anchor: str = "start") -> str:
    return f'<text class="small" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.06 * (high - low or 1.0)
    return low - room, high + room
