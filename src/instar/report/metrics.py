"""Every metric of both versions, side by side for each set of rows they were measured on."""

from __future__ import annotations

from dataclasses import dataclass

from instar.report.headline import score
from instar.report.story import Story

Pair = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Metrics:
    """A table: `data` are the sets of rows; each row has a (champion, candidate) pair for each."""

    data: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Pair, ...]], ...]


def metrics(story: Story) -> Metrics | None:
    """Lay out what validation measured, the primary metric first.

    A record names a metric `auroc` on fresh rows and `auroc@old` on old ones.
    """
    if story.validation is None or not story.validation.candidate:
        return None
    before, now = story.validation.champion, story.validation.candidate
    found = score(story)
    names = list(dict.fromkeys(name.partition("@")[0] for name in now))
    names.sort(key=lambda name: found is None or name != found.metric)
    data = sorted({name.partition("@")[2] for name in now})
    rows = [
        (name, tuple((before.get(key), now.get(key)) for key in _keys(name, data)))
        for name in names
    ]
    return Metrics(tuple(part or "fresh" for part in data), tuple(rows))


def _keys(name: str, data: list[str]) -> list[str]:
    return [f"{name}@{part}" if part else name for part in data]
