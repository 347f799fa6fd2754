"""The ONNX Runtime session: the device asked for is the device used, or the server does not start."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from bgone.errors import StartError
from bgone.matting import weights
from bgone.matting.engine import EngineOptions, Matte, Tensor
from bgone.matting.model import Recipe
from bgone.matting.tensor import feed_of, mattes_of

RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_KINDS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_EXTRAS = {"cpu": "cpu", "cuda": "gpu", "openvino": "openvino"}


class OnnxNet:
    """A net in this process: ``run`` blocks, takes any number of pictures, and keeps no state between calls.

    Attributes:
        name: Model name or file, for logs.
        recipe: Its input and output.
        device: Execution provider that really runs the graph.
        batchable: The graph's first axis is free, and all pictures have one size.
    """

    def __init__(self, options: EngineOptions) -> None:
        runtime = _import_runtime()
        row = weights.model_row(options.model)
        content: bytes | str = options.model
        recipe = weights.own_recipe(Path(options.model)) if row is None else row.recipe
        if row is not None:
            content = weights.verify(weights.find(row, options.models_dir), row)
        self.name = options.model
        self._session = _open_session(runtime, content, options)
        self.device: str = self._session.get_providers()[0]
        self.recipe = recipe or _recipe_of(self._session.get_inputs()[0], options.model)
        source, result = check_signature(self._session, self.recipe, options.model)
        self._input, self._output, self._kind = source.name, result.name, _KINDS.get(source.type, np.float32)
        self.batchable = not isinstance(source.shape[0], int) and self.recipe.fit != "shortest"
        # Warm-up: the arena and thread pool are made now, not in the first customer's time.
        try:
            self.run(np.zeros((1, self.recipe.height, self.recipe.width, 3), np.uint8))
        except _failures(runtime) as error:
            raise StartError(
                f"{options.model}: expected an output float32 (n, {self.recipe.height}, {self.recipe.width}), "
                f"but a first run failed: {error}"
            ) from error

    def run(self, batch: Tensor) -> Matte:
        """uint8 (n, height, width, 3) → float32 (n, height, width), clipped to 0..1."""
        feed = feed_of(batch, self.recipe, self._kind)
        (answer,) = self._session.run([self._output], {self._input: feed})
        return mattes_of(answer, batch.shape[:3], self.recipe)


def check_signature(session: Any, recipe: Recipe, name: str) -> tuple[Any, Any]:
    """The session's input and output that the recipe names.

    Raises:
        StartError: They are not there or of another shape; the words tell what is expected and what the graph has.
    """
    source = _named(session.get_inputs(), recipe.input)
    result = _named(session.get_outputs(), recipe.output)
    kinds = ("tensor(uint8)",) if recipe.number == "uint8" else ("tensor(float)", "tensor(float16)")
    size = [None, None] if recipe.fit == "shortest" else [recipe.height, recipe.width]
    wanted = [None, 3, *size] if recipe.layout == "nchw" else [None, *size, 3]
    answers = ([None, *size], [None, 1, *size], [None, *size, 1])
    if (
        source is None
        or result is None
        or source.type not in kinds
        or not _fits(source.shape, wanted)
        or not (result.shape is None or len(result.shape) == 0 or any(_fits(result.shape, one) for one in answers))
    ):
        number = "uint8" if recipe.number == "uint8" else "float32 or float16"
        raise StartError(
            f"{name}: expected an input {recipe.input or '(any name)'} {number} {_words(wanted)} "
            f"and an output {recipe.output or '(any name)'} {_words(answers[0])} or {_words(answers[1])}; "
            f"the graph has {_told(session.get_inputs())} and {_told(session.get_outputs())}."
        )
    return source, result


def check_file(path: Path, recipe: Recipe, name: str) -> None:
    """Look at a file's inputs and outputs without running it.

    Raises:
        StartError: They are not those of the recipe, or it is no net.
    """
    check_signature(_look_into(path, name), recipe, name)


def check_own(path: Path) -> None:
    """The same for an operator's own file, with the recipe beside it or that of its graph."""
    recipe = weights.own_recipe(path)
    session = _look_into(path, str(path))
    check_signature(session, recipe or _recipe_of(session.get_inputs()[0], str(path)), str(path))


def _look_into(path: Path, name: str) -> Any:
    runtime = _import_runtime()
    settings = runtime.SessionOptions()
    settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.intra_op_num_threads = 1
    try:
        return runtime.InferenceSession(str(path), settings, providers=[PROVIDERS["cpu"]])
    except _failures(runtime) as error:
        raise StartError(f"{name} is no net that ONNX Runtime reads: {error}") from error


def _named(tensors: list[Any], name: str) -> Any | None:
    return next((tensor for tensor in tensors if name in ("", tensor.name)), None)


def _fits(shape: list[Any], wanted: list[int | None]) -> bool:
    """Whether every side is as wanted, or left open by the graph."""
    return len(shape) == len(wanted) and all(
        want is None or not isinstance(side, int) or side == want for side, want in zip(shape, wanted, strict=True)
    )


def _words(shape: list[int | None]) -> str:
    return f"({', '.join('n' if side is None else str(side) for side in shape)})"


def _told(tensors: list[Any]) -> str:
    return ", ".join(f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in tensors)


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
    if provider == PROVIDERS["openvino"]:
        providers = [(provider, {"device_type": "CPU", "num_of_threads": str(options.threads)})]
    try:
        return runtime.InferenceSession(content, settings, providers=providers)
    except _failures(runtime) as error:
        raise StartError(f"ONNX Runtime cannot load {options.model} on {provider}: {error}") from error


def _failures(runtime: Any) -> tuple[type[Exception], ...]:
    """What the runtime raises: its exceptions share no base but Exception, so the families that it declares."""
    declared = vars(runtime.capi.onnxruntime_pybind11_state).values()
    families = [kind for kind in declared if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*families, RuntimeError, ValueError)


def _recipe_of(tensor: Any, name: str) -> Recipe:
    shape = tensor.shape
    fixed = len(shape) == 4 and shape[3] == 3 and all(isinstance(side, int) for side in shape[1:3])
    if tensor.type != "tensor(uint8)" or not fixed:
        raise StartError(
            f"{name}: expected an input uint8 (n, height, width, 3) with fixed height and width, "
            f"got {tensor.type} {shape}."
        )
    return Recipe(width=shape[2], height=shape[1])
