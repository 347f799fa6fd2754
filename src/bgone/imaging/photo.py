"""A picture still in its file: facts from the header first, a small look next, strips of rows last.

The whole picture is in memory only where nothing else works (``Photo.whole``) or where it is small enough that keeping
it costs less than decoding twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from bgone.errors import side_too_long, too_many_pixels, unreadable_image, unsupported_image
from bgone.imaging import vips
from bgone.imaging.color import is_srgb_profile, to_srgb
from bgone.imaging.geometry import Box, SizeCap
from bgone.imaging.pillow_photos import Header, bmp_header, bmp_pixels, heic_available, heic_header, heic_pixels
from bgone.imaging.sniff import ACCEPTED, FileKind, sniff

Pixels = npt.NDArray[np.uint8]

KEEP_PIXELS = 4_000_000  # below: decoded once and kept, 12 MB (measured: the second decode costs more than it saves)
MAX_SCANS = 100  # progressive JPEG: each scan costs a pass over all blocks; cameras and encoders write about 10
MAX_BANDS = 5  # CMYK with alpha; many-band TIFF is CVE-2026-69242
# Where the next JPEG segment begins: not in entropy-coded data (0xFF 0x00, restarts), not in fill bytes.
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")
_FAIL_ON = "error"  # truncated data and decoding errors; libjpeg's mere warnings (stray bytes of cameras) pass

_NAMES: dict[FileKind, str] = {
    "jpeg": "JPEG", "png": "PNG", "webp": "WebP", "gif": "GIF", "tiff": "TIFF", "bmp": "BMP", "heif": "AVIF",
}  # fmt: skip

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
    """What a file may be and its header declare: refused before any pixel is decoded.

    Attributes:
        file_bytes: Most bytes of a file that is fetched.
        pixels: Most pixels in all.
        side: Most pixels a side.
        heic: HEIC may be read where its extra is installed.
        kinds: Kinds of file that are accepted; None accepts all that can be read.
    """

    file_bytes: int = 30_000_000
    pixels: int = 100_000_000
    side: int = 65_535
    heic: bool = False
    kinds: frozenset[FileKind] | None = None


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
        pixels_per_metre: (x, y) resolution, or None when the file states none (libvips says 72 dpi for such a PNG).
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
        working: uint8 (h, w, 3), sRGB, upright, of ``region``; the picture's own transparency laid on mid-grey.
        kept: The whole picture in memory where ``Photo.whole``, else None: pass 2 decodes again.
        region: The part of the upright photo that is looked at, in its pixels.
        alpha: uint8 (h, w): the picture's own where it brings one that counts, else None.
        opaque: Nothing in ``region`` is transparent, as far as was seen.
        drops_alpha: The picture's own transparency is not looked at.
    """

    working: Pixels
    kept: Any
    region: Box
    alpha: Pixels | None = None
    opaque: bool = True
    drops_alpha: bool = False


def open_photo(data: bytes, limits: PhotoLimits) -> Photo:
    """Read the header only.

    Raises:
        unsupported_image: HEIC without its extra, or a kind outside ``limits.kinds``.
        unreadable_image: The first bytes are of no known kind, or the header cannot be read.
        too_many_pixels, side_too_long: It declares more than ``limits``.
    """
    kind = sniff(data)
    if kind is None:
        raise unreadable_image("no known magic number")
    if limits.kinds is not None and kind not in limits.kinds:
        raise unsupported_image(_name(kind, data), _accepted(limits))
    if kind == "bmp":
        return _open_whole(data, kind, bmp_header(data), limits)
    try:
        header = _load(data, kind)
    except vips.Error as error:
        raise unreadable_image(str(error)) from error
    if kind == "heif" and _field(header, "heif-compression") == "hevc":
        if not (limits.heic and heic_available()):
            raise unsupported_image("HEIC", _accepted(limits))
        return _open_whole(data, kind, heic_header(data), limits)
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
        pixels_per_metre=_resolution(header, kind, turned=turned),
        is_srgb=header.interpretation != "cmyk" and _has_srgb_profile(header),
    )


def look(photo: Photo, longest: int, region: Box | None = None, *, drop_alpha: bool = False) -> Look:
    """Pass 1: read the file, shrunk while decoding, so that every decoding error shows here.

    Args:
        photo: What ``open_photo`` gave.
        longest: Longest side of the working picture in pixels; smaller pictures are not enlarged.
        region: The part of the upright photo that matters, None for all of it. Rows below it are not read.
        drop_alpha: Take the colours as they are in the file, and all of them for opaque.

    Raises:
        unreadable_image: The file is damaged or truncated.
    """
    whole = Box(0, 0, photo.width, photo.height)
    region = region or whole
    drop_alpha = drop_alpha and photo.has_alpha
    try:
        kept = None
        if photo.whole:
            pixels = np.asarray(_decode(photo).numpy(), np.uint8)
            if drop_alpha:
                pixels = np.ascontiguousarray(pixels[..., :3])
            kept = vips.from_pixels(pixels)
            part = pixels[region.top : region.bottom, region.left : region.right]
            if pixels.shape[2] == 3:
                return Look(_shrink(part, longest), kept, region, drops_alpha=drop_alpha)
            opaque = bool(part[..., 3].min() == 255)
            return _translucent(
                _part(kept, region).thumbnail_image(longest, height=longest, size="down"), kept, region, opaque=opaque
            )
        if region == whole and not drop_alpha:
            small = _shrunk(photo, longest, longest, "down")
        else:
            part = _part(_decoded(photo, drop_alpha=drop_alpha), region)
            small = part.thumbnail_image(longest, height=longest, size="down")
        if small.hasalpha():
            return _translucent(small, kept, region)
        return Look(np.asarray(small.numpy(), np.uint8), kept, region, drops_alpha=drop_alpha)
    except vips.Error as error:
        raise unreadable_image(str(error)) from error


def _translucent(small: Any, kept: Any, region: Box, *, opaque: bool = True) -> Look:
    """The look at a picture with its own alpha, from its working picture (libvips, 4 bands)."""
    pixels = np.asarray(small.numpy(), np.uint8)
    alpha = np.ascontiguousarray(pixels[..., 3])
    working = np.asarray(vips.from_pixels(pixels).flatten(background=128).numpy(), np.uint8)
    return Look(working, kept, region, alpha, opaque=opaque and bool(alpha.min() == 255))


def _shrink(pixels: Pixels, longest: int) -> Pixels:
    width, height = SizeCap(longest=longest).fit(pixels.shape[1], pixels.shape[0])
    if (height, width) == pixels.shape[:2]:
        return pixels
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def picture(photo: Photo, seen: Look, width: int, height: int) -> Any:
    """Pass 2, not yet run: the upright sRGB picture, or the region of it that was looked at, at (width, height).

    Returns:
        A lazy libvips image of 3 or 4 uint8 bands (straight alpha), to be read in order by ``strips``.
    """
    region = seen.region
    everything = region == Box(0, 0, photo.width, photo.height)
    as_it_is = (width, height) == (region.width, region.height)
    try:
        # Shrunk while it is decoded: JPEG and WebP do much of it by themselves, but only to the picture as a whole.
        if seen.kept is None and everything and not as_it_is and not seen.drops_alpha:
            return _shrunk(photo, width, height, "force")
        image = seen.kept if seen.kept is not None else _decoded(photo, drop_alpha=seen.drops_alpha)
        image = _part(image, region)
        return image if as_it_is else image.thumbnail_image(width, height=height, size="force")
    except vips.Error as error:
        raise unreadable_image(str(error)) from error


def strips(
    image: Any, box: Box, rows: int, wanted: Callable[[int, int], bool] | None = None
) -> Iterator[tuple[int, Pixels]]:
    """Rows of ``image`` inside ``box``, in order: (y from the image's top, uint8 (n, box.width, 3 or 4)).

    ``y`` is a multiple of ``rows`` but for the first, which is ``box.top``: that strip may be shorter.

    Args:
        image: What ``picture`` gave.
        box: The part that is read.
        rows: Height of a strip.
        wanted: Asked before every strip, with its first row and the row after its last; False passes it over.
    """
    region = vips.Region.new(image)
    top = box.top
    while top < box.bottom:
        bottom = min(box.bottom, (top // rows + 1) * rows)
        if wanted is None or wanted(top, bottom):
            try:
                raw = region.fetch(box.left, top, box.width, bottom - top)
            except vips.Error as error:
                raise unreadable_image(str(error)) from error
            yield top, np.frombuffer(raw, np.uint8).reshape(bottom - top, box.width, image.bands)
        top = bottom


# --- loaders --------------------------------------------------------------------------------------------------------


def _load(data: bytes, kind: FileKind, **more: object) -> Any:
    loader, options = _LOADERS[kind]
    return getattr(vips.Image, loader)(data, access="sequential", fail_on=_FAIL_ON, **options, **more)


def _shrunk(photo: Photo, width: int, height: int, size: str) -> Any:
    """The upright picture in sRGB, shrunk while it is decoded."""
    # Naming an output profile costs 22 ms at 12 MP even where it changes nothing.
    profile = {} if photo.is_srgb else {"output_profile": "srgb"}
    # Not thumbnail_buffer, which does not heed fail_on (libvips 8.18): half a file would look like a whole one.
    options: dict[str, object] = {}
    if photo.kind == "jpeg":
        # libjpeg's blocks are crude: a delivered picture leaves it less to do than the net's, as libvips itself does.
        spare = 1 if size == "down" else 2
        factor = max(photo.width, photo.height) / max(width, height) / spare
        options["shrink"] = next((shrink for shrink in (8, 4, 2) if factor >= shrink), 1)
    image = _load(photo.data, photo.kind, **options)
    return to_srgb(image.thumbnail_image(width, height=height, size=size, **profile))


def _part(image: Any, region: Box) -> Any:
    if (region.width, region.height) == (image.width, image.height):
        return image
    return image.crop(region.left, region.top, region.width, region.height)


def _decoded(photo: Photo, *, drop_alpha: bool) -> Any:
    image = _decode(photo)
    return image.extract_band(0, n=3) if drop_alpha and image.bands == 4 else image


def _decode(photo: Photo) -> Any:
    """The upright picture in sRGB, 3 or 4 uint8 bands, lazy where the file allows."""
    if photo.kind == "bmp":
        return bmp_pixels(photo.data)
    image = heic_pixels(photo.data) if photo.kind == "heif" and _is_heic(photo.data) else _load(photo.data, photo.kind)
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


def _resolution(image: Any, kind: FileKind, *, turned: bool) -> tuple[int, int] | None:
    # libvips counts pixels per millimetre and says 1.0 where a file states nothing, but for JPEG 72 dpi without a unit.
    if kind == "jpeg" and _field(image, "resolution-unit") is None:
        return None
    x, y = round(image.xres * 1000), round(image.yres * 1000)
    if x <= 0 or y <= 0 or (x == 1000 and y == 1000) or max(x, y) > 10_000_000:
        return None
    return (y, x) if turned else (x, y)


def _name(kind: FileKind, data: bytes) -> str:
    # HEIC's brands begin like this, AVIF's do not: ISO 23008-12, annex B.
    return "HEIC" if kind == "heif" and data[8:11] in (b"hei", b"hev") else _NAMES[kind]


def _accepted(limits: PhotoLimits) -> str:
    """The kinds that are accepted, in words: "JPEG, PNG or WebP"."""
    if limits.kinds is None:
        return ACCEPTED
    names = [name for kind, name in _NAMES.items() if kind in limits.kinds]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


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


def _open_whole(data: bytes, kind: FileKind, header: Header, limits: PhotoLimits) -> Photo:
    _check_size(header.width, header.height, limits)
    size = header.width, header.height
    return Photo(data, kind, *size, 1, header.has_alpha, whole=True, pixels_per_metre=header.pixels_per_metre)


def _is_heic(data: bytes) -> bool:
    return bool(_field(_load(data, "heif"), "heif-compression") == "hevc")
