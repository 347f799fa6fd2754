"""What a batch asks for: one order for all its pictures, and where these come from, one after the other.

Options are those of BackgroundErase's ``/v2``, read by its own parser.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import unquote, urlsplit

from bgone.api.dialect import Context, Cut, Dialect, Info, Operation, Submit
from bgone.api.dialects import backgrounderase
from bgone.api.fields import Fields
from bgone.api.unpacking import label_of, open_archive, read_entry, too_many_entries
from bgone.errors import ApiError, invalid_option, missing_image, multiple_images
from bgone.jobs.job import Job
from bgone.jobs.webhooks import event_of
from bgone.pipeline.addresses import read_url
from bgone.pipeline.order import Link, Order, Source, Upload

MOST = 1_000  # pictures of a batch
WEBHOOK = "webhook_url"  # a job's note
ARCHIVE_BYTES = 200_000_000
URLS_BYTES = 5_000_000  # a thousand of the longest
_NO_PICTURE = "https://batch.invalid/"  # stands for each picture while the options are read
_AT_ONCE_URLS, _AT_ONCE_ENTRIES = 16, 1  # an entry is held in memory until its job has it
_CUT = next(operation.does for operation in backgrounderase.DIALECT.operations if isinstance(operation.does, Cut))


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that is asked for.

    Attributes:
        label: What the client calls it.
        read: Where it is; may take its time, and raises ``ApiError`` where this one cannot be taken.
    """

    label: str
    read: Callable[[], Awaitable[Source]]


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """A batch as it was asked for.

    Attributes:
        order: Of every picture; its source is none of them.
        pictures: In order.
        at_once: How many of them may be read at one time.
    """

    order: Order
    pictures: tuple[Picture, ...]
    at_once: int


async def read_batch(fields: Fields, file_bytes: int) -> BatchOrder:
    """The batch that was sent.

    Args:
        fields: Of the request.
        file_bytes: Most bytes of one picture.

    Raises:
        invalid_option: An option that cannot be.
        missing_image: Neither ``image_urls`` nor ``archive``.
        multiple_images: Both.
        malformed_body: Too many pictures, or an archive that is none.
    """
    urls = fields.json.get("image_urls") if fields.json is not None else None
    archive = fields.files.get("archive")
    if urls is not None and archive is not None:
        raise multiple_images("image_urls (JSON), archive (multipart)")
    order = _order(fields)
    if archive is not None:
        opened = await asyncio.to_thread(open_archive, archive.data, MOST)
        pictures = tuple(
            Picture(label_of(info.filename), partial(_unpacked, partial(read_entry, opened, info, file_bytes)))
            for info in opened.entries
        )
        return BatchOrder(order, pictures, _AT_ONCE_ENTRIES)
    if urls is None:
        raise missing_image("image_urls (JSON), archive (multipart)")
    return BatchOrder(order, tuple(Picture(_label(url), partial(_linked, url)) for url in _urls(urls)), _AT_ONCE_URLS)


def _urls(said: object) -> list[str]:
    if not isinstance(said, list) or not said or not all(isinstance(url, str) for url in said):
        raise invalid_option("image_urls", f"a list of 1 to {MOST:,} URLs", said)
    if len(said) > MOST:
        raise too_many_entries(MOST)
    return said


def _label(url: str) -> str:
    try:
        return label_of(unquote(urlsplit(url).path))
    except ValueError:
        return ""


def _order(fields: Fields) -> Order:
    plain = Fields(
        "json",
        {**fields.text, "image_url": _NO_PICTURE},
        query=fields.query,
        json=fields.json or {},
    )
    return replace(_CUT.parse(plain), delivery="bytes", notes=_webhook_note(fields.text.get("webhook_url", "").strip()))


def _webhook_note(url: str) -> dict[str, str]:
    if not url:
        return {}
    try:
        read_url(url)
    except ApiError as error:
        raise invalid_option("webhook_url", "an http or https URL", url) from error
    return {WEBHOOK: url}


async def _linked(url: str) -> Source:
    read_url(url.strip())
    return Link(url.strip())


async def _unpacked(read: Callable[[], bytes]) -> Source:
    return Upload(await asyncio.to_thread(read))


# --- jobs of a batch ------------------------------------------------------------------------------------------------

LINK_S = 86_400.0


def result_name(job: Job) -> str:
    """File name of a job's result: its place, what the client called it, the format's ending."""
    assert job.result is not None
    return packed_name(int(job.notes.get("position", "0")), job.notes.get("label", ""), job.result.suffix)


def packed_name(position: int, label: str, suffix: str) -> str:
    """A file name that is safe everywhere: letters of ASCII, digits, ``-``, ``_`` and dots inside."""
    stem = label.rpartition(".")[0] or label
    safe = "".join(character if character.isascii() and character.isalnum() else "-" for character in stem)
    return "-".join(filter(None, (f"{position + 1:04}", safe.strip("-")[:80]))) + suffix


def webhook_body(job: Job, context: Context) -> Mapping[str, object]:
    """What ``webhook_url`` is told of one picture's end."""
    link = context.link(job.result, result_name(job), LINK_S) if job.result else None
    event = event_of(job, link)
    data = event["data"]
    assert isinstance(data, dict)
    notes = job.notes
    place = {"batch_id": notes["batch"], "index": int(notes["position"]), "label": notes["label"]}
    return {**event, "data": {**data, **place}}


def _told(job: Job, _context: Context) -> Info:
    return Info(202, {"id": job.id})


def _never(_order: Order, _setting_s: float) -> float:
    return 0


SUBMIT = Submit(_CUT.parse, _told, wait_s=_never, webhook=webhook_body)

# Not among the dialects that share paths: its routes are its own. Jobs carry its name.
DIALECT: Dialect = replace(
    backgrounderase.DIALECT,
    name="batches",
    operations=(Operation("batch", "POST", ("/batches/v1",), SUBMIT),),
    hosts=(),
)
