"""The library: ``cut`` for one picture, ``Cutter`` for many, ``AsyncCutter`` for those who await.

Nothing heavy is imported before the first picture: ``workshop.py`` has the machinery.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, Unpack, overload

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt
    import PIL.Image

    from bgone.workshop import Workshop

    Array = npt.NDArray[np.uint8]
    Image = PIL.Image.Image
    File = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]
    Picture = File | Image | Array

Length = str | int | float
ColourWord = str | tuple[int, int, int] | tuple[int, int, int, int]
Self = TypeVar("Self", bound="Cutter")


class CutOptions(TypedDict, total=False):
    """Every option, named and explained in docs/dialects/bgone.md; None, like nothing at all, is the default."""

    format: Literal["png", "auto", "jpg", "jpeg", "webp", "tiff", "tif", "bmp", "gif", "avif", "zip"] | None
    quality: int | str | tuple[str, int] | None
    channels: Literal["rgba", "rgb", "alpha"] | None
    max_side: int | None
    max_megapixels: float | None
    width: int | None
    height: int | None
    fit: Literal["contain", "cover", "scale-down"] | None
    crop: bool | None
    margin: Length | Sequence[Length] | None
    aspect: str | float | tuple[float, float] | None
    scale: str | None
    position: str | Sequence[str] | None
    region: str | Sequence[Length] | None
    background: ColourWord | None
    background_fit: Literal["cover", "contain", "fill"] | None
    background_url: str | None
    background_image: Picture | None
    shadow: Literal["none", "drop", "3D", "car", "offset"] | None
    shadow_opacity: float | None
    shadow_blur: float | None
    shadow_offset: str | tuple[float, float] | None
    outline: float | None
    outline_color: ColourWord | None
    despill: bool | None
    semitransparency: bool | None


class Cutter:
    """Cuts pictures in this process; the net is loaded once, at the first picture or with ``open``.

    Threads may share it: pictures are cut side by side, as many as there are cores, the others wait. Close it when it
    is not needed any more, or use it as a context manager.

    Args:
        model: Name of a model (``bgone models list``) or path of an ``.onnx`` file; None for the embedded one.
        device: ``auto``, ``cpu``, ``cuda`` or ``openvino``.
        threads: Cores to use; 0 for all that this process may.
        models_dir: Looked in for models before the package's own.
        max_megapixels: Larger photos are refused before they are decoded.
        fetch_allow: Networks that URLs may lead to although they are not public: ``("10.0.0.0/8",)``.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        device: Literal["auto", "cpu", "cuda", "openvino"] = "auto",
        threads: int = 0,
        models_dir: str | os.PathLike[str] | None = None,
        max_megapixels: float = 100,
        fetch_allow: Sequence[str] = (),
    ) -> None:
        self._settings: dict[str, Any] = {
            "model": model,
            "device": device,
            "threads": threads,
            "models_dir": models_dir,
            "max_megapixels": max_megapixels,
            "fetch_allow": tuple(fetch_allow),
        }
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._workshop: Workshop | None = None
        self._end: weakref.finalize[[], Cutter] | None = None
        self._closed = False

    @overload
    def cut(self, source: File, *, returns: None = None, **options: Unpack[CutOptions]) -> bytes: ...
    @overload
    def cut(self, source: Image, *, returns: None = None, **options: Unpack[CutOptions]) -> Image: ...
    @overload
    def cut(self, source: Array, *, returns: None = None, **options: Unpack[CutOptions]) -> Array: ...
    @overload
    def cut(self, source: Picture, *, returns: Literal["bytes"], **options: Unpack[CutOptions]) -> bytes: ...
    @overload
    def cut(self, source: Picture, *, returns: Literal["image"], **options: Unpack[CutOptions]) -> Image: ...
    @overload
    def cut(self, source: Picture, *, returns: Literal["array"], **options: Unpack[CutOptions]) -> Array: ...
    def cut(self, source: Any, *, returns: str | None = None, **options: Any) -> Any:
        """The subject without its background.

        Args:
            source: A path, an http or https URL, a file's bytes, a binary file object, a Pillow image, or an array
                uint8 (height, width, 3 or 4).
            returns: ``"bytes"`` of a file, an ``"image"`` of Pillow's or an ``"array"`` uint8 (height, width, 4);
                (height, width, 3) where nothing can be transparent, (height, width) of a mask. None: like what came
                in, bytes for a path, a URL or a file.
            **options: See ``CutOptions`` and docs/dialects/bgone.md.

        Raises:
            ApiError: The picture or an option is refused; ``kind``, ``message`` and ``facts`` say why.
            StartError: The net cannot be loaded.
            OSError: The file cannot be read.
            TypeError: Not a picture, or not an option.
            RuntimeError: It is closed, or a parent process used the library before it forked.
        """
        future = self._submit(source, returns, options)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C: nobody waits any more
            raise

    def open(self) -> None:
        """Load the net now.

        Raises:
            StartError: It cannot be loaded.
            RuntimeError: It is closed.
        """
        self._opened()

    @property
    def device(self) -> str:
        """Where the net really runs: the execution provider's name."""
        return self._opened().device

    def close(self) -> None:
        """End when what is under way is done; twice does no harm."""
        self._look_around()
        with self._lock:
            self._closed = True
            self._workshop, end = None, self._end
        if end is not None:
            end()

    def __enter__(self: Self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_around(self) -> None:
        """After a fork, forget what is the parent's: its threads did not come along, nor is it ours to end."""
        if self._process != os.getpid():
            self._lock, self._process, self._workshop, self._end = threading.Lock(), os.getpid(), None, None

    def _submit(self, source: object, returns: str | None, options: dict[str, object]) -> Future[Any]:
        return self._opened().submit(source, options, returns)

    def _opened(self) -> Workshop:
        self._look_around()
        with self._lock:
            if self._closed:
                raise RuntimeError("this Cutter is closed")
            if self._workshop is None:
                from bgone.workshop import Tools, Workshop

                self._workshop = Workshop(Tools(**self._settings))
                # Also where nobody closes: with the last reference, or at the interpreter's end.
                self._end = weakref.finalize(self, self._workshop.close)
            return self._workshop


class AsyncCutter:
    """``Cutter`` for those who await; cancelling the task ends the work on its picture. Arguments as of ``Cutter``.

    ``async with AsyncCutter() as cutter: picture = await cutter.cut("photo.jpg")``
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        device: Literal["auto", "cpu", "cuda", "openvino"] = "auto",
        threads: int = 0,
        models_dir: str | os.PathLike[str] | None = None,
        max_megapixels: float = 100,
        fetch_allow: Sequence[str] = (),
    ) -> None:
        self._cutter = Cutter(
            model,
            device=device,
            threads=threads,
            models_dir=models_dir,
            max_megapixels=max_megapixels,
            fetch_allow=fetch_allow,
        )

    @overload
    async def cut(self, source: File, *, returns: None = None, **options: Unpack[CutOptions]) -> bytes: ...
    @overload
    async def cut(self, source: Image, *, returns: None = None, **options: Unpack[CutOptions]) -> Image: ...
    @overload
    async def cut(self, source: Array, *, returns: None = None, **options: Unpack[CutOptions]) -> Array: ...
    @overload
    async def cut(self, source: Picture, *, returns: Literal["bytes"], **options: Unpack[CutOptions]) -> bytes: ...
    @overload
    async def cut(self, source: Picture, *, returns: Literal["image"], **options: Unpack[CutOptions]) -> Image: ...
    @overload
    async def cut(self, source: Picture, *, returns: Literal["array"], **options: Unpack[CutOptions]) -> Array: ...
    async def cut(self, source: Any, *, returns: str | None = None, **options: Any) -> Any:
        """As ``Cutter.cut``."""
        import asyncio

        await self.open()
        return await asyncio.wrap_future(self._cutter._submit(source, returns, options))

    async def open(self) -> None:
        """As ``Cutter.open``; the loop goes on meanwhile."""
        import asyncio

        if self._cutter._workshop is None:
            await asyncio.to_thread(self._cutter.open)

    @property
    def device(self) -> str:
        """As ``Cutter.device``; blocks where the net is not loaded yet."""
        return self._cutter.device

    async def aclose(self) -> None:
        """As ``Cutter.close``; the loop goes on meanwhile."""
        import asyncio

        await asyncio.to_thread(self._cutter.close)

    async def __aenter__(self) -> AsyncCutter:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


# One for all who just call ``cut``.
cut = Cutter().cut
