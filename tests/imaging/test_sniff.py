"""The kind of a file by its first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgone.imaging.sniff import sniff
from tests.pictures import encode, scene


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("JPEG", "jpeg"),
        ("PNG", "png"),
        ("WEBP", "webp"),
        ("GIF", "gif"),
        ("TIFF", "tiff"),
        ("BMP", "bmp"),
        ("AVIF", "heif"),
        ("PPM", None),
        ("TGA", None),
        ("ICO", None),
        ("JPEG2000", None),
        ("PCX", None),
    ],
)
def test_real_files_are_known(form: str, kind: str | None) -> None:
    """Accepted kinds are named, all others are None."""
    assert sniff(encode(scene(), form)) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"MM\x00*", "tiff"),
        (b"II+\x00", "tiff"),
        (b"GIF87a", "gif"),
        (b"\x00\x00\x00\x18ftypheic", "heif"),
        (b"\x00\x00\x00\x18ftypmp42", None),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"\x89PNG\r\n\x1a", None),
        (b"\xff\xd8", None),
        (b"", None),
        (b" \xff\xd8\xff", None),
    ],
)
def test_magic_numbers_are_whole_and_in_front(head: bytes, kind: str | None) -> None:
    """Both byte orders, BigTIFF and old GIF; films, sounds and halves are none."""
    assert sniff(head) == kind


@given(st.binary(max_size=40))
def test_any_bytes_have_an_answer(data: bytes) -> None:
    """Bytes and views of bytes have the same one."""
    assert sniff(data) == sniff(memoryview(data))
