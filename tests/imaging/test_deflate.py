"""Deflaters agree with zlib whatever their speed."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgone.imaging import deflate

NAMES = list(deflate.KNOWN)


@pytest.mark.parametrize("name", NAMES)
def test_strips_packed_apart_join_into_one_stream(name: str) -> None:
    """Independent strips, joined in order, unpack as one raw deflate stream."""
    strips = [b"sky" * 5_000, b"", b"sea" * 7_000]
    deflater = deflate.deflater(name)

    packed = b"".join(deflater.pack(strip, last=at == 2) for at, strip in enumerate(strips))

    unpacker = zlib.decompressobj(-15)
    assert unpacker.decompress(packed) == b"".join(strips)
    assert unpacker.eof


@pytest.mark.parametrize("name", NAMES)
def test_checksums_are_those_of_zlib(name: str) -> None:
    """Adler-32 and CRC-32, from the start or continued, are those of zlib."""
    deflater = deflate.deflater(name)

    assert deflater.adler32(b"matte") == zlib.adler32(b"matte")
    assert deflater.crc32(b"matte", zlib.crc32(b"IDAT")) == zlib.crc32(b"IDATmatte")


@given(first=st.binary(max_size=200), second=st.binary(max_size=200), repeats=st.integers(1, 2_000))
def test_adler32_of_parts_combines_into_that_of_the_whole(first: bytes, second: bytes, repeats: int) -> None:
    """Combining equals summing the joined bytes, also when sums wrap."""
    second *= repeats

    combined = deflate.combine_adler32(zlib.adler32(first), zlib.adler32(second), len(second))

    assert combined == zlib.adler32(first + second)


@pytest.mark.parametrize(
    ("machine", "present", "expected"),
    [
        ("x86_64", NAMES, "isal"),
        ("AMD64", ["zlib-ng", "zlib"], "zlib-ng"),
        ("x86_64", ["zlib"], "zlib"),
        ("aarch64", NAMES, "zlib-ng"),
        ("arm64", ["zlib"], "zlib"),
    ],
)
def test_the_fastest_deflater_present_is_taken(
    monkeypatch: pytest.MonkeyPatch, machine: str, present: list[str], expected: str
) -> None:
    """ISA-L on x86, zlib-ng elsewhere, zlib where nothing else is installed."""

    def find(name: str) -> deflate.Deflater:
        if name not in present:
            raise ImportError(name)
        return deflate.Deflater(name, zlib, 1)

    monkeypatch.setattr(deflate, "deflater", find)

    assert deflate.best_deflater.__wrapped__(machine).name == expected
