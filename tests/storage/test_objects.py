"""The object store, on every store that needs no network."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from bgone.errors import StartError
from bgone.storage.objects import READ_BYTES, WRITE_BYTES, Objects, new_key

Value = TypeVar("Value")
BODY = bytes(range(256)) * 20


@pytest.fixture(params=["memory", "file"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the store is."""
    return "memory:///" if request.param == "memory" else f"file://{tmp_path}/results"


def on_store(address: str, main: Callable[[Objects], Awaitable[Value]]) -> Value:
    """What ``main`` answers with a store that is open."""

    async def bounded() -> Value:
        objects = Objects(address)
        try:
            async with asyncio.timeout(30):
                return await main(objects)
        finally:
            await objects.aclose()

    return asyncio.run(bounded())


async def pieces_of(body: bytes, size: int) -> AsyncIterator[bytes | memoryview]:
    """The body in pieces, bytes and views in turn."""
    for number, at in enumerate(range(0, len(body), size)):
        piece = body[at : at + size]
        yield memoryview(piece) if number % 2 else piece


async def gather(pieces: AsyncIterator[bytes]) -> list[bytes]:
    return [piece async for piece in pieces]


# --- putting and getting --------------------------------------------------------------------------------------------


def test_what_was_put_comes_back(address: str) -> None:
    """Bytes in, the same bytes and their number out."""

    async def main(objects: Objects) -> None:
        key = new_key()
        assert await objects.put(key, BODY, "image/png") == len(BODY)
        assert await objects.get(key) == BODY
        assert await objects.head(key) == len(BODY)

    on_store(address, main)


@pytest.mark.parametrize("size", [0, 1, 1000, 2 * WRITE_BYTES + 77])
def test_pieces_become_one_picture(address: str, size: int) -> None:
    """Pieces are joined in order, however many parts of an upload they fill."""
    body = (BODY * (size // len(BODY) + 1))[:size]

    async def main(objects: Objects) -> None:
        key = new_key()
        assert await objects.put(key, pieces_of(body, 700_001), "image/webp") == size
        assert await objects.get(key) == body

    on_store(address, main)


def test_stream_reads_in_bounded_pieces(address: str) -> None:
    """A part of a picture comes in order, no piece larger than the bound, the end left out."""
    body = (BODY * (2 * READ_BYTES // len(BODY) + 9))[: 2 * READ_BYTES + 500]

    async def main(objects: Objects) -> None:
        key = new_key()
        await objects.put(key, body, "image/png")
        pieces = await gather(objects.stream(key, 100, len(body) - 3))
        assert b"".join(pieces) == body[100:-3]
        assert [len(piece) for piece in pieces] == [READ_BYTES, READ_BYTES, 397]

    on_store(address, main)


def test_nothing_is_seen_before_it_is_whole(address: str) -> None:
    """While pieces are written the key is missing; when their source fails it stays missing, and no file is left."""
    seen: list[bool] = []

    async def main(objects: Objects) -> None:
        key = new_key()

        async def breaking() -> AsyncIterator[bytes]:
            yield bytes(2 * WRITE_BYTES)
            with pytest.raises(KeyError):
                await objects.head(key)
            seen.append(True)
            raise RuntimeError("the encoder failed")

        with pytest.raises(RuntimeError, match="the encoder failed"):
            await objects.put(key, breaking(), "image/png")
        with pytest.raises(KeyError):
            await objects.get(key)

    on_store(address, main)
    assert seen == [True]
    if address.startswith("file"):
        assert os.listdir(address.removeprefix("file://")) == []


# --- what is not there ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", [new_key(), "", "a", "../" * 5 + "etc/passwd", "x" * 33, "ü" * 32, "a/" * 16, "x" * 30 + "#1"]
)
def test_missing_and_impossible_keys_are_key_errors(address: str, key: str) -> None:
    """Whatever a client calls a picture: what is not there is a KeyError, and deleting it is none."""

    async def main(objects: Objects) -> None:
        for call in (objects.get(key), objects.head(key), gather(objects.stream(key, 0, 5))):
            with pytest.raises(KeyError):
                await call
        await objects.delete(key)

    on_store(address, main)


def test_impossible_keys_are_not_written(tmp_path: Path) -> None:
    """A key that leaves the folder is refused before anything is opened."""

    async def main(objects: Objects) -> None:
        with pytest.raises(KeyError):
            await objects.put("../stolen", BODY, "image/png")

    on_store(f"file://{tmp_path}/results", main)
    assert os.listdir(tmp_path) == ["results"]


def test_deleted_pictures_are_gone(address: str) -> None:
    """After delete, a KeyError; the others stay."""

    async def main(objects: Objects) -> None:
        gone, kept = new_key(), new_key()
        for key in (gone, kept):
            await objects.put(key, BODY, "image/png")
        await objects.delete(gone)
        with pytest.raises(KeyError):
            await objects.head(gone)
        assert await objects.head(kept) == len(BODY)

    on_store(address, main)


# --- the sweep ------------------------------------------------------------------------------------------------------


def test_sweep_removes_by_age(address: str) -> None:
    """Young pictures stay, old ones go, and the number is told."""

    async def main(objects: Objects) -> None:
        for _ in range(3):
            await objects.put(new_key(), BODY, "image/png")
        assert await objects.sweep(3600) == 0
        assert await objects.sweep(0) == 3
        assert await objects.sweep(0) == 0

    on_store(address, main)


def test_sweep_leaves_other_files_alone(tmp_path: Path) -> None:
    """Only what this store wrote, and what a dead process had begun, is removed; however old the rest is."""
    others = ["holiday.jpg", "x" * 31, "note#1"]
    torn, old = new_key() + "#7", new_key()
    (tmp_path / "folder").mkdir()
    for name in [*others, torn, old, "folder/" + new_key()]:
        (tmp_path / name).write_bytes(BODY)
        os.utime(tmp_path / name, (time.time() - 9999, time.time() - 9999))
    young = new_key() + "#1"
    (tmp_path / young).write_bytes(BODY)

    async def main(objects: Objects) -> None:
        assert await objects.sweep(5000) == 2

    on_store(f"file://{tmp_path}", main)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, young, "folder"])
    assert len(os.listdir(tmp_path / "folder")) == 1


# --- opening --------------------------------------------------------------------------------------------------------


def test_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """Pictures of strangers: nobody else on the machine can list them; spaces in the address are spelled."""
    folder = tmp_path / "a b" / "results"
    Objects(f"file://{tmp_path}/a%20b/results")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_bucket_is_opened_without_asking_it() -> None:
    """An s3 address is only read: whether the bucket answers shows at the first picture."""
    assert Objects("s3://bucket/prefix").address == "s3://bucket/prefix"


@pytest.mark.parametrize(
    "address", ["", "file://relative/x", "file:///", "http://host/x", "s3://", "/tmp/x", "file:///proc/none/x"]
)
def test_other_addresses_stop_the_start(address: str) -> None:
    """One line that names the address."""
    with pytest.raises(StartError, match=address or "no object store"):
        Objects(address)


def test_keys_cannot_be_guessed() -> None:
    """192 bits: 32 characters, none like another."""
    keys = {new_key() for _ in range(1000)}

    assert len(keys) == 1000
    assert {len(key) for key in keys} == {32}
