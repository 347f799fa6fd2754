"""Model files from elsewhere: resumed, verified, then visible at once.

Whatever arrives lies aside as ``FILE.part`` until its size and its SHA-256 are those of the table, and its inputs and
outputs those of the recipe; a rename then makes it ``FILE``. So the part of a killed pull is worth something, and who
looks for the file never finds half of one. Where it came from does not matter: only the sum does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bgone.matting import shelf
from bgone.matting.model import Model
from bgone.matting.parts import (
    Check,
    Progress,
    PullError,
    locked,
    origin_of,
    part_of,
    require_room,
    require_same,
    show,
    size_of,
)
from bgone.matting.weights import digest

if TYPE_CHECKING:
    import httpx2

Say = Callable[[str], None]

PIECE = 1 << 16  # also the most that a killed pull loses
TRIES = 5  # of one source, each from where the last broke off; one that brings nothing new is the last
CONNECT_S, SILENCE_S = 15.0, 60.0
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class _Broken(Exception):  # noqa: N818 - an event, not an error
    """The transfer ended early; what came is kept."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a part began as: the source, and the validator that a resumed request shows (RFC 9110, If-Range)."""

    url: str
    validator: str


def pull(
    model: Model,
    folder: Path,
    *,
    sources: Sequence[str],
    check: Check,
    on_progress: Progress = lambda done, total: None,
    say: Say = lambda words: None,
) -> Path:
    """Bring a model's file into the folder, from the first source that has it.

    Args:
        model: A row of the table.
        folder: Made when it is not there.
        sources: Addresses, asked in this order.
        check: Raises what must not become visible: a graph that does not fit its row.
        on_progress: Hears bytes here and bytes in all.
        say: Hears why a source was left.

    Raises:
        PullError: No source has it, another pull of it is under way, or the disk is full.
    """
    with locked(model, folder):
        path, part = folder / model.file, part_of(model, folder)
        if path.is_file() and digest(path) == model.sha256:
            return path
        require_room(model, folder)
        for url in sources:
            try:
                _from_source(url, model, part, on_progress)
            except PullError as error:
                say(f"{url}: {error}")
                continue
            return show(part, path, model, check)
        raise PullError(f"{model.name} is at none of its {len(sources)} sources. Try --mirror URL, or --from FILE.")


# --- over HTTP ------------------------------------------------------------------------------------------------------


def _from_source(url: str, model: Model, part: Path, on_progress: Progress) -> None:
    """The whole file in ``part``, its sum verified.

    Raises:
        PullError: This source does not have it.
    """
    import httpx2

    timeout = httpx2.Timeout(SILENCE_S, connect=CONNECT_S)
    with httpx2.Client(timeout=timeout, follow_redirects=True, max_redirects=10) as client:
        for _ in range(2):
            resumed = size_of(part) > 0
            _fetch_all(client, url, model, part, on_progress)
            try:
                require_same(part, model)
            except PullError:
                # The first half may have been of another file: once more from the beginning.
                if not resumed:
                    raise
                continue
            return


def _fetch_all(client: httpx2.Client, url: str, model: Model, part: Path, on_progress: Progress) -> None:
    import httpx2

    for _ in range(TRIES):
        had = size_of(part)
        if had == model.size_bytes:
            return
        try:
            _fetch_rest(client, url, model, part, on_progress)
        except (httpx2.HTTPError, httpx2.InvalidURL, _Broken) as error:
            if size_of(part) <= had:
                raise PullError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        except OSError as error:
            raise PullError(f"{part} cannot be written: {error.strerror}") from error
    if size_of(part) != model.size_bytes:
        raise PullError(f"broke off {TRIES} times")


def _fetch_rest(client: httpx2.Client, url: str, model: Model, part: Path, on_progress: Progress) -> None:
    """One request: what ``part`` still lacks, or all of it where the server has no ranges.

    Raises:
        PullError: The answer is another file, or none.
        _Broken: It ended early.
    """
    have = size_of(part)
    if have > model.size_bytes:
        part.unlink()
        have = 0
    headers = {"accept-encoding": "identity", "user-agent": "bgone"}
    if have:
        headers["range"] = f"bytes={have}-"
        origin = _origin(part)
        if origin is not None and origin.url == url and origin.validator:
            headers["if-range"] = origin.validator
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416 and have:
            part.unlink()  # longer than the server's file: once more from the beginning
            return
        if answer.status_code not in (200, 206):
            raise PullError(f"the server answered {answer.status_code}")
        start = _start(answer, have)
        length = answer.headers.get("content-length")
        if length is not None and length.isdigit() and start + int(length) != model.size_bytes:
            raise PullError(f"another file: {start + int(length)} bytes, expected {model.size_bytes}")
        if start == 0:
            _remember(part, _Origin(url, _validator(answer)))
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            for piece in answer.iter_raw(PIECE):
                file.write(piece)
                if file.tell() > model.size_bytes:
                    raise PullError(f"another file: more than {model.size_bytes} bytes")
                on_progress(file.tell(), model.size_bytes)
    if size_of(part) < model.size_bytes:
        raise _Broken(f"{size_of(part)} of {model.size_bytes} bytes came")


def _start(answer: httpx2.Response, have: int) -> int:
    """Where the answer's first byte belongs.

    Raises:
        PullError: Elsewhere than asked.
    """
    if answer.status_code == 200:
        return 0
    match = _RANGE.fullmatch(answer.headers.get("content-range", ""))
    if match is None or int(match[1]) != have:
        raise PullError("the server sent another range than was asked for")
    return have


def _validator(answer: httpx2.Response) -> str:
    """A strong validator, the only kind that If-Range takes; empty where there is none."""
    tag = str(answer.headers.get("etag", ""))
    return tag if tag.startswith('"') else ""


def _origin(part: Path) -> _Origin | None:
    try:
        return msgspec.json.decode(origin_of(part).read_bytes(), type=_Origin)
    except (OSError, msgspec.MsgspecError):
        return None


def _remember(part: Path, origin: _Origin) -> None:
    shelf.write_aside(origin_of(part), msgspec.json.encode(origin).decode())
