"""The values that travel from parse to render: what is asked for, in our own words, frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bgone.imaging.geometry import NO_CAP, SizeCap

Channels = Literal["rgba", "rgb", "alpha"]


@dataclass(frozen=True, slots=True)
class Colour:
    """An sRGB colour, each channel 0..255; ``alpha`` 255 is opaque."""

    red: int
    green: int
    blue: int
    alpha: int = 255


WHITE = Colour(255, 255, 255)


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that came with the request: its bytes, whole."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A picture to be fetched: an absolute http or https URL, not yet checked."""

    url: str


Source = Upload | Link


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What the answer looks like.

    Attributes:
        format: Name of a row of ``bgone.imaging.formats.FORMATS``.
        channels: ``rgba`` keeps alpha where the format can, ``rgb`` flattens, ``alpha`` answers the mask alone.
        cap: The most that the answer may measure; never enlarges.
        crop: Cut to the tight box around alpha > 0.
        background: Colour under the subject; None leaves it transparent (white where the format cannot).
        despill: Weaken green spill on the subject.
        quality_percent: 1..100 for lossy formats; None takes the format's own default.
    """

    format: str = "png"
    channels: Channels = "rgba"
    cap: SizeCap = NO_CAP
    crop: bool = False
    background: Colour | None = None
    despill: bool = False
    quality_percent: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One picture to be cut, in our own words; nothing after ``parse`` sees the HTTP request.

    Attributes:
        source: Where the picture comes from.
        options: What the answer looks like.
        delivery: How the dialect wants the answer wrapped (``bytes``, ``json``); opaque to the pipeline.
    """

    source: Source
    options: RenderOptions = RenderOptions()
    delivery: str = "bytes"
