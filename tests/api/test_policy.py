"""The operator's word on every dialect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgone.api.dialects.backgrounderase import DIALECT
from bgone.api.policy import OWN_PIXELS, Policy
from bgone.app import policy_of
from bgone.errors import StartError
from bgone.imaging.photo import PhotoLimits
from bgone.settings import load

STRICT = replace(DIALECT, pixels=7, kinds=frozenset({"png"}), file_bytes=11, cors=True)


def test_providers_limits_hold_until_the_operator_speaks() -> None:
    """Bytes, pixels, kinds of file."""
    own, said = Policy(), Policy(file_bytes=5, pixels=3, kinds=frozenset({"gif"}))

    assert own.read_limits(STRICT).file_bytes == 11
    assert own.photo_limits(STRICT) == PhotoLimits(file_bytes=11, pixels=7, kinds=frozenset({"png"}))
    assert (own.photo_limits(DIALECT).pixels, own.photo_limits(DIALECT).kinds) == (OWN_PIXELS, None)
    assert said.read_limits(STRICT).file_bytes == 5
    assert said.photo_limits(STRICT) == PhotoLimits(file_bytes=5, pixels=3, kinds=frozenset({"gif"}))


@pytest.mark.parametrize(
    ("cors", "expected"), [("auto", (True, False)), ("all", (True, True)), ("off", (False, False))]
)
def test_browsers(cors: str, expected: tuple[bool, bool]) -> None:
    """``auto`` is the dialect's own."""
    policy = replace(Policy(), cors=cors)  # type: ignore[arg-type]

    assert (policy.allows_browsers(STRICT), policy.allows_browsers(DIALECT)) == expected


@pytest.mark.parametrize("name", ["BGONE_HOSTS", "BGONE_PREFER"])
def test_a_dialect_that_does_not_exist_stops_the_start(name: str) -> None:
    """One line that says which are known."""
    with pytest.raises(StartError, match=rf"{name}\): expected one of backgrounderase, .*; got 'nobody'"):
        policy_of(load({name: "x=nobody" if name == "BGONE_HOSTS" else "nobody"}))


def test_settings_become_thepolicy_of() -> None:
    """Megabytes, megapixels, names."""
    given = {
        "BGONE_MAX_MB": "2",
        "BGONE_MAX_MEGAPIXELS": "0.5",
        "BGONE_HOSTS": "Img.Example=removebg",
        "BGONE_PUBLIC_URL": "https://cut.example/",
        "BGONE_PREVIEW_PRICE": "0",
    }
    policy = policy_of(load(given))

    assert (policy.file_bytes, policy.pixels) == (2_000_000, 500_000)
    assert policy.hosts == {"img.example": "removebg"}
    assert policy.public_url == "https://cut.example"
    assert policy.preview_price == 0
