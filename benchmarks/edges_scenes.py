"""Scenes whose alpha and subject are known to the last pixel, because they are drawn: at any size, the same every time.

Lengths are parts of the picture's height, so strands that are three pixels wide at 12 MP are less than one at 1 MP,
and the net, 320 pixels across, sees none of them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import pi

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Colour = tuple[float, float, float]

NET_SIDE = 320
NOISE = 2.0  # standard deviation in 8-bit steps: a phone by daylight; the truth has none, so more would hide colours
SHIFT = 4  # cv2 draws in sixteenths of a pixel


@dataclass(frozen=True, slots=True)
class Scene:
    """A photo and what it was made of.

    Attributes:
        name: Of the kind of edge.
        photo: uint8 (h, w, 3), RGB: the composite with a sensor's noise.
        alpha: float32 (h, w), 0..1.
        subject: uint8 (h, w, 3): the subject's colour wherever ``alpha`` > 0.
    """

    name: str
    photo: Pixels
    alpha: Plane
    subject: Pixels


class Drawing:
    """A subject being painted from back to front, with its coverage."""

    def __init__(self, width: int, height: int, seed: int) -> None:
        self.width, self.height = width, height
        self.rng = np.random.default_rng(seed)
        self.alpha = np.zeros((height, width), np.float32)
        self.rgb = np.zeros((height, width, 3), np.float32)  # times alpha

    def lay(self, coverage: Plane | Pixels, colour: Colour) -> None:
        """Paint over what is there; ``coverage`` float32 0..1 or uint8 0..255."""
        if coverage.dtype == np.uint8:
            coverage = coverage * np.float32(1 / 255)
        column, row, width, height = cv2.boundingRect((coverage > 0).astype(np.uint8))
        part = np.s_[row : row + height, column : column + width]
        over, rest = coverage[part], 1 - coverage[part]
        self.alpha[part] = over + rest * self.alpha[part]
        self.rgb[part] = over[..., None] * np.asarray(colour, np.float32) + rest[..., None] * self.rgb[part]

    def lines(self, paths: Iterable[npt.NDArray[np.float64]], width: float) -> Pixels:
        """Coverage of smooth lines, (n, 2) points and the width in parts of the height; below a pixel fainter."""
        plane = np.zeros((self.height, self.width), np.uint8)
        thick = width * self.height
        # With LINE_AA a line of thickness 1 covers about one pixel and a half.
        value = round(255 * min(1.0, max(0.15, thick / 1.5)))
        points = [np.round(path * self.height * (1 << SHIFT)).astype(np.int32) for path in paths]
        cv2.polylines(plane, points, False, value, max(1, round(thick)), cv2.LINE_AA, SHIFT)
        return plane

    def area(self, points: npt.NDArray[np.float64]) -> Pixels:
        """Coverage of a polygon, points (n, 2) in parts of the height."""
        plane = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(plane, [np.round(points * self.height * (1 << SHIFT)).astype(np.int32)], 255, cv2.LINE_AA, SHIFT)
        return plane

    def grid(self) -> tuple[Plane, Plane]:
        """x and y of every pixel in parts of the height."""
        x = np.arange(self.width, dtype=np.float32)[None] / self.height
        return x.astype(np.float32), (np.arange(self.height, dtype=np.float32)[:, None] / self.height).astype(
            np.float32
        )

    def finish(self, name: str, ground: Plane) -> Scene:
        """Light it, lay it on its ground and take the photo."""
        small = cv2.resize(self.rng.uniform(0.75, 1.2, (4, 5)).astype(np.float32), (self.width, self.height))
        lit = np.clip(self.rgb * small[..., None], 0, self.alpha[..., None] * 255)
        photo = lit + (1 - self.alpha[..., None]) * ground
        subject = np.rint(lit / np.maximum(self.alpha, 1e-4)[..., None]).clip(0, 255).astype(np.uint8)
        return Scene(name, _noisy(self.rng, photo), self.alpha, subject)


def ring(count: int, x: float, y: float, across: float, down: float, wave: float = 0) -> npt.NDArray[np.float64]:
    """Points around an ellipse, wavy by that part of its radius."""
    angle = np.linspace(0, 2 * pi, count, endpoint=False)
    reach = 1 + wave * np.sin(3 * angle + 1) + wave / 2 * np.sin(7 * angle)
    return np.stack([x + across * reach * np.cos(angle), y + down * reach * np.sin(angle)], axis=1)


def strands(
    rng: np.random.Generator,
    roots: npt.NDArray[np.float64],
    outward: npt.NDArray[np.float64],
    lengths: tuple[float, float],
    curl: float,
    fall: float,
) -> list[npt.NDArray[np.float64]]:
    """Curled lines of 24 points from their roots: along ``outward`` (n, 2), swinging across it, pulled down."""
    t = np.linspace(0, 1, 24)[None, :, None]
    count = len(roots)
    length = rng.uniform(*lengths, (count, 1, 1))
    turned = outward + rng.normal(0, 0.25, outward.shape)
    across = np.stack([-turned[:, 1], turned[:, 0]], axis=1)[:, None]
    swing = (
        curl
        * rng.uniform(0.3, 1, (count, 1, 1))
        * t
        * np.sin(t * rng.uniform(3, 14, (count, 1, 1)) + rng.uniform(0, 6, (count, 1, 1)))
    )
    down = np.array([0.0, fall]) * t**2
    return list(roots[:, None] + length * (t * turned[:, None] + swing * across + down))


def hair(drawing: Drawing) -> None:
    """A head and shoulders with loose curled hair."""
    middle, rng = drawing.width / drawing.height / 2, drawing.rng
    drawing.lay(drawing.area(ring(90, middle, 1.02, 0.36, 0.26)), (70, 80, 130))
    for shade in (0.6, 1.3, 0.8, 1.6, 1.0, 1.9):
        angle = rng.uniform(0.85 * pi, 2.15 * pi, 260)
        outward = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        roots = np.array([middle, 0.5]) + outward * [0.17, 0.24] * rng.uniform(0.7, 1, (260, 1))
        paths = strands(rng, roots, outward, (0.04, 0.26), 0.35, 0.5)
        colour = (75 * shade, 48 * shade, 30 * shade)
        drawing.lay(drawing.lines(paths, rng.uniform(0.0006, 0.0012)), colour)
        drawing.lay(drawing.lines([path[:14] for path in paths[:120]], 0.0018), colour)
    drawing.lay(drawing.area(ring(90, middle, 0.52, 0.17, 0.24)), (205, 160, 135))


def fur(drawing: Drawing) -> None:
    """An animal's back: short dense hairs all around."""
    middle, rng = drawing.width / drawing.height / 2, drawing.rng
    body = ring(720, middle, 0.56, 0.36, 0.29, 0.07)
    drawing.lay(drawing.area(body), (150, 110, 70))
    normal = np.roll(body, -1, 0) - np.roll(body, 1, 0)
    normal = np.stack([normal[:, 1], -normal[:, 0]], axis=1) / np.linalg.norm(normal, axis=1)[:, None]
    for shade in (0.8, 1.2, 0.7, 1.35, 1.0, 1.5):
        chosen = rng.integers(0, len(body), 900)
        roots = body[chosen] - normal[chosen] * rng.uniform(0, 0.03, (900, 1))
        paths = strands(rng, roots, normal[chosen] + [0.5, 0.2], (0.02, 0.07), 0.1, 0.2)
        drawing.lay(drawing.lines(paths, rng.uniform(0.0007, 0.0014)), (150 * shade, 112 * shade, 72 * shade))


def lace(drawing: Drawing) -> None:
    """A cloth of threads with a scalloped rim and a solid middle."""
    x, y = drawing.grid()
    middle = drawing.width / drawing.height / 2
    across, down = x - middle, y - 0.5
    radius, angle = np.hypot(across, down), np.arctan2(down, across)
    rim = 0.38 + 0.012 * np.abs(np.sin(angle * 14))
    inside = _step(rim - radius, drawing.height)
    width = 0.0021
    threads = np.zeros_like(radius)
    for turn in (0.3, 0.3 + pi / 3, 0.3 + 2 * pi / 3):
        place = (across * np.cos(turn) + down * np.sin(turn)) % 0.016
        threads = np.maximum(threads, _step(width / 2 - np.abs(place - 0.008), drawing.height))
    for circle in (0.1, 0.2, 0.29, 0.375):
        threads = np.maximum(threads, _step(0.006 - np.abs(radius - circle), drawing.height))
    rosettes = _step(0.16 - radius * (1 - 0.25 * np.cos(angle * 8)), drawing.height)
    drawing.lay(np.asarray(inside * np.maximum(threads, rosettes), np.float32), (232, 228, 215))


def glass(drawing: Drawing) -> None:
    """A wine glass: thin in the middle, thick at its rim, with wine and lights."""
    middle = drawing.width / drawing.height / 2
    profile = np.array(
        [[0.15, 0.1], [0.19, 0.25], [0.17, 0.42], [0.09, 0.54], [0.02, 0.6], [0.016, 0.8], [0.05, 0.85], [0.15, 0.88]]
    )
    t = np.linspace(0, len(profile) - 1, 160)
    side = np.stack([np.interp(t, np.arange(len(profile)), profile[:, axis]) for axis in (0, 1)], axis=1)
    side[:, 0] = np.convolve(np.pad(side[:, 0], 6, mode="edge"), np.full(13, 1 / 13), "valid")
    outline = np.concatenate([side * [1, 1] + [middle, 0], side[::-1] * [-1, 1] + [middle, 0]])
    whole = drawing.area(outline)
    depth = cv2.distanceTransform((whole > 127).astype(np.uint8), cv2.DIST_L2, 3) / drawing.height
    body = whole * np.float32(1 / 255) * (0.22 + 0.68 * np.exp(-depth / 0.012))
    drawing.lay(np.asarray(body, np.float32), (205, 220, 225))
    wine = outline[(outline[:, 1] > 0.3) & (outline[:, 1] < 0.58)]
    drawing.lay(drawing.area((wine - [middle, 0]) * [0.93, 1] + [middle, 0]) * np.float32(0.86 / 255), (120, 15, 35))
    shine = [np.array([[middle - 0.14, 0.16], [middle - 0.16, 0.26], [middle - 0.14, 0.38]])]
    drawing.lay(drawing.lines(shine, 0.012) * np.float32(0.9 / 255), (250, 250, 250))


def motion(drawing: Drawing) -> None:
    """A player who runs past: arms, legs and a ball, all smeared sideways."""
    middle = drawing.width / drawing.height / 2
    limbs = [
        ([[0, 0.35], [0.16, 0.45], [0.26, 0.38]], (215, 165, 140)),
        ([[0, 0.35], [-0.15, 0.42], [-0.22, 0.55]], (205, 155, 130)),
    ]
    limbs += [
        ([[0.02, 0.6], [0.16, 0.72], [0.1, 0.92]], (40, 45, 70)),
        ([[0, 0.6], [-0.1, 0.75], [-0.27, 0.8]], (45, 50, 80)),
    ]
    for points, colour in limbs:
        drawing.lay(drawing.lines([np.add(points, [middle, 0])], 0.05), colour)
    drawing.lay(drawing.area(ring(60, middle, 0.47, 0.085, 0.17)), (190, 40, 45))
    drawing.lay(drawing.area(ring(60, middle + 0.02, 0.22, 0.06, 0.08)), (215, 170, 145))
    drawing.lay(drawing.area(ring(60, middle + 0.4, 0.8, 0.06, 0.06)), (235, 235, 230))
    size = (round(0.045 * drawing.height) | 1, 1)
    drawing.alpha = np.asarray(cv2.blur(drawing.alpha, size), np.float32)
    drawing.rgb = np.asarray(cv2.blur(drawing.rgb, size), np.float32)


def sticks(drawing: Drawing) -> None:
    """Grasses and wires in a vase, from a tenth of a percent of the height to one percent."""
    middle, rng = drawing.width / drawing.height / 2, drawing.rng
    for index in range(26):
        lean = rng.uniform(-0.5, 0.5)
        t = np.linspace(0, 1, 30)[:, None]
        path = np.array([middle, 0.75]) + t * [0, -0.62] + t**2 * [lean, rng.uniform(0, 0.15)]
        width = float(np.geomspace(0.0008, 0.009, 26)[index])
        drawing.lay(drawing.lines([path], width), (60 + 90 * rng.random(), 110, 50))
        if index % 3 == 0:
            drawing.lay(
                drawing.area(ring(30, float(path[-1, 0]), float(path[-1, 1]), 0.018, 0.018, 0.2)),
                (225, 170 * rng.random(), 60),
            )
    drawing.lay(drawing.area(ring(60, middle, 0.8, 0.11, 0.15)), (60, 90, 140))


def focus(drawing: Drawing) -> None:
    """Four stones at four distances from the lens: the first sharp, the last blurred over a tenth of its width."""
    middle = drawing.width / drawing.height / 2
    stones: list[tuple[float, float, float, Colour]] = [
        (middle - 0.38, 0.3, 0.0005, (200, 80, 60)),
        (middle + 0.05, 0.32, 0.002, (190, 150, 120)),
        (middle + 0.45, 0.35, 0.005, (60, 90, 150)),
        (middle - 0.1, 0.75, 0.012, (220, 220, 210)),
    ]
    for x, y, sigma, colour in stones:
        sharp = drawing.area(ring(90, x, y, 0.17, 0.2, 0.06))
        drawing.lay(np.asarray(cv2.GaussianBlur(sharp, (0, 0), sigma * drawing.height), np.uint8), colour)


SCENES: dict[str, Callable[[Drawing], None]] = {
    "hair": hair,
    "fur": fur,
    "lace": lace,
    "glass": glass,
    "motion": motion,
    "sticks": sticks,
    "focus": focus,
}
# Base colour, and how much of the ground's structure is as fine as pixels: calm studio, meadow, street and so on.
GROUNDS: dict[str, tuple[Colour, float]] = {
    "hair": ((150, 175, 190), 0.0),
    "fur": ((90, 130, 70), 0.8),
    "lace": ((70, 75, 110), 0.3),
    "glass": ((160, 130, 95), 0.3),
    "motion": ((110, 150, 90), 0.8),
    "sticks": ((185, 195, 205), 0.0),
    "focus": ((120, 140, 110), 0.3),
}


def draw(name: str, width: int, height: int) -> Scene:
    """A scene of ``SCENES`` at a size."""
    drawing = Drawing(width, height, list(SCENES).index(name))
    SCENES[name](drawing)
    colour, fine = GROUNDS[name]
    return drawing.finish(name, ground(drawing.rng, width, height, colour, fine))


def ground(rng: np.random.Generator, width: int, height: int, colour: Colour, fine: float) -> Plane:
    """float32 (h, w, 3): clouds of light and tint, ever smaller; those finer than a 64th count ``fine``."""
    total = np.full((height, width, 3), np.asarray(colour, np.float32))
    cells, strength = 2, 27.0
    while cells <= height:
        amount = strength if cells <= 64 else strength * fine
        if amount > 0:
            light, tint = rng.normal(0, amount, (cells, cells, 1)), rng.normal(0, amount / 3, (cells, cells, 3))
            total += cv2.resize((light + tint).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        cells, strength = cells * 2, strength * 0.7
    return np.clip(total, 5, 250, out=total)


def seen_by_net(alpha: Plane, seed: int = 7) -> Plane:
    """The matte that a good net of ``NET_SIDE`` pixels would give.

    The true alpha averaged to 320 x 320, its outline moved smoothly by half a pixel (standard deviation), blurred
    (sigma 1.2), with smooth noise of 2 % where it doubts and a fifth of that where it does not.
    """
    rng, side = np.random.default_rng(seed), NET_SIDE
    small = cv2.resize(alpha, (side, side), interpolation=cv2.INTER_AREA)
    moved = [
        cv2.resize(rng.normal(0, 0.8, (40, 40)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
        for _ in "xy"
    ]
    moved = [plane * np.float32(0.5 / plane.std()) for plane in moved]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    warped = cv2.remap(small, x + moved[0], y + moved[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(warped, (0, 0), 1.2)
    noise = cv2.GaussianBlur(rng.standard_normal((side, side), np.float32), (0, 0), 1.5)
    doubt = 0.2 + 4 * soft * (1 - soft)
    return np.asarray(np.clip(soft + noise * (0.02 / noise.std()) * doubt, 0, 1), np.float32)


def _noisy(rng: np.random.Generator, photo: Plane) -> Pixels:
    pixels = np.empty(photo.shape, np.uint8)
    for band, source in zip(np.array_split(pixels, 8), np.array_split(photo, 8), strict=True):
        noise = rng.standard_normal(source.shape, np.float32) * np.float32(NOISE)
        np.copyto(band, np.rint(source + noise).clip(0, 255), casting="unsafe")
    return pixels


def _step(distance: Plane, height: int) -> Plane:
    """Coverage by the distance to an outline in parts of the height: an edge one pixel wide."""
    return np.asarray(np.clip(distance * height + 0.5, 0, 1), np.float32)
