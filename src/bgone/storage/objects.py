"""Pictures that outlive their request, by key, in memory, in a folder or in a bucket; the address says which.

obstore's synchronous calls are made on a few threads of their own: a slow bucket stops neither the loop nor pictures.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Container
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from bgone.errors import StartError

Value = TypeVar("Value")

THREADS = 4
READ_BYTES = 1 << 20  # one read of a stream: a slow client holds so much and no connection
WRITE_BYTES = 5 << 20  # least part of an S3 upload (Amazon S3 user guide, "multipart upload limits")
_KEY = re.compile(r"[A-Za-z0-9_-]{32}")
_TORN = re.compile(_KEY.pattern + "#[0-9]+")  # what obstore calls a file that it has not finished


def new_key() -> str:
    """A name that nobody can guess: 192 random bits, 32 letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(24)


class Objects:
    """The object store; lives on one event loop.

    What is under a key never changes, and is never seen before it is whole: obstore writes a file aside and renames it,
    and a bucket's upload counts from its last part on. Other files in the same folder or bucket are left alone.

    Args:
        address: ``memory:///`` (gone with the process), ``file:///folder`` (made if absent, for its owner only) or
            ``s3://bucket/prefix`` (keys, region and endpoint from the usual ``AWS_*`` variables).

    Raises:
        StartError: The address cannot be opened.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._store, self._folder = _open(address)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")

    async def aclose(self) -> None:
        """End the threads; calls under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def put(self, key: str, data: bytes | AsyncIterable[bytes | memoryview], media_type: str) -> int:
        """Store a picture, whole or not at all.

        Args:
            key: Its name: ``new_key()``.
            data: All of it, or pieces as they come; these are not gathered.
            media_type: Kept beside it where the store can (a folder cannot).

        Returns:
            Its size in bytes.

        Raises:
            KeyError: No possible key.
        """
        attributes = None if self._folder else {"Content-Type": media_type}
        path = _checked(key)
        if isinstance(data, bytes):
            await self._run(partial(obstore.put, self._store, path, data, attributes=attributes))
            return len(data)
        writer = await self._run(
            partial(obstore.open_writer, self._store, path, attributes=attributes, buffer_size=WRITE_BYTES)
        )
        size = 0
        try:
            async for piece in data:
                size += len(piece)
                await self._run(partial(writer.write, piece))
            await self._run(writer.close)
        finally:
            del writer  # dropped before it was closed, it removes its file; a traceback would keep it
        return size

    async def get(self, key: str) -> bytes:
        """All of a picture.

        Raises:
            KeyError: It is not there.
        """
        return await self._run(lambda: bytes(obstore.get(self._store, _checked(key)).bytes()))

    async def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to and without ``end``, in pieces of at most ``READ_BYTES``.

        Raises:
            KeyError: It is not there, or no more.
        """
        for at in range(start, end, READ_BYTES):
            read = partial(obstore.get_range, self._store, _checked(key), start=at, end=min(at + READ_BYTES, end))
            yield bytes(await self._run(read))

    async def head(self, key: str) -> int:
        """Size in bytes.

        Raises:
            KeyError: It is not there.
        """
        return (await self._run(lambda: obstore.head(self._store, _checked(key))))["size"]

    async def delete(self, key: str) -> None:
        """Remove a picture; one that is not there is no error."""
        try:
            await self._run(lambda: obstore.delete(self._store, _checked(key)))
        except KeyError:
            return

    async def sweep(self, older_than_s: float, keep: Container[str] = ()) -> int:
        """Remove what was stored longer ago, files that a dead process never finished included, but not ``keep``.

        A bucket's unfinished uploads are for its lifecycle rule.

        Returns:
            How many were removed.
        """
        return await self._run(lambda: self._sweep(older_than_s, keep))

    def _sweep(self, older_than_s: float, keep: Container[str]) -> int:
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        removed = 0
        for entry in obstore.list_with_delimiter(self._store)["objects"]:
            if _KEY.fullmatch(entry["path"]) and entry["last_modified"] <= before and entry["path"] not in keep:
                with suppress(FileNotFoundError):  # another replica was faster
                    obstore.delete(self._store, entry["path"])
                    removed += 1
        return removed + (_sweep_torn(self._folder, before) if self._folder else 0)

    async def _run(self, work: Callable[[], Value]) -> Value:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except FileNotFoundError as error:
            raise KeyError("no such object") from error


def _open(address: str) -> tuple[ObjectStore, Path | None]:
    """The store, and its folder where it is one."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "memory":
            return MemoryStore(), None
        if parts.scheme == "file" and not parts.netloc and parts.path.strip("/"):
            folder = Path(unquote(parts.path))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return LocalStore(folder), folder
        if parts.scheme == "s3" and parts.netloc:
            return from_url(address), None
    except (BaseError, OSError, ValueError) as error:
        raise StartError(f"{address} cannot be opened as an object store: {error}") from error
    raise StartError(f"{address!r} is no object store: expected memory:///, file:///folder or s3://bucket/prefix.")


def _checked(key: str) -> str:
    """``key``; one that could never be there is not there."""
    if not _KEY.fullmatch(key):
        raise KeyError("no such object")
    return key


def _sweep_torn(folder: Path, before: datetime) -> int:
    removed = 0
    for file in folder.iterdir():
        if _TORN.fullmatch(file.name):
            with suppress(FileNotFoundError):  # finished or removed meanwhile
                if file.stat().st_mtime <= before.timestamp():
                    file.unlink()
                    removed += 1
    return removed
