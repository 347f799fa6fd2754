"""What the admin API is told: amounts that can be counted with, days, and words about mistakes."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from bgone.api.admin_values import AccountFacts, CreateAccount, PutPlan, amount, days_meant, facts_of, mistake_in
from bgone.errors import ApiError


@pytest.mark.parametrize("given", ["0", "-0.25", "0.000001", "1e9", "-1000000000", "1.500000"])
def test_amounts_are_exact(given: str) -> None:
    """As they were written, from text and from JSON numbers."""
    assert amount("credits", given) == Decimal(given)
    read = msgspec.json.decode(f'{{"name": "x", "credits": {given}}}', type=CreateAccount)
    assert read.credits == Decimal(given)


@pytest.mark.parametrize("given", ["", "x", "nan", "sNaN", "inf", "1e10", "1000000000.000001", "1e999999999"])
def test_amounts_that_are_no_number_of_credits(given: str) -> None:
    """Say so."""
    with pytest.raises(ApiError, match="credits: expected a decimal number of credits"):
        amount("credits", given)


@pytest.mark.parametrize("given", ["1e-999999999", "0e-999999999", "1.00000000000000000000000000001"])
def test_amounts_that_would_be_rounded_or_take_minutes(given: str) -> None:
    """Are refused at once."""
    started = time.perf_counter()
    with pytest.raises(ApiError, match="no finer than a millionth"):
        amount("credits", given)
    assert time.perf_counter() - started < 1


def test_days_mean_the_last_month() -> None:
    """31 days with today; the first day that is known has none before it."""
    today = datetime.now(UTC).date()

    assert days_meant(None, None) in {(day - timedelta(days=30), day) for day in (today, today + timedelta(days=1))}
    assert days_meant(None, date(1, 1, 3)) == (date(1, 1, 1), date(1, 1, 3))
    with pytest.raises(ApiError, match="a day not after 2026-02-01"):
        days_meant(date(2026, 2, 2), date(2026, 2, 1))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"quota": []}', "quota: "),
        ('{"rates": {"poof": [{"per": "minute", "amount": 0}]}}', "rates"),
        ("[]", "body: Expected `object`, got `array`."),
        ('{"' + "x" * 1000 + '": 1}', "body: "),
    ],
)
def test_mistakes_name_the_member(body: str, words: str) -> None:
    """In a line that is not as long as what was sent."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=PutPlan)
    error = mistake_in(caught.value)

    assert error.message.startswith(words)
    assert len(error.message) < 300


def test_facts_must_be_there() -> None:
    """A value that lacks one is not told by halves."""
    with pytest.raises(msgspec.ValidationError):
        facts_of(object(), AccountFacts)
