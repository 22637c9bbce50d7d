"""The few marks that every drawing is made of. Whatever text comes in goes out escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

WIDTH = 360
"""Width of a drawing in CSS pixels: what a phone shows without shrinking the letters."""


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """Write one element; `class_` means class, `text_anchor` text-anchor, None leaves it out.

    Example:
        >>> tag("text", "<b>", x=1.25, class_="label")
        Markup('<text x="1.2" class="label">&lt;b&gt;</text>')
    """
    opened = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _value(value))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, opened, inside)


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def drawing(title: str, height: float, children: Iterable[str], width: float = WIDTH) -> Markup:
    """Frame a drawing: scales down with its column, and says in words what it shows."""
    return tag(
        "svg",
        tag("title", title),
        *children,
        role="img",
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        width=width,
        height=height,
    )


def text(words: str, x: float, y: float, *, class_: str = "", anchor: str = "start") -> Markup:
    """Set words at a point; too long ones are cut, and whole again under the pointer."""
    return tag("text", words, x=x, y=y, text_anchor=anchor, class_=class_ or None)


def label(words: str, x: float, y: float, *, letters: int, anchor: str = "end") -> Markup:
    """Set a name that must fit a number of letters; the full one is its tooltip.

    It is cut in the middle: names of layers and slices differ most at their ends.
    """
    if len(words) <= letters:
        return text(words, x, y, anchor=anchor)
    head = letters // 3
    cut = f"{words[:head]}…{words[head + 1 - letters :]}"
    return tag("text", cut, tag("title", words), x=x, y=y, text_anchor=anchor)


def path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    """Join points by straight lines."""
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag("polyline", points=steps, class_=class_)


def tone(name: str, index: int, count: int) -> int:
    """Choose a series' look: the champion and the old side are always 0, a lone series 1."""
    if name.lower().startswith(("champion", "old", "before")):
        return 0
    if name.lower().startswith(("candidate", "fresh", "after", "successor")) or count == 1:
        return 1
    return index % 5


def legend(names: Sequence[tuple[int, str]]) -> Markup:
    """List the series under a drawing, each with a sample of its line."""
    items = (
        tag("li", tag("span", "", class_=f"swatch t{index}"), " ", name) for index, name in names
    )
    return tag("ul", *items, class_="legend")
