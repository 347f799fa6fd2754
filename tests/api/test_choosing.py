"""Who answers on a path that several dialects claim."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bgone.api.choosing import Asked, Claim, choose
from bgone.api.dialect import Context, Dialect, Info, Show, Tell
from bgone.api.routes import DIALECTS, host_map
from bgone.jobs.job import Job

KNOWN = {dialect.name: dialect for dialect in DIALECTS}


def claims(path: str) -> list[Claim]:
    """Everybody who serves ``path``, in the order of the table."""
    found = []
    for dialect in DIALECTS:
        methods = {operation.method: operation for operation in dialect.operations if path in operation.paths}
        if methods:
            found.append(Claim(dialect, methods))
    return found


def job(dialect: str) -> Job:
    return Job("a" * 32, dialect, "me", "done", datetime(2026, 1, 1, tzinfo=UTC))


def chosen(
    path: str,
    asked: Asked,
    *,
    prefer: tuple[str, ...] = (),
    found: Job | None = None,
    hosts: Mapping[str, str] | None = None,
) -> Claim:
    async def find(_id: str) -> Job | None:
        return found

    return asyncio.run(choose(claims(path), asked, host_map(hosts or {}), prefer, find))


def headers(**values: str) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in values.items()}


ASKED = Asked("GET", "127.0.0.1", {}, {})
BEARER, OTHER = headers(authorization="Bearer k"), headers(x_api_key="k")


def test_the_collisions_are_those_of_the_contract() -> None:
    """GET paths only, and no others than these."""
    spelled = {path for dialect in DIALECTS for operation in dialect.operations for path in operation.paths}
    shared = {path: {c.dialect.name for c in claims(path)} for path in spelled if len(claims(path)) > 1}

    assert {path: names for path, names in shared.items() if not path.endswith("/")} == {
        "/v1/account": {"foner", "poofbg", "photoroom"},
        "/v2/account": {"backgrounderase", "photoroom"},
        "/v1/jobs/{id}": {"foner", "poofbg", "poof"},
    }
    assert all("GET" in c.operations and len(c.operations) == 1 for path in shared for c in claims(path))


@pytest.mark.parametrize(
    ("path", "asked", "name"),
    [
        ("/v1/account", replace(ASKED, headers=BEARER), "poofbg"),
        ("/v1/account", replace(ASKED, headers=headers(x_api_key="fnr_1")), "foner"),
        ("/v1/account", replace(ASKED, headers=headers(x_api_key="sandbox_1")), "photoroom"),
        ("/v1/account", replace(ASKED, headers=BEARER, host="foner.site"), "foner"),
        ("/v1/account", replace(ASKED, host="image-api.photoroom.com"), "photoroom"),
        ("/v2/account", replace(ASKED, host="image-api.photoroom.com", headers=OTHER), "photoroom"),
        ("/v2/account", replace(ASKED, headers=headers(x_api_key="sandbox_1")), "photoroom"),
        ("/v2/account", replace(ASKED, headers=BEARER), "backgrounderase"),
        ("/v1/jobs/{id}", replace(ASKED, headers=BEARER, id="job_x"), "poofbg"),
        ("/v1/jobs/{id}", replace(ASKED, headers=headers(x_api_key="fnr_1"), id="x"), "foner"),
        ("/v1/jobs/{id}", replace(ASKED, headers=headers(x_api_key="poof_1"), id="x"), "poof"),
    ],
)
def test_host_and_key_tell_dialects_apart(path: str, asked: Asked, name: str) -> None:
    """In the contract's order: host before key, kind of key before its beginning."""
    assert chosen(path, asked).dialect.name == name


@pytest.mark.parametrize("name", ["foner", "poofbg"])
def test_a_job_is_shown_by_its_own_dialect(name: str) -> None:
    """Whatever kind of key asks."""
    asked = replace(ASKED, headers=OTHER, id="job_" + "a" * 32 if name == "poofbg" else "a" * 32)

    assert chosen("/v1/jobs/{id}", asked, found=job(name)).dialect.name == name


def test_the_operators_own_host_names_count() -> None:
    """``BGONE_HOSTS``."""
    asked = replace(ASKED, host="jobs.example", headers=OTHER)

    assert chosen("/v1/account", asked, hosts={"jobs.example": "poofbg"}).dialect.name == "poofbg"


def test_the_operators_preference_decides_where_nothing_else_does() -> None:
    """``BGONE_PREFER``; it does not overrule a key."""
    assert chosen("/v1/account", replace(ASKED, headers=OTHER), prefer=("foner",)).dialect.name == "foner"
    assert chosen("/v1/account", replace(ASKED, headers=BEARER), prefer=("foner",)).dialect.name == "poofbg"


def test_undecided_account_routes_answer_for_everybody() -> None:
    """Each claimant finds its own names in the answer."""
    claim = chosen("/v2/account", replace(ASKED, headers=OTHER))
    does = claim.operations["GET"].does
    assert isinstance(does, Tell)

    body = does.answer(Context("req_1")).body

    assert set(body) >= {"status", "api_key", "account", "images", "plan"}


def test_other_methods_are_left_to_the_first() -> None:
    """405 in one form."""
    claim = chosen("/v1/account", replace(ASKED, method="DELETE"))

    assert claim.dialect in KNOWN.values()
    assert "DELETE" not in claim.operations


def test_routes_that_are_no_information_are_not_merged() -> None:
    """A job that nobody knows is told by the first."""

    def tell(_job: Job, _context: Context) -> Info:
        return Info(200, {})

    pair = [replace_operation(KNOWN[name], tell) for name in ("foner", "poofbg")]

    async def find(_id: str) -> Job | None:
        return None

    assert asyncio.run(choose(pair, replace(ASKED, id="x"), {}, (), find)) == pair[0]


def replace_operation(dialect: Dialect, tell: object) -> Claim:
    operation = next(o for o in dialect.operations if isinstance(o.does, Show))
    return Claim(dialect, {"GET": operation})
