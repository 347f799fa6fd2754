"""The photos of docs/options.md, drawn in code: nobody's rights, nobody's face, and the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Point = tuple[float, float]

FINE = 3  # drawn so many times larger, then shrunk


class Canvas:
    """A picture being painted, from back to front; all lengths in pixels of the finished picture."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rgb = np.zeros((height * FINE, width * FINE, 3), np.float32)
        self.y, self.x = (axis / FINE for axis in np.mgrid[0 : height * FINE, 0 : width * FINE].astype(np.float32))

    def lay(self, mask: Plane, colour: npt.ArrayLike) -> None:
        """Paint ``colour`` where ``mask``, 0..1, says so."""
        self.rgb += mask[..., np.newaxis] * (np.asarray(colour, np.float32) - self.rgb)

    def shade(self, mask: Plane, factor: Plane | float) -> None:
        """Multiply the light where ``mask`` says so."""
        self.rgb *= (1 + mask * (np.asarray(factor, np.float32) - 1))[..., np.newaxis]

    def area(self, points: Sequence[Point], soft: float = 0) -> Plane:
        """The inside of a closed smooth line through ``points``."""
        mask = np.zeros(self.rgb.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.round(np.array(points) * FINE).astype(np.int32)], 1)
        return self._soft(mask, soft)

    def ellipse(self, x: float, y: float, across: float, down: float, soft: float = 0, turned: float = 0) -> Plane:
        """The inside of an ellipse around (x, y)."""
        mask = np.zeros(self.rgb.shape[:2], np.uint8)
        centre, axes = (round(x * FINE), round(y * FINE)), (round(across * FINE), round(down * FINE))
        cv2.ellipse(mask, centre, axes, turned, 0, 360, 1, -1)
        return self._soft(mask, soft)

    def line(self, points: Sequence[Point], width: float, soft: float = 0) -> Plane:
        """A line through ``points``."""
        mask = np.zeros(self.rgb.shape[:2], np.uint8)
        path = np.round(np.array(points) * FINE).astype(np.int32)
        cv2.polylines(mask, [path], isClosed=False, color=1, thickness=max(1, round(width * FINE)))
        return self._soft(mask, soft)

    def photo(self, seed: int = 0) -> Pixels:
        """uint8 (height, width, 3), with a camera's noise."""
        small = cv2.resize(self.rgb, (self.width, self.height), interpolation=cv2.INTER_AREA)
        noise = np.random.default_rng(seed).normal(0, 0.008, small.shape)
        return np.asarray(np.clip((small + noise) * 255, 0, 255), np.uint8)

    def _soft(self, mask: npt.NDArray[np.uint8], soft: float) -> Plane:
        plane = mask.astype(np.float32)
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), soft * FINE), np.float32) if soft else plane


def smooth(points: Sequence[Point], steps: int = 16) -> list[Point]:
    """A closed curve through ``points`` (Catmull and Rom, 1974)."""
    ring = np.array(points, np.float32)
    before, after, beyond = np.roll(ring, 1, 0), np.roll(ring, -1, 0), np.roll(ring, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[:, np.newaxis, np.newaxis]
    curve = 0.5 * (
        2 * ring
        + t * (after - before)
        + t**2 * (2 * before - 5 * ring + 4 * after - beyond)
        + t**3 * (3 * ring - before - 3 * after + beyond)
    )
    return [(float(x), float(y)) for x, y in curve.transpose(1, 0, 2).reshape(-1, 2)]


def mug(width: int = 480, height: int = 360, *, screen: bool = False) -> Pixels:
    """A red mug on a wooden table, lights behind it; or a white one before a green screen that shines on it."""
    c = Canvas(width, height)
    c.rgb[:] = np.stack([0.80 - c.y / 2200, 0.79 - c.y / 2000, 0.74 - c.y / 1800], axis=2)
    dice = np.random.default_rng(5)
    for _ in range(26):
        light, size = dice.uniform(0.72, 0.95, 3), dice.uniform(14, 30)
        c.lay(c.ellipse(dice.uniform(0, width), dice.uniform(0, 190), size, size, soft=3) * 0.5, light)
    grain = np.sin(c.y / 2.3 + 3 * np.sin(c.x / 90) + c.x / 300) * 0.02
    wood = np.stack([0.66 + grain, 0.47 + grain, 0.30 + grain], axis=2) * (0.85 + (c.y / height - 0.6)[..., None] * 0.5)
    c.lay((c.y > 232).astype(np.float32), wood)
    if screen:
        c.rgb[:] = np.stack([0.12 + 0 * c.y, 0.78 - c.y / 1500, 0.24 + 0 * c.y], axis=2)
    c.rgb = np.asarray(cv2.GaussianBlur(c.rgb, (0, 0), 2.2 * FINE), np.float32)  # the lens
    behind = c.rgb.copy()
    bright, dark = ((0.70, 0.92, 0.70), (0.52, 0.72, 0.52)) if screen else ((0.80, 0.16, 0.12), (0.62, 0.12, 0.10))
    c.shade(c.ellipse(255, 308, 120, 18, soft=8), 0.55)
    c.lay(c.ellipse(322, 214, 46, 50), dark)
    c.shade(c.ellipse(316, 206, 40, 42, soft=6), 1.25)
    c.lay(c.ellipse(322, 214, 29, 33) * (c.x > 308), behind * 0.85)
    body = np.maximum(c.area([(160, 132), (316, 132), (310, 290), (166, 290)]), c.ellipse(238, 290, 72, 20))
    c.lay(body, bright)
    across = (c.x - 238) / 78
    c.shade(body, 0.45 + 0.75 * np.clip(np.cos(across * 1.45 + 0.55), 0, 1))
    c.lay(body * c.area([(186, 150), (197, 150), (198, 285), (190, 285)], soft=3) * 0.45, (1, 1, 1))
    c.lay(c.ellipse(238, 132, 78, 21), bright)
    c.shade(c.ellipse(238, 132, 78, 21), 1.08)
    c.lay(c.ellipse(238, 133, 70, 16.5), dark)
    c.shade(c.ellipse(238, 133, 70, 16.5), 0.7)
    c.lay(c.ellipse(238, 138, 64, 11.5), (0.22, 0.12, 0.07))
    return c.photo()


def car(width: int = 480, height: int = 320) -> Pixels:
    """A blue car on a road; the trees behind it show through its windows."""
    c = Canvas(width, height)
    c.rgb[:] = np.stack([0.62 + c.y / 1000, 0.76 + c.y / 1500, 0.92 + 0 * c.y], axis=2)
    dice = np.random.default_rng(9)
    for _ in range(60):
        x, y, size = dice.uniform(0, width), dice.uniform(95, 165), dice.uniform(18, 42)
        green = dice.uniform(0.50, 0.56)
        c.lay(c.ellipse(x, y, size, size * 0.8), (green * 0.85, green, green * 0.8))
    road = np.stack([0.50 + 0 * c.y, 0.50 + 0 * c.y, 0.51 + 0 * c.y], axis=2) * (0.8 + c.y / 1600)[..., None]
    c.lay((c.y > 190).astype(np.float32), road)
    c.rgb = np.asarray(cv2.GaussianBlur(c.rgb, (0, 0), 3.0 * FINE), np.float32)
    c.shade(c.ellipse(242, 262, 190, 12, soft=5), 0.35)
    outline = [
        (52, 214), (58, 186), (104, 170), (150, 162), (192, 122), (240, 112), (300, 114), (346, 140), (372, 162),
        (424, 172), (438, 196), (436, 224), (420, 236), (240, 238), (70, 236),
    ]  # fmt: skip
    body = c.area(smooth(outline))
    behind = c.rgb.copy()
    c.lay(body, (0.12, 0.27, 0.62))
    c.shade(body, np.clip(1.55 - (c.y - 110) / 130, 0.45, 1.5))
    c.lay(body * c.line([(66, 190), (200, 178), (430, 186)], 2.5, soft=1) * 0.5, (0.7, 0.8, 1))
    for window in (
        [(166, 160), (198, 128), (240, 120), (244, 120), (244, 160)],
        [(252, 160), (252, 120), (298, 121), (334, 142), (350, 160)],
    ):
        glass = c.area(window)
        c.lay(glass, behind * 0.5 + np.array([0.08, 0.11, 0.15], np.float32))
        c.shade(glass * c.area([(window[0][0], 160), (window[0][0] + 50, 110), (window[0][0] + 70, 110)], soft=2), 1.25)
    for x in (122, 368):
        c.lay(c.ellipse(x, 234, 40, 38), (0.03, 0.05, 0.12))
        c.lay(c.ellipse(x, 238, 33, 32), (0.06, 0.06, 0.07))
        c.lay(c.ellipse(x, 238, 20, 19.5), (0.70, 0.71, 0.74))
        for turn in range(0, 180, 36):
            c.lay(c.ellipse(x, 238, 19, 2, turned=turn), (0.35, 0.36, 0.4))
        c.lay(c.ellipse(x, 238, 5, 5), (0.2, 0.2, 0.22))
    c.lay(c.ellipse(66, 198, 10, 7), (0.98, 0.95, 0.8))
    c.lay(c.ellipse(431, 194, 6, 9), (0.8, 0.1, 0.1))
    c.lay(c.line([(248, 164), (246, 230)], 1.2), (0.05, 0.12, 0.32))
    c.lay(c.line([(262, 178), (280, 178)], 3), (0.75, 0.8, 0.9))
    return c.photo(1)


def person(width: int = 360, height: int = 360) -> Pixels:
    """Somebody with curly hair in front of a city."""
    c = Canvas(width, height)
    c.rgb[:] = np.stack([0.90 - c.y / 900, 0.80 - c.y / 1000, 0.72 + 0 * c.y], axis=2)
    dice = np.random.default_rng(3)
    for x in range(0, width, 30):
        top, tone = dice.uniform(90, 230), dice.uniform(0.35, 0.6)
        c.lay(c.area([(x, height), (x, top), (x + 34, top), (x + 34, height)]), (tone, tone, tone * 1.15))
        for y in range(int(top) + 8, height, 14):
            if dice.random() < 0.5:
                c.lay(c.area([(x + 6, y), (x + 14, y), (x + 14, y + 7), (x + 6, y + 7)]), (0.98, 0.85, 0.5))
    c.rgb = np.asarray(cv2.GaussianBlur(c.rgb, (0, 0), 3.0 * FINE), np.float32)
    dice = np.random.default_rng(11)
    hair = (0.20, 0.12, 0.08)
    c.lay(c.ellipse(180, 128, 78, 80), hair)
    for _ in range(700):
        angle, start = dice.uniform(-3.6, 0.46), dice.uniform(55, 74)
        length, bend = dice.uniform(8, 26), dice.uniform(-0.35, 0.35)
        steps = np.linspace(0, 1, 7)
        radius, turn = start + length * steps, angle + bend * steps**2
        path = list(zip(180 + radius * np.cos(turn), 128 + 1.03 * radius * np.sin(turn), strict=True))
        tone = dice.uniform(0.7, 1.5)
        c.lay(c.line(path, dice.uniform(0.4, 1.0)), (hair[0] * tone, hair[1] * tone, hair[2] * tone))
    coat = c.area(smooth([(44, 372), (52, 318), (90, 282), (142, 264), (218, 264), (270, 282), (308, 318), (316, 372)]))
    c.lay(coat, (0.62, 0.20, 0.34))
    c.shade(coat, np.clip(1.15 - np.abs(c.x - 170) / 520, 0.75, 1.2))
    neck = c.area([(152, 200), (208, 200), (214, 262), (180, 284), (146, 262)])
    c.lay(neck, (0.70, 0.47, 0.36))
    c.shade(c.ellipse(182, 226, 40, 26, soft=6) * neck, 0.72)
    face = c.area(
        smooth(
            [(180, 66), (222, 86), (234, 136), (222, 184), (196, 218), (164, 218), (138, 184), (126, 136), (138, 86)]
        )
    )
    c.lay(face, (0.86, 0.63, 0.50))
    c.shade(face, np.clip(1.12 - ((c.x - 165) / 120) ** 2 - (c.y - 130) / 700, 0.55, 1.15))
    c.lay(
        c.area(smooth([(124, 120), (128, 76), (180, 50), (232, 76), (236, 120), (216, 96), (176, 88), (150, 98)])), hair
    )
    for x in (157, 203):
        c.lay(c.ellipse(x, 137, 9, 5), (0.97, 0.96, 0.95))
        c.lay(c.ellipse(x, 137, 4.4, 4.6), (0.25, 0.16, 0.1))
        c.lay(c.line([(x - 12, 124), (x, 120), (x + 12, 124)], 3.2, soft=0.6), hair)
    c.shade(c.ellipse(182, 168, 9, 5, soft=3), 0.75)
    c.lay(c.area(smooth([(162, 188), (180, 185), (198, 188), (180, 199)])), (0.72, 0.32, 0.30))
    return c.photo(2)


def landscape(width: int = 480, height: int = 270) -> Pixels:
    """Hills under an evening sky: a picture to put under others."""
    c = Canvas(width, height)
    c.rgb[:] = np.stack([0.35 + c.y / 420, 0.45 + c.y / 800, 0.72 - c.y / 900], axis=2)
    c.lay(c.ellipse(360, 110, 26, 26, soft=1), (1.0, 0.9, 0.6))
    for base, tall, tone in ((150, 40, 0.55), (185, 30, 0.42), (225, 22, 0.30)):
        ridge = base - tall * np.sin(c.x / 61 + base) * np.cos(c.x / 113 + tall)
        c.lay(np.clip(c.y - ridge, 0, 1), (tone * 0.7, tone, tone * 0.75))
    return c.photo(3)
