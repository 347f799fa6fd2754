"""Every row of the format table writes what its facts promise."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import pyvips
from PIL import Image

from bgone.errors import ApiError
from bgone.imaging.formats import ALIASES, FORMATS, find_format, open_writer, whole_picture_bytes
from bgone.imaging.png import Channels
from bgone.imaging.writer import Pixels, Writer

WIDTH, HEIGHT = 61, 40
MAGIC = {
    "png": b"\x89PNG",
    "jpg": b"\xff\xd8\xff",
    "webp": b"RIFF",
    "tiff": b"II*\0",
    "bmp": b"BM",
    "gif": b"GIF8",
    "avif": b"\0\0\0",
    "zip": b"PK\3\4",
}
LOSSLESS = {"png", "tiff", "bmp"}
# Mean difference of smooth colour, 0..255: quantisation to 256 colours (GIF), lossy codecs with halved chroma.
MEAN_TOLERANCE = {"jpg": 1.5, "webp": 4.0, "avif": 3.0, "gif": 8.0, "zip": 1.5}
EVERY = [
    (name, channels) for name, row in FORMATS.items() for channels in (1, 3, 4) if channels != 4 or row.keeps_alpha
]


def drawn(width: int, height: int, channels: int) -> Pixels:
    """Smooth colour, alpha rising to the right and 0 in the upper rows. uint8 (height, width, channels)."""
    down, across = np.mgrid[0:height, 0:width]
    planes = [40 + 200 * across / width, 30 + 180 * down / height, 90 + 0 * down, 255 * across / width]
    picture = np.dstack(planes).astype(np.uint8)
    picture[: height // 4] = 0
    return np.ascontiguousarray(picture[..., :channels])


def write_all(writer: Writer, pixels: Pixels, step: int = 9) -> None:
    for at in range(0, len(pixels), step):
        writer.add(pixels[at : at + step])
    writer.finish()


def written(name: str, pixels: Pixels, step: int = 9, **options: object) -> list[bytes]:
    height, width, channels = pixels.shape
    pieces: list[bytes] = []
    write_all(open_writer(name, pieces.append, width, height, channels, **options), pixels, step)  # type: ignore[arg-type]
    return pieces


def read(file: bytes, channels: int) -> Pixels:
    if file.startswith(MAGIC["zip"]):
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            colour, alpha = read(archive.read("color.jpg"), min(channels, 3)), read(archive.read("alpha.png"), 1)
        return np.dstack([colour, alpha])[..., :channels]
    with Image.open(io.BytesIO(file)) as image:
        pixels = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


@pytest.mark.parametrize(("name", "channels"), EVERY)
def test_what_is_written_can_be_read(name: str, channels: Channels) -> None:
    """Size, pixels and alpha survive; lossless formats bit for bit, lossy ones within their tolerance."""
    pixels = drawn(WIDTH, HEIGHT, channels)

    file = b"".join(written(name, pixels))
    got = read(file, channels)

    assert file.startswith(MAGIC[name])
    assert got.shape == pixels.shape
    if name in LOSSLESS:
        assert np.array_equal(got, pixels)
    seen = pixels[..., 3] > 0 if channels == 4 else np.ones((HEIGHT, WIDTH), bool)
    difference = np.abs(got.astype(int) - pixels)[..., :3][seen]
    assert difference.mean() <= MEAN_TOLERANCE.get(name, 0)


@pytest.mark.parametrize("name", [name for name, row in FORMATS.items() if row.keeps_alpha])
def test_alpha_is_kept(name: str) -> None:
    """Alpha is exact but in AVIF, whose alpha plane is coded like its colours (10 levels seen at quality 75)."""
    pixels = drawn(WIDTH, HEIGHT, 4)

    got = read(b"".join(written(name, pixels)), 4)

    off = np.abs(got[..., 3].astype(int) - pixels[..., 3]).max()
    assert off <= (12 if name == "avif" else 0)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "zip"])
def test_media_type_is_what_readers_call_the_file(name: str) -> None:
    """The table's media type agrees with an independent sniffer (image/jpg does not exist)."""
    with Image.open(io.BytesIO(b"".join(written(name, drawn(WIDTH, HEIGHT, 3))))) as image:
        assert image.get_format_mimetype() == FORMATS[name].media_type


@pytest.mark.parametrize("name", [name for name, row in FORMATS.items() if not row.keeps_alpha])
def test_alpha_is_refused_where_it_cannot_be_kept(name: str) -> None:
    """Flattening is the caller's step; losing alpha silently is not."""
    with pytest.raises(ValueError, match="flatten"):
        open_writer(name, lambda _: None, WIDTH, HEIGHT, 4)


@pytest.mark.parametrize("name", FORMATS)
def test_too_long_a_side_is_refused_before_drawing(name: str) -> None:
    """One pixel more than a format can hold is the client's error, with the limit in its words."""
    longest = FORMATS[name].max_side

    with pytest.raises(ApiError, match=str(longest)):
        open_writer(name, lambda _: None, 1, longest + 1, 1)


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_with_rows_missing_is_never_ended(name: str) -> None:
    """Finishing early is an error in every format."""
    writer = open_writer(name, lambda _: None, WIDTH, HEIGHT, 3)
    writer.add(drawn(WIDTH, HEIGHT - 1, 3))

    with pytest.raises(ValueError, match="missing"):
        writer.finish()


@pytest.mark.parametrize("name", FORMATS)
def test_a_failing_write_passes_through(name: str) -> None:
    """Whatever ``write`` raises ends the writing."""

    def write(piece: bytes) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        write_all(open_writer(name, write, WIDTH, HEIGHT, 3), drawn(WIDTH, HEIGHT, 3))


@pytest.mark.parametrize("name", ["png", "jpg", "tiff", "bmp"])
def test_resolution_is_kept(name: str) -> None:
    """300 x 150 dots per inch come back, within the rounding of whole pixels per metre."""
    file = b"".join(written(name, drawn(WIDTH, HEIGHT, 3), pixels_per_metre=(11_811, 5_906)))

    with Image.open(io.BytesIO(file)) as image:
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.05)


def test_only_formats_that_hold_the_picture_cost_memory() -> None:
    """Streams are free but for what waits compressed; the others cost at least the picture."""
    for name, row in FORMATS.items():
        held = whole_picture_bytes(name, WIDTH, HEIGHT, 3)
        assert held == WIDTH * HEIGHT * row.encoder_bytes if row.streams else held > WIDTH * HEIGHT * 3


def test_large_files_leave_in_pieces() -> None:
    """A whole-picture format writes pieces, not one block."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 401, 3), np.uint8)

    assert len(written("bmp", noise)) > 3


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("width", "height"), [(61, 200), (1, 129), (300, 1), (8, 64), (65_500, 70), (9, 1_500)])
def test_spliced_jpeg_equals_one_coded_whole(width: int, height: int, channels: Channels, pooled: bool) -> None:
    """Strips joined at restart markers decode to the very pixels of a JPEG coded in one go, in two readers."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    whole = cv2.imencode(".jpg", pixels[..., ::-1] if channels == 3 else pixels, options)[1].tobytes()

    with ThreadPoolExecutor(2) as pool:
        spliced = b"".join(written("jpg", pixels, step=33, pool=pool if pooled else None))

    assert np.array_equal(read(spliced, channels), read(whole, channels))
    by_vips = pyvips.Image.jpegload_buffer(spliced, fail_on="warning")
    assert by_vips.write_to_memory() == pyvips.Image.jpegload_buffer(whole).write_to_memory()


def test_quality_is_heard() -> None:
    """Less quality is a smaller file in every lossy format, and changes nothing in the others."""
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    for name, row in FORMATS.items():
        small, usual = (len(b"".join(written(name, pixels, quality_percent=asked))) for asked in (20, None))
        assert small == usual if row.default_quality_percent is None else small < usual


def test_aliases_lead_to_rows() -> None:
    """jpeg and tif are other names, in any case; unknown names are nobody's."""
    assert all(target in FORMATS and alias not in FORMATS for alias, target in ALIASES.items())
    assert find_format("JPEG") is FORMATS["jpg"]
    assert find_format("heic") is None


def test_importing_bgone_loads_no_pixel_library() -> None:
    """The package itself is light."""
    script = "import bgone, sys; print(sorted({'numpy', 'cv2', 'PIL', 'isal', 'zlib_ng'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
