"""What is offered: the tools and their arguments, made from the table of render options."""

from __future__ import annotations

from typing import Any

from mcp import types

from bgone.api.render_options import OPTIONS, Option

_NUMBERS = ("PX", "MP", "0..100")

REMOVE, JOB, ACCOUNT = "remove_background", "job_status", "account"
PHOTOS = ("path", "url", "base64")
GROUNDS = ("background_path", "background_url", "background_base64")
OTHERS = ("output", "overwrite")
AFAR = ("later", "model")  # where a server cuts


def tools(folders: str, *, afar: bool) -> list[types.Tool]:
    """The three tools.

    Args:
        folders: Where files may be, in words.
        afar: A server cuts.
    """
    return [_remove(folders, afar=afar), *_others(afar=afar)]


def _remove(folders: str, *, afar: bool) -> types.Tool:
    arguments: dict[str, Any] = {
        "path": _text(f"the photo: a file in {folders}"),
        "url": _text("the photo: an http or https address"),
        "base64": _text("the photo: its file in base64, also as a data: URL"),
        "output": _text("write the picture to this file, whose ending names the format, instead of answering it"),
        "overwrite": {"type": "boolean", "default": False, "description": "replace a file that is there already"},
        "background_path": _text(f"a picture under the subject: a file in {folders}"),
        "background_url": _text("a picture under the subject: an address"),
        "background_base64": _text("a picture under the subject: its file in base64"),
    }
    if afar:
        words = "do not wait: answer a job's id at once, for job_status"
        arguments["later"] = {"type": "boolean", "default": False, "description": words}
        arguments["model"] = _text("one of the models that the server has enabled")
    arguments |= {name: _schema(option) for name, option in OPTIONS.items()}
    return types.Tool(
        name=REMOVE,
        title="Remove the background of a picture",
        description=(
            "Cuts the subject out of a photo, with clean soft edges. Give the photo as one of path, url or base64. "
            "Everything else is optional: crop, size, background, shadow, outline, file format. Answers the picture "
            "(a smaller preview where it is large) and a link to all of it, or writes it to output."
        ),
        input_schema={"type": "object", "properties": arguments, "additionalProperties": False},
        annotations=types.ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
        ),
    )


def _others(*, afar: bool) -> list[types.Tool]:
    looks = types.ToolAnnotations(read_only_hint=True, open_world_hint=afar)
    here = "" if afar else " Here pictures are cut in this process, so there is none."
    return [
        types.Tool(
            name=JOB,
            title="How a job stands",
            description=f"How a picture stands that was asked for with later=true, and where it is.{here}",
            input_schema={
                "type": "object",
                "properties": {"job_id": _text("what remove_background answered as id")},
                "required": ["job_id"],
                "additionalProperties": False,
            },
            annotations=looks,
        ),
        types.Tool(
            name=ACCOUNT,
            title="The account",
            description="Plan, credits and rate limit that are left"
            + ("." if afar else "; in this process nothing is counted."),
            input_schema={"type": "object", "properties": {}, "additionalProperties": False},
            annotations=looks,
        ),
    ]


def _schema(option: Option) -> dict[str, Any]:
    if option.is_switch:
        return {"type": "boolean", "description": option.help}
    if option.choices:
        return {"type": "string", "enum": list(option.choices), "description": option.help}
    if option.metavar in _NUMBERS:
        return {"type": "number", "description": f"{option.help}; {option.reader.expected}"}
    return {"type": "string", "description": f"{option.help}; {option.reader.expected}"}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}
