"""Two tiny sealed bundles, rows whose labels follow a known law, and the network behind one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from instar.bundle.runtime import ServedBundle
from instar.core.files import File
from instar.core.finding import Finding, Verdict
from instar.core.policy import ValidatePolicy
from instar.core.records import Bundle
from instar.stages.validate.evidence import Evidence, answer
from instar.testing.bundles import TASK, tiny_bundle
from instar.testing.tools import MemoryArtifacts

GOOD, POOR, USELESS = (2.0, -2.0), (2.0, 0.5), (0.0, 0.0)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


class Twin(nn.Module):
    """The network that `tiny_bundle` is made from."""

    def __init__(self, weights, bias=0.0):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights).reshape(2, 1))
        self.register_buffer("bias", torch.tensor(bias))
        self.register_buffer("shifts", torch.tensor([0.0, -0.5, 0.5]))

    def forward(self, numbers, categories):
        return numbers @ self.weights + self.shifts[categories] + self.bias


def rows(n: int, seed: int) -> pl.DataFrame:
    """Rows whose odds are those of the bundle with the weights GOOD."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n))
    colour = rng.choice(["blue", "red"], n)
    logit = GOOD[0] * x + GOOD[1] * y + np.where(colour == "red", 0.5, -0.5)
    hit = rng.random(n) < 1 / (1 + np.exp(-logit))
    region = rng.choice(["north", "south", "tiny"], n, p=[0.5, 0.48, 0.02])
    return pl.DataFrame(
        {"x": x, "y": y, "colour": colour, "region": region, "answer": np.where(hit, "yes", "no")}
    )


@pytest.fixture(scope="session")
def law() -> Callable[..., pl.DataFrame]:
    return rows


@pytest.fixture(scope="session")
def weights() -> dict[str, tuple[float, float]]:
    return {"good": GOOD, "poor": POOR, "useless": USELESS}


@pytest.fixture(scope="session")
def made() -> Callable[..., Evidence]:
    """Make evidence: which weights the two versions have, and how many rows there are."""

    def make(champion=POOR, candidate=GOOD, n=1500, old=800, seed=0, **options) -> Evidence:
        artifacts = MemoryArtifacts()
        before, now = (
            ServedBundle.open(artifacts, tiny_bundle(artifacts, name, weights=w, **extra))
            for name, w, extra in (("v1", champion, {}), ("v2", candidate, options))
        )
        files = (File("model.onnx", "sha256:0", 3_000_000), File("card.md", "sha256:1", 1_000_000))
        return Evidence(
            task=TASK,
            fresh=answer(rows(n, seed), TASK, before, now),
            old=answer(rows(old, seed + 1), TASK, before, now) if old else None,
            champion=before,
            candidate=now,
            bundle=Bundle("v2", "sha256:2", files, "model.onnx", "fp32", Verdict.PASS, ()),
            network=lambda: Twin(candidate).eval(),
            seed=0,
        )

    return make


@pytest.fixture
def asked(made):
    """Put one gate's question; the findings by code."""

    def ask(gate, policy=None, evidence=None, **options) -> dict[str, Finding]:
        policy = policy or ValidatePolicy(resamples=300)
        found = gate(evidence or made(**options), policy)
        assert all(finding.passes_if or finding.verdict is Verdict.PASS for finding in found)
        return {finding.code: finding for finding in found}

    return ask
