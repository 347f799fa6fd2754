"""What lies under the subject: an outline, its shadow, a ground; made once a drawing, laid under strip by strip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2

from bgone.imaging.photo import Photo
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.order import WHITE, BlurGround, PictureGround
from bgone.pipeline.plan import Plan
from bgone.pipeline.steps.background import colour_layer
from bgone.pipeline.steps.blur import blur_layer, out_of_focus
from bgone.pipeline.steps.grid import Grid, Pixels, grid_of, lay_out
from bgone.pipeline.steps.outline import distances, outline_layer, with_outline
from bgone.pipeline.steps.over import Layer
from bgone.pipeline.steps.picture import picture_layer
from bgone.pipeline.steps.shadow import cast, shadow_layer
from bgone.pipeline.steps.silhouette import alpha_of, silhouette


class Layers:
    """The layers of one drawing, from the subject downwards."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        self._layers = layers

    def under(self, y: int, rows: Pixels) -> Pixels:
        """Lay everything under the next rows; they come from the answer's top without gaps, as many as there are.

        Args:
            y: The first row in the answer.
            rows: uint8 (n, width, 4): the subject, straight alpha; may be overwritten.

        Returns:
            uint8 (n, width, 4), straight alpha; opaque throughout where the answer has 3 channels.

        Raises:
            unreadable_image: A picture under the subject is damaged where it was not before.
        """
        for lay in self._layers:
            rows = lay(y, rows)
        return rows


def open_layers(drawing: Drawing, plan: Plan, ground: Photo | None) -> Layers:
    """Make the small maps of everything that was asked for.

    Args:
        drawing: The photo and its small maps.
        plan: What the answer is.
        ground: The picture of a ``PictureGround``, opened; else None.

    Raises:
        unreadable_image: ``ground`` is damaged.
    """
    grid = grid_of(plan.width, plan.height)
    return Layers((*_of_subject(drawing, plan, grid), *_ground(drawing, plan, grid, ground)))


def _of_subject(drawing: Drawing, plan: Plan, grid: Grid) -> Iterator[Layer]:
    outline, shadow = plan.options.outline, plan.options.shadow
    if outline is None and shadow is None:
        return
    shape = silhouette(alpha_of(drawing), grid, plan)
    if outline is not None:
        distance = distances(shape)
        yield outline_layer(distance, grid, outline)
        shape = with_outline(shape, distance, grid, outline)
    if shadow is not None:
        yield shadow_layer(cast(shape, shadow, grid.pitch), grid)


def _ground(drawing: Drawing, plan: Plan, grid: Grid, picture: Photo | None) -> Iterator[Layer]:
    ground = plan.options.background
    if ground is None and plan.channels == 3:
        ground = WHITE
    if isinstance(ground, PictureGround):
        assert picture is not None
        yield picture_layer(picture, ground.fit, plan.width, plan.height)
    elif isinstance(ground, BlurGround):
        working, behind = drawing.seen.working, drawing.cut.background
        blurred = out_of_focus(working, alpha_of(drawing), behind, ground.strength_percent)
        yield blur_layer(lay_out(blurred, grid, plan, cv2.BORDER_REPLICATE), grid)
    elif ground is not None and (plan.channels == 3 or ground.alpha):
        # A format without alpha shows the colour itself.
        yield colour_layer(replace(ground, alpha=255) if plan.channels == 3 else ground)
