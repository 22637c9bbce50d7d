"""The environment that `make test` makes."""

from __future__ import annotations

import os
import socket

import pytest


@pytest.mark.skipif("CI" not in os.environ, reason="on a machine of one's own any torch will do")
def test_torch_is_the_cpu_build() -> None:
    import torch

    assert torch.version.cuda is None


def test_connection_outside_loopback_fails() -> None:
    with socket.socket() as outside, pytest.raises(AssertionError, match="192"):
        outside.connect(("192.0.2.1", 9))
