"""Photo: header facts and limits, every kind upright and in sRGB, strips, and files that lie."""

from __future__ import annotations

import csv
import io
import random
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pillow_heif
import pytest

from bgone.errors import ApiError
from bgone.imaging import photo as photos
from bgone.imaging import vips
from bgone.imaging.geometry import Box
from bgone.imaging.photo import Photo, PhotoLimits, Pixels, look, open_photo, picture, strips
from bgone.imaging.pillow_photos import heic_available
from bgone.imaging.sniff import FileKind
from tests.pictures import encode, photo, scene

SCENE = scene()
RGBA = np.dstack([SCENE, np.linspace(0, 255, 61).astype(np.uint8)[None].repeat(40, 0)])
GREY = np.asarray(PIL.Image.fromarray(SCENE).convert("L"))
LIMITS = PhotoLimits(pixels=2_000_000)
# JPEG, AVIF and HEIC halve the colour planes: the disc's edge moves, the whole does not.
LOSSY = 6.0


@pytest.fixture(params=["kept", "streamed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways through ``Photo``: decoded once and kept, or twice and in strips, as large pictures are."""
    if request.param == "streamed":
        monkeypatch.setattr(photos, "KEEP_PIXELS", 0)
    return str(request.param)


def read(data: bytes, limits: PhotoLimits = LIMITS) -> tuple[Photo, Pixels]:
    """Both passes, as an order goes through them."""
    opened = open_photo(data, limits)
    image = picture(opened, look(opened, 512), opened.width, opened.height)
    rows = [rows for _, rows in strips(image, Box(0, 0, opened.width, opened.height), 64)]
    return opened, np.concatenate(rows)


def kind_of_failure(data: bytes, limits: PhotoLimits = LIMITS) -> str:
    """``ApiError.kind``, or ``"read"`` where there is a picture."""
    try:
        read(data, limits)
    except ApiError as error:
        return error.kind
    return "read"


def difference(got: Pixels, expected: Pixels) -> float:
    """Mean absolute difference; shapes must agree."""
    assert got.shape == expected.shape
    return float(np.abs(got.astype(int) - expected).mean())


def saved(image: PIL.Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def as_pillow_reads(data: bytes, mode: str) -> Pixels:
    with PIL.Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


def in_vips(pixels: Pixels, depth: int = 8) -> Any:
    image = vips.Image.new_from_array(pixels)
    if depth == 8:
        return image
    deep = (image.cast("ushort") * 257).cast("ushort")
    return deep.copy(interpretation="rgb16" if pixels.shape[2] >= 3 else "grey16")


def heic(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(PIL.Image.fromarray(pixels)).save(buffer, quality=95)
    return buffer.getvalue()


def palette() -> PIL.Image.Image:
    return PIL.Image.fromarray(SCENE).quantize(16)


# --- kinds ----------------------------------------------------------------------------------------------------------

EXACT: dict[str, Callable[[], bytes]] = {
    "png": lambda: encode(SCENE, "PNG"),
    "png of 16 bits": lambda: bytes(in_vips(SCENE, 16).pngsave_buffer(bitdepth=16)),
    "png interlaced": lambda: bytes(in_vips(SCENE).pngsave_buffer(interlace=True)),
    "tiff": lambda: encode(SCENE, "TIFF"),
    "tiff lzw": lambda: encode(SCENE, "TIFF", compression="tiff_lzw"),
    "tiff deflate": lambda: encode(SCENE, "TIFF", compression="tiff_adobe_deflate"),
    "tiff of 16 bits": lambda: bytes(in_vips(SCENE, 16).tiffsave_buffer(compression="lzw")),
    "tiff tiled": lambda: bytes(in_vips(SCENE).tiffsave_buffer(tile=True, tile_width=32, tile_height=16)),
    "tiff of two pages": lambda: saved(
        PIL.Image.fromarray(SCENE), "TIFF", save_all=True, append_images=[PIL.Image.new("RGB", (9, 9))]
    ),
    "webp lossless": lambda: encode(SCENE, "WEBP", lossless=True),
    "webp animated": lambda: saved(
        PIL.Image.fromarray(SCENE),
        "WEBP",
        lossless=True,
        save_all=True,
        append_images=[PIL.Image.new("RGB", (61, 40))],
    ),
    "bmp of 24 bits": lambda: encode(SCENE, "BMP"),
}


@pytest.mark.parametrize("name", EXACT)
def test_lossless_kinds_are_read_bit_for_bit(name: str, way: str) -> None:
    """Every lossless kind of RGB picture comes out as it went in; of several pages or frames the first counts."""
    opened, pixels = read(EXACT[name]())

    assert (opened.width, opened.height, opened.has_alpha) == (61, 40, False)
    assert np.array_equal(pixels, SCENE)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_pictures_of_few_colours_become_rgb(form: str, mode: str) -> None:
    """1-bit, grey and palette pictures are read as Pillow reads them."""
    image = palette() if mode == "P" else PIL.Image.fromarray(SCENE).convert(mode)
    data = saved(image, form)

    assert np.array_equal(read(data)[1], as_pillow_reads(data, "RGB"))


@pytest.mark.parametrize(
    ("expected", "data"),
    [
        (RGBA, encode(RGBA, "PNG")),
        (RGBA, bytes(in_vips(RGBA, 16).pngsave_buffer(bitdepth=16))),
        (RGBA, encode(RGBA, "WEBP", lossless=True, exact=True)),
        (RGBA, encode(RGBA, "TIFF")),
        (np.dstack([GREY, GREY, GREY, RGBA[..., 3]]), encode(np.dstack([GREY, RGBA[..., 3]]), "PNG")),
    ],
    ids=["png", "png of 16 bits", "webp", "tiff", "grey png"],
)
def test_alpha_of_the_file_is_kept(expected: Pixels, data: bytes, way: str) -> None:
    """A file's own alpha comes along, straight, in 8 bits."""
    opened, pixels = read(data)

    assert opened.has_alpha
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("image", [palette(), PIL.Image.fromarray(SCENE)], ids=["palette", "rgb"])
def test_the_transparent_colour_of_a_png_is_alpha(image: PIL.Image.Image) -> None:
    """A tRNS chunk makes alpha, for palette and RGB pictures alike."""
    colour: Any = 0 if image.mode == "P" else tuple(int(value) for value in SCENE[3, 3])
    data = saved(image, "PNG", transparency=colour)

    pixels = read(data)[1]
    assert np.array_equal(pixels, as_pillow_reads(data, "RGBA"))
    assert 0 in pixels[..., 3]


def test_the_first_frame_of_an_animated_gif_counts() -> None:
    """The red frame comes first, and it alone is read."""
    frames = [PIL.Image.new("P", (61, 40), index) for index in (0, 1, 2)]
    for frame in frames:
        frame.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    opened, pixels = read(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))

    assert (opened.width, opened.height) == (61, 40)
    assert (pixels[..., :3] == (255, 0, 0)).all()


def bmp_of_four_bits() -> bytes:
    table = b"".join(bytes((index * 17, 0, 255 - index * 17, 0)) for index in range(16))
    rows = bytes(x % 16 << 4 | (x + 1) % 16 for x in range(0, 8, 2)) * 3
    header = struct.pack("<IiiHHIIiiII", 40, 8, 3, 1, 4, 0, len(rows), 0, 0, 16, 0)
    offset = 14 + len(header) + len(table)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + table + rows


def test_a_bmp_of_four_bits_is_read() -> None:
    """Two pixels a byte, colours from the table."""
    pixels = read(bmp_of_four_bits())[1]

    expected = [(255 - x * 17, 0, x * 17) for x in range(8)]
    assert pixels.tolist() == [[list(colour) for colour in expected]] * 3


def test_a_bmp_of_32_bits_is_read() -> None:
    """Without an alpha mask the fourth byte is filling (BITMAPINFOHEADER), whatever it says."""
    bgrx = np.dstack([SCENE[::-1, :, ::-1], np.zeros((40, 61), np.uint8)])
    header = struct.pack("<IiiHHIIiiII", 40, 61, 40, 1, 32, 0, bgrx.nbytes, 0, 0, 0, 0)
    data = b"BM" + struct.pack("<IHHI", 54 + bgrx.nbytes, 0, 0, 54) + header + bgrx.tobytes()

    assert np.array_equal(read(data)[1], SCENE)


@pytest.mark.parametrize(
    "data",
    [
        encode(SCENE, "JPEG", quality=95, subsampling=0),
        encode(SCENE, "JPEG", quality=95, subsampling=0, progressive=True),
        encode(SCENE, "WEBP", quality=95),
        encode(SCENE, "AVIF", quality=95),
        bytes(in_vips(SCENE, 16).heifsave_buffer(compression="av1", bitdepth=12, Q=95)),
    ],
    ids=["jpeg", "progressive jpeg", "webp", "avif", "avif of 12 bits"],
)
def test_lossy_kinds_are_read(data: bytes, way: str) -> None:
    """Lossy kinds come out in the same size and nearly the same colours."""
    assert difference(read(data)[1], SCENE) < LOSSY


def test_a_grey_jpeg_is_read(way: str) -> None:
    """One band becomes three equal ones."""
    pixels = read(encode(GREY, "JPEG", quality=95))[1]

    assert difference(pixels, np.dstack([GREY] * 3)) < LOSSY


# --- colour ---------------------------------------------------------------------------------------------------------


def test_a_cmyk_jpeg_with_its_profile_has_its_colours(way: str) -> None:
    """Printing inks are narrower than sRGB: close, not equal."""
    data = in_vips(SCENE).icc_transform("cmyk", input_profile="srgb").jpegsave_buffer(Q=97)
    assert PIL.Image.open(io.BytesIO(data)).mode == "CMYK"

    assert difference(read(bytes(data))[1], SCENE) < 10


def test_a_cmyk_jpeg_without_profile_is_neither_inverted_nor_black(way: str) -> None:
    """Adobe's inverted CMYK is turned round; without a profile colours are only about right."""
    pixels = read(saved(PIL.Image.fromarray(SCENE).convert("CMYK"), "JPEG", quality=97))[1]

    red, ground = pixels[20, 30].astype(int), pixels[2, 2].astype(int)
    assert red[0] > 150 > red[1]
    assert ground[2] > ground[0]
    assert difference(pixels, SCENE) < 30


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_wide_profile_is_converted_to_srgb(bands: int, depth: int, way: str) -> None:
    """Display P3 numbers become the sRGB numbers of the same colours, alpha stays as it is."""
    source = RGBA[..., :bands]
    wide = in_vips(source, depth).icc_transform("p3", input_profile="srgb", depth=depth)
    data = bytes(wide.pngsave_buffer(bitdepth=depth))
    assert difference(as_pillow_reads(data, "RGBA")[..., :bands], source) > 3  # the file's numbers do differ

    # Two roundings to 8 bits.
    assert np.abs(read(data)[1].astype(int) - source).max() <= 2


def test_an_srgb_profile_changes_nothing(way: str) -> None:
    """A picture that says sRGB is not converted at all: bit for bit as without a profile."""
    profile = bytes(
        vips.Image.new_from_array(SCENE).icc_transform("srgb", input_profile="srgb").get("icc-profile-data")
    )

    assert np.array_equal(read(encode(SCENE, "PNG", icc_profile=profile))[1], SCENE)


def test_a_broken_profile_is_ignored(way: str) -> None:
    """Rubbish instead of a profile: the numbers are taken as sRGB."""
    assert np.array_equal(read(encode(SCENE, "PNG", icc_profile=b"rubbish" * 40))[1], SCENE)


# --- turning and resolution -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright(orientation: int, way: str) -> None:
    """Size and pixels are upright for every EXIF orientation, in the whole picture and in the small look."""
    opened, pixels = read(photo(orientation=orientation))

    assert (opened.width, opened.height) == (61, 40)
    assert difference(pixels, SCENE) < LOSSY
    small = look(opened, 32).working
    assert small.shape == (21, 32, 3)
    assert small[0, 0, 2] < small[-1, 0, 2]  # the ground is brighter below


@pytest.mark.parametrize("orientation", [0, 9, 200])
def test_senseless_orientations_are_none(orientation: int, way: str) -> None:
    """Values outside 1..8 turn nothing."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    opened, pixels = read(encode(SCENE, "JPEG", exif=exif))

    assert pixels.shape == (opened.height, opened.width, 3) == (40, 61, 3)


def test_resolution_is_kept() -> None:
    """300 x 150 dpi are 11,811 x 5,906 pixels a metre."""
    assert open_photo(encode(SCENE, "JPEG", dpi=(300, 150)), LIMITS).pixels_per_metre == (11811, 5906)


def test_resolution_turns_with_the_picture() -> None:
    """A picture that is turned by a quarter swaps its two resolutions."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6

    assert open_photo(encode(SCENE, "JPEG", dpi=(300, 150), exif=exif), LIMITS).pixels_per_metre == (5906, 11811)


def test_a_file_without_resolution_has_none() -> None:
    """No kind need say any; turning by EXIF alone says none either."""
    assert open_photo(photo(orientation=6), LIMITS).pixels_per_metre is None
    for form in ("JPEG", "TIFF", "WEBP", "GIF"):
        assert open_photo(encode(SCENE, form), LIMITS).pixels_per_metre is None


# --- the small look and strips --------------------------------------------------------------------------------------


def test_the_look_is_at_most_as_long_as_asked_and_never_larger(way: str) -> None:
    """Longest side 30 asked of 61 x 40 gives 30 x 20; 500 asked gives the picture itself."""
    opened = open_photo(encode(SCENE, "PNG"), LIMITS)

    assert look(opened, 30).working.shape == (20, 30, 3)
    assert np.array_equal(look(opened, 500).working, SCENE)


def test_transparent_parts_of_the_look_are_grey() -> None:
    """The net sees mid-grey where the file's own alpha is 0."""
    working = look(open_photo(encode(RGBA, "PNG"), LIMITS), 512).working

    assert (working[:, 0] == 128).all()


@pytest.mark.parametrize("orientation", [1, 6])
def test_strips_put_together_are_the_picture(orientation: int, way: str) -> None:
    """Whatever the height of a strip and the box, the strips are the rows of the whole picture."""
    data = photo(130, 95, orientation=orientation)
    whole = read(data)[1]
    opened = open_photo(data, LIMITS)
    seen = look(opened, 64)
    dice = random.Random(1)
    for _ in range(20):
        left, top = dice.randrange(120), dice.randrange(90)
        box = Box(left, top, dice.randrange(left + 1, 131), dice.randrange(top + 1, 96))
        height = dice.randrange(1, 100)
        pieces = list(strips(picture(opened, seen, 130, 95), box, height))

        assert [y for y, _ in pieces][1:] == [y for y in range(box.top + 1, box.bottom) if y % height == 0]
        assert np.array_equal(
            np.concatenate([rows for _, rows in pieces]), whole[box.top : box.bottom, box.left : box.right]
        )


def test_unwanted_strips_are_passed_over(way: str) -> None:
    """Asked strip by strip; the others are those of the whole picture."""
    data = encode(SCENE, "PNG")
    opened = open_photo(data, LIMITS)
    asked: list[tuple[int, int]] = []

    def odd(top: int, bottom: int) -> bool:
        asked.append((top, bottom))
        return top // 8 % 2 == 1

    pieces = list(strips(picture(opened, look(opened, 64), 61, 40), Box(3, 5, 61, 40), 8, odd))

    assert asked == [(5, 8), (8, 16), (16, 24), (24, 32), (32, 40)]
    assert [y for y, _ in pieces] == [8, 24]
    assert all(np.array_equal(rows, SCENE[y : y + 8, 3:]) for y, rows in pieces)


REGION = Box(11, 7, 50, 29)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("pixels", [SCENE, RGBA], ids=["rgb", "rgba"])
def test_a_region_is_a_picture_of_its_own(form: str, pixels: Pixels, way: str) -> None:
    """Look and picture show it alone, in its own size."""
    lossless = {"lossless": True, "exact": True} if form == "WEBP" else {}
    opened = open_photo(encode(pixels, form, **lossless), LIMITS)
    seen = look(opened, 512, REGION)
    (whole,) = [rows for _, rows in strips(picture(opened, seen, 39, 22), Box(0, 0, 39, 22), 64)]

    assert np.array_equal(whole, pixels[7:29, 11:50])
    assert seen.region == REGION
    assert seen.working.shape == (22, 39, 3)
    if pixels is SCENE:
        assert np.array_equal(seen.working, SCENE[7:29, 11:50])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_region_lies_in_the_upright_picture(orientation: int, way: str) -> None:
    """Turned first, cut then; shrunk it has exactly the size asked."""
    opened = open_photo(photo(orientation=orientation), LIMITS)
    seen = look(opened, 20, REGION)
    image = picture(opened, seen, 39, 22)
    (whole,) = [rows for _, rows in strips(image, Box(0, 0, 39, 22), 64)]

    assert seen.working.shape == (11, 20, 3)
    assert difference(whole, SCENE[7:29, 11:50]) < LOSSY
    assert (picture(opened, seen, 10, 9).width, picture(opened, seen, 10, 9).height) == (10, 9)


@pytest.mark.parametrize("region", [None, REGION])
def test_a_picture_may_be_enlarged(region: Box | None, way: str) -> None:
    """Strip by strip too, at any width and height; shrunk back it is what it was."""
    opened = open_photo(encode(SCENE, "PNG"), LIMITS)
    seen = look(opened, 512, region)
    width, height = seen.region.width * 5, seen.region.height * 7
    rows = [rows for _, rows in strips(picture(opened, seen, width, height), Box(0, 0, width, height), 32)]

    back = cv2.resize(np.concatenate(rows), (width // 5, height // 7), interpolation=cv2.INTER_AREA)
    box = seen.region
    assert difference(np.asarray(back, np.uint8), SCENE[box.top : box.bottom, box.left : box.right]) < 2


# --- alpha of the file ----------------------------------------------------------------------------------------------


def test_the_look_knows_the_files_alpha(way: str) -> None:
    """At working size; a picture is opaque where nothing that was looked at is transparent."""
    half = RGBA.copy()
    half[:, 30:, 3] = 255
    opened = open_photo(encode(half, "PNG"), LIMITS)
    everything, right = look(opened, 512), look(opened, 512, Box(31, 0, 61, 40))

    assert everything.alpha is not None
    assert np.array_equal(everything.alpha, half[..., 3])
    assert (everything.opaque, right.opaque) == (False, True)
    plain = look(open_photo(encode(SCENE, "PNG"), LIMITS), 512)
    assert (plain.alpha, plain.opaque) == (None, True)


@pytest.mark.parametrize("size", [(61, 40), (30, 20)])
def test_dropped_alpha_leaves_all_colours(size: tuple[int, int], way: str) -> None:
    """Those under alpha 0 too, in look and picture, whole and shrunk."""
    opened = open_photo(encode(RGBA, "PNG"), LIMITS)
    seen = look(opened, 512, drop_alpha=True)
    (rows,) = [rows for _, rows in strips(picture(opened, seen, *size), Box(0, 0, *size), 64)]

    assert np.array_equal(seen.working, SCENE)
    assert (seen.alpha, seen.opaque) == (None, True)
    plain = open_photo(encode(SCENE, "PNG"), LIMITS)
    (expected,) = [rows for _, rows in strips(picture(plain, look(plain, 512), *size), Box(0, 0, *size), 64)]
    assert np.array_equal(rows, expected)


# --- kinds that are accepted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "data", "words"),
    [
        ({"jpeg", "png", "webp"}, EXACT["tiff"](), "TIFF is not accepted here; send JPEG, PNG or WebP."),
        ({"jpeg"}, encode(SCENE, "PNG"), "PNG is not accepted here; send JPEG."),
        ({"jpeg", "png"}, encode(SCENE, "AVIF"), "AVIF is not accepted here; send JPEG or PNG."),
        ({"png"}, heic(SCENE), "HEIC is not accepted here; send PNG."),
        ({"png"}, saved(palette(), "GIF"), "GIF is not accepted here; send PNG."),
        ({"png"}, encode(SCENE, "BMP"), "BMP is not accepted here; send PNG."),
        ({"heif"}, encode(SCENE, "WEBP"), "WebP is not accepted here; send AVIF."),
    ],
)
def test_a_kind_that_is_not_accepted_is_refused_in_words(kinds: set[FileKind], data: bytes, words: str) -> None:
    """By its first bytes; what is accepted is said."""
    with pytest.raises(ApiError) as caught:
        open_photo(data, PhotoLimits(kinds=frozenset(kinds)))

    assert (caught.value.kind, caught.value.message) == ("unsupported_image", words)


def test_a_kind_that_is_accepted_is_read() -> None:
    """As without the limit; what is no picture at all is still unreadable."""
    limits = PhotoLimits(kinds=frozenset({"png"}))

    assert np.array_equal(read(encode(SCENE, "PNG"), limits)[1], SCENE)
    assert kind_of_failure(b"nothing", limits) == "unreadable_image"


def test_a_smaller_picture_has_exactly_the_size_asked(way: str) -> None:
    """Pass 2 at 30 x 17 gives 30 x 17, although the proportions are others."""
    opened = open_photo(photo(orientation=2), LIMITS)
    image = picture(opened, look(opened, 64), 30, 17)

    assert (image.width, image.height, image.bands) == (30, 17, 3)


# --- headers that ask too much --------------------------------------------------------------------------------------


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def huge_png(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, *values)
    return bytes(changed)


def huge_jpeg(width: int, height: int) -> bytes:
    data = encode(SCENE, "JPEG")
    return patched(data, data.index(b"\xff\xc0") + 5, ">HH", height, width)


def huge_gif(width: int, height: int) -> bytes:
    data = encode(SCENE, "GIF")
    frame = data.index(b"\x2c\x00\x00\x00\x00")
    return patched(patched(data, frame + 5, "<HH", width, height), 6, "<HH", width, height)


def huge_bmp(width: int, height: int) -> bytes:
    return patched(encode(SCENE, "BMP"), 18, "<ii", width, height)


def huge_tiff(width: int, height: int) -> bytes:
    rows = ((256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, height), (279, 100))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in rows)
    return b"II*\0" + struct.pack("<IH", 8, len(rows)) + entries + bytes(104)


def huge_webp(width: int, height: int) -> bytes:
    body = encode(SCENE, "WEBP", lossless=True)[12:]
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + sides + body
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def huge_avif(width: int, height: int) -> bytes:
    data = encode(SCENE, "AVIF")
    return patched(data, data.index(b"ispe") + 8, ">II", width, height)


@pytest.mark.parametrize(
    ("make", "width", "height", "kind"),
    [
        (huge_jpeg, 65500, 65500, "too_many_pixels"),
        (huge_jpeg, 65535, 65535, "unreadable_image"),  # libjpeg itself ends at 65,500
        (huge_png, 30_000, 30_000, "too_many_pixels"),
        (huge_png, 65_536, 1, "too_many_pixels"),
        (huge_png, 2**31 - 1, 2**31 - 1, "unreadable_image"),
        (huge_gif, 65_535, 65_535, "too_many_pixels"),
        (huge_bmp, 65_535, 65_535, "too_many_pixels"),
        (huge_bmp, 2**31 - 1, 2**31 - 1, "too_many_pixels"),
        (huge_tiff, 65_535, 65_535, "too_many_pixels"),
        (huge_tiff, 2**32 - 1, 2**32 - 1, "unreadable_image"),
        (huge_webp, 16_383, 16_383, "unreadable_image"),
        (huge_webp, 2**24, 2**24, "unreadable_image"),
        (huge_avif, 30_000, 30_000, "too_many_pixels"),
    ],
)
def test_a_huge_picture_is_refused_from_its_header(
    make: Callable[[int, int], bytes], width: int, height: int, kind: str
) -> None:
    """At once and without memory for the pixels that a small file claims to have."""
    data = make(width, height)
    before, started = peak_bytes(), time.perf_counter()
    with pytest.raises(ApiError) as caught:
        open_photo(data, PhotoLimits())

    assert caught.value.kind == kind
    assert time.perf_counter() - started < 0.5
    assert peak_bytes() - before < 20_000_000


def peak_bytes() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def test_the_words_name_the_limit_and_what_came() -> None:
    """Both as words and as facts."""
    with pytest.raises(ApiError) as caught:
        open_photo(encode(SCENE, "PNG"), PhotoLimits(pixels=2000))

    assert caught.value.message == "At most 2000 pixels; this picture has 2440."
    assert caught.value.facts == {"pixels": 2440, "limit_pixels": 2000}


def test_a_long_side_is_refused() -> None:
    """Few pixels do not excuse a side beyond the limit."""
    with pytest.raises(ApiError) as caught:
        open_photo(encode(SCENE, "PNG"), PhotoLimits(side=60))

    assert caught.value.facts == {"side": 61, "limit_side": 60}


def test_many_bands_are_refused() -> None:
    """TIFF may have any number of bands; more than five were CVE-2026-69242."""
    many = vips.Image.new_from_array(np.zeros((9, 9, 3), np.uint8)).bandjoin([1, 2, 3])

    assert kind_of_failure(bytes(many.tiffsave_buffer())) == "unreadable_image"


# --- scans ----------------------------------------------------------------------------------------------------------


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there so often that it has ``count`` scans."""
    data = encode(SCENE, "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (count - data.count(b"\xff\xda")) + data[-2:]


def test_a_scan_bomb_is_refused_from_its_bytes() -> None:
    """Each scan costs a pass over the whole picture: 101 are too many."""
    with pytest.raises(ApiError) as caught:
        open_photo(with_scans(101), LIMITS)

    assert caught.value.kind == "unreadable_image"
    assert "scans" in caught.value.detail


def test_many_scans_are_counted_once_each() -> None:
    """100 scans pass this limit."""
    assert open_photo(with_scans(100), LIMITS).kind == "jpeg"


def test_a_film_behind_a_jpeg_is_not_scans() -> None:
    """Motion photos carry megabytes of video, where the marker's bytes come by chance."""
    data = photo() + bytes([0xFF, 0xDA, 0x00, 0x03]) * 500

    assert read(data)[1].shape == (40, 61, 3)


def test_marker_bytes_inside_a_segment_are_not_scans() -> None:
    """A comment or a thumbnail may hold the bytes of a scan's marker."""
    plain = encode(SCENE, "JPEG")
    comment = b"\xff\xda" * 500
    data = plain[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + plain[2:]

    assert read(data)[1].shape == (40, 61, 3)


# --- damaged files --------------------------------------------------------------------------------------------------

GOOD: dict[str, bytes] = {
    "jpeg": encode(SCENE, "JPEG"),
    "progressive jpeg": encode(SCENE, "JPEG", progressive=True),
    "png": encode(SCENE, "PNG"),
    "interlaced png": bytes(in_vips(SCENE).pngsave_buffer(interlace=True)),
    "gif": saved(palette(), "GIF"),
    "bmp": encode(SCENE, "BMP"),
    "palette bmp": saved(palette(), "BMP"),
    "tiff": encode(SCENE, "TIFF", compression="tiff_lzw"),
    "tiled tiff": EXACT["tiff tiled"](),
    "webp": encode(RGBA, "WEBP"),
    "lossless webp": encode(RGBA, "WEBP", lossless=True),
    "avif": encode(SCENE, "AVIF"),
    "heic": heic(SCENE),
}
WITH_HEIC = PhotoLimits(pixels=2_000_000, heic=True)
REFUSALS = {"unreadable_image", "unsupported_image", "too_many_pixels"}


@pytest.mark.parametrize("name", GOOD)
def test_a_truncated_file_is_refused_or_read(name: str, way: str) -> None:
    """Cut anywhere: an ``ApiError`` or a picture, never another exception; cut in the middle: no picture."""
    data, dice = GOOD[name], random.Random(name)
    for end in [0, 1, 2, 3, 8, 12, 16, *(dice.randrange(len(data)) for _ in range(25))]:
        assert kind_of_failure(data[:end], WITH_HEIC) in REFUSALS | {"read"}
    assert kind_of_failure(data[: len(data) // 2], WITH_HEIC) == "unreadable_image"


def test_half_of_a_large_jpeg_is_refused_by_the_first_look() -> None:
    """Where libjpeg shrinks while it decodes: nothing of an answer may have been sent yet."""
    data = encode(np.asarray(cv2.resize(SCENE, (3000, 2000)), np.uint8), "JPEG")
    photo = open_photo(data[: len(data) // 2], PhotoLimits())

    with pytest.raises(ApiError) as caught:
        look(photo, 500)
    assert caught.value.kind == "unreadable_image"


@pytest.mark.parametrize("name", GOOD)
def test_flipped_bits_are_refused_or_read(name: str, way: str) -> None:
    """A few bits flipped anywhere, the header above all: an ``ApiError`` or a picture."""
    dice = random.Random(name + "flips")
    for _ in range(40):
        data = bytearray(GOOD[name])
        for _ in range(dice.choice((1, 2, 8))):
            at = dice.randrange(min(len(data), 200)) if dice.random() < 0.5 else dice.randrange(len(data))
            data[at] ^= 1 << dice.randrange(8)
        assert kind_of_failure(bytes(data), WITH_HEIC) in REFUSALS | {"read"}


def test_words_of_libvips_that_are_no_text_do_no_harm() -> None:
    """libvips may quote bytes of the file in its error; they must not turn it into another exception."""
    quoted = vips.pyvips.ffi.new("char[]", b"bad seek to \xc3")

    assert vips.pyvips.error._to_string(quoted) == "bad seek to \ufffd"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>',
        b"%PDF-1.4\n1 0 obj",
        b"P6 1 1 255 abc",
        b"id=ImageMagick version=1.0\ncolumns=1 rows=1\n\x0c\n:\x1aabc",
        b"push graphic-context\nimage over 0,0 0,0 'http://127.0.0.1/'\npop graphic-context",
    ],
    ids=["empty", "text", "svg", "pdf", "ppm", "miff", "mvg"],
)
def test_other_kinds_are_no_pictures_here(data: bytes) -> None:
    """What is no accepted kind is refused by its first bytes, and libvips itself would not open it either."""
    with pytest.raises(ApiError) as caught:
        open_photo(data, LIMITS)
    with pytest.raises(vips.Error):
        vips.Image.new_from_buffer(data, "")

    assert caught.value.kind == "unreadable_image"


@pytest.mark.parametrize("loader", ["svgload_buffer", "ppmload_buffer", "pdfload_buffer", "magickload_buffer"])
def test_untrusted_loaders_are_off(loader: str) -> None:
    """Asked for by name, they are blocked or not there."""
    with pytest.raises(vips.Error, match=r"blocked|not found"):
        vips.pyvips.Operation.call(loader, b"P6 1 1 255 abc")


# --- HEIC -----------------------------------------------------------------------------------------------------------


def test_heic_is_refused_in_words_unless_asked_for() -> None:
    """The header opens and the pixels would fail: told apart before."""
    with pytest.raises(ApiError) as caught:
        open_photo(heic(SCENE), LIMITS)

    assert caught.value.kind == "unsupported_image"
    assert caught.value.message.startswith("HEIC is not accepted here; send JPEG")


def test_heic_is_read_with_its_extra() -> None:
    """With pillow-heif installed, it is a picture as any other."""
    assert heic_available()
    opened, pixels = read(heic(SCENE), WITH_HEIC)

    assert (opened.width, opened.height, opened.whole) == (61, 40, True)
    assert difference(pixels, SCENE) < LOSSY


def test_a_turned_heic_comes_out_upright() -> None:
    """Its rotation is applied once."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    file = pillow_heif.from_pillow(PIL.Image.fromarray(SCENE).transpose(PIL.Image.Transpose.ROTATE_90))
    file.info["exif"] = exif.tobytes()  # written as HEIF's own rotation
    buffer = io.BytesIO()
    file.save(buffer, quality=95)
    opened, pixels = read(buffer.getvalue(), WITH_HEIC)

    assert (opened.width, opened.height) == (61, 40)
    assert difference(pixels, SCENE) < LOSSY


def test_a_heic_whose_data_ends_early_is_unreadable() -> None:
    """A wrong length inside its data makes pillow-heif raise EOFError, of all things."""
    data = bytearray(heic(SCENE))
    data[data.index(b"mdat") + 4] ^= 0x80

    assert kind_of_failure(bytes(data), WITH_HEIC) == "unreadable_image"


def test_limits_hold_for_heic() -> None:
    """Pixels are counted from its header too."""
    assert kind_of_failure(heic(SCENE), PhotoLimits(pixels=2000, heic=True)) == "too_many_pixels"


# --- the corpus -----------------------------------------------------------------------------------------------------


def test_the_corpus_is_read_or_refused(shared: Path, way: str) -> None:
    """Valid files are read in the stated size, bombs refused from the header, nothing raises or lasts."""
    complaints = []
    with (shared / "corpus" / "manifest.csv").open(newline="") as manifest:
        rows = list(csv.DictReader(manifest))
    random.Random(3).shuffle(rows)
    for row in rows:
        data = (shared / "corpus" / row["file"]).read_bytes()
        started = time.perf_counter()
        try:
            opened, pixels = read(data, PhotoLimits())
            size = {opened.width, opened.height}
            ok = pixels.shape[:2] == (opened.height, opened.width) and row["expectation"] != "bomb"
            ok &= row["expectation"] != "valid" or size == {int(row["width"]), int(row["height"])}
        except ApiError as error:
            ok = row["expectation"] != "valid" and error.kind in REFUSALS
        if not ok or time.perf_counter() - started > 2:
            complaints.append(row["file"])

    assert len(rows) >= 250
    assert complaints == []
