"""libvips, set up once: only the loaders we accept, no cache, one thread per picture.

Import ``pyvips`` from here and nowhere else: a loader that is not unblocked below cannot be reached by a file, whatever
its bytes claim (SVG, PDF, ImageMagick, PPM and the rest stay shut; CVE-2026-33327, CVE-2026-70654).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

# Read by libvips when it starts: warnings of strangers' files are not our log; one thread a picture, pictures side by
# side instead (docs/performance.md).
os.environ.setdefault("VIPS_WARNING", "0")
os.environ.setdefault("VIPS_CONCURRENCY", "1")

import pyvips as pyvips

LOADERS = ("Jpeg", "Png", "Webp", "Nsgif", "Tiff", "Heif")


def _words(pointer: Any) -> str:
    return bytes(pyvips.ffi.string(pointer)).decode("utf-8", "replace")


# libvips' words may quote bytes of the file. pyvips decodes them strictly, and where that fails it neither raises its
# own error nor clears the words, so that every later error fails the same way.
pyvips.error._to_string = _words

pyvips.operation_block_set("VipsForeignLoad", True)
for _name in LOADERS:
    pyvips.operation_block_set(f"VipsForeignLoad{_name}", False)
pyvips.block_untrusted_set(True)
pyvips.cache_set_max(0)

Image = pyvips.Image
Region = pyvips.Region
Error = pyvips.Error


def from_pixels(pixels: npt.NDArray[np.uint8]) -> Any:
    """A libvips image over uint8 (height, width, bands) sRGB; the array is shared, not copied."""
    height, width, bands = pixels.shape
    return Image.new_from_memory(pixels.data, width, height, bands, "uchar").copy(interpretation="srgb")


def version() -> str:
    """libvips' version, e.g. ``"8.18.7"``."""
    return ".".join(str(pyvips.version(part)) for part in range(3))
