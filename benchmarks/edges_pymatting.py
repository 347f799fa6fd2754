"""The peer's way, run by the interpreter of its own environment: PyMatting as ``rembg -a`` calls it, with its defaults.

``PYTHON edges_pymatting.py IN.npz OUT.npz``: photo and matte in, alpha and subject out; one line of JSON on standard
output: CPU seconds of all threads and the most memory beyond what was there before.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]

# By name: they are not in the environment in which this file's types are checked.
pymatting: Any = importlib.import_module("pymatting")
ndimage: Any = importlib.import_module("scipy.ndimage")

# rembg 2.0.86: alpha_matting_foreground_threshold, _background_threshold, _erode_size.
SUBJECT_FROM, BACKGROUND_TO, ERODE = 240, 10, 10


def cut(photo: Pixels, matte: Pixels) -> tuple[Plane, Plane]:
    """photo uint8 (h, w, 3), matte uint8 (h, w) → alpha and subject, float64, 0..1."""
    structure = np.ones((ERODE, ERODE), np.uint8)
    subject = ndimage.binary_erosion(matte > SUBJECT_FROM, structure=structure)
    background = ndimage.binary_erosion(matte < BACKGROUND_TO, structure=structure, border_value=1)
    trimap = np.full(matte.shape, 0.5)
    trimap[subject], trimap[background] = 1, 0
    picture = photo / 255.0
    alpha = pymatting.estimate_alpha_cf(picture, trimap)
    return alpha, pymatting.estimate_foreground_ml(picture, alpha)


def memory(name: str) -> int:
    """A row of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def main() -> None:
    """See the module."""
    rng = np.random.default_rng(0)  # compiled first, so that nobody's time has it
    ramp = np.tile(np.clip(np.arange(160) * 3.0 - 112, 0, 255).astype(np.uint8), (64, 1))
    cut(rng.integers(0, 255, (64, 160, 3), np.uint8), ramp)
    with np.load(sys.argv[1]) as given:
        photo, matte = given["photo"], given["matte"]
    Path("/proc/self/clear_refs").write_text("5")
    before, started = memory("VmRSS"), time.process_time()
    alpha, subject = cut(photo, matte)
    seconds, peak = time.process_time() - started, memory("VmHWM") - before
    np.savez(sys.argv[2], alpha=alpha.astype(np.float32), subject=np.rint(subject * 255).astype(np.uint8))
    sys.stdout.write(json.dumps({"cpu_s": seconds, "peak_bytes": peak}) + "\n")


if __name__ == "__main__":
    main()
