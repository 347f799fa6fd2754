"""What an operation answers, in OpenAPI's words: where nothing fails, and for each failure that it may meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from bgone.api.dialect import Cut, Dialect, Download, Forget, Keep, Operation, Show, ShowAll, Submit, Take
from bgone.api.openapi.samples import CONTEXTS, Answer, answers, failures
from bgone.api.openapi.shapes import Schema, schema_of, steady
from bgone.errors import KINDS
from bgone.imaging.formats import FORMATS

# Kinds of failure that operations of each sort may meet.
_WHO = ("key_missing", "key_wrong", "key_revoked", "account_barred", "rate_limited")
_ALWAYS = ("malformed_body", "overloaded", "internal")
_BODY = ("unsupported_body", "slow_body", "too_many_bytes")
_ASKED = ("missing_image", "multiple_images", "invalid_option", "not_acceptable")
_PICTURE = ("unreadable_image", "unsupported_image", "too_many_pixels", "fetch_failed", "nothing_found")
_CUTTING = ("no_credits", "multiple_grounds", "region_out_of_bounds", "region_empty", "ground_failed")
_JOB = ("job_not_found", "job_forbidden")
_MEETS: Mapping[type, tuple[str, ...]] = {
    Cut: (*_BODY, *_ASKED, *_PICTURE, *_CUTTING),
    Submit: (*_BODY, *_ASKED, *_PICTURE, *_CUTTING),
    Keep: (*_BODY, *_ASKED, *_PICTURE),
    Take: (*_BODY, *_ASKED, *_PICTURE),
    Show: _JOB,
    Forget: _JOB,
    ShowAll: ("invalid_option",),
    Download: (*_JOB, "job_not_ready", "invalid_option", "too_many_pixels"),
}

REQUEST_ID: Schema = {
    "required": True,
    "description": "Names this answer in the server's log; begins with req_.",
    "schema": {"type": "string", "pattern": "^req_[0-9a-f]{24}$"},
}
_TIMING: Schema = {"description": "Milliseconds of each phase.", "schema": {"type": "string"}}


def kinds_met(operation: Operation, raised: set[str]) -> list[str]:
    """Kinds of failure that an operation may answer, in the order of the table of kinds."""
    asks = operation.asks
    kinds = {*_ALWAYS, *(_WHO if operation.needs_key else ()), *_MEETS.get(type(operation.does), ()), *raised}
    if any(names is not None and names.stored for names in (asks.picture, asks.ground)):
        kinds.add("job_not_found")
    if isinstance(operation.does, Show) and "unreadable_image" in raised:  # a failed job is told as its failure
        kinds |= {*_PICTURE, *_CUTTING}
    if isinstance(operation.does, Take) and asks.picture is None:
        kinds -= {*_ASKED, *_PICTURE}
    return [kind for kind in KINDS if kind in kinds]


def successes(dialect: Dialect, operation: Operation) -> tuple[dict[str, Schema], set[str]]:
    """Status → answer, and the kinds of failure that were met on the way."""
    found, raised = answers(dialect, operation)
    if not found and isinstance(operation.does, Cut):  # it does not say what it reads, so nothing could be asked
        found = [Answer(200, row.media_type) for row in FORMATS.values()]
    by_status: dict[str, list[Answer]] = {}
    for answer in found:
        by_status.setdefault(str(answer.status), []).append(answer)
    common = set(dict(dialect.headers(CONTEXTS[0])))
    optional = set(dict(dialect.headers(CONTEXTS[1]))) - common
    return {status: _response(dialect, operation, some, optional) for status, some in sorted(by_status.items())}, raised


def failed(dialect: Dialect, operation: Operation, kinds: Sequence[str]) -> dict[str, Schema]:
    """Status → answer, its examples by kind."""
    found = list(failures(dialect, operation, kinds))
    name = _error_name(dialect, operation)
    schema = {"title": name, **schema_of([answer.body for *_, answer in failures(dialect, operation, KINDS)])}
    responses: dict[str, Schema] = {}
    for kind, code, answer in found:
        response = responses.setdefault(str(answer.status), _failure(answer, schema))
        response["description"] += f" {_said(kind, code)}"
        (content,) = response["content"].values()
        content["examples"][kind] = {"value": answer.body}
    return responses


def merged(one: Schema, other: Schema) -> Schema:
    """One answer of two that come under the same status: either may come."""
    content = dict(one["content"])
    for media, theirs in other["content"].items():
        ours = content.get(media)
        content[media] = theirs if ours is None else _either(ours, theirs)
    words = [one["description"], *([other["description"]] if other["description"] != one["description"] else [])]
    headers = {**_relaxed(one["headers"], other["headers"]), **_relaxed(other["headers"], one["headers"])}
    return {"description": " ".join(words), "headers": headers, "content": content}


# --- the parts ------------------------------------------------------------------------------------------------------


def _response(dialect: Dialect, operation: Operation, found: Sequence[Answer], optional: set[str]) -> Schema:
    content: dict[str, Schema] = {}
    for media in dict.fromkeys(answer.media_type for answer in found):
        bodies = [answer.body for answer in found if answer.media_type == media and answer.body is not None]
        title = f"{dialect.name}.{operation.name}.{found[0].status}"
        content[media] = (
            {"schema": {"title": title, **schema_of(bodies)}, "example": steady(bodies[0])}
            if bodies
            else {"schema": {"type": "string", "format": "binary"}}
        )
    names = dict.fromkeys(name for answer in found for name in answer.headers)
    headers = {
        name: _header(
            next(answer.headers[name] for answer in found if name in answer.headers),
            required=name not in optional and all(name in answer.headers for answer in found),
        )
        for name in names
    }
    is_picture = isinstance(operation.does, Cut | Download)
    timing = {"server-timing": _TIMING} if is_picture else {}
    words = "A picture." if is_picture else f"{HTTPStatus(found[0].status).phrase}."
    return {"description": words, "headers": {"x-request-id": REQUEST_ID, **timing, **headers}, "content": content}


def _failure(answer: Answer, schema: Schema) -> Schema:
    retry = answer.status in (429, 502, 503)
    seconds = {"description": "Whole seconds until it is worth another try.", "schema": {"type": "integer"}}
    headers = {"x-request-id": REQUEST_ID, **({"retry-after": seconds} if retry else {})}
    return {
        "description": f"{HTTPStatus(answer.status).phrase}:",
        "headers": headers,
        "content": {answer.media_type: {"schema": schema, "examples": {}}},
    }


def _error_name(dialect: Dialect, operation: Operation) -> str:
    return f"{dialect.name}.{operation.name}.Error" if operation.render_error else f"{dialect.name}.Error"


def _said(kind: str, code: str) -> str:
    return f"{kind}." if code in ("", kind) else f"{kind} ({code})."


def _header(value: str, *, required: bool) -> Schema:
    is_whole = value.lstrip("-").isdigit()
    schema: Schema = {"type": "integer"} if is_whole else {"type": "string"}
    example: Any = int(value) if is_whole else value
    return {"required": required, "schema": schema, "example": example}


def _either(ours: Schema, theirs: Schema) -> Schema:
    if ours["schema"] == theirs["schema"]:
        return {**ours, **({"examples": {**ours["examples"], **theirs["examples"]}} if "examples" in ours else {})}
    mine, yours = (one["schema"].get("anyOf", [one["schema"]]) for one in (ours, theirs))
    return {"schema": {"anyOf": [*mine, *(schema for schema in yours if schema not in mine)]}}


def _relaxed(headers: Mapping[str, Schema], others: Mapping[str, Schema]) -> dict[str, Schema]:
    """A header that one of the two answers does not carry is not promised."""
    return {name: header if name in others else {**header, "required": False} for name, header in headers.items()}
