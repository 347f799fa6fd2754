"""Components: what is said more than once stands in one place, and is referred to."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from bgone.api.openapi.requests import REFER
from bgone.api.openapi.shapes import Schema


class Parts:
    """Collects components; equal ones are one.

    Attributes:
        components: Kind → name → component.
    """

    def __init__(self) -> None:
        self.components: dict[str, dict[str, Schema]] = defaultdict(dict)

    def lift(self, paths: dict[str, dict[str, Schema]]) -> dict[str, dict[str, Schema]]:
        """Path items whose parameters, bodies, answers and titled schemas are references."""
        return {
            path: {method: self._operation(operation) for method, operation in methods.items()}
            for path, methods in paths.items()
        }

    def _operation(self, operation: Schema) -> Schema:
        tag = operation["tags"][0]
        name = ".".join(operation.get("operationId", f"{tag}.webhook").split(".")[:2])  # of every spelling of its path
        lifted = dict(operation)
        if "parameters" in operation:
            lifted["parameters"] = [
                self._keep("parameters", f"{one['in']}.{one['name']}", self._schemas(one))
                for one in operation["parameters"]
            ]
        if "requestBody" in operation:
            lifted["requestBody"] = self._keep("requestBodies", name, self._schemas(operation["requestBody"]))
        lifted["responses"] = {
            status: self._keep("responses", f"{name if status < '4' else tag}.{status}", self._response(response))
            for status, response in operation["responses"].items()
        }
        return lifted

    def _response(self, response: Schema) -> Schema:
        lifted: Schema = self._schemas(response)
        if "headers" in lifted:
            headers = lifted["headers"].items()
            lifted["headers"] = {name: self._keep("headers", name, header) for name, header in headers}
        return lifted

    def _schemas(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._schemas(item) for item in value]
        if not isinstance(value, dict):
            return value
        # What examples hold is no schema, whatever it is called.
        lifted = {
            name: part if name in ("example", "examples") else self._schemas(part) for name, part in value.items()
        }
        if REFER in lifted:
            return {**lifted.pop(REFER), **lifted}
        title = value.get("title")
        return self._keep("schemas", title, lifted) if isinstance(title, str) else lifted

    def _keep(self, kind: str, name: str, part: Schema) -> Schema:
        """A reference to ``part``, under ``name`` or, where another has that, under a numbered one."""
        kept = self.components[kind]
        number, free = 1, name
        while kept.setdefault(free, part) != part:
            number += 1
            free = f"{name}.{number}"
        return {"$ref": f"#/components/{kind}/{free}"}
