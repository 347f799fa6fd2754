"""Versions, and codecs that are tried instead of asked about."""

from __future__ import annotations

import importlib.metadata
import io
import platform
from collections.abc import Iterator

import numpy as np
import PIL.features
import PIL.Image

from bgone import __version__
from bgone.commands.checkup.finding import Finding, ok, problem, warning
from bgone.errors import ApiError, StartError
from bgone.imaging import vips
from bgone.imaging.deflate import best_deflater
from bgone.imaging.formats import FORMATS, open_writer
from bgone.imaging.photo import PhotoLimits, look, open_photo
from bgone.imaging.pillow_photos import heic_available
from bgone.matting.onnx import check_runtimes, installed_runtimes

_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "uvicorn", "starlette")
# Kind: how Pillow calls it.
_READ = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF", "tiff": "TIFF", "bmp": "BMP", "avif": "AVIF"}


def software() -> Iterator[Finding]:
    """Everything that was installed."""
    yield ok("bgone", f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}")
    yield _runtime()
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    yield ok("libraries", f"libvips {vips.version()}, {', '.join(versions)}")
    yield _decoders()
    yield _heic()
    yield _encoders()
    yield _deflate()


def _runtime() -> Finding:
    found = installed_runtimes()
    try:
        check_runtimes(found)
    except StartError as error:
        words, _, cure = str(error).partition(" Type: ")
        return problem("runtime", words, cure)
    return ok("runtime", f"{found[0]} {importlib.metadata.version(found[0])}")


def _decoders() -> Finding:
    """A picture of each kind is read."""
    broken = []
    for kind, plugin in _READ.items():
        if kind == "avif" and not PIL.features.check("avif"):
            continue  # nothing here can write one to be tried
        try:
            look(open_photo(_file(plugin), PhotoLimits()), 64)
        except ApiError as error:
            broken.append(f"{kind} ({error.detail or error.message})")
    if broken:
        return problem("reads", f"cannot be read: {', '.join(broken)}", "pip install --force-reinstall pyvips-binary")
    return ok("reads", ", ".join(_READ))


def _heic() -> Finding:
    if heic_available():
        return ok("heic", f"read by pillow-heif {importlib.metadata.version('pillow-heif')}")
    return ok("heic", "not read; pip install 'bgone[heic]' adds it, with a GPL codec")


def _encoders() -> Finding:
    """A picture of each format is written."""
    broken = []
    for name, form in FORMATS.items():
        pieces: list[bytes] = []
        channels = 4 if form.keeps_alpha else 3
        try:
            writer = open_writer(name, pieces.append, 16, 16, 4 if form.keeps_alpha else 3)
            writer.add(np.zeros((16, 16, channels), np.uint8))
            writer.finish()
        except (OSError, ValueError, KeyError) as error:
            broken.append(f"{name} ({error})")
    if broken:
        return problem("writes", f"cannot be written: {', '.join(broken)}", "pip install --force-reinstall pillow")
    return ok("writes", ", ".join(FORMATS))


def _deflate() -> Finding:
    name = best_deflater().name
    if name == "zlib":
        return warning("deflate", "zlib: PNG takes several times as long", "pip install isal zlib-ng")
    return ok("deflate", name)


def _file(plugin: str) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (16, 16), (200, 60, 40)).save(buffer, plugin)
    return buffer.getvalue()
