"""Placement: how large everything is and where it lies, in whole pixels.

Only numbers here. Where the subject's box decides, it is asked for through ``Measure``, at the very size that will be
drawn, so that a crop is exact in the delivered picture. That size follows from the box in turn: it begins with a guess
from the small matte, and a few rounds settle it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from math import ceil, floor, sqrt

from bgone.errors import region_empty, region_out_of_bounds
from bgone.imaging.geometry import Box, Length
from bgone.pipeline.order import Frame, RenderOptions

Size = tuple[int, int]
Lengths = tuple[Length, Length, Length, Length]
Settled = tuple[Size, Box]
Measure = Callable[[int, int], Box | None]
"""Width and height to which the region is brought -> the subject's tight box in it, or None where nothing shows."""

MOST_MARGIN, MOST_MARGIN_PX = 0.5, 500  # crop_margin in the API reference of remove.bg
CENTRE = (0.5, 0.5)
ROUNDS = 4  # two settle nearly every picture; each reads it once more
CLOSE = 0.003  # what is so nearly as large as it may be is not measured again
GOOD_ENOUGH = 0.98  # after so many rounds
# The scaled region is never whole in memory, but the small maps have a cell for every 256 x 256 pixels of it at least.
MOST_SCALED_PIXELS = 4 * 10**10


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the region comes to lie in the answer.

    Attributes:
        width: Pixels across the answer.
        height: Pixels down the answer.
        frame: The part of the answer in which the subject is placed; all of it but for an exact size of another shape.
        scaled: Width and height to which the region is brought.
        left: Where the scaled region's left side falls in the answer; may be negative, as ``top``.
        top: Where its upper side falls.
        subject: The subject's tight box in the answer where it was measured and found; may leave it.
        measured: It was looked for.
    """

    width: int
    height: int
    frame: Box
    scaled: Size
    left: int
    top: int
    subject: Box | None = None
    measured: bool = False

    @property
    def answer(self) -> Box:
        """All of the answer."""
        return Box(0, 0, self.width, self.height)

    @property
    def source(self) -> Box | None:
        """The part of the scaled region that falls into the answer, in the scaled region's pixels."""
        region = Box(0, 0, *self.scaled).moved(self.left, self.top).inside(self.answer)
        return region and region.moved(-self.left, -self.top)


def region_box(region: Lengths | None, width: int, height: int) -> Box:
    """The part of the upright photo that the net may see: every pixel that the region touches.

    Raises:
        region_out_of_bounds: It leaves the photo.
        region_empty: It holds no pixel, or its corners are the wrong way round.
    """
    if region is None:
        return Box(0, 0, width, height)
    left, right = (edge.pixels(width) for edge in (region[0], region[2]))
    top, bottom = (edge.pixels(height) for edge in (region[1], region[3]))
    words = " ".join(f"{edge.amount:g}{edge.unit}" for edge in region)
    if min(left, top, right, bottom) < 0 or max(left, right) > width or max(top, bottom) > height:
        raise region_out_of_bounds(words, width, height)
    if left >= right or top >= bottom:
        raise region_empty(words)
    # A millionth of a pixel is the noise of percents, not a pixel that is touched.
    box = Box(floor(left + 1e-6), floor(top + 1e-6), ceil(right - 1e-6), ceil(bottom - 1e-6))
    if box.width <= 0 or box.height <= 0:
        raise region_empty(words)
    return box


def place(
    options: RenderOptions, photo: Size, region: Box, measure: Measure, guess: Box, *, must_measure: bool = False
) -> Placement:
    """Decide how large everything is and where it lies.

    Args:
        options: What was asked.
        photo: Upright width and height.
        region: What the net saw, in the photo's pixels.
        measure: Finds the subject's box; called only where the options need it.
        guess: About where the subject is, in the photo's pixels.
        must_measure: Find the box whatever the options say.
    """
    placed = _crop(options, region, measure, guess) if options.crop else None
    if placed is None:
        placed = _lay(options, photo, region)
        if options.crop:  # nothing shows, or so small a crop is asked that nothing of it would be left
            return replace(placed, measured=True)
    if options.subject_scale is not None or options.position is not None:
        return _position(options, placed, region, measure, guess)
    if placed.measured or not (options.measure or must_measure):
        return placed
    return _found(placed, measure(*placed.scaled))


def grow(subject: Box, options: RenderOptions, unit: tuple[float, float] = (1.0, 1.0)) -> Box:
    """The subject's box with its margin, grown to the aspect; it may leave the photo.

    Args:
        subject: The tight box.
        options: Margin and aspect.
        unit: Pixels of the subject's scale to one of the photo, across and down.
    """
    lengths, capped = options.margin, options.margin_is_capped
    top, bottom = (_margin(lengths[at], subject.height, unit[1], capped=capped) for at in (0, 2))
    right, left = (_margin(lengths[at], subject.width, unit[0], capped=capped) for at in (1, 3))
    box = Box(subject.left - left, subject.top - top, subject.right + right, subject.bottom + bottom)
    if options.aspect is None:
        return box
    wider = max(0, round(box.height * options.aspect) - box.width)
    taller = 0 if wider else max(0, round(box.width / options.aspect) - box.height)
    left, top = box.left - wider // 2, box.top - taller // 2
    return Box(left, top, left + box.width + wider, top + box.height + taller)


def largest_answer(options: RenderOptions, photo: Size) -> Size:
    """The most that the answer may measure, known before the subject is: what memory is counted by."""
    frame = grow(Box(0, 0, *photo), options) if options.crop else Box(0, 0, *photo)
    size = frame.width, frame.height
    return options.cap.fit(*size) if options.frame is None else _frame_size(options.frame, size)


# --- the frame ------------------------------------------------------------------------------------------------------


def _lay(options: RenderOptions, photo: Size, region: Box) -> Placement:
    """The whole photo is the frame; the region lies in it where it is."""
    if options.frame is None:
        answer = content = options.cap.fit(*photo)
    elif options.frame.fit == "fill":
        answer = content = _frame_size(options.frame, photo)
    else:
        answer, factor = _frame_size(options.frame, photo), _frame_factor(options.frame, photo)
        content = max(1, round(photo[0] * factor)), max(1, round(photo[1] * factor))
    frame = Box(0, 0, *content).moved((answer[0] - content[0]) // 2, (answer[1] - content[1]) // 2)
    across, down = content[0] / photo[0], content[1] / photo[1]
    left, top = frame.left + round(region.left * across), frame.top + round(region.top * down)
    return Placement(*answer, frame, _bounded(region.width * across, region.height * down), left, top)


def _crop(options: RenderOptions, region: Box, measure: Measure, guess: Box) -> Placement | None:
    """The subject with its margin is the frame, at the scale that its cap or exact size asks; None without subject."""

    def frame_of(scaled: Size, box: Box) -> Box:
        return grow(box, options, (scaled[0] / region.width, scaled[1] / region.height))

    def judge(scaled: Size, box: Box) -> Judgement:
        frame, scale = frame_of(scaled, box), scaled[0] / region.width
        at_full_size = frame.width / scale, frame.height * region.height / scaled[1]
        return Judgement(_keeps(options, frame), _scaled((region.width, region.height), _factor(options, at_full_size)))

    first = grow(guess, options)
    scale = _factor(options, (first.width, first.height))
    natural = region.width, region.height
    settled = _settle(_scaled(natural, scale), measure, judge, natural)
    if settled is None:
        return None
    scaled, box = settled
    crop = frame_of(scaled, box)
    size = crop.width, crop.height
    width, height = size if options.frame is None else _frame_size(options.frame, size)
    left, top = (width - crop.width) // 2, (height - crop.height) // 2
    frame = Box(left, top, left + crop.width, top + crop.height)
    return _found(Placement(width, height, frame, scaled, left - crop.left, top - crop.top), box)


def _margin(length: Length, side: int, unit: float, *, capped: bool) -> int:
    pixels = length.pixels(side) * (unit if length.unit == "px" else 1)
    if capped:
        pixels = min(pixels, side * MOST_MARGIN, MOST_MARGIN_PX * unit)
    return max(0, round(pixels))


def _factor(options: RenderOptions, size: tuple[float, float]) -> float:
    """The scale that brings a crop of so many pixels of the photo to what is asked."""
    whole = max(1, round(size[0])), max(1, round(size[1]))
    return options.cap.scale(*whole) if options.frame is None else _frame_factor(options.frame, whole)


def _keeps(options: RenderOptions, frame: Box) -> bool:
    if options.frame is None:
        return options.cap.scale(frame.width, frame.height) == 1
    width, height = _frame_size(options.frame, (frame.width, frame.height))
    fits = frame.width <= width, frame.height <= height
    return any(fits) if options.frame.fit == "cover" else all(fits)


def _frame_size(frame: Frame, size: Size) -> Size:
    """Width and height of the answer; a side that is not said follows from the content's shape."""
    width, height = frame.width, frame.height
    if width is None:
        return (size[0], size[1]) if height is None else (max(1, round(size[0] * height / size[1])), height)
    return width, max(1, round(size[1] * width / size[0])) if height is None else height


def _frame_factor(frame: Frame, size: Size) -> float:
    factors = [asked / side for asked, side in zip((frame.width, frame.height), size, strict=True) if asked is not None]
    if frame.fit == "cover":
        return max(factors, default=1.0)
    return min([*factors, 1.0]) if frame.fit == "scale-down" else min(factors, default=1.0)


# --- the subject in it ----------------------------------------------------------------------------------------------


def _position(options: RenderOptions, placed: Placement, region: Box, measure: Measure, guess: Box) -> Placement:
    """The subject at its scale and place in the frame."""
    frame, share = placed.frame, options.subject_scale

    def judge(scaled: Size, box: Box) -> Judgement:
        assert share is not None
        most = ceil(share * frame.width - 1e-6), ceil(share * frame.height - 1e-6)
        factor = share / max(box.width / frame.width, box.height / frame.height)
        return Judgement(box.width <= most[0] and box.height <= most[1], _scaled(scaled, factor))

    settled: Settled | None = None
    if share is None:
        subject = _subject(placed) or measure(*placed.scaled)
        settled = None if subject is None else (placed.scaled, subject)
    else:
        rough = _subject(placed) or _rescaled(guess, placed.scaled[0] / region.width, placed.scaled[1] / region.height)
        factor = share / max(rough.width / frame.width, rough.height / frame.height)
        settled = _settle(_scaled(placed.scaled, factor), measure, judge, (region.width, region.height))
    if settled is None:
        return _found(placed, None)
    scaled, box = settled
    across, down = CENTRE if options.position is None else options.position
    left = frame.left + round((frame.width - box.width) * across) - box.left
    top = frame.top + round((frame.height - box.height) * down) - box.top
    return _found(replace(placed, scaled=scaled, left=left, top=top), box)


def _subject(placed: Placement) -> Box | None:
    """The subject's box in the scaled region where a crop has measured it."""
    return placed.subject and placed.subject.moved(-placed.left, -placed.top)


def _rescaled(box: Box, across: float, down: float) -> Box:
    return Box(0, 0, max(1, round(box.width * across)), max(1, round(box.height * down)))


def _found(placed: Placement, box: Box | None) -> Placement:
    return replace(placed, subject=box and box.moved(placed.left, placed.top), measured=True)


# --- settling the scale ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one measured size is worth.

    Attributes:
        keeps: Nothing is larger than asked.
        wanted: The size that would be right as far as this one tells.
    """

    keeps: bool
    wanted: Size


def _settle(scaled: Size, measure: Measure, judge: Callable[[Size, Box], Judgement], natural: Size) -> Settled | None:
    """The largest size found that keeps to what is asked, with the subject's box at it; None where nothing shows.

    Args:
        scaled: The first size to try.
        measure: Finds the box.
        judge: Says what a size and its box are worth.
        natural: The size at which no pixel is changed, which is worth a round more.
    """
    best: Settled | None = None
    for turn in count(1):
        box = measure(*scaled)
        if box is None:
            break
        verdict = judge(scaled, box)
        wanted = verdict.wanted
        if verdict.keeps and (best is None or scaled > best[0]):
            best = scaled, box
        close = max(wanted) <= max(scaled) * (1 + CLOSE) and wanted != natural
        if verdict.keeps and (close or turn >= ROUNDS):
            break
        if best is not None and turn >= ROUNDS and max(scaled) * GOOD_ENOUGH <= max(best[0]):
            break
        if not verdict.keeps:
            # Smaller by a pixel at least, and by more every time, so this ends soon.
            less = max(0.5, 1 - 2**turn / 5000)
            wanted = max(1, min(wanted[0], int(scaled[0] * less))), max(1, min(wanted[1], int(scaled[1] * less)))
        if wanted == scaled:
            break
        scaled = wanted
    return best


def _scaled(size: Size, factor: float) -> Size:
    return _bounded(size[0] * factor, size[1] * factor)


def _bounded(width: float, height: float) -> Size:
    """Whole pixels, at least 1 x 1, and not more of them than can be drawn."""
    factor = min(1.0, sqrt(MOST_SCALED_PIXELS / (width * height)))
    return max(1, round(width * factor)), max(1, round(height * factor))
