"""One sample to train with: a photo with its mask, or a picture composed here with exact alpha.

Masks drawn by people are blunt; composites teach outlines, photos teach what a subject is.
``trust`` says how far a sample's outline may be believed, and the losses weigh outlines by it.
"""

from collections import defaultdict
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data import Cache, Item
from drawing import draw_brush, draw_ground, draw_lace, draw_panel, draw_shapes, draw_strands, draw_wires, draw_words

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]
Colours = NDArray[np.float32]
Random = np.random.Generator

KINDS = (("photo", 0.50), ("composite", 0.34), ("graphic", 0.10), ("empty", 0.06))
# Share of photos by source, and how far their outlines are trusted: polygons are a few pixels off.
PHOTO_SOURCES = {
    "bearpaw/clothing-co-parsing": (0.22, 0.8),
    "LTSACH/AILearningHub": (0.19, 0.3),
    "pcashman21/feral-cat-segmentation-dataset-and-model": (0.09, 0.3),
    "carlotavz/computer-vision-animal-segmentation": (0.13, 0.3),
    "KomaHomu/Applying-Mask-RCNN-in-endangered-animals-detection": (0.18, 0.5),
    "a-hwang/building-facade-segmentation": (0.04, 0.5),
}
OTHER_PHOTOS = (0.15, 0.3)
LIFTED_TRUST = 0.8
# What a graphic shows, and how often.
THIN_THINGS = (draw_words, draw_shapes, draw_wires, draw_lace, draw_brush)
THIN_SHARES = (0.38, 0.20, 0.26, 0.08, 0.08)


@dataclass(frozen=True)
class Sample:
    """Picture uint8 (S, S, 3) sRGB, alpha uint8 (S, S), trust of its outline 0..1."""

    picture: Pixels
    alpha: Pixels
    trust: float


@dataclass(frozen=True)
class Layer:
    """Something to lay on a ground: colours float32 (S, S, 3) 0..255, alpha float32 (S, S) 0..1."""

    rgb: Colours
    alpha: Plane
    trust: float


class Composer:
    """Draws samples from one split of the cache."""

    def __init__(self, cache: Cache, split: str) -> None:
        self.cache = cache
        self.cutouts = cache.choose("cutout", split)
        self.grounds = cache.choose("background", split)
        self.photos: dict[str, list[Item]] = defaultdict(list)
        for item in cache.choose("pair", split):
            self.photos[item.source if item.source in PHOTO_SOURCES else "other"].append(item)
        shares = {**PHOTO_SOURCES, "other": OTHER_PHOTOS}
        self.sources = [source for source in shares if self.photos[source]]
        weights = np.array([shares[source][0] for source in self.sources])
        self.weights = weights / weights.sum()
        self.trusts = {source: trust for source, (_, trust) in shares.items()}

    def compose(self, size: int, rng: Random) -> Sample:
        """One random ``size`` x ``size`` sample; the same state of ``rng`` gives the same one."""
        names = [name for name, _ in KINDS]
        kind = names[rng.choice(len(names), p=[share for _, share in KINDS])]
        if kind == "photo":
            sample = self.photo(size, rng)
        elif kind == "composite":
            sample = self.composite(size, rng)
        elif kind == "graphic":
            sample = self.graphic(size, rng)
        else:
            ground = _to_bytes(self.ground(size, rng))
            sample = Sample(ground, np.zeros((size, size), np.uint8), 1.0)
        picture, alpha = sample.picture, sample.alpha
        if rng.random() < 0.5:
            picture, alpha = cv2.flip(picture, 1), cv2.flip(alpha, 1)
        return Sample(develop(picture, rng), alpha, sample.trust)

    def choose_photo(self, rng: Random) -> tuple[Item, float]:
        source = self.sources[rng.choice(len(self.sources), p=self.weights)]
        items = self.photos[source]
        return items[rng.integers(len(items))], self.trusts[source]

    def photo(self, size: int, rng: Random) -> Sample:
        """A pair cropped, now and then turned, and stretched to the square."""
        item, trust = self.choose_photo(rng)
        rgba = self.cache.read(item)
        box = choose_crop(rgba[..., 3], item.subject_class, rng)
        turn = rng.uniform(-15, 15) if rng.random() < 0.25 else 0.0
        square = cut(rgba, box, size, turn)
        return Sample(square[..., :3].copy(), square[..., 3].copy(), trust)

    def composite(self, size: int, rng: Random) -> Sample:
        """One to three subjects on a ground, with shadows that do not belong to them."""
        canvas, alpha = self.ground(size, rng), np.zeros((size, size), np.float32)
        trust = 1.0
        if rng.random() < 0.12:  # something far out of focus is scenery
            far = self.layer(size, rng, reach=rng.uniform(0.2, 0.5))
            blur = rng.uniform(0.02, 0.05) * size
            soft, cover = cv2.GaussianBlur(far.rgb * far.alpha[..., None], (0, 0), blur), far.alpha
            cover = cv2.GaussianBlur(cover, (0, 0), blur)
            canvas = canvas * (1 - cover[..., None]) + soft
        many = int(rng.choice([1, 1, 1, 1, 1, 1, 2, 2, 3]))
        for _ in range(many):
            layer = self.layer(size, rng, reach=rng.uniform(0.3, 1.25) / many**0.4)
            if rng.random() < 0.55:
                canvas = cast_shadow(canvas, layer.alpha, rng)
            canvas, alpha = lay(canvas, alpha, layer, rng)
            trust = min(trust, layer.trust)
        return Sample(_to_bytes(canvas), _to_bytes(alpha * 255), trust)

    def graphic(self, size: int, rng: Random) -> Sample:
        """Words, shapes or thin things, mostly on plain grounds; or a sign with words on it."""
        if rng.random() < 0.3:
            return self.sign(size, rng)
        plain = rng.random() < 0.75
        canvas = draw_ground(size, rng) if plain else self.ground(size, rng)
        alpha = np.zeros((size, size), np.float32)
        mean = canvas.mean((0, 1))
        for _ in range(1 + (rng.random() < 0.35)):
            draw = THIN_THINGS[rng.choice(len(THIN_THINGS), p=THIN_SHARES)]
            cover = draw(size, rng)
            tone = rng.uniform(0, 255, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(0, 255))
            if np.abs(tone - mean).max() < 70:
                tone = np.where(mean > 128, tone - 110, tone + 110)
            paint = np.broadcast_to(np.clip(tone, 0, 255).astype(np.float32), canvas.shape)
            if rng.random() < 0.4:  # shaded or textured, not flat
                other = self.ground(size, rng) if rng.random() < 0.4 else draw_ground(size, rng)
                paint = paint * 0.6 + other * 0.4
            if rng.random() < 0.25:
                canvas = cast_shadow(canvas, cover, rng)
            canvas, alpha = lay(canvas, alpha, Layer(paint, cover, 1.0), rng)
        return Sample(_to_bytes(canvas), _to_bytes(alpha * 255), 1.0)

    def sign(self, size: int, rng: Random) -> Sample:
        """A panel with words or drawings on it: all of it is the subject, not the words alone."""
        panel = draw_panel(size, rng)
        tone = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(180, 255))
        paint = np.broadcast_to(tone.astype(np.float32), (size, size, 3))
        if rng.random() < 0.4:
            paint = paint * 0.6 + draw_ground(size, rng) * 0.4
        for _ in range(int(rng.integers(1, 4))):
            draw = (draw_words, draw_words, draw_shapes, draw_wires)[rng.integers(4)]
            cover = draw(size, rng)[..., None]
            paint = paint * (1 - cover) + cover * rng.uniform(0, 255, 3).astype(np.float32)
        canvas = self.ground(size, rng)
        if rng.random() < 0.3:
            canvas = cast_shadow(canvas, panel, rng)
        layer = Layer(paint, panel, 1.0)
        canvas, alpha = lay(canvas, np.zeros_like(panel), layer, rng)
        return Sample(_to_bytes(canvas), _to_bytes(alpha * 255), 1.0)

    def ground(self, size: int, rng: Random) -> Colours:
        """A picture without a subject: a studio, a strip beside one, or a background."""
        chance = rng.random()
        if chance < 0.22:
            return draw_ground(size, rng)
        if chance < 0.50:
            for _ in range(3):
                item, _ = self.choose_photo(rng)
                rgba = self.cache.read(item)
                strip = widest_strip(rgba[..., 3])
                if strip is not None:
                    return _soften(cut(rgba, strip, size, 0.0)[..., :3], rng)
        rgba = self.cache.read(self.grounds[rng.integers(len(self.grounds))])
        height, width = rgba.shape[:2]
        side = rng.uniform(0.4, 1.0)
        tall, wide = side * height, np.clip(side * rng.uniform(0.75, 1.33), 0.1, 1) * width
        left, top = rng.uniform(0, width - wide), rng.uniform(0, height - tall)
        return _soften(cut(rgba, (left, top, left + wide, top + tall), size, 0.0)[..., :3], rng)

    def layer(self, size: int, rng: Random, reach: float) -> Layer:
        """A cutout or a lifted subject on an empty square, ``reach`` of its side large."""
        if rng.random() < 0.12:  # nothing known, only a closed outline and a texture of its own
            shade = draw_ground(size, rng) / 255 + np.float32(0.4)
            return Layer(self.ground(size, rng) * shade, draw_shapes(size, rng), 1.0)
        if rng.random() < 0.55:
            rgba = self.cache.read(self.cutouts[rng.integers(len(self.cutouts))])
            trust = 1.0
        else:
            item, _ = self.choose_photo(rng)
            rgba, trust = lift(self.cache.read(item)), LIFTED_TRUST
        layer = place(rgba, size, reach, trust, rng)
        chance = rng.random()
        if chance < 0.22:
            alpha, rgb = draw_strands(layer.alpha, layer.rgb, rng)
            layer = Layer(rgb, alpha, trust)
        elif chance < 0.30:
            layer = _smear(layer, rng)
        elif chance < 0.33:
            layer = _glaze(layer, rng)
        return layer


def choose_crop(mask: Pixels, subject_class: str, rng: Random) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a crop that keeps the subject, or cuts it as portraits do."""
    height, width = mask.shape
    columns, rows = np.nonzero(mask.max(0) > 127)[0], np.nonzero(mask.max(1) > 127)[0]
    if not len(columns) or not len(rows) or rng.random() < 0.2:
        return 0.0, 0.0, float(width), float(height)
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    # Leaning to the edges of the photo: a tight crop is the rarer case.
    left, top = x0 * rng.random(), y0 * rng.random()
    right, bottom = x1 + (width - x1) * rng.random(), y1 + (height - y1) * rng.random()
    tall = y1 - y0
    # People often show head and shoulders or half a figure only.
    if "person" in subject_class and tall > 150 and rng.random() < 0.4:
        bottom = y0 + tall * rng.uniform(0.2, 0.7)
    elif rng.random() < 0.15:
        bottom = y0 + tall * rng.uniform(0.5, 1.0)
    elif rng.random() < 0.15:
        left = x0 + (x1 - x0) * rng.uniform(0.0, 0.4)
    if right - left < 64 or bottom - top < 64:
        return 0.0, 0.0, float(width), float(height)
    return float(left), float(top), float(right), float(bottom)


def cut(rgba: Pixels, box: tuple[float, float, float, float], size: int, turn: float) -> Pixels:
    """The box of a picture stretched to uint8 (size, size, 4), turned by ``turn`` degrees."""
    left, top, right, bottom = box
    x, y, x_end, y_end = int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom))
    part = rgba[y:y_end, x:x_end]
    smaller = part.shape[0] > size or part.shape[1] > size
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    square = cv2.resize(part, (size, size), interpolation=how)
    if turn:
        zoom = 1 + abs(turn) / 60
        matrix = cv2.getRotationMatrix2D((size / 2, size / 2), turn, zoom)
        square = cv2.warpAffine(square, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    return square


def widest_strip(mask: Pixels) -> tuple[float, float, float, float] | None:
    """The widest subject-free strip beside a subject, 90 pixels or more; None if there is none."""
    height, width = mask.shape
    columns, rows = np.nonzero(mask.max(0) > 20)[0], np.nonzero(mask.max(1) > 20)[0]
    if not len(columns):
        return None
    x0, x1, y0, y1 = columns[0] - 4, columns[-1] + 5, rows[0] - 4, rows[-1] + 5
    strips = [(0, 0, x0, height), (x1, 0, width, height), (0, 0, width, y0), (0, y1, width, height)]
    best = max(strips, key=lambda strip: min(strip[2] - strip[0], strip[3] - strip[1]))
    if min(best[2] - best[0], best[3] - best[1]) < 90:
        return None
    return float(best[0]), float(best[1]), float(best[2]), float(best[3])


def lift(rgba: Pixels) -> Pixels:
    """A photo's subject as a cutout: the mask drawn in by about two pixels and feathered."""
    soft = cv2.GaussianBlur(rgba[..., 3], (0, 0), 1.6).astype(np.float32) / 255
    alpha = _to_bytes(np.clip((soft - 0.55) / 0.4, 0, 1) * 255)
    columns, rows = np.nonzero(alpha.max(0) > 127)[0], np.nonzero(alpha.max(1) > 127)[0]
    if not len(columns) or not len(rows):
        return np.dstack([rgba[..., :3], alpha])
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.dstack([rgba[..., :3][part], alpha[part]])


def place(rgba: Pixels, size: int, reach: float, trust: float, rng: Random) -> Layer:
    """Scale, turn, mirror and shift a cutout (H, W, 4) onto an empty square."""
    height, width = rgba.shape[:2]
    scale = min(reach * size / max(height, width), 1.6)
    stretch = rng.uniform(0.8, 1.25) if rng.random() < 0.4 else 1.0
    if scale < 0.75:
        small = (max(2, int(width * scale * 1.3)), max(2, int(height * scale * 1.3)))
        rgba = cv2.resize(rgba, small, interpolation=cv2.INTER_AREA)
        scale *= width / small[0]
        height, width = rgba.shape[:2]
    turn = np.deg2rad(rng.uniform(-25, 25) if rng.random() < 0.3 else 0.0)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = matrix @ np.diag([mirror * stretch, 1.0])
    room = max(0.0, 1 - reach) / 2
    middle = size * (0.5 + rng.uniform(-1, 1, 2) * (room + 0.1 * rng.random()))
    shift = middle - matrix @ np.array([width / 2, height / 2])
    affine = np.hstack([matrix, shift[:, None]])
    alpha = cv2.warpAffine(rgba[..., 3], affine, (size, size)).astype(np.float32) / 255
    rgb = cv2.warpAffine(rgba[..., :3], affine, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return Layer(rgb.astype(np.float32), alpha, trust)


def lay(canvas: Colours, alpha: Plane, layer: Layer, rng: Random) -> tuple[Colours, Plane]:
    """The layer in front of the canvas, its light drawn a little towards the ground's."""
    rgb = layer.rgb
    if rng.random() < 0.5:
        inside = layer.alpha > 0.5
        own = rgb[inside].mean(0) if inside.any() else np.full(3, 128.0)
        ground = canvas.mean((0, 1))
        rgb = rgb + (ground - own).astype(np.float32) * np.float32(rng.uniform(0.0, 0.35))
    if rng.random() < 0.5:
        rgb = rgb * np.float32(rng.uniform(0.65, 1.25))
    cover = layer.alpha[..., None]
    mixed = canvas * (1 - cover) + np.clip(rgb, 0, 255) * cover
    return mixed, layer.alpha + alpha * (1 - layer.alpha)


def cast_shadow(canvas: Colours, alpha: Plane, rng: Random) -> Colours:
    """Darken the ground under or behind a subject; a shadow is never part of the alpha."""
    size = alpha.shape[0]
    if rng.random() < 0.5:  # on the wall, or a designer's drop shadow
        shift = rng.uniform(-0.06, 0.06, 2) * size
        matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64)
    else:  # on the floor: flattened about the subject's foot
        rows = np.nonzero(alpha.max(1) > 0.5)[0]
        foot = float(rows[-1]) if len(rows) else size * 0.8
        flat, lean = rng.uniform(0.08, 0.5), rng.uniform(-0.8, 0.8)
        matrix = np.array([[1, lean, -lean * foot], [0, flat, foot * (1 - flat)]], np.float64)
    shadow = cv2.warpAffine(alpha, matrix, (size, size))
    shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(0.004, 0.05) * size)
    return canvas * (1 - shadow[..., None] * np.float32(rng.uniform(0.1, 0.7)))


def develop(picture: Pixels, rng: Random) -> Pixels:
    """What cameras and uploads do to a picture: light, colour, blur, noise, small size, JPEG."""
    if rng.random() < 0.6:
        ramp = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
        ramp = (ramp - 0.5) * rng.uniform(0.65, 1.3) + 0.5 + rng.uniform(-0.12, 0.12)
        ramp = ramp * (1 + rng.normal(0, 0.06, 3) * (rng.random() < 0.5))
        if rng.random() < 0.06:
            ramp = ramp * rng.uniform(0.25, 0.6)  # low light
        table = np.clip(ramp * 255, 0, 255).astype(np.uint8)[None]
        picture = cv2.LUT(picture, table)
    if rng.random() < 0.3:
        grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = 0.0 if rng.random() < 0.2 else rng.uniform(0.2, 1.5)
        picture = cv2.addWeighted(picture, share, grey, 1 - share, 0)
    if rng.random() < 0.1:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.08:
        size, small = picture.shape[0], int(picture.shape[0] * rng.uniform(0.4, 0.8))
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.15:
        noise = rng.standard_normal(picture.shape, dtype=np.float32)
        picture = _to_bytes(picture + noise * np.float32(rng.uniform(1, 14)))
    if rng.random() < 0.3:
        quality = int(rng.integers(30, 92))
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return picture


def _smear(layer: Layer, rng: Random) -> Layer:
    """Motion or defocus: colours and alpha blur together."""
    size = layer.alpha.shape[0]
    reach = max(3, int(rng.uniform(0.01, 0.06) * size))
    kernel = np.zeros((reach, reach), np.float32)
    turn = rng.uniform(0, np.pi)
    half = np.array([np.cos(turn), np.sin(turn)]) * (reach - 1) / 2
    middle = (reach - 1) / 2
    ends = np.round([middle - half, middle + half]).astype(int)
    cv2.line(kernel, tuple(ends[0].tolist()), tuple(ends[1].tolist()), 1.0)
    kernel /= kernel.sum()
    alpha = cv2.filter2D(layer.alpha, -1, kernel)
    rgb = cv2.filter2D(layer.rgb * layer.alpha[..., None], -1, kernel)
    return Layer(rgb / np.maximum(alpha, 1e-3)[..., None], alpha, layer.trust)


def _glaze(layer: Layer, rng: Random) -> Layer:
    """Glass: see-through in the middle, denser towards the outline, with bright reflections."""
    size = layer.alpha.shape[0]
    depth = cv2.distanceTransform((layer.alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    middle, rim = rng.uniform(0.25, 0.75), rng.uniform(0.75, 1.0)
    dense = middle + (rim - middle) * np.exp(-depth / (rng.uniform(0.005, 0.04) * size))
    shine = np.clip(cv2.GaussianBlur(draw_shapes(size, rng), (0, 0), rng.uniform(0.5, 5)), 0, 1) * rng.uniform(0, 0.8)
    dense = dense + (1 - dense) * shine
    rgb = layer.rgb * (1 - shine[..., None]) + 250 * shine[..., None]
    return Layer(rgb.astype(np.float32), (layer.alpha * dense).astype(np.float32), layer.trust)


def _soften(picture: Pixels, rng: Random) -> Colours:
    ground = picture.astype(np.float32)
    if rng.random() < 0.35:
        ground = cv2.GaussianBlur(ground, (0, 0), rng.uniform(0.5, 5))
    if rng.random() < 0.5:
        ground = ground[:, ::-1]
    return np.ascontiguousarray(ground)


def _to_bytes(values: NDArray[np.floating]) -> Pixels:
    return np.clip(values + 0.5, 0, 255).astype(np.uint8)
