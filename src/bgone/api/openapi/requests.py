"""What an operation reads, in OpenAPI's words: parameters, bodies, and where its dialect looks for a key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bgone.api.asks import Asks, PictureNames
from bgone.api.dialect import Dialect, Operation, Submit
from bgone.api.openapi.shapes import Schema
from bgone.api.options import Reader

MULTIPART = "multipart/form-data"
URLENCODED = "application/x-www-form-urlencoded"
JSON = "application/json"
RAW = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")

REFER = "$refer"  # stands for a reference to the titled schema behind it, with words of its own beside

# Named once; whatever has such a title is referred to.
FILE: Schema = {
    "title": "PictureFile",
    "description": "A picture's bytes. Names and types of parts are not looked at.",
    "type": "string",
    "format": "binary",
}
LINK: Schema = {
    "title": "PictureLink",
    "description": "An http or https URL of a picture, which the server fetches; not into private networks.",
    "type": "string",
    "format": "uri",
    "maxLength": 2_083,
    "examples": ["https://shop.example/photo.jpg"],
}
BASE64: Schema = {
    "title": "PictureBase64",
    "description": "A picture in base64, plain or URL-safe, also behind a data: prefix.",
    "type": "string",
    "format": "byte",
    "contentEncoding": "base64",
}
STORED: Schema = {
    "title": "PictureId",
    "description": "The id of a picture that was uploaded or made before.",
    "type": "string",
}
_HOOK: Schema = {"type": "string", "format": "uri", "examples": ["https://shop.example/hook"]}

# Where clients show keys; which of these a dialect looks at is asked of the dialect.
_KEY_HEADERS = ("x-api-key", "api-key", "x-picsart-api-key")
_KEY_PARAMETERS = ("api_key", "apikey", "key", "token", "x-picsart-api-key")


def parameters(operation: Operation, path: str) -> list[Schema]:
    """Of the path, the query and the headers."""
    asks = operation.asks
    found: list[Schema] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    # Options may always stand in the query; where the body is the picture there is no other place.
    takes_raw = "raw" in asks.bodies
    for name, reader in {**asks.query, **(asks.options if takes_raw else {})}.items():
        found.append({"name": name, "in": "query", **_described(name, reader, asks)})
    for name, schema in _texts(asks).items() if takes_raw else ():
        found.append({"name": name, "in": "query", "schema": schema})
    for name, words in asks.headers.items():
        if name != "accept":  # OpenAPI leaves it to the media types of the answers
            schema = {"type": "string", "pattern": "^[ -~]{0,200}$"}
            found.append({"name": name, "in": "header", "description": words, "schema": schema})
    if isinstance(operation.does, Submit):
        found.append(IDEMPOTENCY)
    return found


IDEMPOTENCY: Schema = {
    "name": "idempotency-key",
    "in": "header",
    "description": "The same key is the same job, where jobs outlive the server's process (a database is set).",
    "schema": {"type": "string", "pattern": "^[!-~]{1,100}$"},
}


def body(asks: Asks) -> Schema | None:
    """Each kind of body that is read, or None."""
    if not asks.bodies:
        return None
    content: dict[str, Schema] = {}
    for kind in asks.bodies:
        if kind == "raw":
            content |= {media: {"schema": FILE} for media in RAW}
        elif kind == "multipart":
            content[MULTIPART] = {"schema": members(asks, with_files=True)}
        else:
            content[JSON if kind == "json" else URLENCODED] = {"schema": members(asks, with_files=False)}
    return {"required": asks.picture is not None, "content": content}


def members(asks: Asks, *, with_files: bool) -> Schema:
    """The fields of a form, or the members of a JSON object."""
    ways = list(_pictures(asks.picture, with_files=with_files))
    properties: dict[str, Schema] = dict([*ways, *_pictures(asks.ground, with_files=with_files)])
    for name, reader in asks.options.items():
        described = _described(name, reader, asks)
        words, schema = described["description"], described["schema"]
        properties[name] = {"description": words, **({REFER: schema} if "title" in schema else schema)}
    whole: Schema = {"type": "object", "properties": {**properties, **_texts(asks)}}
    if len(ways) == 1:
        whole["required"] = [ways[0][0]]
    elif ways:
        whole["oneOf"] = [{"required": [name]} for name, _ in ways]
    return whole


def security(dialect: Dialect) -> dict[str, Schema]:
    """Name → scheme, for each place where the dialect finds a key."""
    found: dict[str, Schema] = {}
    for name in _KEY_HEADERS:
        if dialect.find_key({name: "k"}, {}) == "k":
            found[f"header-{name}"] = {"type": "apiKey", "in": "header", "name": name}
    if dialect.find_key({"authorization": "Bearer k"}, {}) == "k":
        found["bearer"] = {"type": "http", "scheme": "bearer"}
    for name in _KEY_PARAMETERS:
        if dialect.find_key({}, {name: "k"}) == "k":
            words = "Where the operator allows keys in queries."
            found[f"query-{name}"] = {"type": "apiKey", "in": "query", "name": name, "description": words}
    return found


def _texts(asks: Asks) -> dict[str, Schema]:
    links = {name: {**_HOOK, "description": words} for name, words in asks.links.items()}
    return links | {name: {"type": "string", "description": words} for name, words in asks.texts.items()}


def _pictures(names: PictureNames | None, *, with_files: bool) -> Iterator[tuple[str, Schema]]:
    if names is None:
        return
    kinds: Mapping[tuple[str, ...], Schema] = {
        names.files if with_files else (): FILE,
        names.links: LINK,
        names.encoded: BASE64,
        names.stored: STORED,
    }
    for fields, schema in kinds.items():
        yield from ((name, schema) for name in fields)


def _described(name: str, reader: Reader[Any], asks: Asks) -> Schema:
    words = asks.words.get(name, "")
    expected = reader.expected[:1].upper() + reader.expected[1:]
    sentence = f"{words[:1].upper()}{words[1:]}. {expected}." if words else f"{expected}."
    return {"description": sentence, "schema": dict(reader.schema)}
