"""Credits: Decimal outside, whole millionths inside, never float."""

from __future__ import annotations

from decimal import Context, Decimal

_MILLION = Decimal(1_000_000)
_PLACES = 11  # below a million million credits: a sum of many fits a BIGINT
_EXACT = Context(prec=40)


def micros(amount: Decimal) -> int:
    """Credits as millionths.

    Raises:
        ValueError: Finer than a millionth, not a number, or beyond what is counted.
    """
    # By the place of its first digit: what is far too large or too small is never written out.
    if not amount.is_finite() or amount.adjusted() > _PLACES:
        raise ValueError("no number of credits, or too many")
    fine = int(amount.as_tuple().exponent)
    if amount and fine < -6 and any(amount.as_tuple().digits[fine + 6 :]):
        raise ValueError("finer than a millionth of a credit")
    return int(amount.scaleb(6, _EXACT)) if amount else 0


def credits_of(millionths: int) -> Decimal:
    """Millionths as credits, without zeros at the end: 250000 → 0.25, 50000000 → 50."""
    whole, rest = divmod(millionths, 1_000_000)
    return Decimal(whole) if rest == 0 else (Decimal(millionths) / _MILLION).normalize()
