"""Money: exact both ways, or refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bgone.accounts.money import credits_of, micros


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("0", 0),
        ("1", 1_000_000),
        ("0.25", 250_000),
        ("-1.5", -1_500_000),
        ("0.000001", 1),
        ("1E+3", 10**9),
        ("999999999999.999999", 10**18 - 1),
    ],
)
def test_credits_are_whole_millionths(amount: str, expected: int) -> None:
    """There and back."""
    assert micros(Decimal(amount)) == expected
    assert credits_of(expected) == Decimal(amount)


@pytest.mark.parametrize("amount", ["0.0000001", "NaN", "Infinity", "1E+30", "-1E+30", "1E+999999999", "1E-999999999"])
def test_others_are_refused(amount: str) -> None:
    """Nothing is rounded, and nothing overflows a BIGINT."""
    with pytest.raises(ValueError):
        micros(Decimal(amount))


@pytest.mark.parametrize(("millionths", "shown"), [(50_000_000, "50"), (250_000, "0.25"), (0, "0"), (-1, "-0.000001")])
def test_credits_are_written_as_people_do(millionths: int, shown: str) -> None:
    """Neither zeros at the end nor an exponent."""
    assert format(credits_of(millionths), "f") == shown
