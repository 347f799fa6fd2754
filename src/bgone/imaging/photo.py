"""A picture still in its file: facts from the header first, a small look next, strips of rows last.

The whole picture is in memory only where nothing else works (``Photo.whole``) or where it is small enough that keeping
it costs less than decoding twice.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from bgone.errors import side_too_long, too_many_pixels, unreadable_image, unsupported_image
from bgone.imaging import vips
from bgone.imaging.color import is_srgb_profile, to_srgb
from bgone.imaging.geometry import Box, SizeCap
from bgone.imaging.sniff import ACCEPTED, FileKind, sniff

Pixels = npt.NDArray[np.uint8]

# Our own limit, read from the header (Photo.open), replaces Pillow's warning.
PIL.Image.MAX_IMAGE_PIXELS = None

KEEP_PIXELS = 4_000_000  # below: decoded once and kept, 12 MB (measured: the second decode costs more than it saves)
MAX_SCANS = 100  # progressive JPEG: each scan costs a pass over all blocks; cameras and encoders write about 10
MAX_BANDS = 5  # CMYK with alpha; many-band TIFF is CVE-2026-69242
# Where the next JPEG segment begins: not in entropy-coded data (0xFF 0x00, restarts), not in fill bytes.
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
# What Pillow and pillow-heif raise for strangers' bytes: what Image.open itself forgives a plugin, and seen in fuzzing.
_PILLOW_FAILS = (
    OSError, ValueError, SyntaxError, RuntimeError, OverflowError, EOFError, IndexError, TypeError, struct.error,
)  # fmt: skip
_FAIL_ON = "error"  # truncated data and decoding errors; libjpeg's mere warnings (stray bytes of cameras) pass

# Decoders that hold the whole frame anyway: decoded once and kept.
_WHOLE_KINDS = ("webp", "gif", "bmp", "heif")

_LOADERS: dict[FileKind, tuple[str, dict[str, object]]] = {
    "jpeg": ("jpegload_buffer", {}),
    "png": ("pngload_buffer", {}),
    "webp": ("webpload_buffer", {"page": 0, "n": 1}),
    "gif": ("gifload_buffer", {"page": 0, "n": 1}),
    "tiff": ("tiffload_buffer", {"page": 0, "n": 1}),
    "heif": ("heifload_buffer", {}),
}


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """What a header may declare: refused before any pixel is decoded."""

    pixels: int = 100_000_000
    side: int = 65_535
    heic: bool = False


@dataclass(frozen=True, slots=True)
class Photo:
    """Facts of a picture's header.

    Attributes:
        data: The file, whole, as it came.
        kind: What its first bytes say.
        width: Upright width in pixels (after EXIF turning).
        height: Upright height in pixels.
        orientation: EXIF orientation 1..8.
        has_alpha: The picture brings its own alpha.
        whole: It cannot be drawn strip by strip, or is small enough to be kept: all pixels are in memory at once.
        pixels_per_metre: (x, y) resolution, or None when the file states none (libvips says 72 dpi for such a JPEG or
            PNG).
        is_srgb: No colour profile has to be applied.
    """

    data: bytes = field(repr=False)
    kind: FileKind
    width: int
    height: int
    orientation: int
    has_alpha: bool
    whole: bool
    pixels_per_metre: tuple[int, int] | None
    is_srgb: bool = True

    @property
    def pixels(self) -> int:
        return self.width * self.height

    @property
    def whole_bytes(self) -> int:
        """Bytes of the picture where it must be whole in memory, else 0: what admission counts."""
        if not self.whole:
            return 0
        # A decoder that cannot stream holds about a picture of its own beside ours.
        return 2 * self.pixels * (4 if self.has_alpha else 3)


@dataclass(frozen=True, slots=True)
class Look:
    """Pass 1.

    Attributes:
        working: uint8 (h, w, 3), sRGB, upright; the picture's own transparency laid on mid-grey.
        kept: The whole picture in memory where ``Photo.whole``, else None: pass 2 decodes again.
    """

    working: Pixels
    kept: Any


def open_photo(data: bytes, limits: PhotoLimits) -> Photo:
    """Read the header only.

    Raises:
        unsupported_image: HEIC without its extra.
        unreadable_image: The first bytes are of no accepted kind, or the header cannot be read.
        too_many_pixels, side_too_long: It declares more than ``limits``.
    """
    kind = sniff(data)
    if kind is None:
        raise unreadable_image("no known magic number")
    if kind == "bmp":
        return _open_bmp(data, limits)
    try:
        header = _load(data, kind)
    except vips.Error as error:
        raise unreadable_image(str(error)) from error
    if kind == "heif" and _field(header, "heif-compression") == "hevc":
        return _open_heic(data, limits)
    _check_size(header.width, header.height, limits)
    if header.bands > MAX_BANDS:
        raise unreadable_image(f"{header.bands} bands")
    if kind == "jpeg" and _field(header, "interlaced"):
        _check_scans(data)
    orientation = _field(header, "orientation") or 1
    turned = orientation >= 5
    width, height = (header.height, header.width) if turned else (header.width, header.height)
    return Photo(
        data=data,
        kind=kind,
        width=width,
        height=height,
        orientation=orientation,
        has_alpha=bool(header.hasalpha()),
        # Orientations from 3 on read rows from the bottom or columns: libvips must have them all.
        # Progressive JPEG and interlaced PNG (``interlaced``) hold all their coefficients or rows.
        whole=orientation >= 3
        or width * height <= KEEP_PIXELS
        or kind in _WHOLE_KINDS
        or bool(_field(header, "interlaced")),
        pixels_per_metre=_resolution(header, turned=turned),
        is_srgb=header.interpretation != "cmyk" and _has_srgb_profile(header),
    )


def look(photo: Photo, longest: int) -> Look:
    """Pass 1: read the whole file, shrunk while decoding, so that every decoding error shows here.

    Args:
        photo: What ``open_photo`` gave.
        longest: Longest side of the working picture in pixels; smaller pictures are not enlarged.

    Raises:
        unreadable_image: The file is damaged or truncated.
    """
    try:
        if photo.whole:
            pixels = np.asarray(_decode(photo).numpy(), np.uint8)
            kept = vips.from_pixels(pixels)
            if pixels.shape[2] == 3:
                return Look(_shrink(pixels, longest), kept)
            small = kept.thumbnail_image(longest, height=longest, size="down")
        else:
            kept = None
            small = _shrunk(photo, longest, longest, "down")
        if small.hasalpha():
            small = small.flatten(background=128)
        return Look(np.asarray(small.numpy(), np.uint8), kept)
    except vips.Error as error:
        raise unreadable_image(str(error)) from error


def _shrink(pixels: Pixels, longest: int) -> Pixels:
    width, height = SizeCap(longest=longest).fit(pixels.shape[1], pixels.shape[0])
    if (height, width) == pixels.shape[:2]:
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def picture(photo: Photo, seen: Look, width: int, height: int) -> Any:
    """Pass 2, not yet run: the upright sRGB picture at (width, height), never larger than the photo.

    Returns:
        A lazy libvips image of 3 or 4 uint8 bands (straight alpha), to be read in order by ``strips``.
    """
    full = (width, height) == (photo.width, photo.height)
    try:
        if seen.kept is not None:
            return seen.kept if full else seen.kept.thumbnail_image(width, height=height, size="force")
        if full:
            return _decode(photo)
        return _shrunk(photo, width, height, "force")
    except vips.Error as error:
        raise unreadable_image(str(error)) from error


def strips(image: Any, box: Box, rows: int) -> Iterator[tuple[int, Pixels]]:
    """Rows of ``image`` inside ``box``, in order: (y from the image's top, uint8 (n, box.width, 3 or 4)).

    ``y`` starts at a multiple of ``rows``, so the first strip may be shorter where the box starts inside one.
    """
    region = vips.Region.new(image)
    top = box.top
    while top < box.bottom:
        bottom = min(box.bottom, (top // rows + 1) * rows)
        try:
            raw = region.fetch(box.left, top, box.width, bottom - top)
        except vips.Error as error:
            raise unreadable_image(str(error)) from error
        yield top, np.frombuffer(raw, np.uint8).reshape(bottom - top, box.width, image.bands)
        top = bottom


# --- loaders --------------------------------------------------------------------------------------------------------


def _load(data: bytes, kind: FileKind) -> Any:
    loader, options = _LOADERS[kind]
    return getattr(vips.Image, loader)(data, access="sequential", fail_on=_FAIL_ON, **options)


def _shrunk(photo: Photo, width: int, height: int, size: str) -> Any:
    """The upright picture in sRGB, shrunk while it is decoded."""
    # Naming an output profile costs 22 ms at 12 MP even where it changes nothing.
    profile = {} if photo.is_srgb else {"output_profile": "srgb"}
    return to_srgb(
        vips.Image.thumbnail_buffer(photo.data, width, height=height, size=size, fail_on=_FAIL_ON, **profile)
    )


def _decode(photo: Photo) -> Any:
    """The upright picture in sRGB, 3 or 4 uint8 bands, lazy where the file allows."""
    if photo.kind == "bmp":
        return _bmp_pixels(photo.data)
    image = _heic_pixels(photo.data) if photo.kind == "heif" and _is_heic(photo.data) else _load(photo.data, photo.kind)
    if photo.orientation >= 3:
        image = image.copy_memory()
    if photo.orientation != 1:
        image = image.autorot()
    return to_srgb(image, is_srgb=_has_srgb_profile(image))


def _has_srgb_profile(image: Any) -> bool:
    profile = _field(image, "icc-profile-data")
    return profile is None or is_srgb_profile(profile)


def _field(image: Any, name: str) -> Any:
    return image.get(name) if image.get_typeof(name) != 0 else None


def _resolution(image: Any, *, turned: bool) -> tuple[int, int] | None:
    # libvips counts pixels per millimetre and says 1.0 where a file states nothing.
    x, y = round(image.xres * 1000), round(image.yres * 1000)
    if x <= 0 or y <= 0 or (x == 1000 and y == 1000) or max(x, y) > 10_000_000:
        return None
    return (y, x) if turned else (x, y)


def _check_size(width: int, height: int, limits: PhotoLimits) -> None:
    if width <= 0 or height <= 0:
        raise unreadable_image(f"{width} x {height}")
    if max(width, height) > limits.side:
        raise side_too_long(max(width, height), limits.side)
    if width * height > limits.pixels:
        raise too_many_pixels(width * height, limits.pixels)


def _check_scans(data: bytes) -> None:
    # The bytes also come by chance, and often in the film behind a motion photo: walked only where there are many.
    if data.count(b"\xff\xda") <= MAX_SCANS:
        return
    scans, at = 0, 2
    while marker := _JPEG_MARKER.search(data, at):
        if marker[0] == b"\xff\xd9":
            return
        scans += marker[0] == b"\xff\xda"
        if scans > MAX_SCANS:
            raise unreadable_image(f"over {MAX_SCANS} scans")
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])


def _open_bmp(data: bytes, limits: PhotoLimits) -> Photo:
    try:
        with PIL.Image.open(io.BytesIO(data), formats=["BMP"]) as header:
            (width, height), mode, dpi = header.size, header.mode, header.info.get("dpi")
    except _PILLOW_FAILS as error:
        raise unreadable_image(str(error)) from error
    _check_size(width, height, limits)
    resolution = None
    if dpi and min(dpi) > 0:
        resolution = (round(dpi[0] / 0.0254), round(dpi[1] / 0.0254))
    return Photo(data, "bmp", width, height, 1, mode == "RGBA", True, resolution)


def _bmp_pixels(data: bytes) -> Any:
    try:
        with PIL.Image.open(io.BytesIO(data), formats=["BMP"]) as image:
            pixels = image.convert("RGBA" if image.mode == "RGBA" else "RGB")
    except _PILLOW_FAILS as error:
        raise unreadable_image(str(error)) from error
    return _from_pillow(pixels)


def _from_pillow(pixels: PIL.Image.Image) -> Any:
    image = vips.Image.new_from_memory(pixels.tobytes(), pixels.width, pixels.height, len(pixels.getbands()), "uchar")
    return image.copy(interpretation="srgb")


# --- HEIC, by the extra [heic] --------------------------------------------------------------------------------------


def heic_available() -> bool:
    """Whether the extra ``[heic]`` (pillow-heif, a GPL codec inside) is installed."""
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


def _is_heic(data: bytes) -> bool:
    return bool(_field(_load(data, "heif"), "heif-compression") == "hevc")


def _open_heic(data: bytes, limits: PhotoLimits) -> Photo:
    if not (limits.heic and heic_available()):
        raise unsupported_image("HEIC", ACCEPTED)
    import pillow_heif

    try:
        header = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
    except _PILLOW_FAILS as error:
        raise unreadable_image(str(error)) from error
    width, height = header.size
    _check_size(width, height, limits)
    return Photo(data, "heif", width, height, 1, header.has_alpha, True, None)


def _heic_pixels(data: bytes) -> Any:
    import pillow_heif

    try:
        pixels = pillow_heif.open_heif(data, convert_hdr_to_8bit=True).to_pillow()
    except _PILLOW_FAILS as error:
        raise unreadable_image(str(error)) from error
    image = _from_pillow(pixels.convert("RGBA" if "A" in pixels.getbands() else "RGB"))
    if profile := pixels.info.get("icc_profile"):
        image = image.copy()
        image.set_type(vips.pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image
