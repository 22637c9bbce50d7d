"""Where heavy work runs: engines behind one protocol, `instar.core.tools.Engine`."""

from __future__ import annotations

from collections.abc import Callable

from instar.core.family import Family
from instar.core.tools import Engine
from instar.engines.local import Local

ENGINES: Family[Callable[[int], Engine]] = Family("engine", {"local": Local})
