"""Scissors here: the library's ``Cutter``, its net loaded with the first picture that needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bgone.commands.cutting.outcomes import Answer, Failure
from bgone.commands.cutting.sources import STDIN, Source
from bgone.cutter import Cutter
from bgone.errors import ApiError
from bgone.imaging.photo import PhotoLimits, open_photo
from bgone.imaging.sniff import sniff
from bgone.machine import settle_malloc
from bgone.settings import Settings

_ZIP = b"PK\x03\x04"
_FORMATS = {"jpeg": "jpg", "heif": "avif"}  # as rows of FORMATS are called; others are called alike


class LocalScissors:
    """One cutter for all threads.

    Args:
        settings: Model, device, threads, limits.
        options: Render options, as texts.
        ground: ``background_image`` (a path) or ``background_url``, where one was said.
        read_stdin: Gives the picture of ``-``.
    """

    def __init__(
        self,
        settings: Settings,
        options: Mapping[str, str],
        ground: Mapping[str, str],
        read_stdin: Callable[[], bytes],
    ) -> None:
        settle_malloc()
        self._cutter = Cutter(
            settings.model,
            device=settings.device,
            threads=settings.threads,
            models_dir=settings.models_path,
            max_megapixels=settings.max_megapixels or 100,
            fetch_allow=settings.fetch_allow,
        )
        self._options: dict[str, Any] = {**options, **ground}
        self._read_stdin = read_stdin

    def cut(self, source: Source, write: Callable[[bytes], object]) -> Answer:
        """See ``Scissors``."""
        picture: Any = source.text if source.is_url else source.path
        if source.text == STDIN:
            picture = self._read_stdin()
        elif source.path is not None:
            _check_readable(source.path)
        try:
            data: bytes = self._cutter.cut(picture, returns="bytes", **self._options)
        except ApiError as error:
            raise Failure(error.kind, error.message, error.detail) from error
        write(data)
        return _answer(data)

    def close(self) -> None:
        """Let the net go."""
        self._cutter.close()


def _check_readable(path: Path) -> None:
    """Told apart here from a disk that does not take the answer."""
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise Failure("unreadable", f"cannot be read: {error.strerror}") from error


def _answer(data: bytes) -> Answer:
    """What has come out: ``auto`` tells only now."""
    if data.startswith(_ZIP):
        return Answer("zip", None, None)
    kind = sniff(data)
    assert kind is not None
    header = open_photo(data, PhotoLimits(pixels=1 << 40, side=1 << 30))
    return Answer(_FORMATS.get(kind, kind), header.width, header.height)
