"""Fine edges in the studio: the embedded net, asked about tiles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bgone.errors import ApiError
from bgone.imaging.geometry import Length
from bgone.matting.batcher import Batcher
from bgone.matting.engine import EngineOptions, Matte, Tensor
from bgone.matting.model import Recipe
from bgone.matting.models import EMBEDDED
from bgone.matting.onnx import OnnxNet
from bgone.matting.tiles import MOST_TILES
from bgone.pipeline.budget import Budget
from bgone.pipeline.closer import AT_ONCE, look_closer
from bgone.pipeline.fetch import Fetcher
from bgone.pipeline.sight import fine_side
from bgone.pipeline.studio import Studio, StudioOptions
from bgone.pipeline.timings import Timings
from tests.matting.nets import write_net
from tests.pictures import ball, decode, encode
from tests.pipeline.test_studio import RedEngine, all_seats_free, cut, on_loop, open_studio, order, until

PHOTO = encode(ball(900, 600), "PNG")


class Counting:
    """A net that counts the pictures of its runs."""

    def __init__(self, net: OnnxNet) -> None:
        self.net = net
        self.recipe, self.device, self.batchable = net.recipe, net.device, net.batchable
        self.runs: list[int] = []

    def run(self, batch: Tensor) -> Matte:
        self.runs.append(len(batch))
        return self.net.run(batch)


@pytest.fixture(scope="module")
def net() -> OnnxNet:
    return OnnxNet(EngineOptions(EMBEDDED, device="cpu"))


@asynccontextmanager
async def embedded(
    net: OnnxNet, max_batch: int = 1, *, fine: bool = False, deadline_s: float = 60
) -> AsyncIterator[tuple[Studio, Counting]]:
    """A studio with a real net."""
    fetcher, counting = Fetcher(), Counting(net)
    studio = Studio(fetcher, StudioOptions(2, 2, 9, deadline_s, fine=fine), Budget(500_000_000))
    studio.set_engine(Batcher(counting, max_batch))
    try:
        yield studio, counting
    finally:
        await studio.aclose()
        await fetcher.aclose()


def test_the_net_is_asked_about_tiles_when_asked_to(net: OnnxNet) -> None:
    """Once for the picture, then for no more than is promised; the edge changes, inside and outside do not."""

    async def main() -> None:
        async with embedded(net) as (studio, counting):
            _, usual = await cut(studio, order(PHOTO))
            assert counting.runs == [1]
            timings = Timings()
            _, fine = await cut(studio, order(PHOTO, fine=True), timings)
            assert 3 <= len(counting.runs) <= 2 + MOST_TILES
            assert [phase for phase, *_ in timings.spans].count("predict") == 2
        before, after = decode(usual)[..., 3].astype(int), decode(fine)[..., 3].astype(int)
        soft = (before > 0) & (before < 255)
        assert (before[soft] != after[soft]).mean() > 0.1
        sure = (before == 255) | (before == 0)
        assert (before[sure] == after[sure]).mean() > 0.99
        assert np.abs(before - after).mean() < 2

    on_loop(main)


def test_what_was_sure_stays_to_the_last_bit(net: OnnxNet) -> None:
    """Of the net's matte, before edges are fitted: a picture without doubt is asked about at its outline alone."""
    working = ball(640, 427)
    side = net.recipe.height
    (matte,) = net.run(np.ascontiguousarray(working[:side, :side])[None])
    closer = look_closer(working, matte, net.recipe)
    fine = closer.merged([net.run(tensor[None])[0] for tensor in closer.tensors], net.recipe)

    untouched = fine == closer.matte
    assert untouched.mean() > 0.3
    assert not untouched.all()


def test_the_operator_decides_for_those_who_do_not_say(net: OnnxNet) -> None:
    """And an order may say otherwise."""

    async def main() -> None:
        async with embedded(net, fine=True) as (studio, counting):
            _, unsaid = await cut(studio, order(PHOTO))
            _, said = await cut(studio, order(PHOTO, fine=True))
            assert unsaid == said
            counting.runs.clear()
            await cut(studio, order(PHOTO, fine=False))
            assert counting.runs == [1]

    on_loop(main)


def test_tiles_are_batched_where_the_net_takes_several(net: OnnxNet) -> None:
    """By the batcher that everybody's pictures go through; the answer is the same up to rounding."""

    async def main() -> None:
        async with embedded(net) as (studio, _):
            _, alone = await cut(studio, order(PHOTO, fine=True))
        async with embedded(net, max_batch=AT_ONCE) as (studio, counting):
            _, together = await cut(studio, order(PHOTO, fine=True))
            assert max(counting.runs) > 1
            assert sum(counting.runs) <= 1 + MOST_TILES
        apart = np.abs(decode(alone).astype(int) - decode(together))[..., 3]
        assert apart.max() <= 2

    on_loop(main)


def test_a_net_of_one_picture_at_a_time_is_asked_one_by_one(tmp_path: Path) -> None:
    """Its shape is fixed, its fit a letterbox, and its normalisation outside."""
    path = write_net(tmp_path / "one.onnx", height=64, width=64, batch=1)
    recipe = Recipe(
        64, 64, fit="letterbox", number="float", layout="nchw", mean=(0.5,) * 3, std=(0.05,) * 3, activation="sigmoid"
    )
    path.with_suffix(".json").write_text(str(_json(recipe)))

    async def main() -> None:
        one = OnnxNet(EngineOptions(str(path), device="cpu"))
        async with embedded(one, max_batch=8) as (studio, counting):
            halves = np.zeros((90, 160, 3), np.uint8)
            halves[:, 80:] = 255
            _, fine = await cut(studio, order(encode(halves, "PNG"), fine=True))
            assert len(counting.runs) > 1
            assert set(counting.runs) == {1}
        alpha = decode(fine)[..., 3]
        assert alpha[:, :70].max() == 0
        assert alpha[:, 90:].min() == 255

    on_loop(main)


def _json(recipe: Recipe) -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(recipe))


def test_where_tiles_would_show_nothing_new_there_are_none(net: OnnxNet) -> None:
    """A small photo, a small region of a large one, and a photo that comes back as it is."""

    async def main() -> None:
        async with embedded(net) as (studio, counting):
            small = encode(ball(390, 300), "PNG")
            assert await answers(studio, small, fine=True) == await answers(studio, small)
            part = (Length(0), Length(0), Length(390), Length(300))
            assert await answers(studio, PHOTO, fine=True, region=part) == await answers(studio, PHOTO, region=part)
            assert set(counting.runs) == {1}
            assert len(counting.runs) == 4
            await answers(studio, PHOTO, fine=True, own_alpha="asis")
            assert len(counting.runs) == 4

    on_loop(main)


async def answers(studio: Studio, data: bytes, **options: object) -> bytes:
    return (await cut(studio, order(data, **options)))[1]


@pytest.mark.parametrize(
    ("size", "recipe", "side"),
    [
        ((4000, 3000), Recipe(320, 320), 640),
        ((500, 300), Recipe(320, 320), 640),
        ((400, 300), Recipe(320, 320), 640),
        ((399, 399), Recipe(320, 320), None),
        ((4000, 3000), Recipe(512, 512), 1024),
        ((4000, 3000), Recipe(1024, 1024), 1280),
        ((1200, 900), Recipe(1024, 1024), None),
        ((4000, 3000), Recipe(2048, 2048), None),
    ],
)
def test_the_picture_that_tiles_are_cut_from_is_bounded(
    size: tuple[int, int], recipe: Recipe, side: int | None
) -> None:
    """Twice what the net sees, 1280 pixels at most; none where that is hardly more."""
    from bgone.imaging.geometry import Box

    assert fine_side(Box(0, 0, *size), recipe) == side


class Halting(RedEngine):
    """Answers the first picture, and of the tiles only when the gate is open."""

    recipe = Recipe(64, 64)

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def predict(self, tensor: Tensor) -> Matte:
        self.asked += 1
        if self.asked == 1:
            self.gate.set()
            answer = await super().predict(tensor)
            self.gate.clear()
            return answer
        return await super().predict(tensor)


def test_the_deadline_holds_while_tiles_are_asked() -> None:
    """As for the first run; nothing stays behind."""

    async def main() -> None:
        engine = Halting()
        async with open_studio(engine=engine, deadline_s=0.3) as studio:
            with pytest.raises(ApiError) as caught:
                await cut(studio, order(PHOTO, fine=True))
            assert caught.value.kind == "overloaded"
            assert engine.asked > 1
            assert engine.inside == 0
            await all_seats_free(studio)

    on_loop(main)


def test_who_hangs_up_is_not_computed_for() -> None:
    """No tile is asked after the caller left, and the seat is free."""

    async def main() -> None:
        engine = Halting()
        async with open_studio(engine=engine) as studio:
            caller = asyncio.create_task(cut(studio, order(PHOTO, fine=True)))
            await until(lambda: engine.asked > 1)
            asked = engine.asked
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)
            assert (engine.inside, engine.asked) == (0, asked)
            await all_seats_free(studio)

    on_loop(main)


def test_a_net_that_fails_on_a_tile_fails_the_order() -> None:
    """An answer of half the tiles would look like a whole one."""

    class Failing(Halting):
        async def predict(self, tensor: Tensor) -> Matte:
            if self.asked:
                raise RuntimeError("no")
            return await super().predict(tensor)

    async def main() -> None:
        async with open_studio(engine=Failing()) as studio:
            with pytest.raises(RuntimeError, match="no"):
                await cut(studio, order(PHOTO, fine=True))
            await all_seats_free(studio)

    on_loop(main)


def test_no_more_tiles_wait_at_once_than_are_said() -> None:
    """Others' pictures pass between."""

    async def main() -> None:
        engine = RedEngine()
        engine.recipe = replace(engine.recipe, width=64, height=64)
        async with open_studio(engine=engine) as studio:
            await cut(studio, order(PHOTO, fine=True))
            assert 1 < engine.most_inside <= AT_ONCE

    on_loop(main)
