"""The counter: a tool's call goes in, what the agent sees comes out."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import types

from bgone.agents import menu
from bgone.agents.folders import Folders
from bgone.agents.refusal import Refused
from bgone.agents.scissors import Errand, Scissors
from bgone.agents.shelf import Shelf
from bgone.api.encoded import decode_picture, encode_picture
from bgone.api.render_options import OPTIONS
from bgone.errors import ApiError
from bgone.imaging.formats import FORMATS
from bgone.imaging.sniff import sniff

INLINE_BYTES = 700_000  # 1 MB in base64 with the rest: the most that usual clients take of one answer
PREVIEW_SIDE = 768
_SHOWN = ("image/png", "image/jpeg", "image/webp", "image/gif")  # what clients can show

_ROWS = {"jpeg": "jpg", "heif": "avif"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a picture goes through a call.

    Attributes:
        input_bytes: Most of a photo.
        inline_bytes: Larger answers are a preview and a link.
    """

    input_bytes: int = 30_000_000
    inline_bytes: int = INLINE_BYTES


class Counter:
    """Serves every client of this process.

    Args:
        scissors: Who cuts.
        folders: Files that may be read and written.
        limits: Sizes.
        afar: A server cuts.
    """

    def __init__(self, scissors: Scissors, folders: Folders, limits: Limits, *, afar: bool) -> None:
        self.tools = menu.tools(folders.words, afar=afar)
        self.folders = folders.words
        self._scissors = scissors
        self._folders = folders
        self._limits = limits
        self._shelf = Shelf()

    async def call(self, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """Answer a call; what cannot be done is told in words, as an error of the tool."""
        known = {tool.name: tool.input_schema["properties"] for tool in self.tools}
        try:
            if name not in known:
                raise Refused(f"{name}: there is no such tool; there are {', '.join(known)}")
            if strange := [argument for argument in arguments if argument not in known[name]]:
                raise Refused(f"{strange[0]}: {name} has no such argument; it has {', '.join(known[name])}")
            given = {argument: value for argument, value in arguments.items() if value not in (None, "")}
            if name == menu.REMOVE:
                return await self._remove(given)
            if name == menu.JOB:
                return _told(await self._scissors.job(_required_text(given, "job_id")))
            return _told(await self._scissors.account())
        except (Refused, ApiError) as error:
            return types.CallToolResult(content=[types.TextContent(text=str(error))], is_error=True)

    def read(self, address: str) -> types.BlobResourceContents | None:
        """A result by the link that a call answered; None where it is none, or gone."""
        kept = self._shelf.get(address)
        if kept is None:
            return None
        return types.BlobResourceContents(uri=address, mime_type=kept.media_type, blob=encode_picture(kept.data))

    async def _remove(self, given: dict[str, Any]) -> types.CallToolResult:
        place = None
        if "output" in given:
            if given.get("later"):
                raise Refused("output: expected nothing beside later=true")
            place, form = self._folders.check_new(
                _required_text(given, "output"), overwrite=given.get("overwrite") is True
            )
            if given.setdefault("format", form) not in (form, "jpeg" if form == "jpg" else form):
                raise Refused(f"output: its ending says {form}, format says {given['format']}")
        errand = await asyncio.to_thread(self._errand, given)
        if given.get("later") is True:
            return _told(await self._scissors.submit(errand))
        data = await self._scissors.cut(errand)
        if place is not None:
            await asyncio.to_thread(self._folders.write, place, data)
        return await asyncio.to_thread(self._answer, data, place)

    def _errand(self, given: Mapping[str, Any]) -> Errand:
        found = [name for name in menu.PHOTOS if name in given]
        if len(found) != 1:
            raise Refused(f"expected exactly one of {', '.join(menu.PHOTOS)}, got {', '.join(found) or 'none'}")
        grounds = [name for name in menu.GROUNDS if name in given]
        if len(grounds) > 1:
            raise Refused(f"expected at most one of {', '.join(menu.GROUNDS)}, got {', '.join(grounds)}")
        options = {name: given[name] for name in given if name in OPTIONS or name in ("background_url", "model")}
        photo = self._picture(given, found[0])
        below = grounds[0] if grounds and grounds[0] != "background_url" else None
        ground = None if below is None else self._picture(given, below)
        assert not isinstance(ground, str)
        return Errand(photo, options, ground)

    def _picture(self, given: Mapping[str, Any], name: str) -> bytes | str:
        text, most = _required_text(given, name), self._limits.input_bytes
        if name.endswith("path"):
            return self._folders.read(text)
        if name.endswith("url"):
            if not text.lower().startswith(("http://", "https://")):
                raise Refused(f"{name}: expected an http or https address")
            return text
        if len(text) > most * 4 // 3 * 104 // 100 + 4_096:
            raise Refused(f"{name}: at most {most / 1e6:g} MB are read; give a path or a url instead")
        return decode_picture(name, text)

    def _answer(self, data: bytes, place: Path | None) -> types.CallToolResult:
        """What the agent sees; blocking where a preview is drawn."""
        import PIL.Image

        media_type, size = _kind(data)
        facts: dict[str, Any] = {"media_type": media_type, "bytes": len(data)}
        if size is not None:
            facts |= {"width": size[0], "height": size[1]}
        uri = place.as_uri() if place is not None else self._shelf.put(data, media_type)
        facts |= {"path": str(place)} if place is not None else {"uri": uri}
        link = types.ResourceLink(
            uri=uri, name=place.name if place else "cutout" + _suffix(media_type), mime_type=media_type, size=len(data)
        )
        words = f"{media_type}, " + (f"{size[0]} x {size[1]}, " if size else "") + f"{len(data)} bytes"
        content: list[types.ContentBlock] = []
        if place is not None:
            words = f"Written to {place}: {words}."
        elif media_type in _SHOWN and len(data) <= self._limits.inline_bytes:
            content.append(types.ImageContent(data=encode_picture(data), mime_type=media_type))
            words = f"{words}."
        elif media_type.startswith("image/"):
            with PIL.Image.open(io.BytesIO(data)) as image:
                preview = _preview(image, self._limits.inline_bytes)
            content.append(types.ImageContent(data=encode_picture(preview), mime_type="image/png"))
            words = f"{words}; shown is a smaller preview, all of it is at {uri} (resources/read)."
        else:
            words = f"{words}, at {uri} (resources/read)."
        text = types.TextContent(text=words)
        return types.CallToolResult(content=[text, *content, link], structured_content=facts)


def _told(facts: Mapping[str, Any]) -> types.CallToolResult:
    text = types.TextContent(text=json.dumps(facts, ensure_ascii=False))
    return types.CallToolResult(content=[text], structured_content=dict(facts))


def _required_text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise Refused(f"{name}: expected a text, got {json.dumps(value)[:80]}")
    return value


def _kind(data: bytes) -> tuple[str, tuple[int, int] | None]:
    import PIL.Image

    kind = sniff(data)
    if kind is None:
        return ("application/zip" if data.startswith(b"PK") else "application/octet-stream"), None
    with PIL.Image.open(io.BytesIO(data)) as image:
        return FORMATS[_ROWS.get(kind, kind)].media_type, image.size


def _suffix(media_type: str) -> str:
    return next((row.suffix for row in FORMATS.values() if row.media_type == media_type), "")


def _preview(image: Any, most_bytes: int) -> bytes:
    """A PNG of at most so many bytes: halved until it fits."""
    side = PREVIEW_SIDE
    image = image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGBA")
    while True:
        image.thumbnail((side, side))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        if buffer.tell() <= most_bytes or side <= 32:
            return buffer.getvalue()
        side //= 2
