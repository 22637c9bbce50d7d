import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from instar.models.threads import limited


def _blas() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_torch_and_blas_have_as_many_threads_as_wanted_and_get_theirs_back() -> None:
    before = torch.get_num_threads(), _blas()

    with limited(2), limited(1):
        assert torch.get_num_threads() == 1
        assert set(_blas()) == {1}

    assert (torch.get_num_threads(), _blas()) == before


def test_threads_come_back_after_an_error() -> None:
    before = torch.get_num_threads(), _blas()

    with pytest.raises(ZeroDivisionError), limited(1):
        assert 1 / 0

    assert (torch.get_num_threads(), _blas()) == before
