"""Plan: everything about the answer that is known before its first byte, in whole pixels."""

from __future__ import annotations

from dataclasses import dataclass

from bgone.imaging.geometry import Box
from bgone.imaging.png import Channels as Bands
from bgone.pipeline.order import RenderOptions


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about the answer that is known before its first byte.

    The photo's region is brought to ``scaled_width`` x ``scaled_height``; its part ``source`` is laid into the answer
    with its corner at (``left``, ``top``); the rest of the answer is ground.

    Attributes:
        options: What was asked.
        format: Name of the format row; never ``auto``.
        channels: 1, 3 or 4 bands of the answer.
        width: Pixels across the answer.
        height: Pixels down the answer.
        region: The part of the upright photo that the net saw, in its pixels.
        scaled_width: Width to which the region is brought; larger than the region only for an exact frame or
            ``subject_scale``.
        scaled_height: Its height.
        source: The part of the scaled region that is drawn.
        left: Where ``source.left`` falls in the answer.
        top: Where ``source.top`` falls in the answer.
        subject: The subject's tight box in the answer where it was measured and found, else None.
    """

    options: RenderOptions
    format: str
    channels: Bands
    width: int
    height: int
    region: Box
    scaled_width: int
    scaled_height: int
    source: Box
    left: int
    top: int
    subject: Box | None
