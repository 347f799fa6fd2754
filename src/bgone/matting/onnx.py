"""The ONNX Runtime session: the device asked for is the device used, or the server does not start."""

from __future__ import annotations

import importlib.metadata
import time
from pathlib import Path
from typing import Any

import numpy as np

from bgone.errors import StartError
from bgone.matting import weights
from bgone.matting.engine import EngineOptions, Matte, Tensor
from bgone.matting.model import Recipe
from bgone.matting.signature import KINDS, check_signature, recipe_of
from bgone.matting.tensor import feed_of, mattes_of

RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_EXTRAS = {"cpu": "cpu", "cuda": "gpu"}


class OnnxNet:
    """A net in this process: ``run`` blocks, takes any number of pictures, and keeps no state between calls.

    Attributes:
        name: Model name or file, for logs.
        recipe: Its input and output.
        device: Execution provider that really runs the graph.
        batchable: The graph's first axis is free, and all pictures have one size.
        first_s: Seconds of its first run.
    """

    def __init__(self, options: EngineOptions) -> None:
        runtime = _import_runtime()
        content, recipe = weights.load(options.model, options.models_dir)
        self.name = options.model
        self._session = _open_session(runtime, content, options)
        self.device: str = self._session.get_providers()[0]
        sources, results = self._session.get_inputs(), self._session.get_outputs()
        self.recipe = recipe or recipe_of(sources[0], options.model)
        source, result = check_signature(sources, results, self.recipe, options.model)
        self._input, self._output, self._kind = source.name, result.name, KINDS.get(source.type, np.float32)
        self.batchable = not isinstance(source.shape[0], int) and self.recipe.fit != "shortest"
        # Warm-up: the arena and thread pool are made now, not in the first customer's time.
        began = time.perf_counter()
        try:
            self.run(np.zeros((1, self.recipe.height, self.recipe.width, 3), np.uint8))
        except _failures(runtime) as error:
            raise StartError(
                f"{options.model}: expected an output float32 (n, {self.recipe.height}, {self.recipe.width}), "
                f"but a first run failed: {error}"
            ) from error
        self.first_s = time.perf_counter() - began

    def run(self, batch: Tensor) -> Matte:
        """uint8 (n, height, width, 3) → float32 (n, height, width), clipped to 0..1."""
        feed = feed_of(batch, self.recipe, self._kind)
        (answer,) = self._session.run([self._output], {self._input: feed})
        return mattes_of(answer, batch.shape[:3], self.recipe)


def check_file(path: Path, recipe: Recipe, name: str) -> None:
    """Look at a file's inputs and outputs without running it.

    Raises:
        StartError: They are not those of the recipe, or it is no net.
    """
    session = _look_into(path, name)
    check_signature(session.get_inputs(), session.get_outputs(), recipe, name)


def check_own(path: Path) -> None:
    """The same for an operator's own file, with the recipe beside it or that of its graph."""
    recipe = weights.own_recipe(path)
    session = _look_into(path, str(path))
    sources, results = session.get_inputs(), session.get_outputs()
    check_signature(sources, results, recipe or recipe_of(sources[0], str(path)), str(path))


def _look_into(path: Path, name: str) -> Any:
    runtime = _import_runtime()
    settings = runtime.SessionOptions()
    settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.intra_op_num_threads = 1
    try:
        return runtime.InferenceSession(str(path), settings, providers=[PROVIDERS["cpu"]])
    except _failures(runtime) as error:
        raise StartError(f"{name} is no net that ONNX Runtime reads: {error}") from error


def installed_runtimes() -> list[str]:
    """Names of the ONNX Runtime distributions that are installed."""
    found = []
    for name in RUNTIMES:
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        found.append(name)
    return found


def check_runtimes(found: list[str]) -> None:
    """Exactly one runtime: two overwrite each other's files and one of them silently wins.

    Raises:
        StartError: None or several; the words say what to type.
    """
    if not found:
        raise StartError("No ONNX Runtime is installed. Type: pip install 'bgone[cpu]' (or 'bgone[gpu]' for NVIDIA).")
    if len(found) > 1:
        names = " ".join(found)
        raise StartError(
            f"Several ONNX Runtimes are installed ({names}): they overwrite each other. "
            f"Type: pip uninstall -y {names} && pip install 'bgone[cpu]' (or 'bgone[gpu]' for NVIDIA)."
        )


def _import_runtime() -> Any:
    check_runtimes(installed_runtimes())
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def _open_session(runtime: Any, content: bytes | str, options: EngineOptions) -> Any:
    wanted = options.device
    available = runtime.get_available_providers()
    if wanted == "auto":
        wanted = "cuda" if PROVIDERS["cuda"] in available else "cpu"
    provider = PROVIDERS[wanted]
    if provider not in available:
        raise StartError(
            f"BGONE_DEVICE={options.device}: this ONNX Runtime has no {provider} (it has {', '.join(available)}). "
            f"Type: pip uninstall -y {' '.join(installed_runtimes())} && pip install 'bgone[{_EXTRAS[wanted]}]'."
        )
    if wanted == "cuda":
        runtime.preload_dlls()
    session = _session(runtime, content, options, provider)
    # get_available_providers() names what was compiled in; only the session knows what is really used.
    if session.get_providers()[0] != provider:
        if options.device == "auto":
            return _session(runtime, content, options, PROVIDERS["cpu"])
        raise StartError(
            f"BGONE_DEVICE={options.device}: the session fell back to {session.get_providers()[0]}. "
            "Check the driver (nvidia-smi) and the CUDA and cuDNN libraries, or set BGONE_DEVICE=cpu."
        )
    return session


def _session(runtime: Any, content: bytes | str, options: EngineOptions, provider: str) -> Any:
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.enable_cpu_mem_arena = not options.low_memory
    # A laid-out block for every input shape beside the arena: 19 MB for the embedded net, and no faster.
    settings.enable_mem_pattern = False
    # Spinning burns a core between requests and loses on shared hosts (docs/performance.md).
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = [provider]
    if provider == PROVIDERS["cuda"]:
        providers = [(provider, {"arena_extend_strategy": "kSameAsRequested"}), PROVIDERS["cpu"]]
    try:
        return runtime.InferenceSession(content, settings, providers=providers)
    except _failures(runtime) as error:
        raise StartError(f"ONNX Runtime cannot load {options.model} on {provider}: {error}") from error


def _failures(runtime: Any) -> tuple[type[Exception], ...]:
    """What the runtime raises: its exceptions share no base but Exception, so the families that it declares."""
    declared = vars(runtime.capi.onnxruntime_pybind11_state).values()
    families = [kind for kind in declared if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*families, RuntimeError, ValueError)
