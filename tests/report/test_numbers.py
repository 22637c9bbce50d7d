from __future__ import annotations

import math

import pytest

from instar.report import numbers


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.0, "0"),
        (-0.0, "0"),
        (336_776, "336,776"),
        (-1234, "−1,234"),
        (0.74149, "0.741"),
        (0.7, "0.7"),
        (99.96, "100"),
        (9.996, "10"),
        (999.4, "999"),
        (999.6, "1,000"),
        (1234.56, "1,235"),
        (0.00012349, "0.000123"),
        (0.0000999, "9.99e−5"),
        (2.5e300, "2.50e+300"),
        (math.nan, "–"),
        (-math.inf, "–"),
        (None, "–"),
    ],
)
def test_number_is_written_to_three_digits(value: float | None, words: str) -> None:
    assert numbers.number(value) == words


@pytest.mark.parametrize("value", [0.123456, 1.98765, 45.6789, 0.000456789, 3.2e-9, 912.3])
def test_number_reads_back_within_half_a_unit_of_its_third_digit(value: float) -> None:
    read = float(numbers.number(value).replace("−", "-").replace(",", ""))
    assert read == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.112, "fraction", "11.2 %"),
        (0.112, "share", "11.2 %"),
        (11.2, "%", "11.2 %"),
        (0.5, "share of a layer", "50 % of a layer"),
        (12.0, "us", "12 µs"),
        (1_500_000.0, "bytes", "1.5 MB"),
        (0.25, "s", "0.25 s"),
        (59.96, "s", "1 min"),
        (86_400.0, "s", "1 d"),
        (0.61, "PSI", "0.61 PSI"),
        (0.61, "", "0.61"),
        (None, "ms", "–"),
        (math.nan, "fraction", "–"),
    ],
)
def test_amount_is_written_in_its_unit(value: float | None, unit: str, words: str) -> None:
    assert numbers.amount(value, unit).replace("\u202f", " ") == words


def test_between_names_a_unit_in_words_once() -> None:
    assert numbers.between(-0.01, 0.02, "auroc").count("auroc") == 1
    assert numbers.between(None, 0.02, "fraction").startswith("– to 2")


def test_duration_negative_or_unknown_is_written_plainly() -> None:
    assert numbers.duration(None) == "–"
    assert numbers.duration(-2.0).replace("\u202f", " ") == "−2 s"


def test_moment_zero_is_never() -> None:
    assert numbers.moment(0.0) == "–"
    assert numbers.moment(None) == "–"
