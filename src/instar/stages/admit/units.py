"""Units that sources mix up, and how a number written in one reads in the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXPLAINED = 0.25  # a conversion explains a shift when it leaves at most a quarter of it


@dataclass(frozen=True, slots=True)
class Conversion:
    """Bring a number in unit `got` back to unit `wanted`: `value * scale + shift`.

    Example:
        >>> celsius = next(each for each in CONVERSIONS if each.got == "Celsius")
        >>> 20.0 * celsius.scale + celsius.shift
        68.0
    """

    got: str
    wanted: str
    scale: float
    shift: float = 0.0


def _both(one: str, other: str, scale: float, shift: float = 0.0) -> tuple[Conversion, Conversion]:
    there = Conversion(one, other, scale, shift)
    return there, Conversion(other, one, 1 / scale, -shift / scale)


CONVERSIONS: tuple[Conversion, ...] = (
    *_both("Celsius", "Fahrenheit", 1.8, 32.0),
    *_both("Kelvin", "Celsius", 1.0, -273.15),
    *_both("Kelvin", "Fahrenheit", 1.8, -459.67),
    *_both("metres", "feet", 1 / 0.3048),
    *_both("kilometres", "miles", 1 / 1.609344),
    *_both("metres per second", "miles per hour", 3600 / 1609.344),
    *_both("millimetres", "inches", 1 / 25.4),
    *_both("kilograms", "pounds", 1 / 0.45359237),
    *_both("thousandths", "units", 1e-3),
    *_both("per cent", "fractions", 1e-2),
)


def explain(now: NDArray[np.float64], due: NDArray[np.float64]) -> Conversion | None:
    """Find the conversion that brings numbers back to where they are due, if one does.

    Example:
        >>> fahrenheit = np.array([50.0, 68.0, 86.0])
        >>> found = explain((fahrenheit - 32) / 1.8, fahrenheit + 1)
        >>> found.got, explain(fahrenheit, fahrenheit - 100)
        ('Celsius', None)
    """
    left = [float(np.abs(now * c.scale + c.shift - due).mean()) for c in CONVERSIONS]
    best = int(np.argmin(left))
    before = float(np.abs(now - due).mean())
    return CONVERSIONS[best] if left[best] <= EXPLAINED * before else None
