"""Formats whose encoders want the whole picture: it is collected in one array and coded at the end, by Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from PIL import Image

from bgone.imaging.strips import Gatherer
from bgone.imaging.writer import Pixels, PixelsPerMetre, Write

PIECE_BYTES = 128 * 1024
INCHES_PER_METRE = 39.3701

# Pixels uint8 (H, W, C), quality in percent (None: the format is lossless), resolution -> the file.
Encode = Callable[[Pixels, int | None, PixelsPerMetre | None], memoryview]


class WholeWriter:
    """Collects all rows, then codes them when finished and writes the file in pieces of 128 KB.

    Args:
        write: Takes the next piece of the file; called in the thread that finishes.
        width, height: Size of the picture in pixels.
        channels: 1 grey, 3 RGB, 4 RGBA with straight alpha.
        encode: Makes the file of the whole picture.
        quality_percent: 1..100 for lossy formats, None for others.
        pixels_per_metre: Resolution (across, down) when known; dropped where the format has no place for it.
    """

    def __init__(
        self,
        write: Write,
        width: int,
        height: int,
        channels: int,
        *,
        encode: Encode,
        quality_percent: int | None = None,
        pixels_per_metre: PixelsPerMetre | None = None,
    ) -> None:
        self._write = write
        self._encode = encode
        self._quality_percent = quality_percent
        self._pixels_per_metre = pixels_per_metre
        self._picture: Pixels | None = None
        self._gatherer = Gatherer((height, width, channels), height, (width, channels), lay=_lay, take=self._take)

    def add(self, rows: Pixels) -> None:
        """See ``Writer.add``."""
        self._gatherer.add(rows)

    def finish(self) -> None:
        """See ``Writer.finish``."""
        self._gatherer.check_complete()
        assert self._picture is not None
        file = self._encode(self._picture, self._quality_percent, self._pixels_per_metre)
        self._picture = None
        for at in range(0, len(file), PIECE_BYTES):
            self._write(bytes(file[at : at + PIECE_BYTES]))

    def _take(self, strip: Pixels, *, last: bool) -> None:
        self._picture = strip


def few_colours(picture: Image.Image) -> Image.Image:
    """The picture with a palette of 256; 40 times faster than Pillow's own choice (4 MP: 50 against 2,100 ms)."""
    return picture if picture.mode == "L" else picture.quantize(256, method=Image.Quantize.FASTOCTREE)


def pillow(name: str, *, prepare: Callable[[Image.Image], Image.Image] | None = None, **options: Any) -> Encode:
    """An encoder that saves through Pillow, by its name for the format and with its options, after ``prepare``."""

    def encode(pixels: Pixels, quality_percent: int | None, pixels_per_metre: PixelsPerMetre | None) -> memoryview:
        asked: dict[str, Any] = {}
        if quality_percent is not None:
            asked["quality"] = quality_percent
        if pixels_per_metre is not None:
            asked["dpi"] = tuple(each / INCHES_PER_METRE for each in pixels_per_metre)
        file = io.BytesIO()
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        if prepare is not None:
            picture = prepare(picture)
        picture.save(file, name, **options, **asked)
        return file.getbuffer()

    return encode


def _lay(rows: Pixels, into: Pixels) -> None:
    into[...] = rows
