"""How traffic moved, from the release records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from instar.core.records import Release
from instar.report.story import Story


@dataclass(frozen=True, slots=True)
class Move:
    """One record of a release: `after_s` seconds since the first, `share` of the candidate."""

    release: Release
    after_s: float
    share: float


def moves(story: Story) -> list[Move]:
    """List the moves of a release with the candidate's share."""
    candidate = story.bundle.version if story.bundle else ""
    began = story.releases[0].since if story.releases else 0.0
    return [
        Move(release, release.since - began, release.shares.get(candidate, 0.0))
        for release in story.releases
    ]


def shares(releases: Sequence[Release]) -> dict[str, Any]:
    """Turn release records into a picture of stepped lines: share per version over time.

    Returns:
        A `lines` picture; x in seconds since the release began, y in per cent. Empty for fewer
        than two records, which make no course.
    """
    if len(releases) < 2:
        return {}
    began = releases[0].since
    names = list(dict.fromkeys(name for release in releases for name in release.shares))
    x: list[float] = []
    y: dict[str, list[float]] = {name: [] for name in names}
    for before, release in zip((releases[0], *releases), releases, strict=False):
        x += [release.since - began] * 2
        for name in names:
            held = (before.shares.get(name, 0.0), release.shares.get(name, 0.0))
            y[name] += [100.0 * share for share in held]
    return {
        "kind": "lines",
        "x": x,
        "series": [{"name": name, "y": y[name]} for name in names],
        "x_label": "seconds since the release began",
        "y_label": "share of traffic, %",
    }
