"""``bgone mcp``: tools for agents, over the Model Context Protocol."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click

from bgone.errors import StartError


@click.command("mcp")
@click.option(
    "--root",
    "roots",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Folder whose pictures may be read and written; again for more.  [default: the working directory]",
)
@click.option("--server", metavar="URL", envvar="BGONE_SERVER", help="Let a bgone server cut.  [env BGONE_SERVER]")
@click.option("--key", metavar="KEY", envvar="BGONE_API_KEY", help="For that server.  [env BGONE_API_KEY]")
@click.option("--http", metavar="HOST:PORT", help="Serve streamable HTTP at /mcp instead of stdio.")
@click.option(
    "--http-key",
    metavar="KEY",
    envvar="BGONE_MCP_KEY",
    help="HTTP callers must show it as a bearer token; needed beyond loopback.  [env BGONE_MCP_KEY]",
)
@click.option("--http-name", "names", metavar="HOST", multiple=True, help="Host name by which HTTP callers reach it.")
@click.option("--max-mb", type=click.FloatRange(0.001, 1000), default=30, show_default=True, help="Largest photo.")
@click.option(
    "--inline-mb",
    type=click.FloatRange(0.001, 100),
    default=0.7,
    show_default=True,
    help="Larger answers are a preview and a link.",
)
@click.option("--model", metavar="NAME", envvar="BGONE_MODEL", help="Name of a model, or path of an ONNX file.")
@click.option("--models-dir", metavar="DIR", envvar="BGONE_MODELS_DIR", help="Looked in for models first.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "openvino"]), default="auto", envvar="BGONE_DEVICE")
@click.option("--threads", type=click.IntRange(0), default=0, help="Cores to use; 0 for all.")
@click.option("--fetch-allow", metavar="NETS", default="", help="Private networks that URLs may lead to, comma list.")
def mcp(
    roots: tuple[Path, ...],
    server: str | None,
    key: str | None,
    http: str | None,
    http_key: str | None,
    names: tuple[str, ...],
    max_mb: float,
    inline_mb: float,
    model: str | None,
    models_dir: str | None,
    device: str,
    threads: int,
    fetch_allow: str,
) -> None:
    """Tools for agents (Model Context Protocol), over stdio or HTTP.

    Pictures are cut in this process, or by a bgone server with --server. Needs the extra [mcp].
    """
    address = None if http is None else _address(http)
    if address is not None:
        _check_safe(address[0], http_key or "", names)
    try:
        from bgone.agents.counter import Limits
        from bgone.agents.server import Door, Setup, run_http, run_stdio
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise StartError("`bgone mcp` needs the extra [mcp]: pip install 'bgone[mcp]'.") from error
    from bgone.workshop import Tools

    most = round(max_mb * 1_000_000)
    setup = Setup(
        roots=roots or (Path.cwd(),),
        server=server or "",
        key=key or "",
        limits=Limits(most, round(inline_mb * 1_000_000)),
        tools=Tools(
            model or None,
            device,
            threads,
            models_dir or None,
            fetch_allow=tuple(filter(None, fetch_allow.split(","))),
            fetch_bytes=most,
        ),
    )
    if address is None:
        run_stdio(setup)
        return
    run_http(setup, Door(*address, http_key or "", names))


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise click.BadParameter(f"expected HOST:PORT such as 127.0.0.1:8765, got {text!r}", param_hint="--http")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _check_safe(host: str, key: str, names: tuple[str, ...]) -> None:
    if host == "localhost" or _is(host, "is_loopback"):
        return
    if not key:
        raise StartError(f"Refusing to listen on {host} without a key: say --http-key or BGONE_MCP_KEY.")
    if not names and _is(host, "is_unspecified"):
        raise StartError(f"{host} is no name that callers use: say --http-name HOST for each that they do.")


def _is(host: str, what: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host), what))
    except ValueError:
        return False
