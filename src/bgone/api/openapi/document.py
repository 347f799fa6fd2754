"""The whole description: every path of every dialect, as the table of routes has them, and the server's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bgone import __version__
from bgone.api import account_jobs, batch_orders
from bgone.api.dialect import Cut, Dialect, Download, Forget, Keep, Operation, Show, ShowAll, Submit, Take, Tell
from bgone.api.openapi import own
from bgone.api.openapi.parts import Parts
from bgone.api.openapi.requests import body, parameters, security
from bgone.api.openapi.responses import failed, kinds_met, merged, successes
from bgone.api.openapi.shapes import Schema

_ABOUT = """\
The background-removal server that people run themselves.

Each tag is one provider's API, or bgone's own. Every path is also served under its dialect's name
(`/removebg/v1.0/removebg`) and with a slash at its end; such spellings carry `x-alias-of`. GET answers HEAD too.
Paths that several dialects claim answer in the form of the one that the host, the job or the key points to.

Options may also stand in the query; a field of the body wins. Words are read in any case; yes, no, 1 and 0 are read as
booleans. Keys are needed where the operator set some. The administrators' API describes itself at
`/admin/v1/openapi.json`.
"""
_WORDS: Mapping[type, str] = {
    Cut: "Remove the background of a picture.",
    Submit: "Remove the background of a picture, as a job.",
    Show: "Tell how a job stands.",
    Forget: "Delete a job and its result.",
    ShowAll: "List the caller's jobs, newest first.",
    Download: "Download a finished job's picture in another format.",
    Keep: "Upload a picture for later calls.",
    Tell: "Tell about the account.",
    Take: "Take what is sent, and tell about it.",
}
_OWN_TAGS = [
    {"name": "jobs", "description": "The account's jobs, of every dialect"},
    {"name": "batches", "description": "Many pictures in one call"},
    {"name": "results", "description": "Where links lead"},
    {"name": "server", "description": "The server itself"},
]


def document(dialects: Sequence[Dialect], server_url: str = "/", only: str = "") -> Schema:
    """The description as a JSON value.

    Args:
        dialects: All; the one whose form stands first where several claim a path comes first.
        server_url: Where the server is.
        only: Name of the one dialect to describe, by its own paths and those under its name; empty: everything.
    """
    dialects = [dialect for dialect in dialects if only in ("", dialect.name)]
    tags = [{"name": dialect.name, "description": dialect.title or dialect.name} for dialect in dialects]
    paths, hooks = _dialect_paths(dialects), own.webhooks(dialects)
    schemes = {name: scheme for dialect in dialects for name, scheme in security(dialect).items()}
    if only:
        hooks = {name: hook for name, hook in hooks.items() if name == only}
    else:
        tags += _OWN_TAGS
        paths |= _dialect_paths([account_jobs.DIALECT], are_prefixed=False) | own.paths()
        schemes |= security(account_jobs.DIALECT) | security(batch_orders.DIALECT)
    parts = Parts()
    whole = {"paths": parts.lift(paths), **({"webhooks": parts.lift(hooks)} if hooks else {})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bgone",
            "version": __version__,
            "summary": "Removes the backgrounds of pictures",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server_url}],
        "tags": tags,
        **whole,
        "components": {**parts.components, "securitySchemes": schemes},
    }


# --- dialects -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Described:
    """An operation, described but for the path that it is asked at.

    Attributes:
        dialect: Whose it is.
        operation: It.
        body: What may be sent, or None.
        responses: Status → answer.
    """

    dialect: Dialect
    operation: Operation
    body: Schema | None
    responses: Mapping[str, Schema]

    @property
    def id(self) -> str:
        return f"{self.dialect.name}.{self.operation.name}"

    def id_at(self, path: str) -> str:
        """Unique: an operation has an id for each spelling of its path."""
        own_path = path.removeprefix(f"/{self.dialect.name}") if path not in self.operation.paths else path
        spelling = self.operation.paths.index(own_path)
        prefixed = ["prefixed"] if path != own_path else []
        return ".".join((self.id, *prefixed, *([str(spelling + 1)] if spelling else [])))


def _describe(dialect: Dialect, operation: Operation) -> _Described:
    good, raised = successes(dialect, operation)
    bad = failed(dialect, operation, kinds_met(operation, raised))
    both = {status: merged(good[status], bad[status]) for status in good if status in bad}
    return _Described(dialect, operation, body(operation.asks), {**good, **bad, **both})


def _dialect_paths(dialects: Sequence[Dialect], *, are_prefixed: bool = True) -> dict[str, dict[str, Schema]]:
    claims: dict[str, dict[str, list[_Described]]] = defaultdict(lambda: defaultdict(list))
    for dialect in dialects:
        for operation in dialect.operations:
            described = _describe(dialect, operation)
            for path in operation.paths:
                claims[path][operation.method.lower()].append(described)
                if are_prefixed:
                    claims[f"/{dialect.name}{path}"][operation.method.lower()].append(described)
    return {
        path: {method: _at(path, claimed, _home(claimed[0], method, claims)) for method, claimed in methods.items()}
        for path, methods in claims.items()
    }


def _home(described: _Described, method: str, claims: Mapping[str, Mapping[str, list[_Described]]]) -> str:
    """The path under which an operation is told in full: its first one, unless another dialect stands first there."""
    first = described.operation.paths[0]
    return first if claims[first][method][0] is described else f"/{described.dialect.name}{first}"


def _at(path: str, claimed: Sequence[_Described], home: str) -> Schema:
    """What a path does: of the first who claims it, with the answers of all."""
    first = claimed[0]
    operation = first.operation
    responses: dict[str, Schema] = {}
    for described in claimed:
        for status, response in described.responses.items():
            responses[status] = merged(responses[status], response) if status in responses else response
    asked = {(one["in"], one["name"]): one for each in claimed for one in parameters(each.operation, path)}
    needs_key = any(each.operation.needs_key for each in claimed)
    schemes = dict.fromkeys(name for each in claimed for name in security(each.dialect)) if needs_key else {}
    told: Schema = {
        "tags": [each.dialect.name for each in claimed],
        "operationId": first.id_at(path),
        "summary": operation.words or _WORDS[type(operation.does)],
        "security": [*({name: []} for name in schemes), {}],
        "responses": dict(sorted(responses.items())),
    }
    if words := operation.asks.headers.get("accept"):
        told["description"] = f"Accept: {words}"
    if asked:
        told["parameters"] = list(asked.values())
    if first.body is not None:
        told["requestBody"] = first.body
    if path != home:
        told["x-alias-of"] = home
    return told
