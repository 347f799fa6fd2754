"""Every knob, flat and frozen: environment ``BGONE_<NAME>``, or flags of ``bgone serve``, which win."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bgone.errors import StartError
from bgone.machine import cores, memory_bytes
from bgone.matting.models import EMBEDDED
from bgone.pipeline.addresses import parse_networks

Meta = msgspec.Meta
MEGABYTE = 1_000_000


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator says. 0 means "as this machine allows" where a description says so."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    auth: Annotated[
        Literal["auto", "required", "none"],
        Meta(description="Who may ask: auto (open on loopback only), required, none (open, on purpose)."),
    ] = "auto"
    api_keys: Annotated[tuple[str, ...], Meta(description="Static API keys, comma list.")] = ()
    model: Annotated[str, Meta(description="Name of a model, or the path of an ONNX file.")] = EMBEDDED
    models_dir: Annotated[str, Meta(description="Folder looked in for model files before the package's own.")] = ""
    device: Annotated[
        Literal["auto", "cpu", "cuda", "openvino"],
        Meta(description="Where the net runs; a device asked for and not really used is a start-up failure."),
    ] = "auto"
    threads: Annotated[int, Meta(ge=0, description="Threads of the net; 0: all cores.")] = 0
    max_batch: Annotated[int, Meta(ge=1, le=256, description="Most pictures in one run of the net.")] = 1
    low_memory: Annotated[bool, Meta(description="Less memory for the net, 20-25 % more CPU.")] = False
    picture_threads: Annotated[int, Meta(ge=0, description="Threads that decode and draw; 0: all cores.")] = 0
    seats: Annotated[int, Meta(ge=0, description="Orders worked on at once; 0: picture threads + 1.")] = 0
    queue: Annotated[int, Meta(ge=0, description="Orders that may wait for a seat; more get 503.")] = 64
    memory_mb: Annotated[
        int, Meta(ge=0, description="Memory that orders may hold together, MB; 0: a quarter of it, at most 512.")
    ] = 0
    deadline_s: Annotated[
        float, Meta(gt=0, le=3600, description="Seconds for fetch, queue, net and drawing of one order.")
    ] = 60
    max_mb: Annotated[
        float, Meta(ge=0, le=2000, description="Most megabytes of one picture; 0: each dialect's own limit.")
    ] = 0
    max_megapixels: Annotated[float, Meta(gt=0, le=4295, description="Most megapixels of one picture.")] = 100
    max_fields: Annotated[int, Meta(ge=1, description="Most form fields of one request.")] = 100
    head_s: Annotated[float, Meta(gt=0, description="Seconds that a client gets to send its request's head.")] = 15
    read_s: Annotated[
        float, Meta(gt=0, description="Seconds of silence, or below 10 kB/s in all, that end the reading of a body.")
    ] = 30
    fetch_allow: Annotated[
        tuple[str, ...], Meta(description="Networks that URLs may point to although special, comma list of CIDRs.")
    ] = ()
    fetch_s: Annotated[float, Meta(gt=0, le=60, description="Seconds for reading one image_url.")] = 10
    grace_s: Annotated[int, Meta(ge=0, description="Seconds that orders in flight get after SIGTERM.")] = 30
    drain_s: Annotated[float, Meta(ge=0, le=3600, description="Seconds of 503 on /readyz before the port closes.")] = 1
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Meta(description="Least log level written.")] = (
        "info"
    )

    @property
    def core_threads(self) -> int:
        """Picture threads."""
        return self.picture_threads or cores()

    @property
    def net_threads(self) -> int:
        """Threads of the net's one lane."""
        return self.threads or cores()

    @property
    def seat_count(self) -> int:
        """Orders at once: one more than picture threads keeps the net fed while pictures are drawn."""
        return self.seats or self.core_threads + 1

    @property
    def memory_budget_bytes(self) -> int:
        """Memory that orders may hold together."""
        return self.memory_mb * MEGABYTE or min(512 * MEGABYTE, memory_bytes() // 4)

    @property
    def models_path(self) -> Path | None:
        """``models_dir``, or None."""
        return Path(self.models_dir) if self.models_dir else None

    @property
    def keys_needed(self) -> bool:
        """Whether callers must show a key."""
        return self.auth == "required" or (self.auth == "auto" and bool(self.api_keys))


def load(environment: Mapping[str, str], flags: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``BGONE_*`` variables, overridden by ``flags`` (names as in ``Settings``).

    Raises:
        StartError: A bad value (which, expected, got), or a combination that would be unsafe.
    """
    given: dict[str, str] = {}
    for name in Settings.__struct_fields__:
        if (value := environment.get(f"BGONE_{name.upper()}", "")) != "":
            given[name] = value
    given |= flags or {}
    settings = msgspec.convert({name: _checked(name, text) for name, text in given.items()}, Settings, strict=False)
    _check_safe(settings)
    return settings


def _checked(name: str, text: str) -> object:
    """``text`` as msgspec reads it: a list for comma lists, else as it is.

    Raises:
        StartError: It does not fit the field.
    """
    is_list = isinstance(Settings.__struct_defaults__[Settings.__struct_fields__.index(name)], tuple)
    value: object = [item.strip() for item in text.split(",") if item.strip()] if is_list else text
    try:
        msgspec.convert({name: value}, Settings, strict=False)
    except msgspec.ValidationError as error:
        expected = str(error).partition(" - at ")[0]
        raise StartError(f"{flag(name)} (BGONE_{name.upper()}): {expected}; got {text!r}.") from error
    return value


def describe(kind: type[Settings] = Settings) -> list[tuple[str, str, str]]:
    """(name, words, default as an operator would type it) of every setting: help, docs and tests read this table."""
    table = []
    for entry in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        words = entry.type.extra_json_schema["description"]
        default = ",".join(entry.default) if isinstance(entry.default, tuple) else str(entry.default)
        table.append((entry.name, words, default))
    return table


def flag(name: str) -> str:
    """The flag of ``bgone serve`` for a setting: ``max_mb`` → ``--max-mb``."""
    return "--" + name.replace("_", "-")


def _check_safe(settings: Settings) -> None:
    try:
        parse_networks(",".join(settings.fetch_allow))
    except ValueError as error:
        raise StartError(f"{flag('fetch_allow')} (BGONE_FETCH_ALLOW): {error}.") from error
    if settings.auth == "required" and not settings.api_keys:
        raise StartError("BGONE_AUTH=required but no key is set: set BGONE_API_KEYS=KEY[,KEY...].")
    if settings.auth == "auto" and not settings.api_keys and not _is_loopback(settings.host):
        raise StartError(
            f"Refusing to listen on {settings.host} without API keys: set BGONE_API_KEYS=KEY[,KEY...], "
            "or say BGONE_AUTH=none to serve everybody on purpose."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
