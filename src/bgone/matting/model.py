"""What a model is, in facts: code never branches on a model's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Colour = tuple[float, float, float]
NOTHING: Colour = (0.0, 0.0, 0.0)
ONES: Colour = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a picture becomes a net's input, and its output a matte.

    The defaults are those of nets made for bgone: uint8 (n, height, width, 3) sRGB in, float32 (n, height, width),
    0..1, out, normalisation and activation inside the graph.

    Attributes:
        width: Input width in pixels; of ``shortest`` the shorter side.
        height: Input height in pixels; of ``shortest`` the same.
        fit: ``stretch`` to the size; ``letterbox``: whole inside it, the rest filled with ``fill``; ``shortest``: as
            wide and high as the picture's aspect asks, the shorter side as given, the longer at most twice that.
        place: Where the picture lies in a letterbox.
        fill: Colour beside it, uint8.
        multiple: Both sides are multiples of it (``shortest``).
        filter: ``area`` averages when it shrinks and is linear when it enlarges; ``linear`` is linear always.
        number: What the input tensor holds; ``float`` is float32 or float16, as the graph says.
        layout: Order of its axes; n, then channels and rows and columns, or channels last.
        order: Order of its channels.
        scale: Floats are value * scale, less ``mean``, by ``std``.
        by_peak: The picture's own largest value counts as 255.
        mean: For each channel in ``order``.
        std: The same.
        input: Name of the input; empty: the first.
        output: Name of the output that holds the matte; empty: the first.
        activation: What still has to be done to it: ``sigmoid`` for logits, ``minmax`` stretches each picture's range
            to 0..1, ``none``. The result is clipped to 0..1.
    """

    width: int
    height: int
    fit: Literal["stretch", "letterbox", "shortest"] = "stretch"
    place: Literal["middle", "corner"] = "middle"
    fill: tuple[int, int, int] = (0, 0, 0)
    multiple: int = 1
    filter: Literal["area", "linear"] = "area"
    number: Literal["uint8", "float"] = "uint8"
    layout: Literal["nhwc", "nchw"] = "nhwc"
    order: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1 / 255
    by_peak: bool = False
    mean: Colour = NOTHING
    std: Colour = ONES
    input: str = ""
    output: str = ""
    activation: Literal["none", "sigmoid", "minmax"] = "none"

    @property
    def longest(self) -> int:
        """Longest side in pixels of the picture that the net sees."""
        return max(self.width, self.height) * (2 if self.fit == "shortest" else 1)


@dataclass(frozen=True, slots=True)
class Model:
    """A net that bgone knows.

    Attributes:
        name: What operators type (``BGONE_MODEL``).
        file: File name of the ONNX.
        sha256: Of the file, lower-case hex; verified at start. Empty for an operator's own file.
        licence: SPDX expression of the weights, or its name where there is none.
        recipe: Its input and output.
        batchable: Its first axis takes several pictures at once.
        description: One line for ``bgone models list``.
        size_bytes: Of the file.
        sources: Where the file lies, in the order in which ``bgone models pull`` asks; pinned to a commit or a release.
        commercial: Whether its licence lets a business use it; what is not ``yes`` asks for consent.
        terms: Where the licence can be read.
        memory_mb: Memory that running it takes, where somebody measured it.
        seconds_cpu: Of the net for one picture on two CPU cores, where measured.
        seconds_gpu: The same on a GPU.
    """

    name: str
    file: str
    sha256: str
    licence: str
    recipe: Recipe
    batchable: bool
    description: str
    size_bytes: int = 0
    sources: tuple[str, ...] = ()
    commercial: Literal["yes", "no", "unclear"] = "yes"
    terms: str = ""
    memory_mb: int | None = None
    seconds_cpu: float | None = None
    seconds_gpu: float | None = None

    @property
    def asks_consent(self) -> bool:
        """Whoever pulls it must have accepted its licence."""
        return self.commercial != "yes"
