"""The table of models: one row of facts each; code never branches on a model's name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a picture becomes the net's input.

    Every net of this table takes ``uint8 (n, height, width, 3)`` sRGB and answers ``float32 (n, height, width)`` in
    0..1: normalisation and activation are inside its graph.

    Attributes:
        width: Input width in pixels.
        height: Input height in pixels.
    """

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Model:
    """A net that bgone knows.

    Attributes:
        name: What operators type (``BGONE_MODEL``).
        file: File name of the ONNX.
        sha256: Of the file, lower-case hex; verified at start. Empty for an operator's own file.
        licence: SPDX expression of the weights.
        recipe: Its input.
        batchable: Its first axis takes several pictures at once.
        description: One line for ``bgone models list``.
    """

    name: str
    file: str
    sha256: str
    licence: str
    recipe: Recipe
    batchable: bool
    description: str


EMBEDDED = "bgone-small-1"

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        Model(
            name=EMBEDDED,
            file="bgone-small-1.onnx",
            sha256="a47314d9271584a0c1d8592d00ed95dec272538025f2c6050c4861676ba620e9",
            licence="Apache-2.0",
            recipe=Recipe(320, 320),
            batchable=True,
            description="The embedded net: 3.1 M parameters, 320 x 320, trained by us (models/bgone-small-1.md).",
        ),
    )
}
