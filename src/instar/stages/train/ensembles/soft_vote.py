"""Soft vote: members that differ by their seed alone; their probabilities are averaged."""

from __future__ import annotations

from instar.stages.train.ensembles.kind import Kind
from instar.stages.train.ensembles.mean import joining

soft_vote = Kind("from other seeds answer with their mean", "mean", joining("mean"))
"""
Source:
    Lakshminarayanan et al. 2017, "Simple and Scalable Predictive Uncertainty Estimation using
    Deep Ensembles".
"""
