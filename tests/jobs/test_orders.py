"""Orders as JSON: what was ordered is what is made, however long it waited and whoever reads it."""

from __future__ import annotations

import asyncio
from dataclasses import fields, replace

import msgspec
import pytest

from bgone.imaging.geometry import Length, SizeCap
from bgone.imaging.photo import PhotoLimits
from bgone.jobs.orders import from_json, to_json, with_sources
from bgone.pipeline.order import (
    BlurGround,
    Colour,
    Frame,
    Link,
    Order,
    Outline,
    PictureGround,
    RenderOptions,
    Shadow,
    Source,
    StoredPicture,
    Upload,
)

MARGIN = (Length(1), Length(2, "%"), Length(3.5), Length(4))
EVERYTHING = RenderOptions(
    format="webp",
    channels="rgb",
    cap=SizeCap(pixels=250_000),
    frame=Frame(640, None, "cover"),
    crop=True,
    margin=MARGIN,
    margin_is_capped=True,
    aspect=1.5,
    subject_scale=0.8,
    position=(0.5, 1.0),
    region=MARGIN,
    background=PictureGround(Link("https://a.test/ground.jpg"), "fill"),
    despill=True,
    semitransparency=False,
    shadow=Shadow("offset", 40, 30, 5, -5),
    outline=Outline(3, Colour(1, 2, 3, 4)),
    own_alpha="keep",
    measure=True,
    needs_subject=True,
    quality_percent=70,
    fine=True,
)


def test_every_option_comes_back() -> None:
    """Each of them differs from its default here, so that none can be forgotten."""
    usual = RenderOptions()
    assert [
        field.name for field in fields(usual) if getattr(EVERYTHING, field.name) == getattr(usual, field.name)
    ] == []
    limits = PhotoLimits(25_000_000, 9000, heic=True, kinds=frozenset({"jpeg", "png"}))
    order = Order(StoredPicture("key"), EVERYTHING, "json", {"is": "Order", "webhook_url": "https://b.test/"}, limits)
    assert from_json(to_json(order)) == order


@pytest.mark.parametrize("ground", [None, Colour(1, 2, 3), BlurGround(40), PictureGround(StoredPicture("other"))])
def test_every_ground_comes_back(ground: Colour | BlurGround | PictureGround | None) -> None:
    """None is taken for another."""
    order = Order(Link("https://a.test/x.jpg"), RenderOptions(background=ground))
    assert from_json(to_json(order)) == order


def test_bytes_do_not_wait_in_the_database() -> None:
    """Uploads go into the object store; whoever forgets that hears of it."""
    with pytest.raises(TypeError, match="Upload"):
        to_json(Order(Upload(b"picture")))


def test_sources_are_replaced_everywhere() -> None:
    """The photo's and the background's."""

    async def change(source: Source) -> Source:
        assert isinstance(source, Upload)
        return StoredPicture(source.data.decode())

    order = Order(Upload(b"photo"), replace(EVERYTHING, background=PictureGround(Upload(b"ground"))))
    changed = asyncio.run(with_sources(order, change))
    assert changed.source == StoredPicture("photo")
    assert changed.options == replace(EVERYTHING, background=PictureGround(StoredPicture("ground")))


def test_other_releases_orders_are_read() -> None:
    """A field that is gone is passed over, one that is new takes its default; a kind that is unknown is refused."""
    plain = msgspec.json.decode(to_json(Order(Link("https://a.test/x.jpg"))))
    plain["options"]["sparkles"] = True
    del plain["options"]["despill"]
    assert from_json(msgspec.json.encode(plain).decode()) == Order(Link("https://a.test/x.jpg"))
    plain["options"]["background"] = {"is": "Hologram"}
    with pytest.raises(ValueError, match="Hologram"):
        from_json(msgspec.json.encode(plain).decode())
