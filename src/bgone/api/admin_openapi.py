"""The admin API as an OpenAPI 3.1 document, made of the table of operations and the kinds of values."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from bgone import __version__
from bgone.api.admin import FAILURES, ROOT
from bgone.api.admin_asks import Operation
from bgone.api.admin_operations import CSV, OPERATIONS, Document
from bgone.api.admin_values import AddCredits, CreateAccount, CreateKey, PutPlan, RotateKey, SetPlan

Schema = dict[str, Any]

_JSON = "application/json"
_REFERENCE = "#/components/schemas/{name}"
_ASKED_AMOUNT = {"type": ["string", "number"]}
_NAMED = {
    "account": "Name or id; by id where the name has a slash in it.",
    "key": "How it begins: what lists of keys call `key`.",
    "plan": "Name.",
    "job": "Id, as any dialect spells it.",
}

# One that works for each body: documents and tests use them.
EXAMPLES: dict[type[msgspec.Struct], Schema] = {
    CreateAccount: {"name": "shop", "email": "shop@example.com", "credits": "100"},
    AddCredits: {"amount": "25.5", "reason": "invoice 4711"},
    SetPlan: {"plan": "payg"},
    CreateKey: {"prefix": "sk_live_", "mode": "live", "expires_at": "2099-12-31T00:00:00Z"},
    RotateKey: {"overlap_s": 86_400},
    PutPlan: {
        "quota": "500",
        "rollover": "100",
        "free_calls": 50,
        "prices": {"removebg": "0.5"},
        "rates": {"removebg": [{"per": "minute", "amount": 1000, "weight": "megapixels"}]},
    },
}


class Failure(msgspec.Struct, frozen=True):
    """What went wrong."""

    error: FailureFacts


class FailureFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Words for people, a code and facts for programs."""

    code: str
    message: str
    status: int
    request_id: str
    details: dict[str, Any]


def document() -> Schema:
    """The whole document."""
    kinds = {operation.tells for operation in OPERATIONS} - {Document} | {Failure}
    told = msgspec.json.schema_components(sorted(kinds, key=lambda kind: kind.__name__), ref_template=_REFERENCE)[1]
    asked = msgspec.json.schema_components(list(EXAMPLES), ref_template=_REFERENCE)[1]
    for kind, example in EXAMPLES.items():
        asked[kind.__name__]["examples"] = [example]
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bgone admin API",
            "version": __version__,
            "description": "Accounts, keys, credits, plans, jobs, webhooks, the server. Amounts are decimal text.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": ROOT}],
        "security": [{"key": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": told | _with_numbers(asked),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(operation: Operation) -> Schema:
    content: Schema = {} if operation.name == "showUsageCsv" else {_JSON: {"schema": _schema_of(operation.tells)}}
    if operation.csv:
        content[CSV] = {"schema": {"type": "string"}}
    described: Schema = {
        "operationId": operation.name,
        "summary": operation.words,
        "parameters": [*_named(operation.path), *_queried(operation.query)],
        "responses": {
            str(operation.status): {"description": "Done.", "content": content},
            "default": {
                "description": "It was not done: "
                + ", ".join(sorted({str(status) for status, _ in FAILURES.values()})),
                "content": {_JSON: {"schema": _schema_of(Failure)}},
            },
        },
    }
    if operation.body is not None:
        required = any(field.required for field in msgspec.structs.fields(operation.body))
        described["requestBody"] = {"required": required, "content": {_JSON: {"schema": _schema_of(operation.body)}}}
    return described


def _schema_of(kind: type[msgspec.Struct]) -> Schema:
    return {"type": "object"} if kind is Document else {"$ref": _REFERENCE.format(name=kind.__name__)}


def _named(path: str) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "description": _NAMED[name], "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _queried(kind: type[msgspec.Struct]) -> list[Schema]:
    parts = msgspec.json.schema_components([kind], ref_template=_REFERENCE)[1][kind.__name__]["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in parts.items()]


def _with_numbers(schema: Any) -> Any:
    """Amounts that are asked may be numbers as well."""
    if isinstance(schema, dict):
        changed = _ASKED_AMOUNT if schema.get("format") == "decimal" else {}
        return {name: _with_numbers(value) for name, value in schema.items()} | changed
    return [_with_numbers(value) for value in schema] if isinstance(schema, list) else schema
