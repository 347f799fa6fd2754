"""Fields: what a request said, read once, before any dialect gives it a meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

BodyKind = Literal["multipart", "urlencoded", "json", "raw", "none"]


@dataclass(frozen=True, slots=True)
class File:
    """A part of a multipart body that carried a file name; the name and type are the client's claims, never trusted."""

    data: bytes = field(repr=False)
    filename: str = ""
    content_type: str = ""


# A value as it came; bytes and views are UTF-8.
Text = str | bytes | memoryview


class Texts(Mapping[str, str]):
    """Text fields, kept as the bytes that came until somebody asks: most of a base64 picture is never text.

    Bytes are UTF-8; what is not is read as Latin-1, which every byte is.
    """

    def __init__(self, values: Mapping[str, Text]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        value = self._values[name]
        if isinstance(value, str):
            return value
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            return str(value, "latin-1")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def undecoded(self, name: str) -> Text | None:
        """The value as it came, or None when there is none."""
        return self._values.get(name)


@dataclass(frozen=True, slots=True)
class Fields:
    """A request's fields, names as sent.

    Empty text values and nameless files of 0 bytes are absent already.

    Attributes:
        kind: What the body was, decided by its content type and its first bytes.
        text: Text fields of the body (multipart, urlencoded); JSON scalars of a JSON object as text
            (true/false/numbers spelled as JSON does), with ``json`` holding the typed object.
        files: File parts; the first of a name wins.
        query: Query parameters; the first of a name wins.
        json: The JSON object of a JSON body, else None; strings of over 64 KiB may be undecoded views.
        raw: The body itself when it is a picture (``kind == "raw"``), else None.
        headers: Request headers, names in lower case, latin-1 text.
    """

    kind: BodyKind
    text: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    raw: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self, name: str) -> Text | None:
        """A text field for a base64 decoder: as it came, without the copy that reading it as text would make."""
        return self.text.undecoded(name) if isinstance(self.text, Texts) else self.text.get(name)
