"""Multipart bodies: read the same however they are cut, and refused while they arrive when they are hostile."""

from __future__ import annotations

import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgone.api.fields import File
from bgone.api.multipart import MultipartReader, header_parameters
from bgone.errors import ApiError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) + b"\r\n--no border\r\n"
BORDER = "b0rder"


def reader(boundary: str = BORDER, *, parts: int = 10, file_bytes: int = 1_000) -> MultipartReader:
    return MultipartReader(
        boundary, parts=parts, file_bytes=file_bytes, text_bytes=2_000, header_bytes=2_000, name_bytes=64
    )


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    lines = [f"--{BORDER}", f"Content-Disposition: form-data; {disposition}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content + b"\r\n"


END = f"--{BORDER}--\r\n".encode()
WHOLE = (
    part('name="image_file"; filename="a.png"', PNG, "Content-Type: image/png")
    + part('name="crop"', b"true")
    + part('name="bg_color"', b"")
    + part('name="crop"', b"false")
    + END
)


def read(body: bytes, *, piece_bytes: int = 65_536, into: MultipartReader | None = None) -> MultipartReader:
    parts = into or reader()
    for start in range(0, len(body), piece_bytes):
        parts.feed(body[start : start + piece_bytes])
    parts.finish()
    return parts


def refusal(body: bytes, *, piece_bytes: int = 65_536, into: MultipartReader | None = None) -> str:
    with pytest.raises(ApiError) as caught:
        read(body, piece_bytes=piece_bytes, into=into)
    return caught.value.kind


@pytest.mark.parametrize("cut", range(len(WHOLE) + 1))
def test_a_body_reads_the_same_cut_anywhere(cut: int) -> None:
    """A border, a header or a picture may be split between two pieces at any byte."""
    parts = reader()
    for piece in (WHOLE[:cut], WHOLE[cut:]):
        parts.feed(piece)
    parts.finish()

    assert parts.files == {"image_file": File(PNG, "a.png", "image/png")}
    assert parts.texts == {"crop": b"true"}


def test_a_body_reads_the_same_byte_by_byte() -> None:
    """One byte a piece is slow, not different."""
    parts = read(WHOLE, piece_bytes=1)

    assert parts.files["image_file"].data == PNG
    assert parts.texts == {"crop": b"true"}


@given(st.binary(max_size=900), st.integers(1, 80))
def test_any_content_survives_any_cutting(content: bytes, piece_bytes: int) -> None:
    """Bytes come out as they went in, also those that begin like a border."""
    content += b"\r\n--b0rde\r\n-"
    parts = read(part('name="f"; filename="x"', content) + END, piece_bytes=piece_bytes)

    assert parts.files["f"].data == content


@given(st.binary(max_size=400))
def test_garbage_is_read_or_refused(garbage: bytes) -> None:
    """No bytes bring the reader to anything but parts or a complaint."""
    for body in (garbage, f"--{BORDER}\r\n".encode() + garbage, WHOLE[:40] + garbage + WHOLE[40:]):
        try:
            read(body, piece_bytes=7)
        except ApiError as error:
            assert error.kind in ("malformed_body", "too_many_parts", "too_many_bytes")  # noqa: PT017 - or it is read


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ('name="f"; filename="a b.png"', "f", "a b.png"),
        ("name=f; filename=a.png", "f", "a.png"),
        ('FileName="a.png" ; NAME = "f"', "f", "a.png"),
        (r'name="f"; filename="a\"b.png"', "f", 'a"b.png'),
        (r'name="f"; filename="C:\photos\a.png"', "f", r"C:\photos\a.png"),
        ('name="f"; filename="../../etc/passwd"', "f", "../../etc/passwd"),
        ('name="f"; filename="a;b.png"', "f", "a;b.png"),
        ('name="f"; filename="x"; filename*=UTF-8\'\'na%C3%AFve.png', "f", "naïve.png"),
        ('name="f"; filename="naïve.png"', "f", "naïve.png"),
        ('name="f"; filename="unended', "f", "unended"),
        ('name="f"; filename=""', "f", ""),
    ],
)
def test_file_names_are_read_as_clients_write_them(disposition: str, name: str, filename: str) -> None:
    """Quotes, escapes, paths, RFC 5987: a name is a claim, kept as it is, used for nothing."""
    assert read(part(disposition, b"data") + END).files[name] == File(b"data", filename, "")


def test_a_nameless_empty_file_is_absent() -> None:
    """Browsers send one for a file input that was left alone; an empty file with a name was meant."""
    parts = read(part('name="a"; filename=""', b"") + part('name="b"; filename="b.png"', b"") + END)

    assert set(parts.files) == {"b"}


def test_parts_without_a_name_are_dropped() -> None:
    """They count, and leave nothing."""
    nameless = f"--{BORDER}\r\nX-Whatever: 1\r\n\r\ndata\r\n".encode()
    parts = read(nameless + part('filename="x"', b"data") + part('name=""', b"data") + END)

    assert (parts.texts, parts.files) == ({}, {})


def test_a_picture_without_a_file_name_is_a_file() -> None:
    """The bytes decide: some clients leave the file name out."""
    assert read(part('name="image_file"', PNG) + END).files["image_file"].data == PNG


def test_an_empty_value_leaves_the_name_to_the_next() -> None:
    """Absent means absent: of an empty and a filled value the filled one is read."""
    assert read(part('name="a"', b"") + part('name="a"', b"1") + END).texts == {"a": b"1"}


def test_a_part_may_be_base64_by_its_own_header() -> None:
    """Content-Transfer-Encoding is obsolete and still sent."""
    encoded = pybase64.encodebytes(PNG)
    body = part('name="f"; filename="a.png"', encoded, "Content-Transfer-Encoding: BASE64") + END

    assert read(body).files["f"].data == PNG
    assert refusal(body.replace(encoded, b"?" * len(encoded))) == "unreadable_image"


def test_an_empty_form_is_a_form() -> None:
    """Nothing between the borders is nothing sent."""
    parts = read(END)

    assert (parts.texts, parts.files) == ({}, {})


@pytest.mark.parametrize("boundary", ["", "x" * 201, "b\u00f6rder"])
def test_a_boundary_that_is_none_is_refused(boundary: str) -> None:
    """Missing, endless, not ASCII."""
    with pytest.raises(ApiError, match="multipart/form-data with a boundary"):
        reader(boundary)


@pytest.mark.parametrize("missing", range(1, len(END) - 1))
def test_a_body_cut_short_is_refused(missing: int) -> None:
    """Half a picture must never pass for a whole one; only the last line break may be missing."""
    assert refusal(WHOLE[: -missing - 2]) == "malformed_body"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=1&b=2", "malformed_body"),
        (b"\r\n" * 200_000, "malformed_body"),
        (b"\r\n" + b"x" * 400_000, "malformed_body"),
        (WHOLE + b"x" * 400_000, "malformed_body"),
        (WHOLE[:-4] + b" " * 400_000 + WHOLE, "malformed_body"),
        (part('name="a"', b"1") * 11 + END, "too_many_parts"),
        (part('name="a"', f"\r\n--{BORDER}x".encode() * 50) + END, "too_many_parts"),
        (part('name="a"', b"1", *[f"X-{n}: y" for n in range(100)]) + END, "malformed_body"),
        (part('name="a"', b"1", "X: " + "y" * 10_000) + END, "malformed_body"),
        (part('name="a"', b"1", "x" * 10_000 + ": y") + END, "malformed_body"),
        (part('name="a"', b"1", *["X: " + "y" * 900] * 3) + END, "malformed_body"),
        (part(f'name="{"n" * 65}"', b"1") + END, "malformed_body"),
        (part('name="a\rb"', b"1") + END, "malformed_body"),
        (part('name="a"; filename="b"', b"1" * 1_001) + END, "too_many_bytes"),
        (part('name="a"', b"1" * 2_001) + END, "too_many_bytes"),
        (part('name="a"', PNG + b"1" * 1_001) + END, "too_many_bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
@pytest.mark.parametrize("piece_bytes", [1_000, 65_536])
def test_hostile_shapes_are_refused(body: bytes, kind: str, piece_bytes: int) -> None:
    """Floods of preamble, epilogue, parts, borders, headers and bytes end in a complaint."""
    expected = "malformed_body" if kind == "too_many_parts" else kind

    assert refusal(body, piece_bytes=piece_bytes) == expected


def test_a_line_break_in_a_header_makes_no_second_header() -> None:
    """A name with CR LF ends its header; what follows is read as another one and gives no name."""
    parts = read(part('name="a\r\nX-Injected: 1"', b"1") + END)

    assert "X-Injected" not in "".join(parts.texts)
    assert "\n" not in "".join(parts.texts)


def test_a_part_is_refused_when_it_passes_the_limit() -> None:
    """Not at its end: what follows is not waited for."""
    parts = reader()
    parts.feed(part('name="a"; filename="b"', b"")[:-2])
    parts.feed(b"x" * 1_000)

    with pytest.raises(ApiError) as caught:
        parts.feed(b"x")

    assert caught.value.kind == "too_many_bytes"


def test_ten_thousand_parts_are_refused_while_they_arrive() -> None:
    """The eleventh is one too many, whatever comes after it."""
    parts = reader()
    for _ in range(10):
        parts.feed(part('name="a"', b"1"))

    with pytest.raises(ApiError, match="At most 10 form fields"):
        parts.feed(part('name="a"', b"1"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("multipart/form-data; boundary=x", ("multipart/form-data", {"boundary": "x"})),
        ('Multipart/Form-Data; c=utf-8; BOUNDARY="a b"', ("multipart/form-data", {"c": "utf-8", "boundary": "a b"})),
        ("text/plain;", ("text/plain", {})),
        ("a/b; x", ("a/b", {})),
        ("a/b;x=1;x=2", ("a/b", {"x": "1"})),
        ("", ("", {})),
    ],
)  # fmt: skip
def test_header_parameters(value: str, expected: tuple[str, dict[str, str]]) -> None:
    """Names in lower case, quotes off, the first of a name wins."""
    assert header_parameters(value) == expected


@pytest.mark.parametrize("hostile", [';a="' * 20_000, "; " * 40_000, ";" + "a" * 80_000, ';a="' + "\\" * 80_000])
def test_header_parameters_take_linear_time(hostile: str) -> None:
    """No header makes the pattern go back and forth; quadratic time would run into the test's time limit."""
    for _ in range(20):
        header_parameters(hostile)
