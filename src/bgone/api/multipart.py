"""multipart/form-data, taken apart while it arrives: no spool files, every part counted and bounded as it grows.

python-multipart's parser finds the borders; what lies between them is kept once, in memory, as it will be used.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from bgone.api.encoded import decode_picture
from bgone.api.fields import File, Text
from bgone.errors import malformed_body, too_many_bytes, too_many_parts
from bgone.imaging.sniff import sniff

# RFC 2046 allows 70; some clients send more, nobody needs this many.
_BOUNDARY_CHARS = 200
# Bytes before the first border, after the last one and of padding mean nothing; so many are borne, in whole pieces.
_IDLE_BYTES = 65_536
_EXPECTED = "multipart/form-data with a boundary, ended by it"

# Possessive repeats: linear in the length of the header, whatever a stranger writes.
_PARAMETER = re.compile(r""";\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)|([^;]*+))""", re.DOTALL)


def header_parameters(value: str) -> tuple[str, dict[str, str]]:
    """``Text/plain; Charset="x"`` as ("text/plain", {"charset": "x"}); the first of a name wins."""
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(value):
        quoted, bare = match[2], match[3]
        text = bare.strip() if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
        parameters.setdefault(match[1].lower(), text)
    return value.partition(";")[0].strip().lower(), parameters


@dataclass(slots=True)
class _Part:
    """One part while it arrives.

    Attributes:
        content: What came of it so far; its ``getvalue`` hands over the bytes without a copy.
        wanted: False for a part without a name, or whose name was taken: it is counted and dropped.
    """

    headers: dict[str, str] = field(default_factory=dict)
    header_bytes: int = 0
    name: str = ""
    filename: str | None = None
    wanted: bool = False
    limit_bytes: int = 0
    content: io.BytesIO = field(default_factory=io.BytesIO)


class MultipartReader:
    """Takes a body piece by piece.

    Args:
        boundary: As the content type says it.
        parts: Most parts.
        file_bytes: Most bytes of a file part.
        text_bytes: Most bytes of a text part: base64 of a whole picture fits.
        header_bytes: Most bytes of one part's headers.
        name_bytes: Most bytes of a field name.

    Attributes:
        texts: Name → value of text parts, undecoded; empty ones are absent, the first of a name wins.
        files: Name → file parts; nameless empty ones are absent, the first of a name wins.

    Raises:
        malformed_body: The boundary is missing, empty or too long.
    """

    def __init__(
        self, boundary: str, *, parts: int, file_bytes: int, text_bytes: int, header_bytes: int, name_bytes: int
    ) -> None:
        if not 0 < len(boundary) <= _BOUNDARY_CHARS or not boundary.isascii():
            raise malformed_body(_EXPECTED, detail=f"boundary of {len(boundary)} characters")
        self.texts: dict[str, Text] = {}
        self.files: dict[str, File] = {}
        self._parts = parts
        self._file_bytes = file_bytes
        self._text_bytes = text_bytes
        self._header_bytes = header_bytes
        self._name_bytes = name_bytes
        self._border = b"\r\n--" + boundary.encode()
        self._borders = 0
        self._begun = 0
        self._idle_bytes = 0
        self._ended = False
        self._part = _Part()
        self._header_name = b""
        self._header_value = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
            malformed_body: It is no multipart body.
            too_many_parts: It has more parts than are read.
            too_many_bytes: A part has passed its limit.
            broken_base64: A part says that it is base64 and is not.
        """
        # Each border costs the parser some Python; a border that is none (more text follows it) is no part either.
        self._borders += piece.count(self._border)
        if self._borders > self._parts + 1:
            raise too_many_parts(self._parts)
        self._idle_bytes += len(piece)
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise malformed_body(_EXPECTED, detail=str(error)) from error
        if self._idle_bytes > _IDLE_BYTES:
            raise malformed_body(_EXPECTED, detail="flood outside of the parts")

    def finish(self) -> None:
        """The body has ended.

        Raises:
            malformed_body: Before its last border.
        """
        if not self._ended:
            raise malformed_body(_EXPECTED, detail="no closing boundary")

    def _on_part_begin(self) -> None:
        self._idle_bytes = 0
        self._begun += 1
        if self._begun > self._parts:
            raise too_many_parts(self._parts)
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._header_value += data[start:end]

    def _count_header(self, count: int) -> None:
        self._idle_bytes = 0
        self._part.header_bytes += count
        if self._part.header_bytes > self._header_bytes:
            raise malformed_body(_EXPECTED, detail="part headers too long")

    def _on_header_end(self) -> None:
        name = self._header_name.decode("latin-1").strip().lower()
        self._part.headers.setdefault(name, _text(self._header_value).strip())
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        part = self._part
        _, parameters = header_parameters(part.headers.get("content-disposition", ""))
        part.name = parameters.get("name", "")
        part.filename = _filename(parameters)
        if len(part.name.encode()) > self._name_bytes:
            raise malformed_body(_EXPECTED, detail="field name too long")
        part.wanted = bool(part.name) and part.name not in self.texts and part.name not in self.files
        is_plain_file = part.filename is not None and not _is_base64(part)
        part.limit_bytes = self._file_bytes if is_plain_file else self._text_bytes

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._idle_bytes = 0
        part = self._part
        if not part.wanted:
            return
        if part.content.tell() + end - start > part.limit_bytes:
            raise too_many_bytes(self._file_bytes)
        # A view spares the copy that slicing bytes would make.
        part.content.write(data if end - start == len(data) else memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        part = self._part
        self._part = _Part()
        if not part.wanted:
            return
        content = part.content.getvalue()
        if _is_base64(part):
            content = decode_picture(part.name, content)
        if part.filename is None and sniff(content) is None:
            if content:
                self.texts[part.name] = content
            return
        if len(content) > self._file_bytes:
            raise too_many_bytes(self._file_bytes)
        if content or part.filename:
            self.files[part.name] = File(content, part.filename or "", part.headers.get("content-type", ""))

    def _on_end(self) -> None:
        self._idle_bytes = 0
        self._ended = True


def _is_base64(part: _Part) -> bool:
    return part.headers.get("content-transfer-encoding", "").lower() == "base64"


def _filename(parameters: dict[str, str]) -> str | None:
    """``filename*`` (RFC 5987) before ``filename``; None when there is neither, so that the part is text."""
    extended = parameters.get("filename*", "")
    charset, quote, rest = extended.partition("'")
    if quote:
        known = "latin-1" if charset.lower() in ("iso-8859-1", "latin-1", "latin1") else "utf-8"
        return unquote(rest.partition("'")[2], encoding=known, errors="replace")
    return parameters.get("filename")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
