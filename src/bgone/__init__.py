"""bgone: the background-removal server that people run themselves, and a library that does the same in one's process.

``from bgone import cut, Cutter``; whatever is heavy is imported with the first picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bgone.cutter import AsyncCutter, CutOptions, Cutter, cut
    from bgone.errors import ApiError, StartError

__all__ = ["ApiError", "AsyncCutter", "CutOptions", "Cutter", "StartError", "cut"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in ("ApiError", "StartError"):
        from bgone import errors

        return getattr(errors, name)
    if name in __all__:
        from bgone import cutter

        return getattr(cutter, name)
    raise AttributeError(f"module 'bgone' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
