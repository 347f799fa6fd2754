"""What a graph takes and gives, compared with what its recipe says; the same words for every runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgone.errors import StartError
from bgone.matting.model import Recipe

KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}  # what a net that takes floats is fed


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output, described as ONNX Runtime describes its own (``NodeArg``).

    Attributes:
        name: In the graph.
        type: As ``tensor(uint8)``.
        shape: Numbers, or words where the graph leaves a side open; None where nothing is known.
    """

    name: str
    type: str
    shape: list[int | str] | None


def check_signature(sources: Sequence[Any], results: Sequence[Any], recipe: Recipe, name: str) -> tuple[Any, Any]:
    """The input and the output that the recipe names.

    Args:
        sources: The graph's inputs, ``Port`` or ONNX Runtime's own.
        results: Its outputs.
        recipe: What is expected.
        name: Of the model, for the words.

    Raises:
        StartError: They are not there or of another shape; the words tell what is expected and what the graph has.
    """
    source = _named(sources, recipe.input)
    result = _named(results, recipe.output)
    kinds = ("tensor(uint8)",) if recipe.number == "uint8" else ("tensor(float)", "tensor(float16)")
    size = [None, None] if recipe.fit == "shortest" else [recipe.height, recipe.width]
    wanted = [None, 3, *size] if recipe.layout == "nchw" else [None, *size, 3]
    answers = ([None, *size], [None, 1, *size], [None, *size, 1])
    if (
        source is None
        or result is None
        or source.type not in kinds
        or not _fits(source.shape or [], wanted)
        or not (result.shape is None or len(result.shape) == 0 or any(_fits(result.shape, one) for one in answers))
    ):
        number = "uint8" if recipe.number == "uint8" else "float32 or float16"
        raise StartError(
            f"{name}: expected an input {recipe.input or '(any name)'} {number} {_words(wanted)} "
            f"and an output {recipe.output or '(any name)'} {_words(answers[0])} or {_words(answers[1])}; "
            f"the graph has {_told(sources)} and {_told(results)}."
        )
    return source, result


def recipe_of(source: Any, name: str) -> Recipe:
    """The recipe of a net made for bgone, from its input.

    Raises:
        StartError: It is of another kind, and nobody guesses means and activations.
    """
    shape = source.shape or []
    fixed = len(shape) == 4 and shape[3] == 3 and all(isinstance(side, int) for side in shape[1:3])
    if source.type != "tensor(uint8)" or not fixed:
        raise StartError(
            f"{name}: expected an input uint8 (n, height, width, 3) with fixed height and width, "
            f"got {source.type} {shape}."
        )
    return Recipe(width=shape[2], height=shape[1])


def _named(tensors: Sequence[Any], name: str) -> Any | None:
    return next((tensor for tensor in tensors if name in ("", tensor.name)), None)


def _fits(shape: list[Any], wanted: list[int | None]) -> bool:
    """Whether every side is as wanted, or left open by the graph."""
    return len(shape) == len(wanted) and all(
        want is None or not isinstance(side, int) or side == want for side, want in zip(shape, wanted, strict=True)
    )


def _words(shape: list[int | None]) -> str:
    return f"({', '.join('n' if side is None else str(side) for side in shape)})"


def _told(tensors: Sequence[Any]) -> str:
    return ", ".join(f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in tensors)
