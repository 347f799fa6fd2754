"""Every knob, flat and frozen: environment ``BGONE_<NAME>``, or flags of ``bgone serve``, which win."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bgone.errors import StartError
from bgone.imaging.sniff import FileKind
from bgone.machine import cores, memory_bytes
from bgone.matting.models import EMBEDDED
from bgone.matting.shelf import chosen
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
    legacy_keys: Annotated[
        bool, Meta(description="Keys may also stand in query parameters and JSON bodies, where the provider says so.")
    ] = True
    admin_key: Annotated[
        str, Meta(description="A key for /admin/v1 beside those of mode admin; empty: only those, or nobody.")
    ] = ""
    data_dir: Annotated[
        str, Meta(description="Folder of the accounts' database; empty: bgone in the user's data folder.")
    ] = ""
    database_url: Annotated[
        str,
        Meta(description="Accounts: sqlite+aiosqlite:///FILE or postgresql+psycopg://...; empty: SQLite in data_dir."),
    ] = ""
    rate_limits: Annotated[
        Literal["auto", "on", "off"],
        Meta(description="Whether calls are counted and refused beyond a limit: auto (with accounts), on, off."),
    ] = "auto"
    limits_url: Annotated[
        str, Meta(description="Where calls are counted: memory:// (this process) or redis://... (all replicas).")
    ] = "memory://"
    limits_plans: Annotated[
        str, Meta(description="Limits of plans, laid over the providers': JSON, plan to dialect to list of rules.")
    ] = ""
    limits_outage: Annotated[
        Literal["open", "closed"],
        Meta(description="What becomes of calls while Redis is away: open lets them through, closed answers 503."),
    ] = "open"
    model: Annotated[
        str, Meta(description="Name of a model, or the path of an ONNX file; `bgone models use` changes the default.")
    ] = EMBEDDED
    models: Annotated[
        tuple[str, ...], Meta(description="Models that requests may choose beside the default, comma list.")
    ] = ()
    models_dir: Annotated[
        str, Meta(description="Folder of model files, beside the package's own; empty: models in data_dir.")
    ] = ""
    models_mirror: Annotated[
        str, Meta(description="Address that `bgone models pull` asks before the table's: URL/FILE.")
    ] = ""
    device: Annotated[
        Literal["auto", "cpu", "cuda", "openvino"],
        Meta(description="Where the net runs; a device asked for and not really used is a start-up failure."),
    ] = "auto"
    threads: Annotated[int, Meta(ge=0, description="Threads of the net; 0: all cores.")] = 0
    quality: Annotated[
        Literal["standard", "fine"],
        Meta(description="Edges of requests that do not say: standard, or fine (the net looks at them again)."),
    ] = "standard"
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
    max_megapixels: Annotated[
        float,
        Meta(
            ge=0, le=4295, description="Most megapixels of one picture; 0: each dialect's own limit, 100 without one."
        ),
    ] = 0
    input_formats: Annotated[
        tuple[FileKind, ...],
        Meta(description="Kinds of file accepted, comma list (jpeg, png, ...); empty: each dialect's own."),
    ] = ()
    max_fields: Annotated[int, Meta(ge=1, description="Most form fields of one request.")] = 100
    head_s: Annotated[float, Meta(gt=0, description="Seconds that a client gets to send its request's head.")] = 15
    read_s: Annotated[
        float, Meta(gt=0, description="Seconds of silence, or below 10 kB/s in all, that end the reading of a body.")
    ] = 30
    fetch_allow: Annotated[
        tuple[str, ...], Meta(description="Networks that URLs may point to although special, comma list of CIDRs.")
    ] = ()
    fetch_s: Annotated[float, Meta(gt=0, le=60, description="Seconds for reading one image_url.")] = 10
    cors: Annotated[
        Literal["auto", "all", "off"],
        Meta(description="Which dialects browsers may call from any page: auto (those with such clients), all, off."),
    ] = "auto"
    hosts: Annotated[
        tuple[str, ...],
        Meta(description="Host names that mean a dialect, beside the providers' own: HOST=DIALECT, comma list."),
    ] = ()
    prefer: Annotated[
        tuple[str, ...],
        Meta(description="Dialects that win on a path that several claim, first to last, comma list."),
    ] = ()
    public_url: Annotated[
        str, Meta(description="Where clients reach the server, for links to results; empty: as each request says.")
    ] = ""
    preview_price: Annotated[
        Literal["0", "0.25", "1"], Meta(description="Credits that a remove.bg preview costs (X-Credits-Charged).")
    ] = "0.25"
    objects_url: Annotated[
        str,
        Meta(
            description="Where results are kept: memory:///, file:///DIR, s3://BUCKET; empty: a folder of the process."
        ),
    ] = ""
    result_ttl_s: Annotated[
        float, Meta(gt=0, description="Seconds that results of jobs are kept; links end with them.")
    ] = 86_400
    link_secret: Annotated[
        str, Meta(description="Signs links to results; the same on every replica; empty: random at each start.")
    ] = ""
    webhook_secret: Annotated[
        str, Meta(description="Signs webhooks of a server without accounts: whsec_BASE64; empty: random at each start.")
    ] = ""
    job_wait_s: Annotated[
        float, Meta(ge=0, le=600, description="Seconds that a call waits for its job before it answers 202.")
    ] = 30
    jobs_running: Annotated[
        int, Meta(ge=0, description="Jobs worked on at once, beside other orders; 0: by `bgone work` alone.")
    ] = 1
    jobs_waiting: Annotated[int, Meta(ge=0, description="Jobs that may wait; more get 503.")] = 1000
    grace_s: Annotated[int, Meta(ge=0, description="Seconds that orders in flight get after SIGTERM.")] = 30
    drain_s: Annotated[float, Meta(ge=0, le=3600, description="Seconds of 503 on /readyz before the port closes.")] = 1
    metrics_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="Port of /metrics and probes apart from the server, for workers too; 0: its own.",
        ),
    ] = 0
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
    def models_path(self) -> Path:
        """Where ``bgone models`` keeps files."""
        return Path(self.models_dir) if self.models_dir else self.data_path / "models"

    @property
    def enabled_models(self) -> tuple[str, ...]:
        """What is loaded: the default, then the others that requests may choose."""
        return tuple(dict.fromkeys((self.model, *self.models)))

    @property
    def data_path(self) -> Path:
        """``data_dir``, or ``$XDG_DATA_HOME/bgone`` (freedesktop.org's base directory specification)."""
        home = os.environ.get("XDG_DATA_HOME", "")
        return Path(self.data_dir) if self.data_dir else Path(home or Path.home() / ".local" / "share") / "bgone"

    @property
    def database_address(self) -> str:
        """Where accounts are, or would be."""
        return self.database_url or f"sqlite+aiosqlite:///{(self.data_path / 'bgone.db').resolve()}"

    @property
    def has_accounts(self) -> bool:
        """Whether a database is named, or its file was made (``bgone accounts create``)."""
        return bool(self.database_url) or (self.data_path / "bgone.db").is_file()

    @property
    def keys_needed(self) -> bool:
        """Whether callers must show a key."""
        return self.auth == "required" or (self.auth == "auto" and (bool(self.api_keys) or self.has_accounts))

    @property
    def counts_calls(self) -> bool:
        """Whether rate limits hold."""
        return self.rate_limits == "on" or (self.rate_limits == "auto" and self.has_accounts)


def load(environment: Mapping[str, str], flags: Mapping[str, str] | None = None, *, answers: bool = True) -> Settings:
    """Settings from ``BGONE_*`` variables, overridden by ``flags`` (names as in ``Settings``).

    Args:
        environment: Variables.
        flags: What wins over them.
        answers: Whether requests will be answered; a worker has probes alone, so no address of it is unsafe.

    Raises:
        StartError: A bad value (which, expected, got), or a combination that would be unsafe.
    """
    given: dict[str, str] = {}
    for name in Settings.__struct_fields__:
        if (value := environment.get(f"BGONE_{name.upper()}", "")) != "":
            given[name] = value
    given |= flags or {}
    settings = msgspec.convert({name: _checked(name, text) for name, text in given.items()}, Settings, strict=False)
    if "model" not in given and (model := chosen(settings.models_path)) is not None:
        settings = msgspec.structs.replace(settings, model=model)
    _check_networks(settings)
    if answers:
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


def _check_networks(settings: Settings) -> None:
    try:
        parse_networks(",".join(settings.fetch_allow))
    except ValueError as error:
        raise StartError(f"{flag('fetch_allow')} (BGONE_FETCH_ALLOW): {error}.") from error


def _check_safe(settings: Settings) -> None:
    if settings.metrics_port and settings.metrics_port == settings.port:
        raise StartError(f"{flag('metrics_port')} (BGONE_METRICS_PORT): expected another port than --port's; got both.")
    if settings.api_keys or settings.has_accounts:
        return
    cure = (
        "create one (bgone accounts create NAME, bgone keys create --account NAME) or set BGONE_API_KEYS=KEY[,KEY...]"
    )
    if settings.auth == "required":
        raise StartError(f"BGONE_AUTH=required but there are no keys: {cure}.")
    if settings.auth == "auto" and not _is_loopback(settings.host):
        raise StartError(
            f"Refusing to listen on {settings.host} without API keys: {cure}, "
            "or say BGONE_AUTH=none to serve everybody on purpose."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
