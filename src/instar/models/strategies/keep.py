"""Keep: the champion serves on."""

from __future__ import annotations

from instar.models.strategies.route import Strategy, Usual

keep = Strategy("is the champion, unchanged", None, Usual(0.0, 0.0, 0.0))
