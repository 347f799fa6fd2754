"""What a dialect is: a table of facts and a few functions from value to value; it never sees sockets or threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bgone.api.auth import Caller
from bgone.api.fields import Fields
from bgone.errors import ApiError
from bgone.pipeline.order import Order
from bgone.pipeline.studio import Result

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a result is wrapped.

    Attributes:
        media_type: Bare content type of the answer.
        wrap: Whole picture bytes → body, run on a thread; None streams the picture as it is drawn.
        headers: Further headers of the answer.
    """

    media_type: str
    wrap: Callable[[bytes], bytes] | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Info:
    """What an information route answers: a status and a JSON object."""

    status: int
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route of a dialect: either a picture route (``parse`` and ``render``) or an information route (``inform``).

    Attributes:
        name: For logs and metrics.
        method: HTTP method; GET routes answer HEAD too.
        paths: Every spelling that is served; none is redirected.
        needs_key: Whether callers must show a key where keys are required.
        parse: Fields → Order; raises ``ApiError`` for bad options.
        render: (Order, Result) → Delivery.
        inform: (caller, why the server is not ready or None) → Info.
    """

    name: str
    method: str
    paths: tuple[str, ...]
    needs_key: bool = True
    parse: Callable[[Fields], Order] | None = None
    render: Callable[[Order, Result], Delivery] | None = None
    inform: Callable[[Caller, str | None], Info] | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider's wire format.

    Attributes:
        name: Also the prefix under which all its paths live as well (``/backgrounderase/v2``).
        operations: Its routes.
        failures: Kind of failure → (HTTP status, the provider's code); ``internal`` serves every unknown kind.
        render_error: (status, code, error, request id) → JSON object.
        find_key: (headers, query) → the key that was shown, or None.
        file_bytes: Most bytes of one picture; the operator's setting lowers or raises it.
    """

    name: str
    operations: tuple[Operation, ...]
    failures: Mapping[str, tuple[int, str]]
    render_error: Callable[[int, str, ApiError, str], Mapping[str, object]]
    find_key: Callable[[Headers, Headers], str | None]
    file_bytes: int
