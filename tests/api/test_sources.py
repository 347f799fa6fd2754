"""Pictures among the fields."""

from __future__ import annotations

import base64

import pytest

from bgone.api.fields import Fields, File
from bgone.api.sources import decoded, find_sources, only_source
from bgone.errors import ApiError
from bgone.pipeline.order import Link, Upload

NAMES = {"files": ("file",), "links": ("url",), "encoded": ("text", "alias")}
TEXT = base64.b64encode(b"picture").decode()


def fields(**text: str) -> Fields:
    return Fields("multipart", text=text)


def test_every_source_is_found_in_the_order_of_the_names() -> None:
    """Files, links, texts."""
    many = Fields("multipart", text={"alias": TEXT, "url": " http://x/ "}, files={"file": File(b"bytes")})

    assert list(find_sources(many, **NAMES)) == [Upload(b"bytes"), Link("http://x/"), Upload(b"picture")]


def test_base64_is_decoded_only_when_it_is_reached() -> None:
    """Where the first picture wins, a broken second one is no complaint."""
    both = Fields("multipart", text={"text": "?"}, files={"file": File(b"bytes")})

    assert next(find_sources(both, **NAMES)) == Upload(b"bytes")


def test_one_picture_is_wanted() -> None:
    """None and two are refused by name."""
    assert only_source(fields(url="http://x/"), **NAMES) == Link("http://x/")
    for given, kind in ((fields(url="  "), "missing_image"), (fields(url="http://x/", text=TEXT), "multiple_images")):
        with pytest.raises(ApiError, match="file, url, text, alias") as caught:
            only_source(given, **NAMES)
        assert caught.value.kind == kind


def test_base64_may_come_as_a_file_part() -> None:
    """Some clients send every field as a file."""
    assert decoded(Fields("multipart", files={"text": File(TEXT.encode())}), "text") == b"picture"
    assert decoded(fields(), "text") == b""
