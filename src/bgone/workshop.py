"""A studio with a thread and an event loop of its own, for callers in the same process, from any thread.

They wait where a server would refuse: for a seat, and for memory, first come, first served.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import PIL.Image

from bgone.api.fields import Fields, File
from bgone.api.render_options import OPTIONS, read_render_options
from bgone.errors import ApiError, StartError, invalid_option
from bgone.imaging.bare_tiff import bare_tiff
from bgone.imaging.formats import RAW
from bgone.imaging.photo import PhotoLimits
from bgone.imaging.pillow_photos import heic_available
from bgone.machine import cores, memory_bytes
from bgone.matting.batcher import Batcher
from bgone.matting.devices import open_net
from bgone.matting.engine import EngineOptions
from bgone.matting.models import EMBEDDED
from bgone.pipeline.addresses import parse_networks
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher, FetchLimits
from bgone.pipeline.order import Link, Order, Upload
from bgone.pipeline.render import bands as bands_of
from bgone.pipeline.studio import Result, Studio, StudioOptions
from bgone.pipeline.timings import Timings

Returns = Literal["bytes", "image", "array"]
Pixels = npt.NDArray[np.uint8]
Cutout = bytes | PIL.Image.Image | Pixels

MEGABYTE = 1_000_000
FILE_BYTES = 1_000_000_000
FETCH_S = 60.0
FOREVER_S = 10 * 365 * 86_400.0  # nobody hangs up on a caller in the same process
MANY = 1_000_000

# What the pixels of Pillow's modes become; all others go through RGB, or RGBA where they may be transparent.
_PLAIN_MODES = ("L", "RGB", "RGBA")
_TRANSLUCENT_MODES = ("LA", "La", "PA", "RGBa")
_ORIENTATION = 274  # EXIF
_RETURNS: dict[str, Returns] = {"bytes": "bytes", "image": "image", "array": "array"}


@dataclass(frozen=True, slots=True)
class Tools:
    """How a workshop is set up.

    Attributes:
        model: A name of the model table or the path of an ``.onnx`` file; None for the embedded net.
        device: ``auto``, ``cpu``, ``cuda`` or ``openvino``.
        threads: Cores to use; 0 for all that we may.
        models_dir: Looked in before the package.
        max_megapixels: Larger photos are refused by their header.
        fetch_allow: Networks that a URL may lead to although they are not public.
        fetch_bytes: Most bytes of a picture that is fetched.
    """

    model: str | None = None
    device: str = "auto"
    threads: int = 0
    models_dir: str | os.PathLike[str] | None = None
    max_megapixels: float = 100
    fetch_allow: tuple[str, ...] = ()
    fetch_bytes: int = FILE_BYTES

    @property
    def models_path(self) -> Path | None:
        """``models_dir`` as a path."""
        return None if self.models_dir is None else Path(self.models_dir)


@dataclass(frozen=True, slots=True)
class Commission:
    """An order, and what its caller wants in hand.

    Attributes:
        order: What is asked.
        returns: A file's bytes, a Pillow image, or an array.
    """

    order: Order
    returns: Returns


# --- what is asked --------------------------------------------------------------------------------------------------


def commission(source: object, options: Mapping[str, object], returns: str | None, tools: Tools) -> Commission:
    """Read a call; blocking where the source is a file.

    Args:
        source: A path, a URL, bytes, a binary file object, a Pillow image, or an array.
        options: Names of ``OPTIONS`` and ``background_image``, ``background_url``; None is absent.
        returns: ``bytes``, ``image`` or ``array``; None: like what came in.
        tools: Limits.

    Raises:
        invalid_option: An option's value, the array's shape, or ``returns`` is not accepted.
        multiple_grounds: Several backgrounds were given.
        TypeError: An option is not known, or the source is of another type.
        OSError: The file cannot be read.
    """
    wanted = _returns(source, returns)
    texts = {name: _spelled(name, value) for name, value in options.items() if value is not None and name in OPTIONS}
    files: dict[str, File] = {}
    for name, value in options.items():
        if name == "background_url" and value is not None:
            texts[name] = str(value)
        elif name == "background_image" and value is not None:
            ground = source_of(value, name)
            if isinstance(ground, Link):
                texts["background_url"] = ground.url
            else:
                files[name] = File(ground.data)
        elif name not in OPTIONS and name not in ("background_url", "background_image"):
            raise TypeError(f"{name!r} is no option; there are {', '.join(OPTIONS)}, background_image, background_url")
    render = replace(read_render_options(Fields("none", text=texts, files=files)), measure=False)
    if wanted != "bytes":
        for name, is_of_a_file in (("format", "format" in texts), ("quality", render.quality_percent is not None)):
            if is_of_a_file:
                raise invalid_option(name, f"nothing beside returns={wanted!r}: only files have one", texts[name])
        render = replace(render, format=RAW)
    limits = PhotoLimits(tools.fetch_bytes, round(tools.max_megapixels * MEGABYTE), heic=heic_available())
    return Commission(Order(source_of(source), render, limits=limits), wanted)


def source_of(value: object, name: str = "source") -> Upload | Link:
    """A picture that a caller holds; nothing is lost of one that is in memory.

    Raises:
        invalid_option: An array of another type or shape.
        TypeError: It is nothing of the kind.
        OSError: The file cannot be read.
    """
    if isinstance(value, str) and value.lower().startswith(("http://", "https://")):
        return Link(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Upload(bytes(value))
    if isinstance(value, (str, os.PathLike)):
        return Upload(Path(value).read_bytes())
    if isinstance(value, np.ndarray):
        return Upload(bare_tiff(_checked(value, name)))
    if isinstance(value, PIL.Image.Image):
        return Upload(_tiff_of(value))
    read = getattr(value, "read", None)
    if read is not None and isinstance(data := read(), (bytes, bytearray, memoryview)):
        return Upload(bytes(data))
    kinds = "a path, a URL, bytes, a binary file, a Pillow image or a numpy array"
    raise TypeError(f"{name}: expected {kinds}, got {type(value).__name__}")


def _returns(source: object, returns: str | None) -> Returns:
    if returns is None:
        return (
            "image" if isinstance(source, PIL.Image.Image) else "array" if isinstance(source, np.ndarray) else "bytes"
        )
    if returns in _RETURNS:
        return _RETURNS[returns]
    raise invalid_option("returns", "bytes, image or array", returns)


def _spelled(name: str, value: object) -> str:
    """A keyword's value as the wire spells it, so that one reader reads both."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, (float, np.floating, np.integer)):
        return f"{float(value):.9g}"
    if isinstance(value, Sequence):
        words = [_spelled(name, part) for part in value]
        if OPTIONS[name].holds_colour and len(words) in (3, 4) and all(word.isdigit() for word in words):
            *channels, alpha = [*words, "255"][:4]
            return f"rgba({' '.join(channels)} / {int(alpha) / 2.55:.6f}%)"
        return (":" if name == "aspect" else " ").join(words)
    raise invalid_option(name, OPTIONS[name].reader.expected, repr(value))


def _checked(pixels: npt.NDArray[Any], name: str) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or 0 in pixels.shape:
        expected = "an array of uint8, (height, width, 3) or (height, width, 4)"
        raise invalid_option(name, expected, f"{pixels.dtype} {pixels.shape}")
    return np.ascontiguousarray(pixels, np.uint8)


def _tiff_of(image: PIL.Image.Image) -> bytes:
    profile: bytes = image.info.get("icc_profile") or b""
    orientation = image.getexif().get(_ORIENTATION, 1)
    if image.mode not in _PLAIN_MODES:
        # A profile of CMYK or of 16 bit says nothing about what Pillow makes of them.
        profile = profile if image.mode in ("P", "PA", "LA") else b""
        translucent = image.mode in _TRANSLUCENT_MODES or "transparency" in image.info
        image = image.convert("RGBA" if translucent else "RGB")
    elif "transparency" in image.info:
        image = image.convert("RGBA")
    pixels = np.asarray(image)
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    upright = orientation if orientation in range(1, 9) else 1
    return bare_tiff(np.ascontiguousarray(pixels, np.uint8), orientation=upright, profile=profile)


# --- the workshop ---------------------------------------------------------------------------------------------------


_begun_in: list[int] = []  # the process in which the first workshop was opened


class Workshop:
    """Open from the start until ``close``; every method may be called from any thread.

    Raises:
        StartError: The net cannot be loaded.
        RuntimeError: A parent of this process had opened one before it forked.
    """

    def __init__(self, tools: Tools) -> None:
        if _begun_in and _begun_in[0] != os.getpid():
            # Locks of libvips and ONNX Runtime whose threads did not come along: the first picture would hang.
            raise RuntimeError("this process was forked after bgone had been used: fork before, or spawn")
        _begun_in[:] = [os.getpid()]
        self.tools = tools
        self.device = ""
        self._loop = asyncio.new_event_loop()
        self._gate = threading.Lock()
        self._closed = False
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="bgone", daemon=True)
        self._thread.start()
        try:
            opened.result()
        except BaseException:
            if opened.done():
                self._thread.join()
            else:  # Ctrl-C
                self.close()
            raise

    def submit(self, source: object, options: Mapping[str, object], returns: str | None) -> Future[Cutout]:
        """Begin a picture, or queue it; cancelling the future ends the work on it. Arguments as of ``commission``.

        Raises:
            RuntimeError: The workshop is closed.
        """
        with self._gate:
            if self._closed:
                raise RuntimeError("this Cutter is closed")
            return asyncio.run_coroutine_threadsafe(self._make(source, options, returns), self._loop)

    def close(self) -> None:
        """Take nothing more in, wait for what is under way, give everything back; twice does no harm."""
        if _begun_in[0] != os.getpid():  # forked: the thread is our parent's
            return
        with self._gate:
            if not self._closed:
                self._closed = True
                # Behind every submit: their tasks are there when this one looks.
                asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        self._thread.join()

    # --- on the thread ------------------------------------------------------------------------------------------

    def _run(self, opened: Future[None]) -> None:
        try:
            self._loop.run_until_complete(self._open())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the thread hears why there is none
            self._loop.close()
            opened.set_exception(error)
            return
        opened.set_result(None)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    async def _open(self) -> None:
        tools, threads = self.tools, self.tools.threads or cores()
        try:
            allow = parse_networks(",".join(tools.fetch_allow))
        except ValueError as error:
            raise StartError(f"fetch_allow: {error}.") from error
        net = open_net(EngineOptions(tools.model or EMBEDDED, tools.models_path, tools.device, threads)).net
        self.device = net.device
        seats = threads + 1
        self._fetcher = Fetcher(FetchLimits(tools.fetch_bytes, total_s=FETCH_S), allow=allow)
        budget = Budget(min(512 * MEGABYTE, memory_bytes() // 4))
        self._studio = Studio(self._fetcher, StudioOptions(threads, seats, queue=seats, deadline_s=FOREVER_S), budget)
        self._studio.set_engine(Batcher(net, max_batch=1))
        self._reading = ThreadPoolExecutor(seats, thread_name_prefix="bgone-read")
        self._turns, self._door = asyncio.Semaphore(seats), asyncio.Lock()
        self._tasks: set[asyncio.Task[Cutout]] = set()
        self._inside = 0
        self._someone_left = asyncio.Event()

    async def _end(self) -> None:
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._fetcher.aclose()
            await self._studio.aclose()
            self._reading.shutdown(wait=False)
        finally:
            self._loop.stop()

    async def _make(self, source: object, options: Mapping[str, object], returns: str | None) -> Cutout:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Files are read and arrays copied when it is their turn: a thousand that wait cost nothing.
        async with self._turns:
            asked = await self._loop.run_in_executor(self._reading, commission, source, options, returns, self.tools)
            async with self._door:
                self._inside += 1
            try:
                return await self._cut(asked)
            except ApiError as error:
                if error.kind != "overloaded" or self._inside == 1:
                    raise
            finally:
                self._inside -= 1
                self._someone_left.set()
            # Memory did not suffice beside the others. By itself every order fits; nobody passes the door meanwhile.
            async with self._door:
                while self._inside:
                    self._someone_left.clear()
                    await self._someone_left.wait()
                return await self._cut(asked)

    async def _cut(self, asked: Commission) -> Cutout:
        holding = self._studio.budget.open()
        try:
            if isinstance(asked.order.source, Upload):
                holding.grow(len(asked.order.source.data))
            result = await self._studio.make(asked.order, holding, Timings())
            try:
                return await _handed_over(result, asked)
            finally:
                result.spool.close()
        finally:
            holding.release()


async def _handed_over(result: Result, asked: Commission) -> Cutout:
    if asked.returns == "bytes":
        return await result.spool.read()
    bands = bands_of(asked.order.options, RAW)
    flat, at = np.empty(result.width * result.height * bands, np.uint8), 0
    async for piece in result.spool.pieces():
        flat[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    pixels = flat.reshape((result.height, result.width) if bands == 1 else (result.height, result.width, bands))
    return pixels if asked.returns == "array" else PIL.Image.fromarray(pixels)
