"""Each row against the rows around it: what is left is its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def deviations(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Subtract from each row the mean of its neighbours in the order of the file.

    What changes slowly (weather, demand, the hour) falls out.

    Args:
        values: Shape (n, k); NaN in a whole row means that it is missing.
        radius: Rows looked at on each side, at least 1.
    Returns:
        Shape (n, k); 0 for a missing row and for a row without neighbours.
    Example:
        >>> deviations(np.array([[1.0], [4.0], [1.0]]), 1).ravel().tolist()
        [-3.0, 3.0, -3.0]
    """
    present = ~np.isnan(values[:, :1])
    filled = np.where(present, values, 0.0)
    around = _around(filled, radius)
    count = _around(present.astype(np.float64), radius)
    mean = around / np.maximum(count, 1.0)
    return np.where(present & (count > 0), filled - mean, 0.0)


def _around(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    place = np.arange(len(values))
    first = np.maximum(0, place - radius)
    last = np.minimum(len(values), place + radius + 1)
    return np.asarray(total[last] - total[first] - values)
