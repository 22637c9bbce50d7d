"""One self-contained page per update."""

from __future__ import annotations

from instar.report.headline import Headline, headline
from instar.report.page import render
from instar.report.story import Entry, Story

__all__ = ["Entry", "Headline", "Story", "headline", "render"]
