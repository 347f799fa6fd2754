"""The studio: seats, queue, deadline and cancellation, with an engine that works and no model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bgone.errors import ApiError
from bgone.imaging.geometry import Box, Length
from bgone.imaging.photo import PhotoLimits
from bgone.matting.engine import Matte, Tensor
from bgone.matting.models import Recipe
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher
from bgone.pipeline.order import Colour, Frame, Link, Order, PictureGround, RenderOptions, Source, Upload
from bgone.pipeline.studio import Result, Studio, StudioOptions
from bgone.pipeline.timings import PHASES, Timings
from tests.pictures import decode, encode, photo, scene


class RedEngine:
    """Redness as matte, and a gate that tests may close."""

    recipe = Recipe(32, 24)
    device = "test"
    trouble: str | None = None
    waiting = 0

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.inside = 0
        self.most_inside = 0
        self.served: list[int] = []
        self.failure: Exception | None = None
        self.closed = False

    async def predict(self, tensor: Tensor) -> Matte:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if self.failure is not None:
                raise self.failure
        finally:
            self.inside -= 1
        red = tensor[..., 0].astype(np.float32) - tensor[..., 2]
        return np.clip((red + 20) / 120, 0, 1).astype(np.float32)

    async def aclose(self) -> None:
        self.closed = True


@asynccontextmanager
async def open_studio(
    *,
    threads: int = 2,
    seats: int = 2,
    queue: int = 50,
    deadline_s: float = 20,
    budget_bytes: int = 500_000_000,
    engine: RedEngine | None = None,
) -> AsyncIterator[Studio]:
    options = StudioOptions(threads, seats, queue, deadline_s)
    fetcher = Fetcher()
    studio = Studio(fetcher, options, Budget(budget_bytes))
    if engine is not None:
        studio.set_engine(engine)
    try:
        yield studio
    finally:
        await studio.aclose()
        await fetcher.aclose()


def on_loop(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def order(data: bytes | None = None, **options: object) -> Order:
    return Order(Upload(data or photo()), RenderOptions(**options))  # type: ignore[arg-type]


async def cut(studio: Studio, what: Order, timings: Timings | None = None) -> tuple[Result, bytes]:
    """An order from the door to its last byte, as the conductor walks it."""
    holding = studio.budget.open()
    try:
        result = await studio.make(what, holding, timings or Timings())
        try:
            return result, await result.spool.read()
        finally:
            result.spool.close()
    finally:
        holding.release()


async def all_seats_free(studio: Studio) -> None:
    await until(lambda: studio.seats.busy == 0)
    assert (studio.seats.waiting, studio.budget.held_bytes) == (0, 0)


@contextmanager
def busy(pool: object) -> Iterator[None]:
    """All threads of one of the studio's pools are taken, as by other pictures."""
    gate = threading.Event()
    for _ in range(pool._max_workers):  # type: ignore[attr-defined]
        pool.submit(gate.wait, 20)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        gate.set()


class HaltingPool(ThreadPoolExecutor):
    """Holds the drawing thread at one strip until the gate opens."""

    def __init__(self, halt_at: int | None) -> None:
        super().__init__(1)
        self.halt_at = halt_at
        self.submitted = 0
        self.gate = threading.Event()

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        self.submitted += 1
        if self.submitted == self.halt_at:
            assert self.gate.wait(20)
        return super().submit(*args, **kwargs)


def noisy(width: int = 1300, height: int = 1200) -> bytes:
    """A picture whose PNG is large, with a subject."""
    picture = scene(width, height)
    noise = np.random.default_rng(0).integers(-9, 9, picture.shape)
    return encode(np.clip(picture + noise, 0, 255).astype(np.uint8), "JPEG", quality=90)


# --- one order ------------------------------------------------------------------------------------------------------


def test_a_photo_becomes_a_cutout() -> None:
    """Bytes, size, media type and every phase's time."""

    async def main() -> None:
        timings = Timings()
        async with open_studio(engine=RedEngine()) as studio:
            result, data = await cut(studio, order(photo(301, 203, orientation=6)), timings)
            await all_seats_free(studio)
        pixels = decode(data)
        assert pixels.shape == (203, 301, 4)
        assert (pixels[101, 150, 3], pixels[0, 0, 3]) == (255, 0)
        assert (result.media_type, result.format, result.subject) == ("image/png", "png", None)
        assert (result.width, result.height, result.photo_width, result.photo_height) == (301, 203, 301, 203)
        assert set(timings.seconds) == set(PHASES) - {"read", "fetch"}
        assert timings.header().startswith("wait;dur=")

    on_loop(main)


def test_a_crop_says_where_the_subject_was() -> None:
    """In the delivered scale, measured in the whole picture."""

    async def main() -> None:
        async with open_studio(engine=RedEngine()) as studio:
            result, data = await cut(studio, order(photo(301, 203), crop=True))
        assert isinstance(result.subject, Box)
        assert (result.subject.width, result.subject.height) == (result.width, result.height)
        assert decode(data).shape == (result.height, result.width, 4)

    on_loop(main)


@pytest.mark.parametrize("data", [b"nothing", photo()[:600]], ids=["no picture", "truncated"])
def test_a_bad_picture_gives_everything_back(data: bytes) -> None:
    """Refused by the header or by the look: no seat and no memory stays taken."""

    async def main() -> None:
        async with open_studio(engine=RedEngine()) as studio:
            for _ in range(3):
                with pytest.raises(ApiError) as caught:
                    await cut(studio, order(data))
                assert caught.value.kind == "unreadable_image"
            await all_seats_free(studio)

    on_loop(main)


def test_an_engine_that_fails_gives_everything_back() -> None:
    """Its own exception goes up; the next order is served."""

    async def main() -> None:
        engine = RedEngine()
        async with open_studio(engine=engine, seats=1) as studio:
            engine.failure = OSError("out of memory")
            with pytest.raises(OSError, match="out of memory"):
                await cut(studio, order())
            engine.failure = None
            await cut(studio, order())
            await all_seats_free(studio)

    on_loop(main)


def test_an_answer_that_the_format_cannot_hold_gives_everything_back() -> None:
    """Known before the first byte: an error, not half an answer."""

    async def main() -> None:
        async with open_studio(engine=RedEngine()) as studio:
            with pytest.raises(ApiError) as caught:
                await cut(studio, order(encode(scene(16_384, 3), "PNG"), format="webp"))
            assert caught.value.kind == "invalid_option"
            await all_seats_free(studio)

    on_loop(main)


def test_a_forbidden_link_gives_everything_back() -> None:
    """Links are read by the fetcher, with its checks."""

    async def main() -> None:
        async with open_studio(engine=RedEngine()) as studio:
            with pytest.raises(ApiError) as caught:
                await cut(studio, Order(Link("http://127.0.0.1:9/photo.jpg")))
            assert caught.value.kind == "fetch_failed"
            await all_seats_free(studio)

    on_loop(main)


def test_what_does_not_fit_the_memory_is_refused_before_it_is_decoded() -> None:
    """The second of two pictures, from its header; the first goes on."""

    async def main() -> None:
        engine = RedEngine()
        async with open_studio(engine=engine, budget_bytes=1_000_000) as studio:
            engine.gate.clear()
            first = asyncio.create_task(cut(studio, order(photo(500, 300))))
            await until(lambda: engine.inside == 1)
            with pytest.raises(ApiError) as caught:
                await cut(studio, order(photo(500, 300)))
            assert caught.value.kind == "overloaded"
            assert caught.value.retry_after_s is not None
            engine.gate.set()
            await first
            await all_seats_free(studio)

    on_loop(main)


# --- other ways through ---------------------------------------------------------------------------------------------


def translucent() -> bytes:
    """A scene that its file makes half transparent on the left."""
    own = np.full((203, 301), 255, np.uint8)
    own[:, :150] = 100
    return encode(np.dstack([scene(301, 203), own]), "PNG")


def test_a_picture_as_it_is_needs_no_net() -> None:
    """A stored result in another format: not even while the net is loading does it wait."""

    async def main() -> None:
        timings = Timings()
        async with open_studio() as studio:
            result, data = await cut(studio, order(translucent(), own_alpha="asis", format="webp"), timings)
            await all_seats_free(studio)
        assert result.media_type == "image/webp"
        assert set(np.unique(decode(data)[..., 3])) == {100, 255}
        assert "predict" not in timings.seconds

    on_loop(main)


def test_the_net_is_asked_only_where_nothing_is_transparent_yet() -> None:
    """``keep``: a cut-out comes back as it is, an opaque picture is cut."""

    async def main() -> None:
        kept, made = Timings(), Timings()
        async with open_studio(engine=RedEngine()) as studio:
            _, back = await cut(studio, order(translucent(), own_alpha="keep"), kept)
            _, fresh = await cut(studio, order(photo(301, 203), own_alpha="keep"), made)
        assert np.array_equal(decode(back), decode(translucent()))
        assert decode(fresh)[0, 0, 3] == 0
        assert ("predict" in kept.seconds, "predict" in made.seconds) == (False, True)

    on_loop(main)


def test_the_net_sees_the_region_only() -> None:
    """Two discs, of which the right one is asked for."""

    async def main() -> None:
        data = encode(np.hstack([scene(301, 203), scene(301, 203)]), "PNG")
        region = (Length(50, "%"), Length(0), Length(100, "%"), Length(203))
        async with open_studio(engine=RedEngine()) as studio:
            result, answer = await cut(studio, order(data, region=region, measure=True))
        pixels = decode(answer)
        assert pixels.shape == (203, 602, 4)
        assert (pixels[101, 150, 3], pixels[101, 451, 3]) == (0, 255)
        assert result.subject is not None
        assert result.subject.left > 301

    on_loop(main)


@pytest.mark.parametrize("semitransparency", [True, False])
def test_windows_may_be_closed(semitransparency: bool) -> None:
    """A patch inside the disc that the net takes for half transparent."""

    async def main() -> None:
        picture = scene(301, 203)
        picture[71:131, 120:180] = (150, 40, 110)  # to RedEngine a matte of 0.5
        async with open_studio(engine=RedEngine()) as studio:
            _, data = await cut(studio, order(encode(picture, "PNG"), semitransparency=semitransparency))
            await all_seats_free(studio)
        inside = decode(data)[95:105, 145:155, 3]
        assert (inside == 255).all() if not semitransparency else (inside < 220).all()

    on_loop(main)


def test_the_format_that_suits_is_told() -> None:
    """``auto`` is resolved before the answer's headers are written."""

    async def main() -> None:
        async with open_studio(engine=RedEngine()) as studio:
            clear, _ = await cut(studio, order(format="auto"))
            flat, _ = await cut(studio, order(format="auto", background=Colour(1, 2, 3)))
        assert (clear.format, clear.media_type) == ("png", "image/png")
        assert (flat.format, flat.media_type) == ("jpg", "image/jpeg")

    on_loop(main)


REGION_BEYOND = (Length(0), Length(0), Length(62), Length(40))
REFUSALS: list[tuple[Order, str]] = [
    (Order(Upload(b"nothing")), "unreadable_image"),
    (Order(Upload(photo()), limits=PhotoLimits(pixels=2000)), "too_many_pixels"),
    (Order(Upload(photo()), limits=PhotoLimits(kinds=frozenset({"png"}))), "unsupported_image"),
    (Order(Upload(photo()), RenderOptions(region=REGION_BEYOND)), "region_out_of_bounds"),
]


@pytest.mark.parametrize(("what", "kind"), REFUSALS)
def test_what_the_header_shows_is_refused_without_a_seat(what: Order, kind: str) -> None:
    """By ``make`` before it waits for one, by ``check`` before there is a job; limits are the order's own."""

    async def main() -> None:
        async with open_studio(engine=RedEngine(), seats=1) as studio:
            seat = await studio.seats.take()
            for refused in (studio.check(what), cut(studio, what)):
                with pytest.raises(ApiError) as caught:
                    await refused
                assert caught.value.kind == kind
            seat.leave()
            await all_seats_free(studio)

    on_loop(main)


def test_a_good_upload_passes_the_check() -> None:
    """A link is not fetched for it."""

    async def main() -> None:
        async with open_studio() as studio:
            await studio.check(order())
            await studio.check(Order(Link("http://127.0.0.1:9/photo.jpg")))
            assert studio.budget.held_bytes == 0

    on_loop(main)


def test_nothing_found_gives_everything_back() -> None:
    """An error before the first byte, where one is asked for."""

    async def main() -> None:
        grey = encode(np.full((40, 61, 3), 130, np.uint8), "PNG")
        async with open_studio(engine=RedEngine()) as studio:
            with pytest.raises(ApiError) as caught:
                await cut(studio, order(grey, needs_subject=True))
            assert caught.value.kind == "nothing_found"
            await cut(studio, order(grey))
            await all_seats_free(studio)

    on_loop(main)


# --- a picture under the subject ------------------------------------------------------------------------------------


def test_a_picture_lies_under_the_subject() -> None:
    """It shows wherever the subject does not."""

    async def main() -> None:
        ground = PictureGround(Upload(encode(np.full((50, 90, 3), (7, 200, 9), np.uint8), "PNG")))
        async with open_studio(engine=RedEngine()) as studio:
            _, data = await cut(studio, order(photo(301, 203), background=ground))
            await all_seats_free(studio)
        pixels = decode(data)
        assert pixels.shape == (203, 301, 3)
        assert np.abs(pixels[5, 5].astype(int) - (7, 200, 9)).max() <= 1
        assert pixels[101, 150, 0] > 170

    on_loop(main)


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        (Upload(b"nothing"), "unreadable_image"),
        (Upload(encode(scene(601, 403), "PNG")), "too_many_pixels"),
        (Upload(encode(scene(), "GIF")), "unsupported_image"),
        (Upload(encode(scene(301, 203), "PNG")[:-200]), "unreadable_image"),
        (Link("http://127.0.0.1:9/ground.jpg"), "fetch_failed"),
    ],
    ids=["no picture", "too large", "kind", "truncated", "forbidden link"],
)
def test_a_bad_picture_under_the_subject_is_told_apart(source: Source, cause: str) -> None:
    """Its limits are the photo's; everything is given back."""

    async def main() -> None:
        limits = PhotoLimits(pixels=100_000, kinds=frozenset({"png", "jpeg"}))
        what = Order(Upload(photo()), RenderOptions(background=PictureGround(source)), limits=limits)
        async with open_studio(engine=RedEngine()) as studio:
            with pytest.raises(ApiError) as caught:
                await cut(studio, what)
            assert (caught.value.kind, caught.value.facts["cause"]) == ("ground_failed", cause)
            await all_seats_free(studio)

    on_loop(main)


def test_memory_is_counted_for_everything_that_is_whole() -> None:
    """The photo, the picture under it, and what a writer collects of an answer that may be larger than the photo."""

    async def held(**options: object) -> int:
        engine = RedEngine()
        engine.gate.clear()
        async with open_studio(engine=engine) as studio:
            task = asyncio.create_task(cut(studio, order(photo(300, 200), **options)))
            await until(lambda: engine.inside == 1)
            bytes_held = studio.budget.held_bytes
            engine.gate.set()
            await task
            return bytes_held

    async def main() -> None:
        plain = await held()
        ground = PictureGround(Upload(encode(scene(100, 70), "PNG")))
        assert plain == 300 * 200 * (2 * 3 + 1)
        assert await held(format="auto") == plain
        assert await held(background=ground) - plain == 2 * 3 * 100 * 70
        assert await held(format="webp", frame=Frame(600, 400)) > 4 * await held(format="webp") * 0.7

    on_loop(main)


# --- seats and queue ------------------------------------------------------------------------------------------------


def test_no_more_orders_are_worked_on_than_there_are_seats() -> None:
    """Thirty at once on two seats, all served."""

    async def main() -> None:
        engine = RedEngine()
        async with open_studio(engine=engine, seats=2) as studio:
            results = await asyncio.gather(*(cut(studio, order(photo(seed=seed))) for seed in range(30)))
            assert len(results) == 30
            assert engine.most_inside <= 2
            await all_seats_free(studio)

    on_loop(main)


def test_pictures_are_never_mixed_up() -> None:
    """Twelve sizes at once: each gets its own back."""

    async def main() -> None:
        async with open_studio(engine=RedEngine(), seats=3) as studio:
            sizes = [(61 + 7 * index, 40 + 3 * index) for index in range(12)]
            answers = await asyncio.gather(*(cut(studio, order(photo(*size))) for size in sizes))
        assert [decode(data).shape[1::-1] for _, data in answers] == sizes

    on_loop(main)


def test_a_full_queue_refuses_at_once_with_a_time_to_return() -> None:
    """One works, two wait, the fourth hears 503 and whole seconds."""

    async def main() -> None:
        engine = RedEngine()
        engine.gate.clear()
        async with open_studio(engine=engine, seats=1, queue=2) as studio:
            tasks = [asyncio.create_task(cut(studio, order())) for _ in range(3)]
            await until(lambda: studio.seats.waiting == 2 and engine.inside == 1)
            assert studio.seats.oldest_wait_s >= 0
            with pytest.raises(ApiError) as caught:
                await cut(studio, order())
            assert caught.value.kind == "overloaded"
            assert isinstance(caught.value.retry_after_s, int)
            assert 1 <= caught.value.retry_after_s <= 60
            engine.gate.set()
            await asyncio.gather(*tasks)
            await all_seats_free(studio)

    on_loop(main)


def test_who_came_first_is_served_first() -> None:
    """Seats are given in the order of the queue."""

    async def main() -> None:
        engine = RedEngine()
        engine.gate.clear()
        done: list[int] = []
        async with open_studio(engine=engine, seats=1) as studio:

            async def one(number: int) -> None:
                await cut(studio, order())
                done.append(number)

            tasks = []
            for number in range(6):
                tasks.append(asyncio.create_task(one(number)))
                await until(lambda number=number: engine.inside == 1 and studio.seats.waiting == number)  # type: ignore[misc]
            engine.gate.set()
            await asyncio.gather(*tasks)
        assert done == list(range(6))

    on_loop(main)


# --- leaving --------------------------------------------------------------------------------------------------------


def test_who_leaves_while_waiting_leaves_the_queue() -> None:
    """Their place is gone, the others move up, and the seat is not lost."""

    async def main() -> None:
        engine = RedEngine()
        engine.gate.clear()
        async with open_studio(engine=engine, seats=1) as studio:
            tasks = [asyncio.create_task(cut(studio, order())) for _ in range(4)]
            await until(lambda: studio.seats.waiting == 3 and engine.inside == 1)
            tasks[1].cancel()
            tasks[2].cancel()
            await until(lambda: studio.seats.waiting == 1)
            engine.gate.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(result, asyncio.CancelledError) for result in results] == [False, True, True, False]
            await all_seats_free(studio)

    on_loop(main)


def test_a_seat_that_comes_in_the_moment_of_leaving_is_not_lost() -> None:
    """The first leaves and the second is cancelled in the same turn of the loop: the third is served."""

    async def main() -> None:
        engine = RedEngine()
        async with open_studio(engine=engine, seats=1) as studio:
            seat = await studio.seats.take()
            second = asyncio.create_task(studio.seats.take())
            third = asyncio.create_task(studio.seats.take())
            await until(lambda: studio.seats.waiting == 2)
            seat.leave()
            second.cancel()
            (await third).leave()
            assert second.cancelled()
            await all_seats_free(studio)

    on_loop(main)


def test_who_leaves_during_the_net_frees_the_seat() -> None:
    """The engine hears of it too."""

    async def main() -> None:
        engine = RedEngine()
        engine.gate.clear()
        async with open_studio(engine=engine, seats=1) as studio:
            task = asyncio.create_task(cut(studio, order()))
            await until(lambda: engine.inside == 1)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert engine.inside == 0
            await all_seats_free(studio)
            engine.gate.set()
            await cut(studio, order())

    on_loop(main)


def test_who_leaves_during_the_look_frees_the_seat() -> None:
    """All picture threads are busy with others when the client hangs up."""

    async def main() -> None:
        async with open_studio(engine=RedEngine(), seats=1, threads=1) as studio:
            opened = asyncio.create_task(cut(studio, order()))
            await until(lambda: studio.seats.busy == 1)
            with busy(studio._pictures):
                opened.cancel()
                await asyncio.gather(opened, return_exceptions=True)
                await all_seats_free(studio)
            await cut(studio, order())

    on_loop(main)


def test_who_leaves_before_the_first_byte_stops_the_drawing() -> None:
    """The deflate threads are busy, so nothing has been written: the drawing ends at its next strip."""

    async def main() -> None:
        async with open_studio(engine=RedEngine(), seats=1, threads=1) as studio:
            timings = Timings()
            with busy(studio._deflate):
                task = asyncio.create_task(cut(studio, order(noisy()), timings))
                await until(lambda: "maps" in timings.seconds)
                await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await until(lambda: "draw" in timings.seconds)
            await all_seats_free(studio)
            await cut(studio, order())

    on_loop(main)


def test_who_leaves_while_reading_stops_the_drawing() -> None:
    """The spool is closed before the last strip is packed: what is ready then is never written."""

    async def main() -> None:
        async with open_studio(engine=RedEngine(), seats=1, threads=1) as studio:
            pool = studio._deflate = HaltingPool(halt_at=None)
            large = noisy(2100, 2000)
            _, whole = await cut(studio, order(large, crop=True))
            pool.halt_at = 2 * pool.submitted
            result = await studio.make(order(large, crop=True), studio.budget.open(), Timings())
            await anext(result.spool.pieces())
            result.spool.close()
            pool.gate.set()
            await until(lambda: studio.seats.busy == 0)
            assert not result.spool.finished
            assert 0 < result.spool.written < len(whole)

    on_loop(main)


def test_a_storm_of_leavers_loses_no_seat() -> None:
    """Sixty orders, each cancelled after another number of turns; afterwards all seats are free and work."""

    async def main() -> None:
        async with open_studio(engine=RedEngine(), seats=3, queue=5) as studio:
            for turns in range(60):
                tasks = [asyncio.create_task(cut(studio, order())) for _ in range(3)]
                for _ in range(turns * 3):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                with suppress(asyncio.CancelledError, ApiError):
                    await asyncio.gather(*tasks)
            await all_seats_free(studio)
            await asyncio.gather(*(cut(studio, order()) for _ in range(6)))
            await all_seats_free(studio)

    on_loop(main)


# --- time -----------------------------------------------------------------------------------------------------------


def test_the_deadline_holds_in_the_net() -> None:
    """503 with seconds; the seat is free."""

    async def main() -> None:
        engine = RedEngine()
        engine.gate.clear()
        async with open_studio(engine=engine, seats=1, deadline_s=0.05) as studio:
            with pytest.raises(ApiError) as caught:
                await cut(studio, order())
            assert (caught.value.kind, caught.value.detail) == ("overloaded", "deadline")
            assert caught.value.retry_after_s is not None
            await all_seats_free(studio)

    on_loop(main)


def test_the_deadline_holds_in_the_queue() -> None:
    """Waiting counts."""

    async def main() -> None:
        async with open_studio(engine=RedEngine(), seats=1, deadline_s=0.05) as studio:
            seat = await studio.seats.take()
            with pytest.raises(ApiError) as caught:
                await cut(studio, order())
            assert caught.value.detail == "deadline"
            assert studio.seats.waiting == 0
            seat.leave()
            await all_seats_free(studio)

    on_loop(main)


def test_the_deadline_holds_while_drawing() -> None:
    """An answer under way is cut, not ended as if whole."""

    async def main() -> None:
        async with open_studio(engine=RedEngine(), seats=1, threads=1, deadline_s=0.4) as studio:
            await cut(studio, order())  # warm
            with busy(studio._deflate), pytest.raises(ApiError) as caught:
                await cut(studio, order(noisy()))
            assert caught.value.detail == "deadline"
            await until(lambda: studio.seats.busy == 0)

    on_loop(main)


def test_orders_wait_for_the_engine_and_go_on() -> None:
    """While the net loads nothing is refused."""

    async def main() -> None:
        engine = RedEngine()
        async with open_studio() as studio:
            tasks = [asyncio.create_task(cut(studio, order())) for _ in range(3)]
            await asyncio.sleep(0.01)
            assert studio.engine is None
            assert not any(task.done() for task in tasks)
            studio.set_engine(engine)
            await asyncio.gather(*tasks)
            assert studio.engine is engine
        assert engine.closed

    on_loop(main)


def test_who_leaves_while_the_engine_loads_does_not_stop_the_loading() -> None:
    """The others still get it."""

    async def main() -> None:
        async with open_studio() as studio:
            left, stays = (asyncio.create_task(cut(studio, order())) for _ in range(2))
            await asyncio.sleep(0)
            left.cancel()
            await asyncio.sleep(0)
            studio.set_engine(RedEngine())
            await stays
            assert left.cancelled()

    on_loop(main)


def test_closing_leaves_nobody_waiting_for_bytes() -> None:
    """A drawing that no thread has begun is given up, and its reader hears of it."""

    async def main() -> None:
        engine = RedEngine()
        async with open_studio(engine=engine, threads=1, seats=2) as studio:
            timings = Timings()
            engine.gate.clear()
            task = asyncio.create_task(cut(studio, order(), timings))
            await until(lambda: engine.inside == 1)
            with busy(studio._pictures):
                engine.gate.set()
                await asyncio.sleep(0.01)
                await studio.aclose()
                async with asyncio.timeout(5):
                    await asyncio.gather(task, return_exceptions=True)
            assert task.done()

    on_loop(main)


# --- models ---------------------------------------------------------------------------------------------------------


class SharpEngine(RedEngine):
    """A net that sees 2,048 pixels of a letterbox, and keeps what it was shown."""

    recipe = Recipe(2048, 2048, fit="letterbox")

    async def predict(self, tensor: Tensor) -> Matte:
        self.seen = tensor
        return await super().predict(tensor)


def with_models(engine: RedEngine, **others: RedEngine) -> AbstractAsyncContextManager[Studio]:
    """A studio whose orders may choose among engines; the first is called ``default``."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Studio]:
        async with open_studio() as studio:
            studio.options = replace(studio.options, models=("default", *others))
            studio.set_engine(engine, others)
            yield studio

    return opened()


def test_an_order_names_its_model() -> None:
    """That engine is asked and no other; without a name, or with the default's, the default."""

    async def main() -> None:
        default, sharp = RedEngine(), SharpEngine()
        async with with_models(default, sharp=sharp) as studio:
            default.failure = RuntimeError("not asked")
            await cut(studio, replace(order(), model="sharp"))
            for name in ("", "default"):
                with pytest.raises(RuntimeError, match="not asked"):
                    await cut(studio, replace(order(), model=name))
            await all_seats_free(studio)
            assert studio.engines == [default, sharp]
        assert default.closed
        assert sharp.closed

    on_loop(main)


def test_a_model_that_is_not_enabled_is_refused_before_anything() -> None:
    """Also by the early check; the words list those that are."""

    async def main() -> None:
        async with with_models(RedEngine(), sharp=SharpEngine()) as studio:
            strange = replace(order(b"no picture"), model="strange")
            for work in (studio.check(strange), cut(studio, strange)):
                with pytest.raises(ApiError, match=r"model: expected one of default, sharp, got 'strange'"):
                    await work
            await all_seats_free(studio)

    on_loop(main)


def test_a_model_is_refused_while_nets_are_still_loading() -> None:
    """Names are known from the start."""

    async def main() -> None:
        async with open_studio() as studio:
            assert studio.engines == []
            with pytest.raises(ApiError, match="expected no model"):
                await studio.check(replace(order(), model="sharp"))

    on_loop(main)


def test_a_net_that_sees_more_is_shown_more() -> None:
    """A photo of 1,300 pixels fills its letterbox; the cutout lies where the subject is."""

    async def main() -> None:
        sharp = SharpEngine()
        async with with_models(RedEngine(), sharp=sharp) as studio:
            data = noisy()
            _, plain = await cut(studio, order(data))
            _, fine = await cut(studio, replace(order(data), model="sharp"))
        height = 2048 * 1200 // 1300
        rows = np.flatnonzero(sharp.seen.reshape(2048, -1).any(axis=1))
        assert sharp.seen.shape == (2048, 2048, 3)
        assert abs(len(rows) - height) <= 1
        assert np.abs(decode(fine)[..., 3].astype(int) - decode(plain)[..., 3]).mean() < 4

    on_loop(main)
