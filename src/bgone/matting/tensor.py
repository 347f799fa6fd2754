"""Between the working picture and a net: what goes in, and which part of what comes out is the picture's matte."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bgone.imaging.geometry import Box
from bgone.matting.engine import Matte, Tensor
from bgone.matting.model import Recipe

FLAT = 1e-3  # a range of values that holds no picture: nothing is stretched


def size_of(recipe: Recipe, width: int, height: int) -> tuple[int, int]:
    """Width and height of the net's input for a picture of that size."""
    if recipe.fit != "shortest":
        return recipe.width, recipe.height
    scale = recipe.width / min(width, height)
    across, down = (min(side * scale, recipe.longest) / recipe.multiple for side in (width, height))
    return max(1, round(across)) * recipe.multiple, max(1, round(down)) * recipe.multiple


def tensor_of(working: Tensor, recipe: Recipe) -> Tensor:
    """The working picture at the net's own size.

    Args:
        working: uint8 (h, w, 3), sRGB.
        recipe: The net's input.

    Returns:
        uint8 (H, W, 3) of ``size_of``, contiguous, channels last, RGB.
    """
    height, width = working.shape[:2]
    across, down = size_of(recipe, width, height)
    if recipe.fit != "letterbox":
        return _resize(working, across, down, recipe)
    box = _inside(recipe, width, height, across, down)
    canvas = np.empty((down, across, 3), np.uint8)
    canvas[:] = recipe.fill
    canvas[box.top : box.bottom, box.left : box.right] = _resize(working, box.width, box.height, recipe)
    return canvas


def matte_of(matte: Matte, recipe: Recipe, width: int, height: int) -> Matte:
    """The part of a net's answer that belongs to the picture: a letterbox's edges are cut off.

    Args:
        matte: float32 (h, w), as ``predict`` gave it.
        recipe: The net's input.
        width: Of the working picture.
        height: Of the working picture.
    """
    if recipe.fit != "letterbox":
        return matte
    box = _inside(recipe, width, height, matte.shape[1], matte.shape[0])
    return matte[box.top : box.bottom, box.left : box.right]


def feed_of(batch: Tensor, recipe: Recipe, kind: Any = np.float32) -> NDArray[Any]:
    """What the session is given.

    Args:
        batch: uint8 (n, h, w, 3), RGB.
        recipe: The net's input.
        kind: float32 or float16, where the net takes floats.

    Returns:
        Of the layout, channels and numbers of the recipe.
    """
    pixels: NDArray[Any] = batch if recipe.order == "rgb" else batch[..., ::-1]
    if recipe.number == "float":
        mean, std = np.asarray(recipe.mean, np.float32), np.asarray(recipe.std, np.float32)
        scale: Any = np.float32(recipe.scale)
        if recipe.by_peak:
            scale = scale * np.float32(255) / np.maximum(1, batch.max((1, 2, 3), keepdims=True)).astype(np.float32)
        pixels = ((pixels * scale - mean) / std).astype(kind, copy=False)
    if recipe.layout == "nchw":
        pixels = pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels)


def mattes_of(answer: NDArray[Any], shape: tuple[int, int, int], recipe: Recipe) -> Matte:
    """A net's raw output as mattes.

    Args:
        answer: (n, h, w), (n, 1, h, w) or (n, h, w, 1), any float.
        shape: (n, h, w) that is expected.
        recipe: Says what still has to be done.

    Returns:
        float32 of ``shape``, 0..1.

    Raises:
        ValueError: It has another number of values.
    """
    mattes: Matte = np.asarray(answer, np.float32).reshape(shape)
    if recipe.activation == "sigmoid":
        # Beyond 60 exp(-x) leaves float32 and the sigmoid is 0 or 1 to the last digit.
        mattes = np.float32(1) / (np.float32(1) + np.exp(-np.clip(mattes, -60, 60)))
    elif recipe.activation == "minmax":
        low, high = mattes.min((1, 2), keepdims=True), mattes.max((1, 2), keepdims=True)
        flat = high - low < FLAT
        mattes = np.where(flat, mattes, (mattes - low) / np.where(flat, np.float32(1), high - low))
    return np.clip(mattes, np.float32(0), np.float32(1))


def _inside(recipe: Recipe, width: int, height: int, across: int, down: int) -> Box:
    """Where a picture of ``width`` x ``height`` lies in a letterbox of ``across`` x ``down``."""
    scale = min(across / width, down / height)
    fitted_width, fitted_height = max(1, round(width * scale)), max(1, round(height * scale))
    middle = recipe.place == "middle"
    left, top = ((across - fitted_width) // 2, (down - fitted_height) // 2) if middle else (0, 0)
    return Box(left, top, left + fitted_width, top + fitted_height)


def _resize(pixels: Tensor, width: int, height: int, recipe: Recipe) -> Tensor:
    # Area also where the picture is only stretched across its shorter side: so the embedded net saw it in training.
    enlarges = max(pixels.shape[:2]) < max(width, height)
    how = cv2.INTER_AREA if recipe.filter == "area" and not enlarges else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
