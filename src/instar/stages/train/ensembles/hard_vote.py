"""Hard vote: members that differ by their seed alone; each has one vote for one class."""

from __future__ import annotations

from instar.stages.train.ensembles.kind import Kind
from instar.stages.train.ensembles.mean import joining

hard_vote = Kind("from other seeds vote for one class each", "vote", joining("vote"))
"""
Source:
    Hansen and Salamon 1990, "Neural Network Ensembles".
"""
