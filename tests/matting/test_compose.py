"""Composing: strips of full-size alpha and clean colour from small maps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bgone.matting import compose, edges
from bgone.matting.compose import Copier, Cut, Painter
from bgone.matting.edges import Pixels, Plane

SUBJECT, BACKGROUND = np.array([200, 60, 40]), np.array([30, 90, 160])


def star(width: int, height: int) -> Plane:
    """float32 (height, width): a five-lobed subject with an edge of one pixel."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    across, down = columns - (width - 1) / 2, rows - (height - 1) / 2
    radius = min(width, height) * (0.3 + 0.08 * np.sin(5 * np.arctan2(down, across)))
    return np.asarray(np.clip(radius - np.hypot(across, down) + 0.5, 0, 1), np.float32)


def photo(alpha: Plane, noise: float = 2) -> Pixels:
    """uint8 (h, w, 3): SUBJECT over BACKGROUND with a little noise."""
    mixed = alpha[..., None] * SUBJECT + (1 - alpha[..., None]) * BACKGROUND
    mixed += np.random.default_rng(6).normal(0, noise, mixed.shape)
    return np.asarray(np.clip(mixed, 0, 255), np.uint8)


def cut_of(picture: Pixels, alpha: Plane, longest: int) -> Cut:
    """A cut from what a net of 80 x 80 pixels would see of ``alpha``."""
    height, width = alpha.shape
    factor = min(1, longest / max(width, height))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    seen = cv2.GaussianBlur(cv2.resize(alpha, (80, 80), interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    working = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return compose.cut(working, edges.fit_matte(np.asarray(seen, np.float32), *size))


def painted(painter: Painter, picture: Pixels, own_alpha: Pixels | None = None) -> Pixels:
    strips = []
    for y in range(0, painter.height, painter.rows):
        own = None if own_alpha is None else own_alpha[y : y + painter.rows]
        strips.append(painter.paint(y, picture[y : y + painter.rows], own))
    return np.concatenate(strips)


def alpha_of(painter: Painter, picture: Pixels) -> Pixels:
    rows = range(0, painter.height, painter.rows)
    return np.concatenate([painter.alpha(y, picture[y : y + painter.rows]) for y in rows])


def whole(cut: Cut, picture: Pixels) -> Pixels:
    """The formulas on the whole picture at once, in floats, without grid, strips or classes."""
    size = picture.shape[1::-1]
    line = cv2.resize(np.stack(cut.coefficients, axis=2), size, interpolation=cv2.INTER_LINEAR)
    front = cv2.resize(cut.foreground.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    back = cv2.resize(cut.background.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    alpha = np.clip((line[..., :3] * picture / 255).sum(axis=2, keepdims=True) + line[..., 3:], 0, 1)
    alpha = np.rint(alpha * 255) / 255
    missing = picture - alpha * front - (1 - alpha) * back
    clean = np.clip(front + np.minimum(1, 2 * alpha) * missing, 0, 255)
    return np.asarray(np.rint(np.concatenate([np.where(alpha > 0, clean, 0), alpha * 255], axis=2)), np.uint8)


@pytest.mark.parametrize(("width", "height", "longest"), [(480, 360, 120), (120, 90, 120), (960, 320, 120)])
def test_strips_agree_with_the_whole_picture(width: int, height: int, longest: int) -> None:
    """Strips, tiles and whole-number arithmetic stay within 2 of 255 of the formulas, seams included."""
    alpha = star(width, height)
    picture = photo(alpha)
    cut = cut_of(picture, alpha, longest)

    difference = np.abs(painted(Painter(cut, width, height), picture).astype(int) - whole(cut, picture))

    assert difference.max() <= 2


@pytest.mark.parametrize(("width", "height"), [(487, 359), (1000, 747)])
def test_sizes_that_do_not_divide_stay_close(width: int, height: int) -> None:
    """Where the pitch does not divide the size the grid costs a little sharpness of the maps, nothing else."""
    alpha = star(width, height)
    picture = photo(alpha)
    cut = cut_of(picture, alpha, 120)

    difference = np.abs(alpha_of(Painter(cut, width, height), picture).astype(int) - whole(cut, picture)[..., 3])

    assert difference.mean() < 0.25


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_strip_height_does_not_show(rows: int) -> None:
    """Any strip height of whole cells gives the same pixels."""
    alpha = star(487, 359)
    picture = photo(alpha)
    painter = Painter(cut_of(picture, alpha, 120), 487, 359)
    expected = painted(painter, picture)

    painter.rows = rows * painter.pitch

    assert np.array_equal(painted(painter, picture), expected)


def test_columns_do_not_show() -> None:
    """Any rectangle that begins with a cell is that part of the whole."""
    alpha = star(487, 359)
    picture = photo(alpha)
    painter = Painter(cut_of(picture, alpha, 120), 487, 359)
    expected = painted(painter, picture)
    dice = np.random.default_rng(9)
    for _ in range(30):
        x, y = (int(cell) * painter.pitch for cell in dice.integers(0, 80, 2))
        part = np.s_[y : y + int(dice.integers(1, 150)), x : x + int(dice.integers(1, 400))]

        assert np.array_equal(painter.paint(y, picture[part], None, x), expected[part])
        assert np.array_equal(painter.alpha(y, picture[part], x), expected[part][..., 3])


def test_a_pitch_has_a_limit() -> None:
    """Enlarged very far, cells stay small enough for a strip of them; what is between two cells' middles is linear."""
    alpha = star(60, 40)
    cut = cut_of(photo(alpha), alpha, 60)
    painter = Painter(cut, 60 * 1024, 40 * 1024)
    flat = np.full((1024, 1024, 3), 128, np.uint8)

    assert painter.pitch == painter.rows == compose.MOST_PITCH
    assert painter.classes.shape == (160, 240)
    middle = painter.alpha(20 * 1024, flat, 29 * 1024)
    assert (middle == 255).all()
    assert not painter.alpha(0, flat, 0).any()


def test_full_colour_shows_what_alpha_hides() -> None:
    """Alpha and the colours above it stay; under alpha 0 is the picture."""
    alpha = star(487, 359)
    picture = photo(alpha)
    painter = Painter(cut_of(picture, alpha, 120), 487, 359)
    own = np.full((painter.rows, 487), 255, np.uint8)
    own[:, 200:230] = 0
    y = 2 * painter.rows
    rows = picture[y : y + painter.rows]

    usual, full = painter.paint(y, rows, own), painter.paint(y, rows, own, full_colour=True)

    hidden = usual[..., 3] == 0
    assert hidden[:, 200:230].all()
    assert np.array_equal(usual[..., 3], full[..., 3])
    assert np.array_equal(usual[~hidden], full[~hidden])
    assert np.array_equal(full[hidden][:, :3], rows[hidden])


def test_a_copier_changes_nothing_that_shows() -> None:
    """The picture's own alpha and colours; nothing under alpha 0."""
    picture = photo(star(70, 50))
    own = np.random.default_rng(8).integers(0, 3, (50, 70)).astype(np.uint8) * 127
    copier = Copier(70, 50)

    result = copier.paint(0, picture, own)

    assert np.array_equal(result[..., 3], own)
    assert np.array_equal(result[own > 0][:, :3], picture[own > 0])
    assert not result[own == 0].any()
    assert np.array_equal(copier.paint(0, picture, own, full_colour=True)[..., :3], picture)
    assert (copier.alpha(0, picture) == 255).all()
    assert (copier.paint(0, picture)[..., 3] == 255).all()


@pytest.mark.parametrize("opaque", [False, True])
def test_the_maps_of_a_picture_as_it_is_hold_its_alpha(opaque: bool) -> None:
    """Whatever reads alpha from small maps finds the picture's own."""
    own = np.random.default_rng(8).integers(0, 256, (50, 70), np.uint8)
    working = photo(star(70, 50))

    maps = compose.uncut(working, None if opaque else own)

    alpha = edges.apply(maps.coefficients, [np.asarray(plane, np.float32) for plane in cv2.split(working)])
    assert np.array_equal(np.rint(alpha * 255), np.full_like(own, 255) if opaque else own)
    assert np.array_equal(maps.matte, alpha)


def test_classes_do_not_show() -> None:
    """Sure cells get exactly what the formulas would have given them."""
    alpha = star(487, 359)
    picture = photo(alpha)
    painter = Painter(cut_of(picture, alpha, 120), 487, 359)
    expected = painted(painter, picture)
    assert set(np.unique(painter.classes)) == {compose.BACKGROUND, compose.SUBJECT, compose.MIXED}

    painter.classes = np.full_like(painter.classes, compose.MIXED)

    assert np.array_equal(painted(painter, picture), expected)


@pytest.mark.parametrize(("width", "height"), [(61, 40), (1, 1), (3, 500), (500, 3), (487, 359), (50, 37)])
def test_alpha_alone_is_the_painted_alpha(width: int, height: int) -> None:
    """Both ways give the same alpha, no colour hides under alpha 0, at odd sizes and below working size."""
    alpha = star(487, 359)
    cut = cut_of(photo(alpha), alpha, 120)
    picture = np.asarray(cv2.resize(photo(alpha), (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    painter = Painter(cut, width, height)

    result = painted(painter, picture)

    assert result.shape == (height, width, 4)
    assert np.array_equal(result[..., 3], alpha_of(painter, picture))
    assert not result[result[..., 3] == 0].any()
    assert painter.rows % painter.pitch == 0
    assert painter.rows >= 64


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize(("width", "height"), [(61, 40), (400, 300), (1, 1)])
def test_empty_and_full_mattes_are_exact(level: int, width: int, height: int) -> None:
    """Nothing found is nothing painted; everything found is the picture as it was."""
    picture = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    cut = cut_of(picture, np.full((height, width), level, np.float32), 100)

    result = painted(Painter(cut, width, height), picture)

    assert (result[..., 3] == 255 * level).all()
    assert np.array_equal(result[..., :3], picture * level)


def test_own_alpha_multiplies() -> None:
    """The picture's own alpha multiplies the result's, and what vanishes so leaves no colour."""
    alpha = star(487, 359)
    picture = photo(alpha)
    own = np.random.default_rng(8).integers(0, 256, (359, 487), np.uint8)
    own[:, 200:230] = 0
    painter = Painter(cut_of(picture, alpha, 120), 487, 359)

    result = painted(painter, picture, own)

    expected = alpha_of(painter, picture) * (own / 255)
    assert np.abs(result[..., 3] - expected).max() <= 0.51
    assert not result[result[..., 3] == 0].any()


def test_sharp_edges_come_out_sharp() -> None:
    """Eight times the working size, an edge of one pixel is again at most three pixels wide (10 % to 90 %)."""
    alpha = star(960, 720)
    picture = photo(alpha)
    painter = Painter(cut_of(picture, alpha, 120), 960, 720)

    row = alpha_of(painter, picture)[360].astype(float) / 255

    assert ((row > 0.1) & (row < 0.9)).sum() <= 2 * 3
    assert np.abs(row - alpha[360]).sum() < 4


def test_soft_edges_lose_the_old_background() -> None:
    """On an edge ten pixels wide the colours come back: no more than a third as far off as they were."""
    soft = np.asarray(cv2.GaussianBlur(star(960, 720), (0, 0), 4), np.float32)
    picture = photo(soft, noise=0)

    result = painted(Painter(cut_of(picture, soft, 240), 960, 720), picture)

    edge = (soft > 0.2) & (soft < 0.95)
    off_before = np.abs(picture[edge] - SUBJECT).mean()
    off_after = np.abs(result[edge][:, :3] - SUBJECT).mean()
    assert off_after < 0.33 * off_before


def test_texture_does_not_leak() -> None:
    """A checkerboard behind the subject stays invisible a few working pixels away from it."""
    alpha = star(960, 720)
    rows, columns = np.mgrid[0:720, 0:960]
    board = ((rows // 12 + columns // 12) % 2 * 150 + 40).astype(np.uint8)
    picture = np.where(alpha[..., None] > 0.5, photo(alpha), board[..., None]).astype(np.uint8)
    painter = Painter(cut_of(picture, alpha, 240), 960, 720)

    result = alpha_of(painter, picture)

    far = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((97, 97), np.uint8)) == 0
    deep = cv2.dilate((alpha < 1).astype(np.uint8), np.ones((97, 97), np.uint8)) == 0
    assert far.any()
    assert deep.any()
    assert not result[far].any()
    assert (result[deep] == 255).all()
