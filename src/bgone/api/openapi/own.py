"""The server's own routes, which no dialect's table has: state, batches, results, and this description itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from bgone.api import batch_orders, batches
from bgone.api.asks import EVERY_BODY, Asks
from bgone.api.batch_views import Standing, page, summary
from bgone.api.dialect import Cut, Dialect, Operation, Submit
from bgone.api.dialects import backgrounderase
from bgone.api.openapi.requests import IDEMPOTENCY, JSON, LINK, MULTIPART, members, security
from bgone.api.openapi.responses import REQUEST_ID, failed
from bgone.api.openapi.samples import CONTEXTS, JOB_ID, JOBS
from bgone.api.openapi.shapes import Schema, schema_of, steady
from bgone.jobs.batches import Batch, Item
from bgone.jobs.job import Failure, Job
from bgone.jobs.webhooks import event_of

_TEXT: Schema = {"type": "string"}
_BATCH_ID = "6f0c2b9e41d7483a95e1c06d7f3ab825"
Paths = dict[str, dict[str, Schema]]


def paths(batch_dialect: Dialect = batch_orders.DIALECT) -> Paths:
    """Path → method → operation."""
    return {**_pages(), **_batches(batch_dialect), "/results/{key}/{name}": {"get": _result()}}


def webhooks(dialects: Sequence[Dialect]) -> dict[str, Schema]:
    """What strangers are told: the message of each dialect that has one, of batches, and the account's own."""
    context = CONTEXTS[0]
    over = [job for job in JOBS if job.is_over]
    found = {"account": [_event(job) for job in over]}
    for dialect in dialects:
        for operation in dialect.operations:
            if isinstance(operation.does, Submit) and (tell := operation.does.webhook) is not None:
                found[dialect.name] = [_json(tell(job, context)) for job in over]
    found["batches"] = [_json(batch_orders.webhook_body(job, context)) for job in over]
    words = {"account": "To the account's own URL: a job of any dialect is over."}
    return {name: {"post": _told(name, bodies, words.get(name, ""))} for name, bodies in found.items()}


# --- the server -----------------------------------------------------------------------------------------------------


def _pages() -> Paths:
    version = {"status": "ok", "name": "bgone", "version": "0.1.0"}
    ill = {"status": "unavailable", "reason": "the model is loading"}
    state = _state("health", "Tell whether pictures are cut now.", "ok", "unavailable")
    front = _page("front", "Tell which server this is; browsers get the page for trying it.", {200: [version]})
    front["responses"]["200"]["content"]["text/html"] = {"schema": _TEXT}
    front["responses"]["503"] = _answer("It cuts nothing now.", [{**version, "status": ill["status"]}], "front.503")
    metrics = _page("metrics", "Prometheus metrics.", {})
    metrics["responses"]["200"] = _plain("The metrics.", "text/plain", _TEXT)
    described = _page("openapi", "This description.", {})
    described["responses"] = _kept("application/json", {"type": "object"})
    one = _page("openapi.dialect", "The description of one dialect, and nothing else.", {})
    one["responses"] = {**_kept("application/json", {"type": "object"}), "404": _missing()}
    one["parameters"] = [_in_path("dialect", "Its name.")]
    viewer = _page("docs", "A page to read this description.", {})
    viewer["responses"] = _kept("text/html", _TEXT)
    office = _page("console", "The page of whoever runs the server; it asks for an admin key.", {})
    office["responses"] = _kept("text/html", _TEXT)
    nearly = _page("console.nearly", "Leads to the page.", {})
    nearly["responses"] = {"308": {"description": "With a slash at its end.", "headers": {"x-request-id": REQUEST_ID}}}
    return {
        "/": {"get": front},
        "/health": {"get": state},
        "/livez": {"get": _page("livez", "Tell that the process turns.", {200: [{"status": "alive"}]})},
        "/readyz": {"get": _state("readyz", "Tell whether pictures are cut now.", "ready", "not ready")},
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": described},
        "/openapi/{dialect}.json": {"get": one},
        "/docs": {"get": viewer},
        "/console/": {"get": office},
        "/console": {"get": nearly},
    }


def _state(name: str, words: str, well: str, ill: str) -> Schema:
    bodies = [{"status": well}, {"status": well, "notice": "the database is away"}]
    return _page(name, words, {200: bodies, 503: [{"status": ill, "reason": "the model is loading"}]})


def _page(name: str, words: str, told: Mapping[int, list[Any]]) -> Schema:
    phrases = {200: "As it should be.", 503: "It cuts nothing now."}
    responses = {
        str(status): _answer(phrases[status], bodies, f"server.{name}.{status}") for status, bodies in told.items()
    }
    return {
        "tags": ["server"],
        "operationId": f"server.{name}",
        "summary": words,
        "security": [],
        "responses": responses,
    }


def _kept(media: str, schema: Schema) -> Schema:
    """Of what changes with the version only."""
    tag = {"required": True, "schema": _TEXT}
    whole = _plain("It.", media, schema)
    whole["headers"]["etag"] = tag
    unchanged = {"description": "If-None-Match named what it is.", "headers": {"x-request-id": REQUEST_ID, "etag": tag}}
    return {"200": whole, "304": unchanged}


# --- batches --------------------------------------------------------------------------------------------------------


def _batches(dialect: Dialect) -> Paths:
    cut = _options_of_a_cut()
    batch_id = _in_path("id", "The batch's id.")
    standing = _standing()
    whole, short = page(standing, CONTEXTS[0].link, 100, 0), summary(standing)
    states = [_json(whole), _json(page(standing, CONTEXTS[0].link, 1, 0))]
    show = _batch(dialect, "show", "Tell how a batch stands, and a page of its pictures.", states, found=True)
    show["parameters"] = [
        batch_id,
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1_000}},
        {"name": "offset", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 1_000_000}},
    ]
    create = _batch(dialect, "create", "Hand over up to 1,000 pictures in one call.", states, status=202)
    create["responses"]["202"]["headers"]["location"] = {
        "required": True,
        "schema": {**_TEXT, "format": "uri-reference"},
    }
    create["parameters"] = [IDEMPOTENCY]
    create["requestBody"] = {"required": True, "content": _handed_over(cut)}
    cancel = _batch(dialect, "cancel", "Cancel what waits.", [_json(short)], found=True)
    events = _batch(dialect, "events", "How a batch goes on, as server-sent events.", [], found=True)
    events["responses"]["200"] = _plain("item, progress and finished events.", "text/event-stream", _TEXT)
    events["responses"]["204"] = {"description": "There is no more to tell.", "headers": {"x-request-id": REQUEST_ID}}
    lines = _batch(dialect, "results.ndjson", "One line of JSON for each picture.", [], found=True)
    lines["responses"]["200"] = _plain("Lines of JSON.", "application/x-ndjson", _TEXT)
    packed = _batch(dialect, "results.zip", "All results in one archive.", [], found=True)
    packed["responses"]["200"] = _plain("A ZIP.", "application/zip", {**_TEXT, "format": "binary"})
    for operation in (cancel, events, lines, packed):
        operation["parameters"] = [batch_id]
    one = f"{batches.ROOT}/{{id}}"
    return {
        batches.ROOT: {"post": create},
        one: {"get": show, "delete": cancel},
        f"{one}/events": {"get": events},
        f"{one}/results.ndjson": {"get": lines},
        f"{one}/results.zip": {"get": packed},
    }


def _options_of_a_cut() -> Asks:
    asks = next(operation.asks for operation in backgrounderase.DIALECT.operations if isinstance(operation.does, Cut))
    hook = {"webhook_url": "Who is told when a picture is over."}
    return replace(asks, picture=None, ground=None, links=hook, bodies=EVERY_BODY, headers={})


def _handed_over(cut: Asks) -> Schema:
    linked, packed = (members(cut, with_files=False) for _ in range(2))
    urls = {"type": "array", "items": LINK, "minItems": 1, "maxItems": batch_orders.MOST}
    linked["properties"] = {"image_urls": urls, **linked["properties"]}
    archive = {
        "type": "string",
        "format": "binary",
        "description": "A ZIP of pictures.",
        "contentMediaType": "application/zip",
    }
    packed["properties"] = {"archive": archive, **packed["properties"]}
    return {
        JSON: {"schema": {**linked, "required": ["image_urls"]}},
        MULTIPART: {"schema": {**packed, "required": ["archive"]}},
    }


def _batch(
    dialect: Dialect, name: str, words: str, bodies: Sequence[Any], *, status: int = 200, found: bool = False
) -> Schema:
    kinds = ["key_missing", "key_wrong", "key_revoked", "account_barred", "malformed_body", "overloaded", "internal"]
    kinds += ["job_not_found", "job_not_ready", "invalid_option"] if found else []
    if name == "create":
        kinds += ["no_credits", "rate_limited", "missing_image", "multiple_images", "unsupported_body", "slow_body"]
        kinds += ["too_many_bytes", "invalid_option", "unreadable_image"]
    operation = Operation(name, "GET", (), dialect.operations[0].does)
    title = f"batches.{name}.{status}"
    responses = {str(status): _answer("As it stands.", bodies, title)} if bodies else {}
    return {
        "tags": ["batches"],
        "operationId": f"batches.{name}",
        "summary": words,
        "security": [*({scheme: []} for scheme in security(dialect)), {}],
        "responses": {**responses, **failed(dialect, operation, kinds)},
    }


def _standing() -> Standing:
    failure = Failure("fetch_failed", "The picture could not be fetched: it timed out.")
    items = (Item(0, "1.jpg", JOB_ID), Item(1, "2.jpg", "", failure), Item(2, "3.jpg", "77ab"))
    jobs: dict[str, Job] = {JOB_ID: JOBS[0], "77ab": next(job for job in JOBS if job.state == "queued")}
    return Standing(Batch(_BATCH_ID, "self-hosted", JOBS[0].created_at, items), jobs)


# --- results and webhooks -------------------------------------------------------------------------------------------


def _result() -> Schema:
    picture = _plain("The picture, whole.", "image/*", {**_TEXT, "format": "binary"})
    part = {**picture, "description": "The bytes that Range asked for."}
    words = {
        403: "The link is not valid, or its time is over.",
        404: "It is no longer kept.",
        416: "There are no such bytes.",
    }
    body = {"error": {"code": "forbidden", "message": words[403], "status": 403, "details": {}}}
    refused = {str(status): _answer(said, [body], "results.Error") for status, said in words.items()}
    query = {name: {"name": name, "in": "query", "schema": _TEXT} for name in ("expires", "type", "signature")}
    unchanged = {"description": "If-None-Match named what it is.", "headers": {"x-request-id": REQUEST_ID}}
    return {
        "tags": ["results"],
        "operationId": "results.download",
        "summary": "Download a result: where the signed links of answers lead. No key is needed.",
        "parameters": [_in_path("key", "As in the link."), _in_path("name", "As in the link."), *query.values()],
        "security": [],
        "responses": {"200": picture, "206": part, "304": unchanged, **refused},
    }


def _told(name: str, bodies: Sequence[Any], words: str) -> Schema:
    headers = {
        "webhook-id": "Names the message; the same at each try.",
        "webhook-timestamp": "Of this try, unix seconds.",
        "webhook-signature": "v1, and base64 of HMAC-SHA-256 over id.timestamp.body.",
    }
    return {
        "tags": [name] if name != "account" else ["server"],
        "summary": words or "To the webhook_url of a call: its job is over.",
        "parameters": [
            {"name": header, "in": "header", "required": True, "description": said, "schema": _TEXT}
            for header, said in headers.items()
        ],
        "requestBody": {"required": True, "content": _content(bodies, f"{name}.webhook")},
        "responses": {"2XX": {"description": "Taken; everything else is tried again."}},
    }


def _event(job: Job) -> Any:
    return _json(event_of(job, "https://HOST/results/…" if job.result else None))


# --- the parts ------------------------------------------------------------------------------------------------------


def _answer(words: str, bodies: Sequence[Any], title: str) -> Schema:
    return {"description": words, "headers": {"x-request-id": REQUEST_ID}, "content": _content(bodies, title)}


def _content(bodies: Sequence[Any], title: str) -> Schema:
    return {JSON: {"schema": {"title": title, **schema_of(bodies)}, "example": steady(bodies[0])}}


def _plain(words: str, media: str, schema: Schema) -> Schema:
    return {"description": words, "headers": {"x-request-id": REQUEST_ID}, "content": {media: {"schema": schema}}}


def _missing() -> Schema:
    body = {
        "error": {"code": "not_found", "message": "There is nothing at this address.", "status": 404, "details": {}}
    }
    return _answer("There is no such dialect.", [body], "server.Error")


def _in_path(name: str, words: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": words, "schema": _TEXT}


def _json(body: Mapping[str, object]) -> Any:
    return orjson.loads(orjson.dumps(body))
