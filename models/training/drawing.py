"""Things drawn in code whose alpha is known exactly: strands, lace, brushes, words, shapes, wires, grounds."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]
Colours = NDArray[np.float32]
Random = np.random.Generator

_SHIFT = 3  # cv2 draws with 1/8 pixel coordinates
_LETTERS = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789&@!?.,:-+%/")


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)


def draw_strands(alpha: Plane, rgb: Colours, rng: Random) -> tuple[Plane, Colours]:
    """Let hair or fur grow out of a subject's outline, thinner than a pixel at the tips, with light along every strand.

    Args:
        alpha: float32 (H, W), 0..1, of a subject on an empty plane.
        rgb: float32 (H, W, 3), 0..255, the subject's colours where ``alpha`` > 0.

    Returns:
        Alpha with the strands laid behind the subject, and colours valid wherever it is above 0.
    """
    height, width = alpha.shape
    solid = (alpha > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return alpha, rgb
    outline = max(contours, key=len)[:, 0, :].astype(np.float64)
    if len(outline) < 40:
        return alpha, rgb
    if rng.random() < 0.5:  # a head of hair: only the upper part, long
        top = np.quantile(outline[:, 1], rng.uniform(0.15, 0.5))
        outline = outline[outline[:, 1] <= top]
        length = rng.uniform(0.04, 0.16) * height
    else:  # fur all round, short
        length = rng.uniform(0.012, 0.05) * height
    count = int(min(700, len(outline) * rng.uniform(0.3, 1.5)))
    roots = outline[rng.integers(0, len(outline), count)]
    centre = np.array([np.mean(np.nonzero(solid)[1]), np.mean(np.nonzero(solid)[0])])
    away = np.arctan2(roots[:, 1] - centre[1], roots[:, 0] - centre[0])
    comb, droop = rng.uniform(-1.2, 1.2), rng.uniform(-0.3, 0.8)
    angle = away + comb + rng.normal(0, 0.35, count)
    curl = rng.normal(0, 0.5, count) + rng.normal(0, 0.3)
    reach = length * rng.uniform(0.3, 1.0, count)
    steps = np.linspace(-0.15, 1, 7)[None, :]
    heading = angle[:, None] + curl[:, None] * steps
    xs = roots[:, :1] + reach[:, None] * steps * np.cos(heading)
    ys = roots[:, 1:] + reach[:, None] * steps * (np.sin(heading) + droop * np.abs(steps))
    lines = _fixed(np.stack([xs, ys], 2) * 2)

    inner = np.clip(roots + (centre - roots) * 0.06, 0, [width - 1, height - 1]).astype(int)
    root_rgb = rgb[inner[:, 1], inner[:, 0]] * rng.uniform(0.6, 1.3, (count, 1))
    root_rgb = np.clip(root_rgb, 0, 255)
    # A sheen somewhere along each strand, and tips that are lighter or darker than roots.
    middles = (steps[:, 1:] + steps[:, :-1]) / 2
    sheen = rng.uniform(0, 1) * np.exp(-(((middles - rng.uniform(0, 1, (count, 1))) / rng.uniform(0.15, 0.4)) ** 2))
    light = 1 + sheen + rng.uniform(-0.4, 0.4) * middles
    tones = np.clip(root_rgb[:, None] * light[..., None], 0, 255)
    cover = np.zeros((height * 2, width * 2), np.uint8)
    paint = cv2.resize(rgb, (width * 2, height * 2), interpolation=cv2.INTER_LINEAR)
    for line, along in zip(lines, tones, strict=True):
        cv2.polylines(cover, [line[:5]], False, 255, 1, cv2.LINE_AA, _SHIFT)
        cv2.polylines(cover, [line[4:]], False, 130, 1, cv2.LINE_AA, _SHIFT)
        for place, tone in enumerate(along.tolist()):
            cv2.polylines(paint, [line[place : place + 2]], False, tone, 4, cv2.LINE_8, _SHIFT)
    halved = cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA)
    strands = halved.astype(np.float32) * (rng.uniform(0.6, 1.4) / 255)
    np.clip(strands, 0, 1, strands)
    behind = cv2.resize(paint, (width, height), interpolation=cv2.INTER_AREA)
    joined = alpha + strands * (1 - alpha)
    share = (alpha / np.maximum(joined, 1e-4))[..., None]
    return joined, np.where(joined[..., None] > 0, rgb * share + behind * (1 - share), rgb)


def draw_words(size: int, rng: Random) -> Plane:
    """Coverage float32 (size, size) of one to four lines of letters, fine print to headlines."""
    canvas = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(canvas)
    lines = int(rng.integers(1, 5))
    height = rng.uniform(0.08, 0.45) * size / np.sqrt(lines)
    font = ImageFont.load_default(max(7.0, float(height)))
    left, top = rng.uniform(0.02, 0.25) * size, rng.uniform(0.02, 0.35) * size
    stroke = int(rng.random() < 0.25) * int(rng.integers(1, 1 + max(1, int(height / 12))))
    for line in range(lines):
        letters = "".join(rng.choice(_LETTERS, int(rng.integers(2, 11))))
        pen.text((left, top + line * height * 1.15), letters, 255, font, stroke_width=stroke)
    plane = np.asarray(canvas, np.float32) / 255
    if rng.random() < 0.3:
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-30, 30), 1.0)
        plane = cv2.warpAffine(plane, turn, (size, size), flags=cv2.INTER_LINEAR)
    return plane


def _blob(size: int, rng: Random) -> NDArray[np.float64]:
    """Corner points (N, 2) of a random closed shape: ellipse, polygon, star or wobbly blob."""
    kind = rng.integers(0, 4)
    corners = (48, int(rng.integers(3, 8)), 2 * int(rng.integers(4, 9)), 60)[kind]
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 6.3)
    radius = np.ones(corners)
    if kind == 2:
        radius[::2] = rng.uniform(0.35, 0.8)
    if kind == 3:
        for wave in (2, 3, 5):
            radius += rng.uniform(0, 0.6 / wave) * np.sin(wave * angle + rng.uniform(0, 6.3))
    reach = rng.uniform(0.08, 0.42, 2) * size
    centre = rng.uniform(0.25, 0.75, 2) * size
    return centre + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None] * reach


def draw_shapes(size: int, rng: Random) -> Plane:
    """Coverage float32 (size, size) of one to five shapes, some with a hole, some hollow."""
    cover = np.zeros((size * 2, size * 2), np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        points = _fixed(_blob(size * 2, rng))
        if rng.random() < 0.25:
            cv2.polylines(cover, [points], True, 255, int(rng.integers(2, 16)), cv2.LINE_AA, _SHIFT)
            continue
        cv2.fillPoly(cover, [points], 255, cv2.LINE_AA, _SHIFT)
        if rng.random() < 0.3:
            middle = points.mean(0)
            hole = middle + (points - middle) * rng.uniform(0.3, 0.8)
            cv2.fillPoly(cover, [hole.astype(np.int32)], 0, cv2.LINE_AA, _SHIFT)
    return cv2.resize(cover, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def draw_panel(size: int, rng: Random) -> Plane:
    """Coverage float32 (size, size) of a sign: a box, disc or diamond, maybe on a post."""
    cover = np.zeros((size * 2, size * 2), np.uint8)
    corners = int(rng.choice([4, 4, 4, 4, 3, 8, 48]))
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    angle += np.pi / 4 + rng.normal(0, 0.08) + (rng.random() < 0.15) * np.pi / 4
    reach = rng.uniform(0.3, 1.0, 2) * size
    points = rng.uniform(0.35, 0.65, 2) * size * 2 + np.stack([np.cos(angle), np.sin(angle)], 1) * reach
    points += rng.normal(0, 0.02 * size, points.shape) * (corners == 4)
    cv2.fillPoly(cover, [_fixed(points)], 255, cv2.LINE_AA, _SHIFT)
    if rng.random() < 0.3:
        x, y = points.mean(0).astype(int).tolist()
        cv2.line(cover, (x, y), (x, size * 2), 255, int(rng.uniform(0.02, 0.08) * size))
    return cv2.resize(cover, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def draw_wires(size: int, rng: Random) -> Plane:
    """Coverage float32 (size, size) of thin things: sticks, cables, a grid, wheels, a twig."""
    cover = np.zeros((size * 2, size * 2), np.uint8)
    side = size * 2
    kind = rng.integers(0, 4)
    weight = int(rng.integers(2, 9))

    def line(points: NDArray[np.float64], thick: int) -> None:
        cv2.polylines(cover, [_fixed(points)], False, 255, max(1, thick), cv2.LINE_AA, _SHIFT)

    if kind == 0:  # sticks and cables
        for _ in range(int(rng.integers(1, 9))):
            ends = rng.uniform(0.05, 0.95, (4, 2)) * side
            t = np.linspace(0, 1, 24)[:, None]
            bend = ends[0] * (1 - t) ** 3 + 3 * ends[1] * t * (1 - t) ** 2
            line(bend + 3 * ends[2] * t**2 * (1 - t) + ends[3] * t**3, int(rng.integers(1, 10)))
    elif kind == 1:  # a grid or fence within a frame
        x0, y0 = rng.uniform(0.05, 0.3, 2) * side
        x1, y1 = rng.uniform(0.65, 0.95, 2) * side
        for x in np.linspace(x0, x1, int(rng.integers(3, 16))):
            line(np.array([[x, y0], [x, y1]]), weight)
        for y in np.linspace(y0, y1, int(rng.integers(2, 12))):
            line(np.array([[x0, y], [x1, y]]), weight)
    elif kind == 2:  # wheels
        for _ in range(int(rng.integers(1, 4))):
            centre, radius = rng.uniform(0.25, 0.75, 2) * side, rng.uniform(0.1, 0.25) * side
            spokes = int(rng.integers(0, 20))
            turns = np.linspace(0, 2 * np.pi, 49)
            line(centre + radius * np.stack([np.cos(turns), np.sin(turns)], 1), weight + 3)
            for turn in np.linspace(0, 2 * np.pi, spokes, endpoint=False):
                spoke = radius * np.array([np.cos(turn), np.sin(turn)])
                line(np.array([centre, centre + spoke]), weight // 2)
    else:  # a twig that forks
        tips = [(np.array([rng.uniform(0.3, 0.7) * side, 0.95 * side]), -np.pi / 2, 0.28 * side)]
        for depth in range(5):
            grown = []
            for at, heading, reach in tips:
                for fork in (-1, 1):
                    turn = heading + fork * rng.uniform(0.1, 0.7)
                    to = at + reach * rng.uniform(0.6, 1.1) * np.array([np.cos(turn), np.sin(turn)])
                    line(np.array([at, to]), weight + 3 - 2 * depth)
                    grown.append((to, turn, reach * 0.7))
            tips = grown
    return cv2.resize(cover, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def draw_lace(size: int, rng: Random) -> Plane:
    """Coverage float32 (size, size) of a cloth full of regular holes, with a solid rim: lace, mesh, a colander."""
    cloth = draw_shapes(size, rng) if rng.random() < 0.7 else draw_panel(size, rng)
    period = rng.uniform(0.02, 0.09) * size
    turn = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    bend = rng.uniform(0, 1.5) * np.sin(x / size * rng.uniform(1, 6)) * np.sin(y / size * rng.uniform(1, 6))
    across = (x * np.cos(turn) + y * np.sin(turn)) / period + bend
    along = (y * np.cos(turn) - x * np.sin(turn)) / period * rng.uniform(0.6, 1.4)
    waves = np.cos(2 * np.pi * across) * np.cos(2 * np.pi * along)
    if rng.random() < 0.5:
        waves = np.abs(waves)
    # The waves rise by about 2 pi / period a pixel, so this slope blurs a hole's outline by a pixel.
    holes = np.clip((waves - rng.uniform(0.1, 0.6)) * period / 4 + 0.5, 0, 1)
    reach = max(1, round(rng.uniform(0.004, 0.03) * size))
    inner = cv2.erode(cloth, np.ones((2 * reach + 1,) * 2, np.uint8), borderType=cv2.BORDER_REPLICATE)
    return (cloth * (1 - holes * inner)).astype(np.float32)


def draw_brush(size: int, rng: Random) -> Plane:
    """Coverage float32 (size, size) of bristles on a handle: brooms and brushes, thin at the tips."""
    side = size * 2
    cover = np.zeros((side, side), np.uint8)
    middle = rng.uniform(0.3, 0.7, 2) * side
    heading = rng.uniform(0, 2 * np.pi)
    along, away = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
    half, length = rng.uniform(0.06, 0.3) * side, rng.uniform(0.1, 0.4) * side
    spread = rng.uniform(0, 0.6)
    for at in rng.uniform(-1, 1, int(rng.integers(20, 160))):
        root = middle + along * at * half
        lean = away + along * (at * spread + rng.normal(0, 0.06))
        bend = along * rng.normal(0, 0.06)
        t = np.linspace(0, 1, 7)[:, None]
        strand = root + (lean * t + bend * t**2) * length * rng.uniform(0.75, 1.05)
        cv2.polylines(cover, [_fixed(strand[:5])], False, 255, int(rng.integers(1, 3)), cv2.LINE_AA, _SHIFT)
        cv2.polylines(cover, [_fixed(strand[4:])], False, 170, 1, cv2.LINE_AA, _SHIFT)
    ends = np.stack([middle - along * half, middle + along * half])
    cv2.polylines(cover, [_fixed(ends)], False, 255, int(rng.uniform(0.02, 0.08) * side), cv2.LINE_AA, _SHIFT)
    if rng.random() < 0.7:
        stick = np.stack([middle, middle - away * rng.uniform(0.2, 0.8) * side])
        cv2.polylines(cover, [_fixed(stick)], False, 255, int(rng.uniform(0.01, 0.05) * side), cv2.LINE_AA, _SHIFT)
    return cv2.resize(cover, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def draw_ground(size: int, rng: Random) -> Colours:
    """A studio: flat colour, sweep, spotlight or near-white, float32 (size, size, 3), 0..255."""
    if rng.random() < 0.35:
        tone = np.full(3, rng.uniform(235, 255)) if rng.random() < 0.8 else rng.uniform(225, 255, 3)
        other = tone - rng.uniform(0, 12)
    else:
        tone = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(10, 250))
        other = np.clip(tone + rng.uniform(-60, 60) + rng.uniform(-25, 25, 3), 0, 255)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    kind = rng.integers(0, 3)
    if kind == 0:
        mix = np.zeros_like(x)
    elif kind == 1:
        turn = rng.uniform(0, 2 * np.pi)
        mix = np.clip(0.5 + (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn), 0, 1)
        mix = mix ** rng.uniform(0.5, 3)
    else:
        mix = np.clip(np.hypot(x - rng.uniform(0.2, 0.8), y - rng.uniform(0.2, 0.8)) * 1.4, 0, 1)
    ground = tone * (1 - mix[..., None]) + other * mix[..., None]
    if rng.random() < 0.25:  # table and wall
        edge = int(rng.uniform(0.45, 0.85) * size)
        ground[edge:] = np.clip(ground[edge:] + rng.uniform(-50, 50), 0, 255)
        ground = cv2.GaussianBlur(ground, (0, 0), rng.uniform(0.5, 6))
    return ground.astype(np.float32)
