"""Write numbers for people: three significant digits, grouped thousands, units in words."""

from __future__ import annotations

import math
from datetime import UTC, datetime

NOTHING = "–"
_SPACE = "\u202f"  # narrow and unbreakable: a number never leaves its unit
_SHARES = frozenset({"fraction", "share"})
_NAMES = {"us": "µs"}
_SIZES = ("B", "kB", "MB", "GB", "TB")


def number(value: float | None) -> str:
    """Write a number to three significant digits; whole numbers in full.

    Example:
        >>> number(336776), number(0.74149), number(0.05), number(1234.5), number(None)
        ('336,776', '0.741', '0.05', '1,234', '–')
        >>> number(-0.0000123)
        '−1.23e−5'
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if isinstance(value, int):
        text = f"{value:,}"
    elif value and abs(value) < 1e-4:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{_trim(mantissa)}e{int(exponent)}"
    elif abs(value) >= 999.5:
        text = f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.2e}"
    else:
        text = _trim(f"{value + 0.0:.{_decimals(value)}f}")  # -0.0 + 0.0 has no sign
    return text.replace("-", "−")


def _decimals(value: float) -> int:
    rounded = float(f"{value:.2e}")
    return max(0, 2 - math.floor(math.log10(abs(rounded)))) if rounded else 0


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(value: float | None, unit: str = "") -> str:
    """Write a difference with its sign.

    Example:
        >>> signed(0.0151), signed(-0.2), signed(0.0), signed(0.04, "fraction")
        ('+0.0151', '−0.2', '0', '+4\u202f%')
    """
    return ("+" if value is not None and value > 0 else "") + amount(value, unit)


def percent(share: float | None) -> str:
    """Write a fraction as a percentage.

    Example:
        >>> percent(0.1123)
        '11.2\u202f%'
    """
    text = number(None if share is None else share * 100.0)
    return text if text == NOTHING else f"{text}{_SPACE}%"


def amount(value: float | None, unit: str = "") -> str:
    """Write a number in its unit; shares become percentages, seconds and bytes grow with size.

    A `share` (or `fraction`) of 0.05 is 5 %; what comes in `%` is a percentage already.

    Example:
        >>> amount(0.05, "fraction"), amount(12.34, "ms"), amount(95.0, "s")
        ('5\u202f%', '12.3\u202fms', '1\u202fmin 35\u202fs')
        >>> amount(0.5, "share of a layer")
        '50\u202f% of a layer'
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if unit in _SHARES:
        return percent(value)
    if unit.startswith("share of "):
        return f"{percent(value)} {unit.removeprefix('share ')}"
    if unit == "s":
        return duration(value)
    if unit in ("bytes", "B"):
        return size(value)
    return f"{number(value)}{_SPACE}{_NAMES.get(unit, unit)}" if unit else number(value)


def brief(value: float | None, unit: str = "") -> str:
    """Write an amount where there is room for no more than a sign of its unit.

    Example:
        >>> brief(0.0151, "auroc"), brief(12.0, "ms"), brief(0.5, "share of rmse")
        ('0.0151', '12\u202fms', '50\u202f%')
    """
    if unit.startswith("share of "):
        return percent(value)
    return amount(value, unit if unit in _SHARES or len(unit) <= 2 or unit == "bytes" else "")


def between(low: float | None, high: float | None, unit: str = "") -> str:
    """Write a range, naming a unit in words only once.

    Example:
        >>> between(0.01, 0.02, "auroc"), between(0.01, 0.02, "fraction")
        ('0.01 to 0.02\u202fauroc', '1\u202f% to 2\u202f%')
    """
    return f"{brief(low, unit)} to {amount(high, unit)}"


def duration(seconds: float | None) -> str:
    """Write a span of time in its two largest units.

    Example:
        >>> duration(0.25), duration(3725.0)
        ('0.25\u202fs', '1\u202fh 2\u202fmin')
    """
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if abs(seconds) < 59.95:
        return f"{number(float(seconds))}{_SPACE}s"
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    first = next(i for i, (_, length) in enumerate(units) if abs(whole) >= length)
    parts = []
    for name, length in units[first : first + 2]:
        count, whole = divmod(whole, length)
        parts += [f"{count}{_SPACE}{name}"] if count else []
    return " ".join(parts)


def size(count: float | None) -> str:
    """Write a number of bytes.

    Example:
        >>> size(1_234_567)
        '1.23\u202fMB'
    """
    if count is None or not math.isfinite(count):
        return NOTHING
    power = min(len(_SIZES) - 1, max(0, math.floor(math.log(max(abs(count), 1.0), 1000))))
    return f"{number(float(count) / 1000**power)}{_SPACE}{_SIZES[power]}"


def energy(joules: float | None) -> str:
    """Write an energy: joules, from 1 kJ on in watt hours, which is what is paid for.

    Example:
        >>> energy(134.0), energy(7200.0), energy(9e9)
        ('134\u202fJ', '2\u202fWh', '2,500\u202fkWh')
    """
    if joules is None or not math.isfinite(joules):
        return NOTHING
    if abs(joules) < 1000:
        return f"{number(float(joules))}{_SPACE}J"
    hours = joules / 3600
    return (
        f"{number(hours)}{_SPACE}Wh" if abs(hours) < 1000 else f"{number(hours / 1000)}{_SPACE}kWh"
    )


def moment(at: float | None) -> str:
    """Write seconds since the epoch as a date and time in UTC; 0 stands for never.

    Example:
        >>> moment(1_700_000_000.0)
        '2023-11-14 22:13:20 UTC'
    """
    if not at or not math.isfinite(at):
        return NOTHING
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
