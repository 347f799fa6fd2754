"""Packing: archives that are whole, of the length that was announced."""

from __future__ import annotations

import asyncio
import io
import zipfile

import pytest

from bgone.api import packing
from bgone.api.packing import Packed, length_of, pack
from bgone.jobs.job import Stored
from bgone.storage.objects import Objects, new_key
from tests.pictures import photo


@pytest.mark.parametrize("longest", [0xFFFF_FFFF, 50])
@pytest.mark.parametrize("once_bytes", [4 << 20, 0])
def test_archives_are_whole(monkeypatch: pytest.MonkeyPatch, longest: int, once_bytes: int) -> None:
    """Of the length that was announced, ZIP64 where it is needed, large files read twice."""
    monkeypatch.setattr(packing, "_LONGEST", longest)
    monkeypatch.setattr(packing, "_ONCE_BYTES", once_bytes)
    bodies = [photo(), b"", photo(seed=1), bytes(3_000_000)]

    async def main() -> bytes:
        objects = Objects("memory:///")
        files = []
        for place, body in enumerate(bodies):
            stored = Stored(new_key(), "image/png", ".png", len(body), 1, 1)
            await objects.put(stored.key, body, "image/png")
            files.append(Packed(f"{place}é.png", stored))
        whole = b"".join([piece async for piece in pack(objects, files)])
        assert len(whole) == length_of(files)
        await objects.aclose()
        return whole

    with zipfile.ZipFile(io.BytesIO(asyncio.run(main()))) as archive:
        assert archive.testzip() is None
        assert [archive.read(name) for name in archive.namelist()] == bodies
        assert archive.namelist()[0] == "0é.png"
