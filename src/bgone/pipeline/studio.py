"""Admission and the three hops: an order goes in, a result whose bytes are being drawn comes out.

The loop owns the seats and touches no pixels; threads touch pixels and own no state.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2

from bgone.errors import ApiError, ClientGone, deadline_passed, ground_failed, invalid_option
from bgone.imaging.formats import row_of, whole_picture_bytes
from bgone.imaging.geometry import Box
from bgone.imaging.photo import KEEP_PIXELS, Look, Photo, look, open_photo
from bgone.machine import trim_malloc
from bgone.matting.compose import Cut, cut, uncut
from bgone.matting.edges import fit_matte
from bgone.matting.engine import Engine, Matte, Tensor
from bgone.matting.inner import close_inside
from bgone.matting.model import Recipe
from bgone.matting.tensor import matte_of, tensor_of
from bgone.pipeline.budget import Budget, Holding
from bgone.pipeline.closer import look_closer
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.fetch import Fetcher
from bgone.pipeline.order import Link, Order, PictureGround, RenderOptions, Source, Upload
from bgone.pipeline.placement import largest_answer, region_box
from bgone.pipeline.plan import Plan
from bgone.pipeline.render import AUTO, PICTURE_KINDS, bands, draw, plan
from bgone.pipeline.seats import Seat, Seats
from bgone.pipeline.sight import fine_side, settled, settled_side, working_side
from bgone.pipeline.spool import PIECE_BYTES, Spool
from bgone.pipeline.timings import Timings

Value = TypeVar("Value")
Admit = Callable[[int, int], Awaitable[None]]

SPOOL_BYTES = 8 << 20
REST_S = 5.0  # so long without an order: holes that pictures left in the heap go back; filling them again costs 6 ms


@dataclass(frozen=True, slots=True)
class StudioOptions:
    """How much at once.

    Attributes:
        threads: Picture threads, and threads of the deflate pool.
        seats: Orders being worked on; more wait in the queue.
        queue: Orders waiting for a seat; more are refused.
        deadline_s: Seconds from admission to the last byte drawn.
        models: Names that orders may choose from; the first is the default's.
        fine: Orders that do not say get fine edges.
    """

    threads: int
    seats: int
    queue: int
    deadline_s: float
    models: tuple[str, ...] = ()
    fine: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A picture that is being drawn.

    Attributes:
        spool: Its bytes as they come; close it when done with it.
        media_type: Bare media type, e.g. ``image/png``.
        format: Name of the format row.
        width: Pixels across.
        height: Pixels down.
        photo_width: Upright width of what came in.
        photo_height: Its height.
        subject: The subject's box in the answer where it was measured and found, else None.
    """

    spool: Spool
    media_type: str
    format: str
    width: int
    height: int
    photo_width: int
    photo_height: int
    subject: Box | None


@dataclass(frozen=True, slots=True)
class Task:
    """An order whose pictures are there.

    Attributes:
        options: What the answer looks like.
        photo: The photo's header.
        region: The part of it that the net may see.
        ground: The header of the picture under the subject, or None.
        fine: The net is asked again about the outline.
    """

    options: RenderOptions
    photo: Photo
    region: Box
    ground: Photo | None
    fine: bool = False


class Stop:
    """Why a drawing should end early: set on the loop, read between strips on a thread."""

    def __init__(self, deadline_at: float) -> None:
        self._deadline_at = deadline_at
        self._gone = threading.Event()

    def set(self) -> None:
        """The client has gone."""
        self._gone.set()

    def check(self) -> None:
        """Raise ``ClientGone`` or ``deadline_passed`` when there is nobody to draw for."""
        if self._gone.is_set():
            raise ClientGone
        if time.monotonic() > self._deadline_at:
            raise deadline_passed(1)


class Studio:
    """The one place where pictures are made; lives on one event loop.

    Args:
        fetcher: Reads ``Link`` sources.
        options: How much at once.
        budget: Memory that orders may hold together.

    Attributes:
        spooled_bytes: Of answers that went to disk, because their readers were slow.
    """

    def __init__(self, fetcher: Fetcher, options: StudioOptions, budget: Budget) -> None:
        self.options = options
        self.budget = budget
        self.spooled_bytes = 0
        self.seats = Seats(options.seats, options.queue)
        self._loop = asyncio.get_running_loop()
        self._fetcher = fetcher
        self._engine: asyncio.Future[Engine] = self._loop.create_future()
        self._others: dict[str, Engine] = {}
        self._pictures = ThreadPoolExecutor(options.threads, thread_name_prefix="picture")
        self._deflate = ThreadPoolExecutor(options.threads, thread_name_prefix="deflate")
        self._disk = ThreadPoolExecutor(2, thread_name_prefix="spool")
        self._rest: asyncio.TimerHandle | None = None
        cv2.setNumThreads(1)  # pictures run side by side instead

    # --- the engine ---------------------------------------------------------------------------------------------

    def set_engine(self, engine: Engine, others: Mapping[str, Engine] | None = None) -> None:
        """The nets are loaded and warm; orders that came earlier go on.

        Args:
            engine: The default.
            others: Those that orders choose by name.
        """
        self._others = dict(others or {})
        self._engine.set_result(engine)

    @property
    def engine(self) -> Engine | None:
        """The default net, or None while it is loading."""
        return self._engine.result() if self._engine.done() else None

    @property
    def engines(self) -> list[Engine]:
        """All nets; none while they are loading."""
        return [] if self.engine is None else [self.engine, *self._others.values()]

    async def aclose(self) -> None:
        """End the threads; drawings under way end at their next strip."""
        if self._rest is not None:
            self._rest.cancel()
        for engine in self.engines:
            await engine.aclose()
        for pool in (self._pictures, self._deflate, self._disk):
            pool.shutdown(wait=False, cancel_futures=True)

    # --- the walk -----------------------------------------------------------------------------------------------

    async def make(self, order: Order, holding: Holding, timings: Timings, admit: Admit | None = None) -> Result:
        """Cut one picture.

        Args:
            order: What is asked.
            holding: Memory of this order; grows here, released by whoever opened it.
            timings: Filled while it goes; ``draw`` is there when the spool has finished.
            admit: Hears the upright width and height before any work; may raise to refuse it.

        Returns:
            A result whose first bytes are there; the rest is being drawn.

        Raises:
            ApiError: Every failure before the first byte.
        """
        self._require_model(order.model)
        stop = Stop(time.monotonic() + self.options.deadline_s)
        try:
            async with asyncio.timeout(self.options.deadline_s):
                # A picture that comes back as it is does not wait for the net.
                engine = None if order.options.own_alpha == "asis" else await self._engine_of(order)
                data = await self._source(order.source, order, holding, timings)
                photo, region = await self._on_picture_thread(lambda: _open(data, order))
                if admit is not None:
                    await admit(photo.width, photo.height)
                ground = await self._ground(order, holding, timings)
                holding.grow(_cost(photo, ground, order.options))
                with timings.measure("wait"):
                    seat = await self.seats.take()
                try:
                    task = Task(order.options, photo, region, ground, fine=self._is_fine(order.options))
                    return await self._cut(engine, task, timings, stop, seat)
                except BaseException:
                    seat.leave()
                    raise
        except TimeoutError as error:
            stop.set()
            raise deadline_passed(self.seats.retry_after_s()) from error
        except BaseException:
            stop.set()
            raise

    async def check(self, order: Order) -> None:
        """Refuse early, by its header, what ``make`` would refuse; a ``Link`` is not fetched for it.

        Raises:
            ApiError: As of ``open_photo``, of a region that the photo does not have, or of a model that is not here.
        """
        self._require_model(order.model)
        source = order.source
        if isinstance(source, Upload):
            await self._on_picture_thread(lambda: _open(source.data, order))

    def _require_model(self, name: str) -> None:
        models = self.options.models
        if name and name not in models:
            raise invalid_option("model", f"one of {', '.join(models)}" if models else "no model", name)

    def _is_fine(self, options: RenderOptions) -> bool:
        return self.options.fine if options.fine is None else options.fine

    async def _engine_of(self, order: Order) -> Engine:
        default = await asyncio.shield(self._engine)
        return self._others.get(order.model, default)

    async def _source(self, source: Source, order: Order, holding: Holding, timings: Timings) -> bytes:
        if isinstance(source, Upload):
            return source.data
        assert isinstance(source, Link)  # stored pictures became uploads before
        with timings.measure("fetch"):
            data = await self._fetcher.fetch(source.url, order.limits.file_bytes)
        holding.grow(len(data))
        return data

    async def _ground(self, order: Order, holding: Holding, timings: Timings) -> Photo | None:
        ground = order.options.background
        if not isinstance(ground, PictureGround):
            return None
        try:
            data = await self._source(ground.source, order, holding, timings)
            return await self._on_picture_thread(lambda: open_photo(data, order.limits))
        except ApiError as error:
            if error.kind in PICTURE_KINDS:
                raise ground_failed(error) from error
            raise

    async def _cut(self, engine: Engine | None, task: Task, timings: Timings, stop: Stop, seat: Seat) -> Result:
        recipe = None if engine is None else engine.recipe
        with timings.measure("look"):
            seen, tensor = await self._on_picture_thread(lambda: _look(task, recipe))
        matte: Matte | None = None
        if engine is not None and tensor is not None:
            with timings.measure("predict"):
                answer = await engine.predict(tensor)
            height, width = seen.working.shape[:2]
            matte = matte_of(answer, engine.recipe, width, height)
            if task.fine:
                matte = await self._refined(engine, task, seen, matte, timings)
        with timings.measure("maps"):
            drawing, planned = await self._on_picture_thread(lambda: _prepare(task, seen, matte, recipe, stop))
        spool = Spool(self._disk, SPOOL_BYTES)
        self._start_drawing(drawing, planned, task.ground, spool, timings, seat)
        try:
            # A small picture is soon whole: its answer gets a Content-Length. A large one starts with its first byte.
            await spool.begun(PIECE_BYTES if planned.width * planned.height <= KEEP_PIXELS else 1)
        except BaseException:
            spool.close()
            raise
        form = row_of(planned.format)
        return Result(
            spool=spool,
            media_type=form.media_type,
            format=form.name,
            width=planned.width,
            height=planned.height,
            photo_width=task.photo.width,
            photo_height=task.photo.height,
            subject=planned.subject,
        )

    async def _refined(self, engine: Engine, task: Task, seen: Look, matte: Matte, timings: Timings) -> Matte:
        """The matte with finer edges, of the working picture's size; as it was where nothing is to be gained."""
        recipe = engine.recipe
        if fine_side(task.region, recipe) is None:
            return matte
        with timings.measure("maps"):
            closer = await self._on_picture_thread(lambda: look_closer(seen.working, matte, recipe))
        with timings.measure("predict"):
            mattes = await closer.ask(engine)
        with timings.measure("maps"):
            return await self._on_picture_thread(lambda: closer.merged(mattes, recipe))

    def _start_drawing(
        self, drawing: Drawing, planned: Plan, ground: Photo | None, spool: Spool, timings: Timings, seat: Seat
    ) -> None:
        def work() -> None:
            with timings.measure("draw"):
                draw(drawing, planned, spool.write, self._deflate, ground)

        def end(done: Future[None]) -> None:
            # Cancelled: the studio was closed before a thread was free.
            error = ClientGone() if done.cancelled() else done.exception()
            # First: whoever reads the end may be the last, and close the loop.
            self._loop.call_soon_threadsafe(self._leave, seat, spool.spilled)
            if error is None:
                spool.finish()
            else:
                spool.fail(error)

        self._pictures.submit(work).add_done_callback(end)

    def _leave(self, seat: Seat, spilled_bytes: int) -> None:
        seat.leave()
        self.spooled_bytes += spilled_bytes
        if self._rest is not None:
            self._rest.cancel()
        self._rest = self._loop.call_later(REST_S, self._tidy)

    def _tidy(self) -> None:
        if self.seats.busy == 0:
            self._disk.submit(trim_malloc)

    async def _on_picture_thread(self, work: Callable[[], Value]) -> Value:
        return await self._loop.run_in_executor(self._pictures, work)


def _open(data: bytes, order: Order) -> tuple[Photo, Box]:
    photo = open_photo(data, order.limits)
    return photo, region_box(order.options.region, photo.width, photo.height)


def _look(task: Task, recipe: Recipe | None) -> tuple[Look, Tensor | None]:
    """Pass 1, and what the net is asked; None where the photo comes back as it is."""
    own_alpha, region = task.options.own_alpha, task.region
    usual = working_side(region, recipe)
    longest = max(usual, fine_side(region, recipe) or 0) if task.fine and recipe is not None else usual
    seen = look(task.photo, longest, region, drop_alpha=own_alpha == "drop")
    if recipe is None or (own_alpha == "keep" and not seen.opaque):
        return seen, None
    # Fine or not, the net is first shown the picture by the same way.
    return seen, tensor_of(settled(seen, usual).working, recipe)


def _prepare(task: Task, seen: Look, matte: Matte | None, recipe: Recipe | None, stop: Stop) -> tuple[Drawing, Plan]:
    seen = settled(seen, settled_side(recipe, fine=task.fine))
    maps = uncut(seen.working, seen.alpha) if matte is None else _maps(seen, matte, task.options)
    drawing = Drawing(task.photo, seen, maps, stop.check, as_is=matte is None)
    return drawing, plan(drawing, task.options)


def _maps(seen: Look, matte: Matte, options: RenderOptions) -> Cut:
    height, width = seen.working.shape[:2]
    fitted = fit_matte(matte, width, height)
    return cut(seen.working, fitted if options.semitransparency else close_inside(fitted))


def _cost(photo: Photo, ground: Photo | None, options: RenderOptions) -> int:
    """Bytes that the order will hold while it waits and works, from the header: pixels, the writer's, the spool's."""
    width, height = largest_answer(options, (photo.width, photo.height))
    # PNG keeps no picture in memory, nor does JPEG: the likelier of the two stands for both.
    name = "png" if options.format == AUTO else options.format
    writer = whole_picture_bytes(name, width, height, bands(options, name))
    ground_bytes = 0 if ground is None else ground.whole_bytes
    return photo.whole_bytes + ground_bytes + writer + min(SPOOL_BYTES, width * height)
