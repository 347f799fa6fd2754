"""What a file is, told by its first bytes alone: names, extensions and content types are claims of strangers."""

from __future__ import annotations

from typing import Literal

FileKind = Literal["jpeg", "png", "webp", "gif", "tiff", "bmp", "heif"]

ACCEPTED = "JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF"

_HEIF_BRANDS = {b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"miaf"}


def sniff(data: bytes | memoryview) -> FileKind | None:
    """The kind of picture that ``data`` begins like, or None.

    ``heif`` covers AVIF and HEIC: the container is one, the compression is told apart later from the header.
    Source of the magic numbers: each format's own specification (JFIF, PNG 1.2 section 3.1, RIFF, GIF89a, TIFF 6.0
    with BigTIFF's 43, BITMAPFILEHEADER, ISO 14496-12 ``ftyp``).
    """
    head = bytes(data[:16])
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "tiff"
    if head.startswith(b"BM"):
        return "bmp"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "heif"
    return None
