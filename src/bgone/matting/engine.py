"""The Engine protocol: machinery hidden behind one await."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bgone.matting.model import Recipe

Tensor = npt.NDArray[np.uint8]
Matte = npt.NDArray[np.float32]


class Engine(Protocol):
    """Predicts mattes; batching, threads, another machine are not the caller's business."""

    @property
    def recipe(self) -> Recipe:
        """The input that ``predict`` takes."""
        ...

    @property
    def device(self) -> str:
        """Where it really runs: the execution provider's name, or ``OpenVINO`` with the precision."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why it cannot predict now, in words for readiness, or None."""
        ...

    @property
    def waiting(self) -> int:
        """Pictures that wait for the net."""
        ...

    async def predict(self, tensor: Tensor) -> Matte:
        """uint8 (height, width, 3) sRGB of the recipe's size → float32 (height, width), 0..1."""
        ...

    async def aclose(self) -> None:
        """End the worker; waiting callers are cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What opening an engine needs to know.

    Attributes:
        model: A name of the model table or the path of an ``.onnx`` file.
        models_dir: Looked in before the package.
        device: ``auto``, ``cpu``, ``cuda`` or ``openvino``.
        threads: Intra-op threads of the session.
        max_batch: Most pictures in one run; 1 on a CPU, where batches gain nothing (docs/performance.md).
        low_memory: Turn ONNX Runtime's arena off: 0.5 GB less for a large net, 20-25 % more CPU.
    """

    model: str
    models_dir: Path | None = None
    device: str = "auto"
    threads: int = 1
    max_batch: int = 1
    low_memory: bool = False
