"""An order as JSON, and back: how a job's order waits in the database.

Every value is written with its kind's name, so that nothing has to be guessed when it is read; fields that were added
since take their defaults, fields that are gone are passed over. Bytes are never part of it: an uploaded picture is put
into the object store first, and the order names its key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import msgspec

from bgone.imaging.geometry import Length, SizeCap
from bgone.imaging.photo import PhotoLimits
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
)

_KIND = "is"
_VALUES: tuple[type[Any], ...] = (
    Order, RenderOptions, Link, StoredPicture, Colour, PictureGround, BlurGround, Shadow, Outline, Frame, Length,
    SizeCap, PhotoLimits,
)  # fmt: skip
_BY_NAME = {value.__name__: value for value in _VALUES}


def to_json(order: Order) -> str:
    """The order as text.

    Raises:
        TypeError: It holds something that cannot wait, such as uploaded bytes.
    """
    return msgspec.json.encode(_plain(order)).decode()


def from_json(text: str) -> Order:
    """The order that ``to_json`` wrote.

    Raises:
        ValueError: It is no order, or one of a kind that this program does not know.
    """
    order = _value(msgspec.json.decode(text))
    if not isinstance(order, Order):
        raise ValueError("no order")
    return order


async def with_sources(order: Order, change: Callable[[Source], Awaitable[Source]]) -> Order:
    """The order with every source, the background's too, replaced by what ``change`` makes of it."""
    ground = order.options.background
    if isinstance(ground, PictureGround):
        ground = replace(ground, source=await change(ground.source))
        order = replace(order, options=replace(order.options, background=ground))
    return replace(order, source=await change(order.source))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        if type(value) not in _VALUES:
            raise TypeError(f"{type(value).__name__} cannot wait in the database")
        return {_KIND: type(value).__name__} | {
            field.name: _plain(getattr(value, field.name)) for field in fields(value)
        }
    if isinstance(value, frozenset):
        return {_KIND: "set", "of": sorted(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    # What a dialect notes; it must not look like one of ours.
    return {_KIND: "map", "of": dict(value)}


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_value(one) for one in plain)
    if not isinstance(plain, dict):
        return plain
    match plain[_KIND]:
        case "set":
            return frozenset(plain["of"])
        case "map":
            return plain["of"]
        case name if name in _BY_NAME:
            kind = _BY_NAME[name]
            known = {field.name for field in fields(kind)}
            return kind(**{key: _value(one) for key, one in plain.items() if key in known})
        case name:
            raise ValueError(f"no such kind of value: {name}")
