"""ZIP with colour and alpha apart."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from bgone.imaging.archive import ZipWriter
from bgone.imaging.png import Channels
from bgone.imaging.writer import Pixels

WIDTH, HEIGHT = 301, 203


def drawn(channels: int) -> Pixels:
    """uint8 (203, 301, channels): smooth colour, also where alpha is 0 at the left."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [40 + 200 * across / WIDTH, 30 + 180 * down / HEIGHT, 90 + 0 * down, np.maximum(0, across - 45)]
    return np.ascontiguousarray(np.dstack(planes).astype(np.uint8)[..., :channels])


def pieces_of(pixels: Pixels, *, step: int = 37) -> list[bytes]:
    height, width = pixels.shape[:2]
    channels: Channels = pixels.shape[2]
    pieces: list[bytes] = []
    with ThreadPoolExecutor(2) as pool:
        writer = ZipWriter(
            pieces.append, width, height, channels, pool=pool, quality_percent=90, pixels_per_metre=(11_811, 5_906)
        )
        for at in range(0, height, step):
            writer.add(pixels[at : at + step])
        writer.finish()
    return pieces


def opened(file: bytes) -> tuple[PIL.Image.Image, PIL.Image.Image]:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["color.jpg", "alpha.png"]
        return tuple(PIL.Image.open(io.BytesIO(archive.read(name))) for name in archive.namelist())  # type: ignore[return-value]


def test_colour_and_alpha_come_apart() -> None:
    """The JPEG has the colours, under alpha 0 too; the PNG has alpha bit for bit; both know the resolution."""
    pixels = drawn(4)

    colour, alpha = opened(b"".join(pieces_of(pixels)))
    assert (colour.format, colour.mode, alpha.format, alpha.mode) == ("JPEG", "RGB", "PNG", "L")
    assert np.abs(np.asarray(colour).astype(int) - pixels[..., :3]).max() <= 8
    assert np.array_equal(np.asarray(alpha), pixels[..., 3])
    assert colour.info["dpi"] == pytest.approx((300, 150), abs=0.1)
    assert alpha.info["dpi"] == pytest.approx((300, 150), abs=0.1)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_an_opaque_picture_has_a_white_alpha(channels: int, mode: str) -> None:
    """Two files in every case."""
    colour, alpha = opened(b"".join(pieces_of(drawn(channels))))

    assert colour.mode == mode
    assert np.asarray(alpha).min() == 255


def test_lengths_stand_before_what_they_measure() -> None:
    """No flag says that checksum and lengths follow (bit 3), and the local header has them: PKWARE APPNOTE 4.3.7."""
    file = b"".join(pieces_of(drawn(4)))
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        entries = archive.infolist()

    for entry in entries:
        flags, method, _, _, crc, packed, length = struct.unpack_from("<4H3I", file, entry.header_offset + 6)
        assert (flags, method) == (0, zipfile.ZIP_STORED)
        assert (crc, packed, length) == (entry.CRC, entry.file_size, entry.file_size)
        assert length > 500


def test_the_same_picture_is_the_same_file() -> None:
    """Whatever the hour, and however its rows came."""
    assert b"".join(pieces_of(drawn(4))) == b"".join(pieces_of(drawn(4), step=200))


def test_it_leaves_in_pieces() -> None:
    """Nothing is joined into one block."""
    assert len(pieces_of(drawn(4))) > 6


def test_unzip_is_content(tmp_path: Path) -> None:
    """Info-ZIP finds no fault."""
    if shutil.which("unzip") is None:
        pytest.skip("needs unzip")
    (tmp_path / "cut.zip").write_bytes(b"".join(pieces_of(drawn(4))))
    done = subprocess.run(["unzip", "-t", tmp_path / "cut.zip"], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert "No errors detected" in done.stdout
