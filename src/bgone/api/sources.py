"""Where the pictures are among the fields: files, links and base64 texts, by the names that a dialect gives."""

from __future__ import annotations

from collections.abc import Iterator

from bgone.api.encoded import decode_picture
from bgone.api.fields import Fields
from bgone.errors import missing_image, multiple_images
from bgone.pipeline.order import Link, Source, Upload


def find_sources(
    fields: Fields, *, files: tuple[str, ...] = (), links: tuple[str, ...] = (), encoded: tuple[str, ...] = ()
) -> Iterator[Source]:
    """Every picture that was sent, by the order of the names; empty ones are absent. Base64 is decoded when asked for.

    Args:
        fields: What was sent.
        files: Names of file parts.
        links: Names of fields that hold a URL.
        encoded: Names of fields that hold base64, as text or as a file part.

    Raises:
        unreadable_image: A base64 text is none.
    """
    yield from (Upload(fields.files[name].data) for name in files if name in fields.files)
    yield from (Link(url) for name in links if (url := fields.text.get(name, "").strip()))
    yield from (Upload(data) for name in encoded if (data := decoded(fields, name)))


def only_source(
    fields: Fields, *, files: tuple[str, ...] = (), links: tuple[str, ...] = (), encoded: tuple[str, ...] = ()
) -> Source:
    """The one picture that was sent.

    Raises:
        missing_image: There is none.
        multiple_images: There are more.
        unreadable_image: A base64 text is none.
    """
    found = list(find_sources(fields, files=files, links=links, encoded=encoded))
    names = ", ".join(dict.fromkeys((*files, *links, *encoded)))
    if not found:
        raise missing_image(names)
    if len(found) > 1:
        raise multiple_images(names)
    return found[0]


def decoded(fields: Fields, name: str) -> bytes:
    """The picture that a base64 field spells, sent as text or as a file part; empty when it is absent.

    Raises:
        unreadable_image: It is not base64.
    """
    file = fields.files.get(name)
    text = file.data if file is not None else fields.encoded(name)
    return decode_picture(name, text, urlencoded=fields.kind == "urlencoded") if text else b""
