"""The least that any server must do: decode the JPEG, deflate the answer's rows.

``python -m benchmarks.bare JPEG PNG``: see ``benchmarks.worker``. Counted are libjpeg-turbo (through OpenCV) or
libvips, whichever took less CPU, decoding the whole picture into one array, and ISA-L level 1 over the filtered rows
of the very answer that bgone gave, in pieces of 1 MB. Not counted: making the matte, laying it on, the Up filter,
checksums, HTTP.
"""

from __future__ import annotations

import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import orjson

from bgone.imaging import vips
from bgone.imaging.deflate import best_deflater

PIECE_BYTES = 1 << 20


def filtered_rows(png: bytes) -> bytes:
    """What the PNG's deflate stream unpacks to: every row with its filter byte."""
    at, packed = 8, []
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        if png[at + 4 : at + 8] == b"IDAT":
            packed.append(png[at + 8 : at + 8 + length])
        at += 12 + length
    return zlib.decompress(b"".join(packed))


def decode_by_opencv(data: bytes) -> None:
    cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def decode_by_vips(data: bytes) -> None:
    vips.Image.jpegload_buffer(data, access="sequential").write_to_memory()


def deflate(rows: memoryview) -> None:
    """Level 1, in pieces."""
    deflater = best_deflater()
    for start in range(0, len(rows), PIECE_BYTES):
        end = start + PIECE_BYTES
        deflater.pack(rows[start:end], last=end >= len(rows))  # type: ignore[arg-type]


def main() -> None:
    """See the module."""
    cv2.setNumThreads(1)
    data, png = (Path(name).read_bytes() for name in sys.argv[1:])
    rows = memoryview(filtered_rows(png))
    for line in sys.stdin:
        rounds = int(line)
        facts = {
            "opencv_s": _cpu_s(rounds, lambda: decode_by_opencv(data)),
            "vips_s": _cpu_s(rounds, lambda: decode_by_vips(data)),
            "deflate_s": _cpu_s(rounds, lambda: deflate(rows)),
        }
        sys.stdout.write(orjson.dumps(facts).decode() + "\n")
        sys.stdout.flush()


def _cpu_s(rounds: int, work: Callable[[], None]) -> float:
    started = time.process_time()
    for _ in range(rounds):
        work()
    return (time.process_time() - started) / rounds


if __name__ == "__main__":
    main()
