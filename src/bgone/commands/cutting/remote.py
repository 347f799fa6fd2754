"""Scissors far away: a bgone server's ``POST /cut/v1``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import httpx2

from bgone import __version__
from bgone.commands.cutting.outcomes import Answer, Failure
from bgone.commands.cutting.sources import STDIN, Source
from bgone.imaging.formats import FORMATS

PATH = "/cut/v1"
TRIES = 8
WAIT_S = 120.0  # at most between two tries, whatever the server says
BUSY = (429, 503)
# Whoever is refused for these is refused for the next picture too.
FINAL = ("key_missing", "key_wrong", "key_revoked", "account_barred", "no_credits")
_TIMEOUT = httpx2.Timeout(10.0, read=300.0, write=300.0, pool=None)
_NAMES = {form.media_type: form.name for form in FORMATS.values()}


class RemoteScissors:
    """A connection a thread, kept open; pictures stream from the disk and back to it.

    Args:
        server: ``http://HOST:PORT``, with a path where a proxy has put it under one.
        key: Or empty.
        options: As the server's fields take them.
        background: A picture that goes under every subject, or None.
        read_stdin: Gives the picture of ``-``.
        wait: Waits so many seconds; True when it is time to end.

    Raises:
        Failure: ``server`` is no address.
    """

    def __init__(
        self,
        server: str,
        key: str,
        options: Mapping[str, str],
        background: Path | None,
        read_stdin: Callable[[], bytes],
        wait: Callable[[float], bool],
    ) -> None:
        headers = {"User-Agent": f"bgone/{__version__}"} | ({"X-API-Key": key} if key else {})
        try:
            self._address = httpx2.URL(server.rstrip("/") + PATH)
        except httpx2.InvalidURL as error:
            raise Failure("server", f"{server!r} is no address of a server: {error}", is_final=True) from error
        if self._address.scheme not in ("http", "https") or not self._address.host:
            raise Failure("server", f"{server!r} is no address of a server: expected http://HOST:PORT", is_final=True)
        self._client = httpx2.Client(headers=headers, timeout=_TIMEOUT, limits=httpx2.Limits(max_connections=None))
        self._options = dict(options)
        self._background = background
        self._read_stdin = read_stdin
        self._wait = wait
        self._has_answered = False

    def cut(self, source: Source, write: Callable[[bytes], object]) -> Answer:
        """See ``Scissors``; a busy server is asked again, when it says so."""
        piped = self._read_stdin() if source.text == STDIN else b""
        for tried in range(1, TRIES + 1):
            try:
                with ExitStack() as stack:
                    response = stack.enter_context(self._ask(source, piped, stack))
                    self._has_answered = True
                    if response.status_code == 200:
                        return _receive(response, write)
                    response.read()
                    failure, pause = _complaint(response), _pause(response, tried)
            except httpx2.ConnectError as error:
                # Nothing was sent. A server that has never answered is none, one that has may be starting anew.
                words = f"{self._address.copy_with(path='/')} cannot be reached: {error}"
                failure = Failure("server", words, is_final=True)
                pause = _usual_pause(tried) if self._has_answered else None
            except httpx2.HTTPError as error:
                words = str(error) or type(error).__name__
                raise Failure("server", f"the connection to the server broke: {words}") from error
            if pause is None or tried == TRIES or self._wait(pause):
                raise failure
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _ask(self, source: Source, piped: bytes, stack: ExitStack) -> Any:
        # A part of a multipart form is a file; texts go as parts too.
        files: list[tuple[str, Any]] = [(name, (None, text)) for name, text in self._options.items()]
        if source.is_url:
            files.append(("image_url", (None, source.text)))
        else:
            content = piped if source.path is None else _open(source.path, "", stack)
            files.append(("image", (source.name, content)))
        if self._background is not None:
            files.append(
                ("background_image", (self._background.name, _open(self._background, f"{self._background} ", stack)))
            )
        return self._client.stream("POST", self._address, files=files)


def _open(path: Path, name: str, stack: ExitStack) -> BinaryIO:
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise Failure("unreadable", f"{name}cannot be read: {error.strerror}") from error


def _receive(response: httpx2.Response, write: Callable[[bytes], object]) -> Answer:
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type not in _NAMES:
        raise Failure("server", f"the server answered {media_type or 'nothing'} instead of a picture: is it bgone?")
    for piece in response.iter_bytes():
        write(piece)
    width, height = (response.headers.get(name, "") for name in ("x-width", "x-height"))
    sides = (int(width), int(height)) if width.isdecimal() and height.isdecimal() else (None, None)
    return Answer(_NAMES[media_type], *sides)


def _complaint(response: httpx2.Response) -> Failure:
    """The server's own words."""
    try:
        told = response.json()
        words, kind = str(told["detail"]), str(told["code"])
    except (ValueError, KeyError, TypeError):
        words, kind = f"the server answered {response.status_code} {response.reason_phrase}".strip(), "server"
    return Failure(kind, words, response.headers.get("x-request-id", ""), is_final=kind in FINAL)


def _pause(response: httpx2.Response, tried: int) -> float | None:
    """Seconds until it is worth trying again; None where it never is."""
    if response.status_code not in BUSY:
        return None
    told = response.headers.get("retry-after", "")
    return min(WAIT_S, float(told)) if told.isdecimal() else _usual_pause(tried)


def _usual_pause(tried: int) -> float:
    # Spread, so that many callers who were refused together do not come back together.
    return random.uniform(0.5, 1.0) * float(min(30, 2 ** (tried - 1)))  # noqa: S311 - no secret
