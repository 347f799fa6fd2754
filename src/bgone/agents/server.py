"""The protocol's server, over stdio or streamable HTTP; whatever it says of itself goes to standard error."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from mcp import MCPError, types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from bgone import __version__
from bgone.agents.counter import Counter, Limits
from bgone.agents.folders import Folders
from bgone.agents.scissors import Afar, Here, Scissors
from bgone.agents.shelf import SCHEME
from bgone.workshop import Tools

PATH = "/mcp"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_PORTS = ("", ":*")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the operator says.

    Attributes:
        roots: Folders whose files may be read and written.
        server: Address of the bgone server that cuts; empty: this process does.
        key: For that server.
        limits: Sizes.
        tools: How this process cuts.
    """

    roots: tuple[Path, ...]
    server: str = ""
    key: str = ""
    limits: Limits = field(default_factory=Limits)
    tools: Tools = field(default_factory=Tools)


@dataclass(frozen=True, slots=True)
class Door:
    """Where streamable HTTP is served.

    Attributes:
        host: Address to listen on.
        port: 0 takes a free one.
        key: Callers must show it as a bearer token; empty: nobody must.
        names: Host names by which callers may reach it, beside the loopback ones.
    """

    host: str
    port: int
    key: str = ""
    names: tuple[str, ...] = ()


def run_stdio(setup: Setup) -> None:
    """Serve the process that started us, until it closes our standard input."""

    async def serve() -> None:
        async with _server(setup) as server, stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    _log_to_stderr()
    asyncio.run(serve())


def run_http(setup: Setup, door: Door) -> None:
    """Serve ``/mcp`` until told to stop."""

    async def serve() -> None:
        async with _server(setup) as server:
            config = uvicorn.Config(http_app(server, setup, door), door.host, door.port, log_config=None, ws="none")
            await uvicorn.Server(config).serve()

    _log_to_stderr()
    asyncio.run(serve())


def http_app(server: Server[Any], setup: Setup, door: Door) -> ASGIApp:
    """The application: only known host names and origins, and only callers with the key where there is one."""
    names = [*_LOOPBACK, f"[{door.host}]" if ":" in door.host else door.host, *door.names]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*(f"{name}:*" for name in names), *names],
        allowed_origins=[
            f"{scheme}://{name}{port}" for scheme in ("http", "https") for name in names for port in _PORTS
        ],
    )
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        json_response=True,
        stateless_http=True,  # no call knows of another
        max_request_body_size=setup.limits.input_bytes * 3 + 1_000_000,  # a photo and a background in base64
        transport_security=security,
        host=door.host,
    )
    return _Keyed(app, door.key) if door.key else app


class _Keyed:
    """Lets in who shows the key as ``Authorization: Bearer``; compared in constant time."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._digest = _digest(key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._knows(scope):
            headers = {"www-authenticate": "Bearer", "connection": "close"}
            answer = JSONResponse({"error": "a key is required: Authorization: Bearer KEY"}, 401, headers)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = shown.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(_digest(key.strip()), self._digest)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


@asynccontextmanager
async def _server(setup: Setup) -> AsyncIterator[Server[Any]]:
    most = setup.limits.input_bytes
    scissors: Scissors = Afar(setup.server, setup.key) if setup.server else Here(setup.tools)
    counter = Counter(scissors, Folders(setup.roots, most), setup.limits, afar=bool(setup.server))
    try:
        yield make_server(counter, setup)
    finally:
        await scissors.aclose()


def make_server(counter: Counter, setup: Setup) -> Server[Any]:
    """The protocol's server over a counter."""

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=counter.tools)

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await counter.call(params.name, params.arguments or {})

    async def list_resources(_context: Any, _params: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[])  # results are their callers' own: known by their links alone

    async def list_templates(_context: Any, _params: Any) -> types.ListResourceTemplatesResult:
        template = types.ResourceTemplate(
            name="result",
            uri_template=SCHEME + "{id}",
            description="A picture that remove_background answered a link to; kept while there is room.",
        )
        return types.ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(_context: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        found = counter.read(params.uri)
        if found is None:
            words = f"{params.uri}: there is no such result, or it is gone; call remove_background again"
            raise MCPError(types.INVALID_PARAMS, words)
        return types.ReadResourceResult(contents=[found])

    here = "this process: without an account, without limits, and no picture leaves it"
    where = f"the bgone server {setup.server}" if setup.server else here
    return Server(
        "bgone",
        version=__version__,
        title="bgone",
        instructions=f"Removes the backgrounds of pictures. They are cut by {where}. Files: {counter.folders}.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


def _log_to_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
