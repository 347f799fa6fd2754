"""What a dialect is: a table of facts and a few functions from value to value; it never sees sockets or threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from bgone.api.asks import NOTHING_ASKED, Asks
from bgone.api.auth import NOBODY, Caller
from bgone.api.fields import Fields
from bgone.errors import ApiError
from bgone.imaging.sniff import FileKind
from bgone.jobs.job import Job, State, Stored
from bgone.pipeline.order import Order, RenderOptions, Source
from bgone.pipeline.studio import Result

Headers = Mapping[str, str]
HeaderPairs = tuple[tuple[str, str], ...]
PREVIEW_PRICE = Decimal("0.25")  # what remove.bg charges
COMMON_KINDS: frozenset[FileKind] = frozenset({"jpeg", "png", "webp"})  # what most providers say they accept


# --- what goes in and out -------------------------------------------------------------------------------------------


def _no_link(stored: Stored, name: str, seconds: float) -> str:
    return f"/results/{stored.key}/{name}?{seconds:g}"


@dataclass(frozen=True, slots=True)
class Context:
    """What a dialect's functions may know of a request beside its fields.

    Attributes:
        request_id: Begins with ``req_``.
        caller: Who asks, with account, credits and rate.
        base_url: Scheme and host that the client used, or the public URL of the settings; no slash at the end.
        trouble: Why the server is not ready, or None.
        headers: Request headers, names in lower case.
        query: Query parameters.
        seconds: Since the request began.
        preview_price: Credits that a preview costs where a dialect prices previews apart.
        job_counts: The caller's jobs by state, where ``Tell.counts_jobs``.
        link: (what was stored, file name for the path's end, seconds of validity) → absolute signed URL.
    """

    request_id: str
    caller: Caller = NOBODY
    base_url: str = "http://127.0.0.1:8000"
    trouble: str | None = None
    headers: Headers = field(default_factory=dict)
    query: Headers = field(default_factory=dict)
    seconds: float = 0.0
    preview_price: Decimal = PREVIEW_PRICE
    job_counts: Mapping[State, int] = field(default_factory=dict)
    link: Callable[[Stored, str, float], str] = _no_link


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a picture is wrapped.

    Attributes:
        media_type: Bare content type of the answer.
        wrap: Whole picture bytes → body, run on a thread; None streams the picture as it is drawn.
        headers: Further headers of the answer.
    """

    media_type: str
    wrap: Callable[[bytes], bytes] | None = None
    headers: HeaderPairs = ()


@dataclass(frozen=True, slots=True)
class Info:
    """An answer without a picture: a status and a JSON object."""

    status: int
    body: Mapping[str, object]
    headers: HeaderPairs = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: ``limit`` items from ``offset`` on, newest first."""

    limit: int
    offset: int


# --- what an operation does -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cut:
    """A picture in, a picture out: fields → order, then (order, result) → delivery."""

    parse: Callable[[Fields], Order]
    render: Callable[[Order, Result, Context], Delivery]


@dataclass(frozen=True, slots=True)
class Tell:
    """Information, the body unread.

    Attributes:
        answer: Context → Info.
        counts_jobs: The answer tells how many jobs the caller has; others do not ask the book for it.
    """

    answer: Callable[[Context], Info]
    counts_jobs: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """Information about fields that were sent.

    Attributes:
        answer: (fields, context) → Info.
        key_field: Form field that carries the key where no header does; "" for none.
    """

    answer: Callable[[Fields, Context], Info]
    key_field: str = ""


def _as_set(_order: Order, setting_s: float) -> float:
    return setting_s


@dataclass(frozen=True, slots=True)
class Submit:
    """A picture in, a job out.

    Attributes:
        parse: Fields → order.
        render: (job, over or not) → Info.
        wait_s: (order, seconds of the setting) → how long the answer waits for the job; 0 never, ``inf`` to the end.
        raises: Kinds of failure that are answered as errors while the call waits; None: all. Others are failed jobs.
        webhook: (job that is over, context of the call that made it) → JSON for the order's note ``webhook_url``.
    """

    parse: Callable[[Fields], Order]
    render: Callable[[Job, Context], Info]
    wait_s: Callable[[Order, float], float] = _as_set
    raises: frozenset[str] | None = None
    webhook: Callable[[Job, Context], Mapping[str, object]] | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """One job of the caller's, by the path's ``{id}``, which ``read_id`` turns into ours."""

    render: Callable[[Job, Context], Info]
    read_id: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class ShowAll:
    """The caller's jobs in this dialect; ``of_all``: in every one."""

    parse: Callable[[Headers], Page]
    render: Callable[[tuple[Job, ...], Page, Context], Info]
    of_all: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """One job of the caller's, removed at once with its pictures; one under way is cancelled."""

    render: Callable[[Job, Context], Info]
    read_id: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Download:
    """A finished job's picture, written anew as the query says; without a net.

    Attributes:
        parse: (job, context) → how; raises ``ApiError`` where the job is not done.
        read_id: The path's ``{id}`` → ours.
    """

    parse: Callable[[Job, Context], RenderOptions]
    read_id: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Keep:
    """A picture to be stored as it is, for later calls: fields → source, then what was stored → Info."""

    parse: Callable[[Fields], Source]
    render: Callable[[Stored, Context], Info]


Action = Cut | Tell | Take | Submit | Show | ShowAll | Forget | Download | Keep


@dataclass(frozen=True, slots=True)
class Operation:
    """One route of a dialect.

    Attributes:
        name: For logs and metrics.
        method: HTTP method; GET routes answer HEAD too.
        paths: Every spelling that is served; none is redirected. ``{id}`` stands for one part of the path.
        does: What it does.
        needs_key: Whether callers must show a key where keys are required.
        render_error: Where this route's errors look otherwise than the dialect's.
        asks: What it reads of a request; for the API's description alone.
        words: What it does, in one line; empty: what routes of its kind do.
    """

    name: str
    method: str
    paths: tuple[str, ...]
    does: Action
    needs_key: bool = True
    render_error: Callable[[int, str, ApiError, str], Mapping[str, object]] | None = None
    asks: Asks = NOTHING_ASKED
    words: str = ""


def _no_headers(_context: Context) -> HeaderPairs:
    return ()


def _no_less(_order: Order) -> Order | None:
    return None


def _one_credit(_order: Order, _result: Result | None, _preview: Decimal) -> Decimal:
    return Decimal(1)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider's wire format.

    Attributes:
        name: Also the prefix under which all its paths live as well (``/backgrounderase/v2``).
        operations: Its routes.
        failures: Kind of failure → (HTTP status, the provider's code), for every kind of ``bgone.errors.KINDS``.
        render_error: (status, code, error, request id) → JSON object.
        find_key: (headers, query) → the key that was shown, or None.
        json_keys: Members of a JSON body that may carry the key where no header and no query does.
        file_bytes: Most bytes of one picture; the operator's setting lowers or raises it.
        pixels: Most pixels of one picture where the provider says so; the same.
        kinds: Kinds of file that the provider accepts; None: whatever can be read.
        hosts: The provider's own host names, for clients that are redirected by name resolution.
        key_prefixes: How the provider's keys begin, to tell dialects apart on a path that several claim.
        cors: Browsers may call it from any page.
        headers: Headers of every answer, errors included.
        error_media_type: Content type of errors.
        price: (order, result once there is one, price of a preview) → credits.
        title: The provider's name and version, for people; empty: the name.
        cheaper: What is made instead of an order that the balance does not suffice for; None: nothing, it is refused.
    """

    name: str
    operations: tuple[Operation, ...]
    failures: Mapping[str, tuple[int, str]]
    render_error: Callable[[int, str, ApiError, str], Mapping[str, object]]
    find_key: Callable[[Headers, Headers], str | None]
    file_bytes: int
    json_keys: tuple[str, ...] = ()
    pixels: int | None = None
    kinds: frozenset[FileKind] | None = None
    hosts: tuple[str, ...] = ()
    key_prefixes: tuple[str, ...] = ()
    cors: bool = False
    headers: Callable[[Context], HeaderPairs] = _no_headers
    error_media_type: str = "application/json"
    price: Callable[[Order, Result | None, Decimal], Decimal] = _one_credit
    title: str = ""
    cheaper: Callable[[Order], Order | None] = _no_less
