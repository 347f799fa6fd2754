"""The values that travel from parse to render: what is asked for, in our own words, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bgone.imaging.geometry import NO_CAP, Length, SizeCap
from bgone.imaging.photo import PhotoLimits

Channels = Literal["rgba", "rgb", "alpha"]
Fit = Literal["contain", "cover", "scale-down", "fill"]
# What the photo's own transparency does: multiply the result's, be dropped, or be the result: ``keep`` where anything
# is transparent (an opaque photo is cut), ``asis`` always, the net unasked (a stored result in another format).
OwnAlpha = Literal["multiply", "drop", "keep", "asis"]
ANY_PHOTO = PhotoLimits()
NO_MARGIN = (Length(0), Length(0), Length(0), Length(0))


@dataclass(frozen=True, slots=True)
class Colour:
    """An sRGB colour, each channel 0..255; ``alpha`` 255 is opaque."""

    red: int
    green: int
    blue: int
    alpha: int = 255


WHITE = Colour(255, 255, 255)
BLACK = Colour(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that came with the request: its bytes, whole."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Link:
    """A picture to be fetched: an absolute http or https URL, not yet checked."""

    url: str


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture that an earlier call left in the object store; the conductor turns it into an ``Upload``.

    Attributes:
        key: Its name there, as the client said it: anything.
    """

    key: str


Source = Upload | Link | StoredPicture


@dataclass(frozen=True, slots=True)
class PictureGround:
    """A picture under the subject, centred.

    Attributes:
        source: Where it comes from; fetched and checked like the photo.
        fit: ``cover`` fills the frame and cuts what stands over, ``contain`` leaves white beside it, ``fill``
            stretches.
    """

    source: Source
    fit: Fit = "cover"


@dataclass(frozen=True, slots=True)
class BlurGround:
    """The photo itself under the subject, out of focus.

    Attributes:
        strength_percent: 1..100; 100 is a standard deviation of 5 % of the photo's longest side (our choice).
    """

    strength_percent: float


Ground = Colour | PictureGround | BlurGround


@dataclass(frozen=True, slots=True)
class Shadow:
    """A shadow under the subject; it enlarges nothing.

    Attributes:
        kind: ``drop`` (soft, below and behind), ``3D`` (cast on the ground, leaning), ``car`` (contact shadow along the
            ground line), ``offset`` (the silhouette moved by ``offset_x_px`` and ``offset_y_px``, for Picsart).
        opacity_percent: 0..100.
        blur_percent: 0..100, for ``offset``; 100 is a standard deviation of 2 % of the subject's longest side.
        offset_x_px: Pixels of the delivered picture to the right, for ``offset``.
        offset_y_px: Pixels downwards, for ``offset``.
    """

    kind: Literal["drop", "3D", "car", "offset"]
    opacity_percent: float = 50
    blur_percent: float = 50
    offset_x_px: float = 0
    offset_y_px: float = 0


@dataclass(frozen=True, slots=True)
class Outline:
    """A line around the subject, outside of it, with a crisp edge.

    Attributes:
        width_px: Pixels of the delivered picture.
        colour: Its colour; its alpha is the line's opacity.
    """

    width_px: float
    colour: Colour = WHITE


@dataclass(frozen=True, slots=True)
class Frame:
    """An exact size of the answer, which may enlarge; what the picture does not fill is ground.

    Attributes:
        width: Pixels across, or None to keep the aspect by the height.
        height: Pixels down, or None to keep the aspect by the width.
        fit: ``contain`` all of it inside, ``cover`` fill the frame and cut, ``scale-down`` contain, never enlarged.
    """

    width: int | None
    height: int | None
    fit: Fit = "contain"


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What the answer looks like.

    The order of geometry: ``region``; ``crop`` with ``margin`` and ``aspect`` (else the whole photo) makes the frame;
    ``subject_scale`` and ``position`` place the subject in it; ``cap`` or ``frame`` gives its size in pixels.

    Attributes:
        format: Name of a row of ``bgone.imaging.formats.FORMATS``; ``auto`` is PNG where anything may be transparent,
            else JPEG.
        channels: ``rgba`` keeps alpha where the format can, ``rgb`` flattens, ``alpha`` answers the mask alone.
        cap: The most that the answer may measure; never enlarges.
        frame: Exact size; None leaves it to ``cap``.
        crop: Cut to the tight box around alpha > 0.
        margin: Top, right, bottom, left around the crop; percent of the subject's box; each at most half the subject's
            side and 500 px of the photo where ``margin_is_capped``.
        margin_is_capped: remove.bg's caps hold.
        aspect: Width / height to which the crop grows, or None.
        subject_scale: Longest relative side of the subject in the frame, 0..1, or None for as it is.
        position: (across, down) 0..1 of the room that the subject leaves in the frame; None leaves it where it is.
        region: x1, y1, x2, y2 in the upright photo: the net sees this only, and outside is background.
        background: Under the subject; None leaves it transparent (white where the format cannot).
        despill: Weaken green spill on the subject.
        semitransparency: False makes partly transparent inner areas opaque; edges stay soft.
        shadow: Under the subject.
        outline: Around the subject, above the shadow.
        own_alpha: What the photo's own transparency does.
        measure: The subject's box is needed with the answer's headers.
        needs_subject: An empty matte is an error (``nothing_found``).
        quality_percent: 1..100 for lossy formats; None takes the format's own default.
        fine: The net is asked again about the outline, in tiles; None: as the operator says.
    """

    format: str = "png"
    channels: Channels = "rgba"
    cap: SizeCap = NO_CAP
    frame: Frame | None = None
    crop: bool = False
    margin: tuple[Length, Length, Length, Length] = NO_MARGIN
    margin_is_capped: bool = False
    aspect: float | None = None
    subject_scale: float | None = None
    position: tuple[float, float] | None = None
    region: tuple[Length, Length, Length, Length] | None = None
    background: Ground | None = None
    despill: bool = False
    semitransparency: bool = True
    shadow: Shadow | None = None
    outline: Outline | None = None
    own_alpha: OwnAlpha = "multiply"
    measure: bool = False
    needs_subject: bool = False
    quality_percent: int | None = None
    fine: bool | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One picture to be cut, in our own words; nothing after ``parse`` sees the HTTP request.

    Attributes:
        source: Where the picture comes from.
        options: What the answer looks like.
        delivery: How the dialect wants the answer wrapped (``bytes``, ``json``); opaque to the pipeline.
        notes: What else the dialect's ``render`` wants to know of what its ``parse`` read (a type, a webhook); opaque.
        limits: What the photo's header may declare; filled in by the conductor from dialect and settings.
        model: Name of the model that cuts it; empty: the operator's default.
    """

    source: Source
    options: RenderOptions = RenderOptions()
    delivery: str = "bytes"
    notes: Mapping[str, str] = field(default_factory=dict)
    limits: PhotoLimits = ANY_PHOTO
    model: str = ""
