"""The description in OpenAPI: whole, valid, made of the tables, and served."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from bgone import __version__
from bgone.__main__ import cli
from bgone.api.dialect import Cut, Dialect, Keep, Operation, Submit
from bgone.api.openapi.document import document
from bgone.api.openapi.samples import ERRORS, answers
from bgone.api.openapi.shapes import schema_of
from bgone.api.options import Reader
from bgone.api.routes import DIALECTS, routes
from bgone.errors import KINDS
from tests.serving import Served

NAMES = [dialect.name for dialect in DIALECTS]
WHOLE = document(DIALECTS)
OPERATIONS = [(dialect, operation) for dialect in DIALECTS for operation in dialect.operations]
SENDING = [(dialect, operation) for dialect, operation in OPERATIONS if isinstance(operation.does, Cut | Submit | Keep)]


def name_of(value: object) -> str | None:
    return value.name if isinstance(value, Dialect | Operation) else None


def resolved(part: Any) -> Any:
    """What a reference refers to."""
    if isinstance(part, dict) and "$ref" in part:
        found: Any = WHOLE
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return found
    return part


def asked_names(operation: Mapping[str, Any]) -> set[str]:
    """Parameters of an operation, and the members of every body that it takes."""
    names = {resolved(parameter)["name"] for parameter in operation.get("parameters", ())}
    for content in resolved(operation.get("requestBody", {})).get("content", {}).values():
        names |= set(resolved(content["schema"]).get("properties", ()))
    return names


# --- whole and valid ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("only", ["", *NAMES])
def test_document_is_openapi(only: str) -> None:
    """In the form of OpenAPI 3.1, every reference led somewhere, every id unique."""
    told = orjson.loads(orjson.dumps(document(DIALECTS, only=only)))

    assert list(OpenAPIV31SpecValidator(told).iter_errors()) == []
    assert told["info"]["version"] == __version__


def test_document_has_every_path_and_no_other() -> None:
    """Each path that is served, but for the files of pages, with each of its methods."""
    served = {route.path for route in routes() if isinstance(route, Route) and not route.path.startswith("/static/")}
    methods = {
        (path, operation.method.lower())
        for dialect, operation in OPERATIONS
        for spelling in operation.paths
        for path in (spelling, f"/{dialect.name}{spelling}")
    }
    told = {(path, method) for path, item in WHOLE["paths"].items() for method in item}

    assert set(WHOLE["paths"]) == served
    assert methods <= told
    assert {path for path, _ in told - methods}.isdisjoint(path for path, _ in methods)


@pytest.mark.parametrize("dialect", DIALECTS, ids=name_of)
def test_one_dialects_document_is_its_own_paths(dialect: Dialect) -> None:
    """Nothing of others stands in it, and nothing of its own is missing."""
    told = document(DIALECTS, only=dialect.name)
    spellings = [path for operation in dialect.operations for path in operation.paths]

    assert set(told["paths"]) == {*spellings, *(f"/{dialect.name}{path}" for path in spellings)}
    assert [tag["name"] for tag in told["tags"]] == [dialect.name]


def test_document_is_the_same_each_time() -> None:
    """So that it has one ETag in every process."""
    assert document(DIALECTS) == WHOLE


def test_other_spellings_name_the_path_that_tells_all() -> None:
    """Which is no other spelling itself."""
    items = WHOLE["paths"]
    aliases = [item["x-alias-of"] for path in items.values() for item in path.values() if "x-alias-of" in item]

    assert len(aliases) > 80
    assert all("x-alias-of" not in item for path in set(aliases) for item in items[path].values())


# --- made of the tables ---------------------------------------------------------------------------------------------


def tables(dialect: Dialect) -> Iterator[str]:
    """Every option of every table of readers in a dialect's file."""
    for value in vars(sys.modules[dialect.render_error.__module__]).values():
        if isinstance(value, Mapping) and all(
            hasattr(row, "reader") or isinstance(row, Reader) for row in value.values()
        ):
            yield from value


@pytest.mark.parametrize("dialect", DIALECTS, ids=name_of)
def test_every_option_is_described(dialect: Dialect) -> None:
    """Each row of the option tables is a parameter or a member of a body of one of the dialect's routes."""
    described: set[str] = set()
    for operation in dialect.operations:
        described |= asked_names(WHOLE["paths"][f"/{dialect.name}{operation.paths[0]}"][operation.method.lower()])

    assert set(tables(dialect)) - described == set()


@pytest.mark.parametrize(("dialect", "operation"), SENDING, ids=name_of)
def test_routes_that_take_pictures_say_how(dialect: Dialect, operation: Operation) -> None:
    """Which fields carry one, and which kinds of body."""
    told = WHOLE["paths"][f"/{dialect.name}{operation.paths[0]}"]["post"]
    picture = operation.asks.picture

    assert picture is not None
    assert {*picture.files, *picture.texts} <= asked_names(told)
    assert len(resolved(told["requestBody"])["content"]) >= len(operation.asks.bodies) >= 1


@pytest.mark.parametrize("dialect", DIALECTS, ids=name_of)
def test_every_dialect_has_its_title_and_its_keys(dialect: Dialect) -> None:
    """Where it looks for keys is known here, or nobody could be told."""
    assert dialect.title
    for operation in dialect.operations:
        told = WHOLE["paths"][f"/{dialect.name}{operation.paths[0]}"][operation.method.lower()]
        assert bool([scheme for scheme in told["security"] if scheme]) is operation.needs_key


@pytest.mark.parametrize(("dialect", "operation"), OPERATIONS, ids=name_of)
def test_what_succeeds_and_what_fails_is_described(dialect: Dialect, operation: Operation) -> None:
    """The statuses that the dialect's own functions answer, and those of its table of failures."""
    told = WHOLE["paths"][f"/{dialect.name}{operation.paths[0]}"][operation.method.lower()]["responses"]
    statuses = {str(answer.status) for answer in answers(dialect, operation)[0]}

    assert statuses <= set(told)
    assert str(dialect.failures["internal"][0]) in told
    if operation.needs_key:
        assert {str(dialect.failures[kind][0]) for kind in ("key_missing", "key_wrong", "rate_limited")} <= set(told)


def test_every_kind_of_failure_has_its_sample() -> None:
    """Otherwise no example could be shown of it."""
    assert set(ERRORS) == set(KINDS)


def test_webhooks_are_described() -> None:
    """Of each dialect that has one, of batches, and the account's own."""
    speaking = {
        dialect.name
        for dialect, operation in OPERATIONS
        if isinstance(operation.does, Submit) and operation.does.webhook is not None
    }

    assert set(WHOLE["webhooks"]) == {*speaking, "account", "batches"}


# --- readers --------------------------------------------------------------------------------------------------------

READERS = {
    f"{dialect.name}.{name}": (name, reader)
    for dialect, operation in OPERATIONS
    for name, reader in {**operation.asks.options, **operation.asks.query}.items()
}


def texts(schema: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """Texts of values that a reader's schema allows."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([texts(one) for one in schema["anyOf"]])
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True).filter(lambda t: "\n" not in t)
    if schema["type"] == "boolean":
        return st.sampled_from(["true", "false"])
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"]).map(str)
    lo, hi = Decimal(str(schema["minimum"])), Decimal(str(schema["maximum"]))
    numbers = st.decimals(lo, hi, allow_nan=False, places=4)
    return numbers.map(lambda value: f"{value:f}")


@pytest.mark.parametrize("option", READERS)
def test_readers_accept_what_their_schema_allows(option: str) -> None:
    """Whoever keeps to the description is never told that an option's value is wrong."""
    name, reader = READERS[option]

    @settings(max_examples=15, derandomize=True, deadline=None, database=None)
    @given(texts(reader.schema))
    def accepts(text: str) -> None:
        reader(name, text)

    accepts()


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        ([1, 2], {"type": "integer"}),
        ([1, 2.5], {"type": "number"}),
        ([None, "a"], {"type": ["string", "null"]}),
        (["2026-03-18T12:00:00Z"], {"type": "string", "format": "date-time"}),
        ([["a"], []], {"type": "array", "items": {"type": "string"}}),
        (
            [{"a": 1, "b": True}, {"a": 2}],
            {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}, "required": ["a"]},
        ),
    ],
)
def test_shapes_hold_for_all_values(values: list[Any], schema: Mapping[str, Any]) -> None:
    """What is in all is required, what is null in one may be null."""
    assert schema_of(values) == schema


# --- served ---------------------------------------------------------------------------------------------------------


def test_description_is_served_packed_and_known_again(server: Served) -> None:
    """Gzipped for those who take it, with an ETag that is answered 304."""
    with server.client() as client:
        plain = client.get("/openapi.json", headers={"accept-encoding": "identity"})
        packed = client.get("/openapi.json", headers={"accept-encoding": "gzip"})
        known = client.get(
            "/openapi.json", headers={"accept-encoding": "gzip", "if-none-match": packed.headers["etag"]}
        )

    assert plain.json() == packed.json() == orjson.loads(orjson.dumps(WHOLE))
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 60_000
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["etag"] == packed.headers["etag"] != plain.headers["etag"]


@pytest.mark.parametrize("dialect", NAMES)
def test_one_dialects_description_is_served(server: Served, dialect: str) -> None:
    """By its name."""
    assert server.get(f"/openapi/{dialect}.json").json()["tags"][0]["name"] == dialect


def test_an_unknown_dialect_is_not_found(server: Served) -> None:
    """And nothing is made of its name."""
    answer = server.get("/openapi/nobody.json")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_only_reading_is_answered(server: Served, path: str) -> None:
    """HEAD as GET without its body; everything else is 405."""
    with server.client() as client:
        head, post = client.head(path), client.post(path, content=b"x")

    assert (head.status_code, head.content) == (200, b"")
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


# --- the command ----------------------------------------------------------------------------------------------------


def test_command_prints_what_is_served() -> None:
    """The whole, as a server answers it."""
    done = CliRunner().invoke(cli, ["openapi"])

    assert done.exit_code == 0
    assert orjson.loads(done.stdout) == orjson.loads(orjson.dumps(WHOLE))


def test_command_prints_one_dialect_for_one_server() -> None:
    """What generators of clients want."""
    done = CliRunner().invoke(cli, ["openapi", "--dialect", "foner", "--server", "https://cut.example"])
    told = orjson.loads(done.stdout)

    assert told["servers"] == [{"url": "https://cut.example"}]
    assert "/v1/remove-bg" in told["paths"]
    assert "/v2" not in told["paths"]


def test_command_knows_its_dialects() -> None:
    """Others are refused in one line that names all."""
    done = CliRunner().invoke(cli, ["openapi", "--dialect", "nobody"])

    assert done.exit_code == 2
    assert all(name in done.output for name in NAMES)
