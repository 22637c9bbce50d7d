"""Put the page together: templates for the shape, small functions for the words."""

from __future__ import annotations

import functools
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from instar.core.digest import short
from instar.report import numbers
from instar.report.costs import costs, expected, methods
from instar.report.gates import overrides, passed, raised
from instar.report.headline import headline, picture, score
from instar.report.history import COURSES, course, moved, named
from instar.report.lineage import lineage
from instar.report.metrics import metrics
from instar.report.pictures import draw
from instar.report.stages import WORDS, stages
from instar.report.story import Story
from instar.report.traffic import moves, shares

FILTERS = {
    "amount": numbers.amount,
    "between": numbers.between,
    "course": course,
    "draw": draw,
    "duration": numbers.duration,
    "energy": numbers.energy,
    "moment": numbers.moment,
    "moved": moved,
    "named": named,
    "number": numbers.number,
    "passed": passed,
    "picture": picture,
    "percent": numbers.percent,
    "raised": raised,
    "short": short,
    "signed": numbers.signed,
    "size": numbers.size,
}


def environment(package: str = "instar.report") -> Environment:
    """Make a template environment: escapes everything, refuses names that are not there.

    Args:
        package: Whose `templates` folder is read first; then the report's, which holds the style.
    """
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("instar.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals.update(WORDS=WORDS, GLYPHS=GLYPHS, COURSES=COURSES)
    return made


GLYPHS = {
    "pass": "✓",
    "fail": "✕",
    "inconclusive": "?",
    "error": "!",
    "made": "•",
    "open": "…",
    "none": "",
}
"""The sign beside each verdict's word."""


@functools.cache
def _environment() -> Environment:
    return environment()


def render(story: Story) -> str:
    """Write the page of one update: self-contained HTML that needs no network and no script.

    Args:
        story: The records of the update, as far as it got.
    Returns:
        The whole document.
    """
    return _environment().get_template("report.html").render(**_view(story))


def _view(story: Story) -> dict[str, Any]:
    return {
        "story": story,
        "request": story.request,
        "headline": headline(story),
        "score": score(story),
        "stages": stages(story),
        "metrics": metrics(story),
        "costs": costs(story),
        "methods": methods(story),
        "expected": expected(story),
        "lineage": lineage(story),
        "shares": shares(story.releases),
        "moves": moves(story),
        "overrides": functools.partial(overrides, story.votes),
    }
