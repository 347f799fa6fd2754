"""PNG pieces make a file that every reader takes, bit for bit."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bgone.imaging import png
from bgone.imaging.deflate import KNOWN, deflater
from bgone.imaging.png import Channels, PngWriter
from bgone.imaging.writer import Pixels

SIZES = [(1, 1), (7, 1), (1, 7), (61, 40), (65_535, 1), (3, 700)]


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def drawn(width: int, height: int, channels: int, seed: int = 0) -> Pixels:
    """Half noise, half flat: neither trivial to pack nor impossible. uint8 (height, width, channels)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    pixels[:, width // 2 :] = 200
    return pixels


def written(pixels: Pixels, cuts: list[int], **options: object) -> bytes:
    height, width, channels = pixels.shape
    pieces: list[bytes] = []
    writer = PngWriter(pieces.append, width, height, channels, **{"pool": None, **options})  # type: ignore[arg-type]
    for start, stop in pairwise([0, *cuts, height]):
        writer.add(pixels[start:stop])
    writer.finish()
    return b"".join(pieces)


def read_by_vips(file: bytes) -> Pixels:
    image = pyvips.Image.pngload_buffer(file, fail_on="warning")
    return np.asarray(image.numpy()).reshape(image.height, image.width, image.bands)


def read_by_opencv(file: bytes) -> Pixels:
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    orders = {2: None, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    order = orders[2 if pixels.ndim == 2 else pixels.shape[2]]
    turned = pixels if order is None else cv2.cvtColor(pixels, order)
    return np.atleast_3d(turned).astype(np.uint8)


def read_by_pillow(file: bytes) -> Pixels:
    with Image.open(io.BytesIO(file)) as image:
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]


def chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    """(kind, data) of every chunk; checks every CRC."""
    at, found = 8, []
    while at < len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        data = file[at + 8 : at + 8 + length]
        assert int.from_bytes(file[at + 8 + length : at + 12 + length], "big") == zlib.crc32(kind + data)
        found.append((kind, data))
        at += 12 + length
    return found


@pytest.mark.parametrize("read", [read_by_vips, read_by_opencv, read_by_pillow])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_readers_get_every_bit_back(size: tuple[int, int], channels: Channels, read: object, pool: Executor) -> None:
    """libpng, OpenCV and Pillow read exactly what was written, for odd sizes too."""
    pixels = drawn(*size, channels)

    got = read(written(pixels, [], pool=pool))  # type: ignore[operator]

    assert np.array_equal(got, pixels)


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("name", list(KNOWN))
def test_every_deflater_writes_the_same_picture(
    monkeypatch: pytest.MonkeyPatch, name: str, pooled: bool, pool: Executor
) -> None:
    """Many strips, packed by any library, on a pool or not, decode alike."""
    monkeypatch.setattr(png, "STRIP_BYTES", 1_000)
    pixels = drawn(61, 240, 4)

    file = written(pixels, [5, 100], pool=pool if pooled else None, deflater=deflater(name))

    assert len([kind for kind, _ in chunks(file) if kind == b"IDAT"]) > 40
    assert np.array_equal(read_by_vips(file), pixels)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), width=st.integers(1, 90), height=st.integers(1, 90), channels=st.sampled_from((1, 3, 4)))
def test_any_cut_of_the_rows_gives_the_same_bytes(
    data: st.DataObject, width: int, height: int, channels: Channels
) -> None:
    """How rows are handed over changes nothing in the file."""
    pixels = drawn(width, height, channels, seed=data.draw(st.integers(0, 99)))
    cuts = sorted(data.draw(st.lists(st.integers(0, height), max_size=6)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "STRIP_BYTES", data.draw(st.integers(1, 4_000)))

        file = written(pixels, cuts)

        assert file == written(pixels, [])
    assert np.array_equal(read_by_pillow(file), pixels)
    assert np.array_equal(read_by_vips(file), pixels)


def test_grey_rows_may_lack_the_channel_axis() -> None:
    """A mask comes as (h, width)."""
    pixels = drawn(61, 40, 1)
    pieces: list[bytes] = []
    writer = PngWriter(pieces.append, 61, 40, 1, pool=None)

    writer.add(pixels[..., 0])
    writer.finish()

    assert np.array_equal(read_by_vips(b"".join(pieces)), pixels)


def test_rows_may_be_overwritten_once_added(pool: Executor) -> None:
    """The writer keeps nothing of the caller's array."""
    pixels = drawn(61, 40, 4)
    pieces: list[bytes] = []
    writer = PngWriter(pieces.append, 61, 40, 4, pool=pool)
    for row in range(40):
        handed = pixels[row : row + 1].copy()
        writer.add(handed)
        handed[:] = 77
    writer.finish()

    assert np.array_equal(read_by_vips(b"".join(pieces)), pixels)


def test_srgb_and_resolution_are_declared() -> None:
    """sRGB always, pHYs when known; every chunk in its place with its checksum right."""
    found = chunks(written(drawn(61, 40, 3), [], pixels_per_metre=(11_811, 5_906)))

    assert [kind for kind, _ in found][:4] == [b"IHDR", b"sRGB", b"pHYs", b"IDAT"]
    assert found[-1] == (b"IEND", b"")
    assert dict(found)[b"pHYs"] == struct.pack(">IIB", 11_811, 5_906, 1)


def test_one_write_a_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows added one by one still leave in strips, plus one last piece."""
    monkeypatch.setattr(png, "STRIP_BYTES", 10 * 62)
    pixels = drawn(61, 40, 1)
    pieces: list[bytes] = []
    writer = PngWriter(pieces.append, 61, 40, 1, pool=None)
    for row in range(40):
        writer.add(pixels[row : row + 1])
    writer.finish()

    assert len(pieces) == 5


@pytest.mark.parametrize("pooled", [True, False])
def test_a_failing_write_stops_everything(monkeypatch: pytest.MonkeyPatch, pooled: bool) -> None:
    """When the client is gone the error passes through, waiting strips are given up, and nothing more is written."""
    monkeypatch.setattr(png, "STRIP_BYTES", 1)
    written_pieces = 0

    def write(piece: bytes) -> None:
        nonlocal written_pieces
        written_pieces += 1
        if written_pieces == 3:
            raise ConnectionResetError

    with ThreadPoolExecutor(2) as threads:
        writer = PngWriter(write, 61, 400, 4, pool=threads if pooled else None)
        with pytest.raises(ConnectionResetError):
            writer.add(drawn(61, 400, 4))
        with pytest.raises(ValueError, match="missing"):
            writer.finish()

    assert written_pieces == 3


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((1, 62, 4), np.uint8),
        np.zeros((1, 61, 3), np.uint8),
        np.zeros((1, 61), np.uint8),
        np.zeros((1, 61, 4), np.float32),
        np.zeros((41, 61, 4), np.uint8),
    ],
    ids=["width", "channels", "axes", "type", "too many"],
)
def test_rows_of_another_picture_are_refused(rows: Pixels) -> None:
    """Wrong shape, type or count is the caller's mistake."""
    writer = PngWriter(lambda _: None, 61, 40, 4, pool=None)

    with pytest.raises(ValueError, match=r"expected|rows come"):
        writer.add(rows)


def test_finishing_early_is_an_error() -> None:
    """A picture with rows missing is never ended as if whole."""
    pieces: list[bytes] = []
    writer = PngWriter(pieces.append, 61, 40, 4, pool=None)
    writer.add(drawn(61, 39, 4))

    with pytest.raises(ValueError, match="1 of 40 rows are missing"):
        writer.finish()
    assert pieces == []
