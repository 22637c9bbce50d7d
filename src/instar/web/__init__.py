"""The dashboard: a read-only door for the browser."""

from __future__ import annotations

from instar.web.dashboard import app
from instar.web.service import Service

__all__ = ["Service", "app"]
