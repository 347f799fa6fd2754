"""From values to the schema that all of them keep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

Schema = dict[str, Any]

_FORMATS = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"),
    "uri": re.compile(r"https?://\S+"),
    "uuid": re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}
A_UUID = "5f2b9c01-d4aa-4c1e-9b7e-0f8c1d7a52e9"


def schema_of(values: Sequence[Any]) -> Schema:
    """JSON Schema of JSON values: what is in all of them is required, what is null in one may be null."""
    kinds: list[str] = []
    schema: Schema = {}
    for kind, found in _by_kind(values).items():
        kinds.append(kind)
        if kind == "string":
            schema |= _text(found)
        elif kind == "object":
            schema |= _members(found)
        elif kind == "array":
            schema["items"] = schema_of([item for value in found for item in value])
    if not kinds:
        return {}
    return {"type": kinds[0] if len(kinds) == 1 else kinds, **schema}


def steady(value: Any) -> Any:
    """A value to show as an example: what is random in it is the same each time."""
    if isinstance(value, dict):
        return {name: steady(member) for name, member in value.items()}
    if isinstance(value, list):
        return [steady(item) for item in value[:2]]
    return A_UUID if isinstance(value, str) and _FORMATS["uuid"].fullmatch(value) else value


def _by_kind(values: Sequence[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for value in values:
        found.setdefault(_kind(value), []).append(value)
    if "number" in found and "integer" in found:
        found["number"] += found.pop("integer")
    # Null stands last: tools take the first of several for the rule.
    return dict(sorted(found.items(), key=lambda pair: pair[0] == "null"))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def _text(found: list[str]) -> Schema:
    name = next((name for name, form in _FORMATS.items() if all(form.fullmatch(text) for text in found)), None)
    return {} if name is None else {"format": name}


def _members(found: list[dict[str, Any]]) -> Schema:
    names = dict.fromkeys(name for value in found for name in value)
    required = [name for name in names if all(name in value for value in found)]
    properties = {name: schema_of([value[name] for value in found if name in value]) for name in names}
    return {"properties": properties, **({"required": required} if required else {})}
