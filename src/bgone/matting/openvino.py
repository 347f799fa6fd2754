"""OpenVINO's own session, beside ONNX Runtime: where the CPU has bf16 it runs a net in that, twice as fast or more."""

from __future__ import annotations

import importlib.util
import sys
import threading
from typing import Any

import numpy as np

from bgone.errors import StartError
from bgone.matting import weights
from bgone.matting.engine import EngineOptions, Matte, Tensor
from bgone.matting.signature import KINDS, Port, check_signature, recipe_of
from bgone.matting.tensor import feed_of, mattes_of

# What it raises: RuntimeError for nearly everything, the others from its Python side.
FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, OSError)
_TYPES = {"u8": "tensor(uint8)", "f32": "tensor(float)", "f16": "tensor(float16)"}


class OpenVinoNet:
    """A net in this process, as ``OnnxNet``: ``run`` blocks and may be called from any thread, one at a time inside.

    Attributes:
        name: Model name or file, for logs.
        recipe: Its input and output.
        device: ``OpenVINO`` and the precision that it really computes in: ``f32``, or ``bf16`` where the CPU has it.
        batchable: Several pictures run at once: ``max_batch`` asked for it and the graph lets them.
    """

    def __init__(self, options: EngineOptions) -> None:
        openvino = import_openvino()
        content, recipe = weights.load(options.model, options.models_dir)
        self.name = options.model
        try:
            core = openvino.Core()
            graph = core.read_model(content) if isinstance(content, str) else core.read_model(content, b"")
            sources = _ports(graph.inputs, recipe.input if recipe else "")
            results = _ports(graph.outputs, recipe.output if recipe else "")
            self.recipe = recipe or recipe_of(sources[0], options.model)
            source, result = check_signature(sources, results, self.recipe, options.model)
            self._kind = KINDS.get(source.type, np.float32)
            free = not isinstance(source.shape[0], int) and self.recipe.fit != "shortest"
            self.batchable = free and options.max_batch > 1
            self._most = options.max_batch if self.batchable else 1
            self._input, self._output = sources.index(source), results.index(result)
            _fix_batch(openvino, graph, self._input, self._most)
            compiled = core.compile_model(graph, "CPU", _settings(options))
            self.device = f"OpenVINO {compiled.get_property('INFERENCE_PRECISION_HINT').get_type_name()}"
            self._request = compiled.create_infer_request()
            self._turn = threading.Lock()
            # Warm-up: kernels are made now, not in the first customer's time.
            self.run(np.zeros((1, self.recipe.height, self.recipe.width, 3), np.uint8))
        except FAILURES as error:
            raise StartError(f"OpenVINO cannot run {options.model}: {_words(error)}") from error

    def run(self, batch: Tensor) -> Matte:
        """uint8 (n, height, width, 3) → float32 (n, height, width), clipped to 0..1."""
        parts = [self._run(batch[first : first + self._most]) for first in range(0, len(batch), self._most)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, batch: Tensor) -> Matte:
        feed = feed_of(batch, self.recipe, self._kind)
        # The answer lies in the request's own memory until the next run: mattes_of copies it.
        with self._turn:
            answers = self._request.infer({self._input: feed}, share_inputs=True, share_outputs=True)
            return mattes_of(answers[self._output], batch.shape[:3], self.recipe)


def installed() -> bool:
    """Whether OpenVINO could be imported; looks without importing it."""
    return importlib.util.find_spec("openvino") is not None


def import_openvino() -> Any:
    """The package, without its telemetry.

    Raises:
        StartError: It is not installed, or does not load; the words say what to type.
    """
    # Importing openvino tells Google Analytics of it when openvino-telemetry is there, which pip brings along. Where
    # that cannot be imported openvino takes a stub of its own (openvino/tools/ovc/telemetry_utils.py, 2026.4).
    barred = "openvino_telemetry" not in sys.modules
    if barred:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # how Python bars an import
    try:
        import openvino
    except (ImportError, OSError) as error:
        raise StartError(f"OpenVINO cannot be imported ({error}). Type: pip install 'bgone[openvino]'.") from error
    finally:
        if barred:
            del sys.modules["openvino_telemetry"]
    return openvino


def _settings(options: EngineOptions) -> dict[str, Any]:
    """No precision is asked for: it takes bf16 where the CPU has it; forced elsewhere it was 4 times as slow."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": options.threads,
        # Else the hint takes one thread of each physical core: half of what a virtual machine was said to have.
        "ENABLE_HYPER_THREADING": True,
        # Two processes that pin would sit on the same cores.
        "ENABLE_CPU_PINNING": False,
    }


def _fix_batch(openvino: Any, graph: Any, place: int, most: int) -> None:
    """Say how many pictures come: a graph of one size runs 6 to 10 % faster than one that leaves it open."""
    shape = graph.inputs[place].get_partial_shape()
    if shape[0].is_dynamic:
        shape[0] = 1 if most == 1 else openvino.Dimension(1, most)
        graph.reshape({graph.inputs[place]: shape})


def _ports(ports: list[Any], wanted: str) -> list[Port]:
    """As ONNX Runtime would describe them; a tensor may have several names, of which one may be wanted."""
    return [Port(_name(port, wanted), _type(port), _shape(port.get_partial_shape())) for port in ports]


def _name(port: Any, wanted: str) -> str:
    return wanted if wanted in port.get_names() else str(port.get_any_name())


def _type(port: Any) -> str:
    name = port.get_element_type().get_type_name()
    return _TYPES.get(name, f"tensor({name})")


def _shape(shape: Any) -> list[int | str] | None:
    if shape.rank.is_dynamic:
        return None
    return [side.get_length() if side.is_static else "?" for side in shape]


def _words(error: Exception) -> str:
    """One line: its exceptions begin with where in OpenVINO's own sources they were raised."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("Exception from"))[:500]
