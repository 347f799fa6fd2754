"""Answers by asking: every function of a dialect that makes an answer is called with samples of what it is made for.

So the description cannot say other names, types or statuses than the server: they are read off the same code.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, cast

import orjson
import pybase64

from bgone import errors
from bgone.accounts.rate import Rate
from bgone.api.asks import Asks, PictureNames
from bgone.api.auth import Account, Caller
from bgone.api.dialect import (
    Context,
    Cut,
    Delivery,
    Dialect,
    Download,
    Forget,
    Info,
    Keep,
    Operation,
    Page,
    Show,
    ShowAll,
    Submit,
    Take,
    Tell,
)
from bgone.api.fields import BodyKind, Fields, File
from bgone.errors import ApiError
from bgone.imaging.formats import FORMATS
from bgone.imaging.geometry import Box
from bgone.jobs.job import Failure, Job, State, Stored
from bgone.pipeline.order import Order
from bgone.pipeline.spool import Spool
from bgone.pipeline.studio import Result

JSON = "application/json"
REQUEST_ID = "req_9f2c41d07ab3e85516c0d2f4"
JOB_ID = "0f8c1d7a52e94b6c8d3f60a1b7e42c95"
BASE_URL = "https://HOST"
_PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(24)
_LINK = "https://shop.example/photo.jpg"
_MADE, _OVER = datetime(2026, 3, 18, 12, tzinfo=UTC), datetime(2026, 3, 18, 12, 0, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it would be sent.

    Attributes:
        status: HTTP status.
        media_type: Bare content type.
        body: The JSON value; None where the body is a picture.
        headers: Of the dialect and of the answer; those of every answer are not among them.
    """

    status: int
    media_type: str = JSON
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


# --- what is asked about --------------------------------------------------------------------------------------------


def _link(stored: Stored, name: str, _seconds: float) -> str:
    return f"{BASE_URL}/results/{stored.key}/{name}?expires=1773921600&type={stored.media_type}&signature=…"


_RATE = Rate(limit=500, remaining=499, reset_at=1_773_835_260, reset_s=60)
_WHOLE = Caller("tok_fp_5f2b9c01d4aa", Account())
_PARTS = Caller(
    "tok_fp_5f2b9c01d4aa",
    Account("acc_7d1e", "owner@shop.example", "pro", Decimal("12.5"), Decimal("0.25"), 10, Decimal("500.5")),
    _RATE,
)
_STATES: tuple[State, ...] = ("done", "queued", "running", "failed", "cancelled", "expired")
_NO_JOBS: Mapping[State, int] = {}
CONTEXTS = tuple(
    Context(REQUEST_ID, caller, BASE_URL, trouble, job_counts=counts, link=_link)
    for caller, trouble, counts in (
        (_WHOLE, None, _NO_JOBS),
        (_PARTS, "the model is loading", dict.fromkeys(_STATES, 3)),
    )
)

STORED = Stored("3b7f0c5e9a1d4826bf30c7d2", "image/png", ".png", 48_213, 640, 480)
_NOTES = {"batch": "6f0c1b", "position": "0", "label": "1.jpg"}
JOBS = tuple(
    Job(
        JOB_ID,
        "bgone",
        "self-hosted",
        state,
        _MADE,
        finished_at=None if state in ("queued", "running") else _OVER,
        result=STORED if state == "done" else None,
        failure=Failure("unreadable_image", errors.unreadable_image("").message) if state == "failed" else None,
        price=price,
        notes=_NOTES,
    )
    for state, price in itertools.product(_STATES, (Decimal(1), Decimal("0.25")))
)

ERRORS: Mapping[str, ApiError] = {
    error.kind: error
    for error in (
        errors.key_missing(),
        errors.key_wrong(),
        errors.key_revoked(),
        errors.account_barred(),
        errors.no_credits("1", "0.25"),
        errors.rate_limited(12, {"limit": 500, "remaining": 0, "reset_at": 1_773_835_260, "reset_s": 12}),
        errors.missing_image("the fields that carry one"),
        errors.multiple_images("the fields that carry one"),
        errors.malformed_body("a JSON object"),
        errors.unsupported_body("text/csv"),
        errors.slow_body(),
        errors.too_many_bytes(30_000_000),
        errors.invalid_option("format", "png or jpg", "psd"),
        errors.multiple_grounds("the fields that carry one"),
        errors.region_out_of_bounds("0 0 4000 10", 640, 480),
        errors.region_empty("10 10 10 10"),
        errors.not_acceptable("image/png", "text/html"),
        errors.unreadable_image(""),
        errors.unsupported_image("This kind of file", "JPEG, PNG or WebP"),
        errors.too_many_pixels(120_000_000, 50_000_000),
        errors.fetch_failed("it timed out"),
        errors.ground_failed(errors.fetch_failed("it timed out")),
        errors.nothing_found(),
        errors.job_not_found(),
        errors.job_forbidden(),
        errors.job_not_ready("running"),
        errors.not_found(),
        errors.method_not_allowed("POST"),
        errors.overloaded(5, ""),
        errors.internal(""),
    )
}


# --- what is answered -----------------------------------------------------------------------------------------------


def answers(dialect: Dialect, operation: Operation) -> tuple[list[Answer], set[str]]:
    """What an operation answers where nothing fails, and the kinds of failure that its functions raised."""
    found: list[Answer] = []
    raised: set[str] = set()
    for make in _makers(operation):
        try:
            for answer in make():
                common = dict(dialect.headers(CONTEXTS[1]))
                found.append(replace(answer, headers={**common, **answer.headers}))
        except ApiError as error:
            raised.add(error.kind)
    return found, raised


def failures(dialect: Dialect, operation: Operation, kinds: Iterable[str]) -> Iterator[tuple[str, str, Answer]]:
    """(kind, code, answer) of each kind."""
    render = operation.render_error or dialect.render_error
    for kind in kinds:
        status, code = dialect.failures[kind]
        body = render(status, code, ERRORS[kind], REQUEST_ID)
        common = dict(dialect.headers(CONTEXTS[1]))
        yield kind, code, Answer(status, dialect.error_media_type.partition(";")[0], _json(body), common)


def _makers(operation: Operation) -> Iterator[Callable[[], Iterable[Answer]]]:
    does, asks = operation.does, operation.asks
    for context in CONTEXTS:
        if isinstance(does, Tell):
            yield partial(_said, does.answer, context)
        elif isinstance(does, Take):
            yield from (partial(_said, does.answer, fields, context) for fields in _requests(asks))
        elif isinstance(does, Show | Submit | Forget):
            yield from (partial(_said, does.render, job, context) for job in JOBS)
        elif isinstance(does, ShowAll):
            page = Page(len(JOBS), 0)
            yield from (partial(_said, does.render, jobs, page, context) for jobs in (JOBS, ()))
        elif isinstance(does, Keep):
            yield partial(_said, does.render, STORED, context)
        elif isinstance(does, Download):
            yield partial(_downloads, does, asks, context)
        else:
            yield from (partial(_cuts, does, fields, context) for fields in _requests(asks))


def _said(render: Callable[..., Info], *arguments: object) -> list[Answer]:
    return [_told(render(*arguments))]


def _told(info: Info) -> Answer:
    return Answer(info.status, JSON, _json(info.body), dict(info.headers))


def _downloads(does: Download, asks: Asks, context: Context) -> Iterator[Answer]:
    for job in JOBS:
        for query in _one_by_one(asks.query):
            with suppress(ApiError):
                options = does.parse(job, replace(context, query=query))
                yield Answer(200, FORMATS[options.format].media_type)
        does.parse(job, context)  # what it raises is told as well


def _cuts(does: Cut, fields: Fields, context: Context) -> Iterator[Answer]:
    order = does.parse(fields)
    for result in _results(order):
        delivery = does.render(order, result, context)
        yield Answer(200, delivery.media_type, _wrapped(delivery), dict(delivery.headers))


def _wrapped(delivery: Delivery) -> Any:
    return None if delivery.wrap is None else orjson.loads(delivery.wrap(_PICTURE))


def _results(order: Order) -> Iterator[Result]:
    names = (order.options.format,) if order.options.format in FORMATS else ("png", "jpg")
    for name in names:
        spool = cast(Spool, None)  # nobody reads the picture
        for subject in (Box(200, 80, 240, 360), *(() if order.options.needs_subject else (None,))):
            yield Result(spool, FORMATS[name].media_type, name, 640, 480, 640, 480, subject)


# --- requests that bring every form of answer -----------------------------------------------------------------------


def _requests(asks: Asks) -> Iterator[Fields]:
    """In each kind of body: without options, each word of each closed list alone, and each form that is accepted."""
    for kind in asks.bodies or ("none",):
        for options in _one_by_one(asks.options):
            yield _request(asks, kind, options, "")
        for accept in (JSON, "image/webp", "image/jpeg", "image/png") if "accept" in asks.headers else ():
            yield _request(asks, kind, {}, accept)


def _one_by_one(readers: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    yield {}
    for name, reader in readers.items():
        yield from ({name: word} for word in reader.schema.get("enum", ()))


def _request(asks: Asks, kind: BodyKind, options: dict[str, str], accept: str) -> Fields:
    headers = {"accept": accept} if accept else {}
    if kind == "raw":
        return Fields("raw", query=options, raw=_PICTURE, headers=headers)
    files, text = _sent(asks.picture, kind)
    members = {**text, **options}
    return Fields(kind, members, files, json=members if kind == "json" else None, headers=headers)


def _sent(names: PictureNames | None, kind: BodyKind) -> tuple[dict[str, File], dict[str, str]]:
    if names is None:
        return {}, {}
    if names.files and kind == "multipart":
        return {names.files[0]: File(_PICTURE, "photo.png")}, {}
    if names.encoded:
        return {}, {names.encoded[0]: pybase64.b64encode(_PICTURE).decode()}
    return {}, dict.fromkeys(names.links[:1], _LINK)


def _json(body: Mapping[str, object]) -> Any:
    return orjson.loads(orjson.dumps(body))
