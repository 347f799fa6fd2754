"""What the Accept header says."""

from __future__ import annotations

import pytest

from bgone.api.accept import first_accepted, wants_json

OFFERED = ("image/png", "image/webp", "image/jpeg")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/json, text/plain", True),
        ("application/json, text/plain, */*", False),
        ("application/json, image/png", False),
        ("application/json;q=0", False),
        ("*/*", False),
        ("", False),
        ("image/*", False),
    ],
)
def test_json_is_meant_only_where_nothing_wider_is_named(accept: str, *, wanted: bool) -> None:
    """axios names JSON first and everything last in every request, and expects bytes."""
    assert wants_json(accept) is wanted


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "image/png"),
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("image/webp", "image/webp"),
        ("IMAGE/JPEG", "image/jpeg"),
        ("image/jpeg, image/webp", "image/jpeg"),
        ("image/jpeg;q=0.5, image/webp", "image/webp"),
        ("text/html, image/webp;q=0.9, */*;q=0.8", "image/webp"),
        ("image/webp;q=0, */*", "image/png"),
        ("image/png;q=0, */*", "image/webp"),
        ("text/html", None),
        ("image/gif", None),
        ("image/webp;q=perhaps", None),
    ],
)
def test_the_type_that_is_liked_best_wins(accept: str, chosen: str | None) -> None:
    """By quality, then by the header's own order."""
    assert first_accepted(accept, OFFERED) == chosen
