"""Output formats: one table of facts; adding a format is adding a row."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

from bgone.errors import side_too_long
from bgone.imaging.archive import ZipWriter
from bgone.imaging.jpeg import MAX_SIDE as JPEG_MAX_SIDE
from bgone.imaging.jpeg import JpegWriter
from bgone.imaging.png import Channels, PngWriter
from bgone.imaging.raw import RawWriter
from bgone.imaging.whole import Encode, WholeWriter, few_colours, pillow
from bgone.imaging.writer import PixelsPerMetre, Write, Writer


class OpenWriter(Protocol):
    """Opens a writer for a picture of a given size; every format has the same call."""

    def __call__(
        self,
        write: Write,
        width: int,
        height: int,
        channels: Channels,
        *,
        pool: Executor | None,
        quality_percent: int | None,
        pixels_per_metre: PixelsPerMetre | None,
    ) -> Writer: ...


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table.

    Attributes:
        name: What requests call it, once aliases are resolved.
        media_type: For ``Content-Type``.
        suffix: File name ending, with its dot.
        open: Opens the writer.
        keeps_alpha: Whether 4 channels can be written; else the picture must be flattened first.
        max_side: Longest side that the format, or nearly every reader of it, can take, in pixels.
        streams: Whether rows are coded as they come; else the whole picture is held.
        default_quality_percent: For lossy formats; None where quality means nothing.
        encoder_bytes: Memory that encoding takes per pixel besides the picture itself, output included; measured with
            12 MP RGBA or RGB and rounded up.
        full_colour: Colour is kept apart from alpha, so that under alpha 0 it should be the photo's own.
    """

    name: str
    media_type: str
    suffix: str
    open: OpenWriter
    keeps_alpha: bool
    max_side: int
    streams: bool = False
    default_quality_percent: int | None = None
    encoder_bytes: int = 0
    full_colour: bool = False

    def check_sides(self, width: int, height: int) -> None:
        """Refuse, before anything is drawn, a picture that the format cannot hold.

        Raises:
            side_too_long: The longest side exceeds ``max_side``.
        """
        if max(width, height) > self.max_side:
            raise side_too_long(max(width, height), self.max_side)


def _png(
    write: Write, width: int, height: int, channels: Channels, *, quality_percent: int | None, **options: Any
) -> Writer:
    del quality_percent
    return PngWriter(write, width, height, channels, **options)


def _jpeg(write: Write, width: int, height: int, channels: Channels, **options: Any) -> Writer:
    assert channels != 4
    return JpegWriter(write, width, height, channels, **options)


def _zip(write: Write, width: int, height: int, channels: Channels, **options: Any) -> Writer:
    return ZipWriter(write, width, height, channels, **options)


def _raw(write: Write, width: int, height: int, channels: Channels, **_options: Any) -> Writer:
    return RawWriter(write, width, height, channels)


def _whole(encode: Encode) -> OpenWriter:
    def open_whole(
        write: Write, width: int, height: int, channels: Channels, *, pool: Executor | None, **options: Any
    ) -> Writer:
        del pool
        return WholeWriter(write, width, height, channels, encode=encode, **options)

    return open_whole


TIFF_PREDICTOR, HORIZONTAL_DIFFERENCES = 317, 2  # TIFF 6.0, section 14
PNG_MAX_SIDE = 1_000_000  # libpng's default limit; also given to TIFF and BMP, whose own is 32 bits

# Why these options. CPU time, 2-core Xeon; WebP on three pictures, PSNR on two, TIFF and AVIF one run on a drawn one.
# WebP: method 0 takes 19-47 ms a megapixel, method 2 33-145, method 4 72-220; PSNR is equal within 0.3 dB, files are
# 6-60 % larger and still a seventh of the PNG. Alpha is exact at any method.
# TIFF: LZW of differences takes 111 ms for 4 MP, deflate of them 385 for 9 % less.
# AVIF: speed 9 takes 161 ms for 4 MP, speed 8 502 for the same size. One thread: other pictures have the rest.
FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format("png", "image/png", ".png", _png, keeps_alpha=True, streams=True, max_side=PNG_MAX_SIDE),
        Format(
            "jpg",
            "image/jpeg",
            ".jpg",
            _jpeg,
            keeps_alpha=False,
            streams=True,
            max_side=JPEG_MAX_SIDE,
            default_quality_percent=90,
        ),
        Format(
            "webp",
            "image/webp",
            ".webp",
            _whole(pillow("WEBP", method=0)),
            keeps_alpha=True,
            max_side=16_383,  # libwebp's WEBP_MAX_DIMENSION
            default_quality_percent=80,
            encoder_bytes=22,
        ),
        Format(
            "tiff",
            "image/tiff",
            ".tiff",
            _whole(pillow("TIFF", compression="tiff_lzw", tiffinfo={TIFF_PREDICTOR: HORIZONTAL_DIFFERENCES})),
            keeps_alpha=True,
            max_side=PNG_MAX_SIDE,
            encoder_bytes=10,
        ),
        Format(
            "bmp",
            "image/bmp",
            ".bmp",
            _whole(pillow("BMP")),
            keeps_alpha=False,
            max_side=PNG_MAX_SIDE,
            encoder_bytes=7,
        ),
        Format(
            "gif",
            "image/gif",
            ".gif",
            _whole(pillow("GIF", prepare=few_colours)),
            keeps_alpha=False,
            max_side=65_535,  # 16 bits: GIF89a, section 18
            encoder_bytes=13,
        ),
        Format(
            "avif",
            "image/avif",
            ".avif",
            _whole(pillow("AVIF", speed=9, max_threads=1)),
            keeps_alpha=True,
            max_side=32_768,  # AVIF_DEFAULT_IMAGE_DIMENSION_LIMIT: beyond it libavif's readers refuse
            default_quality_percent=75,  # Pillow's own default
            encoder_bytes=27,
        ),
        Format(
            "zip",
            "application/zip",
            ".zip",
            _zip,
            keeps_alpha=True,
            max_side=JPEG_MAX_SIDE,
            streams=True,
            default_quality_percent=90,
            encoder_bytes=1,  # what is compressed; photos at 90 % take 0.3 to 0.6
            full_colour=True,
        ),
    )
}

ALIASES = {"jpeg": "jpg", "tif": "tiff"}

# Pixels for callers in this process: no file, so no request can name it.
RAW = "raw"
_RAW_ROW = Format(RAW, "application/octet-stream", "", _raw, keeps_alpha=True, streams=True, max_side=PNG_MAX_SIDE)


def row_of(name: str) -> Format:
    """The row of a format, ``RAW`` included."""
    return _RAW_ROW if name == RAW else FORMATS[name]


def find_format(name: str) -> Format | None:
    """The format of this name or alias, in any case; None when there is none."""
    lowered = name.lower()
    return FORMATS.get(ALIASES.get(lowered, lowered))


def open_writer(
    format_name: str,
    write: Write,
    width: int,
    height: int,
    channels: Channels,
    *,
    pool: Executor | None = None,
    quality_percent: int | None = None,
    pixels_per_metre: PixelsPerMetre | None = None,
) -> Writer:
    """A writer for a picture of this size.

    Args:
        format_name: Key of ``FORMATS``, or ``RAW``.
        write: Takes the next piece of the file, in the thread that adds rows; may raise to stop everything.
        width, height: Size in pixels.
        channels: 1 grey (a mask), 3 RGB, 4 RGBA with straight alpha, only where the format keeps alpha.
        pool: Helps the formats that stream; see ``strips.Lane`` for which pool.
        quality_percent: 1..100; None takes the format's own. Ignored by lossless formats.
        pixels_per_metre: Resolution (across, down), kept by PNG, JPEG, TIFF and BMP.

    Raises:
        side_too_long: The format cannot hold a picture of this size.
        ValueError: ``channels`` is 4 and the format keeps no alpha.
    """
    row = row_of(format_name)
    row.check_sides(width, height)
    if channels == 4 and not row.keeps_alpha:
        raise ValueError(f"{format_name} keeps no alpha: flatten the picture first")
    if row.default_quality_percent is None:
        quality_percent = None
    elif quality_percent is None:
        quality_percent = row.default_quality_percent
    return row.open(
        write, width, height, channels, pool=pool, quality_percent=quality_percent, pixels_per_metre=pixels_per_metre
    )


def whole_picture_bytes(format_name: str, width: int, height: int, channels: Channels) -> int:
    """Memory in bytes that writing holds at its peak, for the budget; of formats that stream, not the picture."""
    row = row_of(format_name)
    return width * height * (row.encoder_bytes + (0 if row.streams else channels))
