"""``bgone mcp`` as agents meet it: the SDK's own client over stdio and over streamable HTTP, real processes."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import PIL.Image
import pytest
from mcp import Client, MCPError, StdioServerParameters, types
from mcp.client.streamable_http import streamable_http_client

from bgone import Cutter
from bgone.agents.menu import AFAR, GROUNDS, OTHERS, PHOTOS
from bgone.api.render_options import OPTIONS
from tests.origin import site
from tests.pictures import ball, decode, encode
from tests.serving import Served, free_port, serve

PHOTO = encode(ball(161, 120), "PNG")
TEXT = base64.b64encode(PHOTO).decode()
WAIT_S = 100.0
Work = Callable[[Client], Awaitable[Any]]


def clean() -> dict[str, str]:
    """The environment without the developer's own settings; the device as the test server's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BGONE_")} | {
        "BGONE_DEVICE": "cpu"
    }


def command(*arguments: str) -> list[str]:
    """``bgone mcp …``."""
    return ["-m", "bgone", "mcp", *arguments]


def over_stdio(folder: Path, work: Work, *arguments: str, mode: str = "auto") -> Any:
    """What ``work`` makes of a client whose server is a process of its own in ``folder``."""
    server = StdioServerParameters(command=sys.executable, args=command(*arguments), env=clean(), cwd=folder)

    async def main() -> Any:
        async with Client(server, mode=mode, read_timeout_seconds=WAIT_S) as client:
            return await work(client)

    return asyncio.run(main())


def words(result: types.CallToolResult) -> str:
    """The text of an answer."""
    (text,) = (part.text for part in result.content if isinstance(part, types.TextContent))
    return text


def picture(result: types.CallToolResult) -> tuple[bytes, str]:
    """The picture that is shown in an answer, and its type."""
    assert not result.is_error, words(result)
    (image,) = (part for part in result.content if isinstance(part, types.ImageContent))
    return base64.b64decode(image.data), image.mime_type


def link(result: types.CallToolResult) -> types.ResourceLink:
    """The link of an answer."""
    (found,) = (part for part in result.content if isinstance(part, types.ResourceLink))
    return found


@pytest.fixture(scope="module")
def cutout() -> bytes:
    """What the photo becomes."""
    with Cutter(device="cpu") as cutter:
        return cutter.cut(PHOTO)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a photo."""
    (tmp_path / "photo.png").write_bytes(PHOTO)
    return tmp_path


# --- stdio ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_photo_is_cut_over_stdio(folder: Path, cutout: bytes, mode: str) -> None:
    """By both generations of the protocol: the picture, and a link to it."""

    async def work(client: Client) -> None:
        result = await client.call_tool("remove_background", {"path": "photo.png"})

        assert picture(result) == (cutout, "image/png")
        assert result.structured_content == {
            "media_type": "image/png",
            "bytes": len(cutout),
            "width": 161,
            "height": 120,
            "uri": link(result).uri,
        }
        (kept,) = (await client.read_resource(link(result).uri)).contents
        assert isinstance(kept, types.BlobResourceContents)
        assert (base64.b64decode(kept.blob), kept.mime_type) == (cutout, "image/png")

    over_stdio(folder, work, mode=mode)


def test_the_menu_has_every_option(folder: Path) -> None:
    """In the table's words; the server says where pictures are cut."""

    async def work(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        schema = tools["remove_background"].input_schema
        assert set(tools) == {"remove_background", "job_status", "account"}
        assert set(schema["properties"]) == {*OPTIONS, *PHOTOS, *GROUNDS, *OTHERS}
        assert all(OPTIONS[name].help in schema["properties"][name]["description"] for name in OPTIONS)
        assert schema["properties"]["shadow"]["enum"] == ["none", "drop", "3D", "car", "offset"]
        assert schema["properties"]["crop"]["type"] == "boolean"
        assert "this process" in (client.instructions or "")
        assert str(folder) in (client.instructions or "")
        assert (await client.list_resources()).resources == []
        assert len((await client.list_resource_templates()).resource_templates) == 1

    over_stdio(folder, work)


def test_every_way_in_and_out(folder: Path, cutout: bytes) -> None:
    """Base64, a URL, options, backgrounds; files in the format of their ending."""
    (folder / "below.png").write_bytes(encode(np.full((30, 40, 3), 200, np.uint8), "PNG"))

    async def work(client: Client) -> None:
        async def ask(**arguments: Any) -> types.CallToolResult:
            return await client.call_tool("remove_background", arguments)

        for source in (TEXT, f"data:image/png;base64,{TEXT}"):
            assert picture(await ask(base64=source))[0] == cutout
        with site({"/photo.png": PHOTO}) as address:
            assert picture(await ask(url=f"{address}/photo.png"))[0] == cutout
        data, media_type = picture(await ask(path="photo.png", format="webp", width=50, crop=False, outline=2.5))
        assert media_type == "image/webp"
        assert decode(data).shape[1] == 50
        below = base64.b64encode((folder / "below.png").read_bytes()).decode()
        for ground in ({"background_path": "below.png"}, {"background_base64": below}):
            assert decode(picture(await ask(path="photo.png", **ground))[0])[0, 0].tolist() == [200, 200, 200]

        written = await ask(path="photo.png", output="cut.jpg", background="white")
        assert words(written) == f"Written to {folder}/cut.jpg: image/jpeg, 161 x 120, {link(written).size} bytes."
        assert link(written).uri == (folder / "cut.jpg").as_uri()
        assert (folder / "cut.jpg").read_bytes().startswith(b"\xff\xd8\xff")
        assert "is there already" in words(await ask(path="photo.png", output="cut.jpg"))
        assert not (await ask(path="photo.png", output="cut.jpg", overwrite=True)).is_error

        packed = await ask(path="photo.png", format="zip")
        assert link(packed).mime_type == "application/zip"
        assert not [part for part in packed.content if isinstance(part, types.ImageContent)]
        assert picture(await ask(path="photo.png", format="tiff"))[1] == "image/png"

    over_stdio(folder, work, "--fetch-allow", "127.0.0.0/8")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "expected exactly one of path, url, base64, got none"),
    ({"path": "photo.png", "base64": TEXT}, "got path, base64"),
    ({"path": "../photo.png"}, "only files in"),
    ({"path": "nothing.png"}, "there is no such file"),
    ({"path": 5}, "path: expected a text, got 5"),
    ({"url": "file:///etc/passwd"}, "url: expected an http or https address"),
    ({"url": "http://127.0.0.1:9/x.png"}, "could not be fetched: the address is not allowed"),
    ({"base64": "?"}, "base64 is not valid base64"),
    ({"base64": "aGVsbG8="}, "damaged, truncated or not a picture"),
    ({"base64": "A" * 100_000}, "base64: at most 0.05 MB are read"),
    ({"path": "large.png"}, "at most 0.05 MB are read"),
    ({"path": "photo.png", "quality": 0}, "or fine, a whole number from 1 to 100, or both, got '0'."),
    ({"path": "photo.png", "shadow": "soft"}, "shadow: expected none, drop, 3D, car or offset"),
    ({"path": "photo.png", "colour": "red"}, "colour: remove_background has no such argument; it has path, url"),
    ({"path": "photo.png", "later": True}, "later: remove_background has no such argument"),
    ({"path": "photo.png", "background": "red", "background_base64": TEXT}, "More than one background"),
    ({"path": "photo.png", "background_url": "http://a/b", "background_path": "x"}, "at most one of background_path"),
    ({"path": "photo.png", "output": "notes.txt"}, "expected a file name that ends with .png, .jpg"),
    ({"path": "photo.png", "output": "cut.png", "format": "jpg"}, "its ending says png, format says jpg"),
]  # fmt: skip


def test_refusals_are_told_in_words(folder: Path) -> None:
    """As errors of the tool that the agent can act upon; nothing is written."""
    (folder / "large.png").write_bytes(b"\0" * 50_001)
    before = sorted(os.listdir(folder))

    async def work(client: Client) -> None:
        for arguments, expected in REFUSED:
            result = await client.call_tool("remove_background", arguments)
            assert result.is_error, arguments
            assert expected in words(result), arguments
        assert "nothing is counted" in words(await client.call_tool("account", {}))
        job = await client.call_tool("job_status", {"job_id": "0"})
        assert job.is_error
        assert "--server" in words(job)
        with pytest.raises(MCPError, match="no such result"):
            await client.read_resource("bgone://results/0")

    over_stdio(folder, work, "--max-mb", "0.05")
    assert sorted(os.listdir(folder)) == before


def test_large_answers_are_a_preview_and_a_link(folder: Path) -> None:
    """Instead of megabytes of base64; all of it can be read when it is wanted."""
    (folder / "large.png").write_bytes(encode(ball(900, 700), "PNG"))

    async def work(client: Client) -> None:
        result = await client.call_tool("remove_background", {"path": "large.png"})
        data, media_type = picture(result)
        with PIL.Image.open(io.BytesIO(data)) as image:
            shown = image.size

        assert media_type == "image/png"
        assert len(data) <= 40_000 < (link(result).size or 0)
        assert max(shown) < 768
        assert "preview" in words(result)
        (kept,) = (await client.read_resource(link(result).uri)).contents
        assert isinstance(kept, types.BlobResourceContents)
        assert decode(base64.b64decode(kept.blob)).shape == (700, 900, 4)

    over_stdio(folder, work, "--inline-mb", "0.04")


def test_other_folders_are_open_when_named(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """``--root``, again and again; the working directory is closed then."""
    other, empty = tmp_path_factory.mktemp("other"), tmp_path_factory.mktemp("empty")
    (other / "x.png").write_bytes(PHOTO)

    async def work(client: Client) -> None:
        inside = await client.call_tool("remove_background", {"path": str(other / "x.png"), "output": "y.png"})
        outside = await client.call_tool("remove_background", {"path": str(folder / "photo.png")})

        assert (empty / "y.png").is_file(), words(inside)
        assert outside.is_error

    over_stdio(folder, work, "--root", str(empty), "--root", str(other))


def test_calls_run_side_by_side(folder: Path, cutout: bytes) -> None:
    """Each gets its own answer."""

    async def work(client: Client) -> None:
        asked = [client.call_tool("remove_background", {"path": "photo.png"}) for _ in range(6)]
        for result in await asyncio.gather(*asked):
            assert picture(result)[0] == cutout

    over_stdio(folder, work)


def test_nothing_but_the_protocol_is_on_standard_output(folder: Path) -> None:
    """Lines that are no messages end a client; a closed standard input ends the server, well."""
    done = subprocess.run(
        [sys.executable, *command()],
        cwd=folder,
        env=clean(),
        input=b'{"not": "a message"}\nnor this\n',
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert all(line.startswith(b'{"jsonrpc"') for line in done.stdout.splitlines())


# --- a server elsewhere ---------------------------------------------------------------------------------------------


def test_a_server_may_cut(folder: Path, cutout: bytes, server: Served) -> None:
    """The same picture; jobs and the account are the server's."""

    async def work(client: Client) -> None:
        assert server.url in (client.instructions or "")
        assert picture(await client.call_tool("remove_background", {"path": "photo.png"}))[0] == cutout
        options = {"base64": TEXT, "background_path": "photo.png", "crop": False, "max_side": 80}
        assert decode(picture(await client.call_tool("remove_background", options))[0]).shape == (60, 80, 3)
        refused = await client.call_tool("remove_background", {"path": "photo.png", "quality": 0})
        assert words(refused).startswith(
            "quality: expected standard or fine, a whole number from 1 to 100, or both, got '0'. (invalid_option, req_"
        )

        refused = await client.call_tool("remove_background", {"path": "photo.png", "model": "nobody-knows"})
        assert "nobody-knows" in words(refused)
        properties = (await client.list_tools()).tools[0].input_schema["properties"]
        assert set(properties) == {*OPTIONS, *PHOTOS, *GROUNDS, *OTHERS, *AFAR}

        taken = await client.call_tool("remove_background", {"path": "photo.png", "later": True})
        assert not taken.is_error, words(taken)
        job: Mapping[str, Any] = taken.structured_content
        give_up_at = time.monotonic() + WAIT_S
        while job["status"] in ("queued", "running"):
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.05)
            job = (await client.call_tool("job_status", {"job_id": job["id"]})).structured_content
        async with httpx2.AsyncClient(trust_env=False) as web:
            assert (await web.get(job["result_url"])).content == cutout

        account = (await client.call_tool("account", {})).structured_content
        assert account["server"] == server.url
        assert account["credits"] >= 1_000_000
        for identity in ("0" * 32, "../account", ""):
            assert (await client.call_tool("job_status", {"job_id": identity})).is_error

    over_stdio(folder, work, "--server", f"{server.url}/")


def test_a_servers_key_is_shown(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """And a wrong one is told in words."""

    async def right(client: Client) -> None:
        assert picture(await client.call_tool("remove_background", {"path": "photo.png"}))[1] == "image/png"

    async def wrong(client: Client) -> None:
        refused = await client.call_tool("account", {})
        assert "This API key is not known. (key_wrong" in words(refused)

    with serve(tmp_path_factory.mktemp("keyed"), api_keys="secret-key") as keyed:
        over_stdio(folder, right, "--server", keyed.url, "--key", "secret-key")
        over_stdio(folder, wrong, "--server", keyed.url, "--key", "other-key")


def test_a_server_that_is_away_is_told(folder: Path) -> None:
    """In words, at the first call."""

    async def work(client: Client) -> None:
        refused = await client.call_tool("remove_background", {"path": "photo.png"})
        assert "cannot be reached" in words(refused)

    over_stdio(folder, work, "--server", f"http://127.0.0.1:{free_port()}")


# --- streamable HTTP ------------------------------------------------------------------------------------------------


@contextmanager
def http(folder: Path, *arguments: str) -> Iterator[str]:
    """The address of a server of its own."""
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command("--http", f"127.0.0.1:{port}", *arguments)],
            cwd=folder,
            env=clean(),
            stdout=log,
            stderr=log,
        )
    try:
        give_up_at = time.monotonic() + WAIT_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < give_up_at, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(timeout=60)


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"accept": "application/json, text/event-stream"}


def announced(address: str, size_bytes: int) -> bytes:
    """The first bytes of the answer to a body that is announced and never sent."""
    port = httpx2.URL(address).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as line:
        head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Accept: {HEADERS['accept']}\r\nContent-Length: {size_bytes}\r\n\r\n".encode())
        return line.recv(1000)


def test_a_photo_is_cut_over_http(folder: Path, cutout: bytes) -> None:
    """Two clients one after the other: a result of the first is there for whoever has its link."""

    async def main(address: str) -> None:
        async with Client(address, read_timeout_seconds=WAIT_S) as first:
            result = await first.call_tool("remove_background", {"path": "photo.png"})
            assert picture(result)[0] == cutout
        async with Client(address, mode="legacy", read_timeout_seconds=WAIT_S) as second:
            (kept,) = (await second.read_resource(link(result).uri)).contents
            assert isinstance(kept, types.BlobResourceContents)
            assert base64.b64decode(kept.blob) == cutout
            large = encode(np.random.default_rng(1).integers(0, 256, (1200, 1600, 3), np.uint8), "PNG")
            asked = {"base64": base64.b64encode(large).decode(), "max_side": 50}
            assert len(large) > 5_000_000
            assert not (await second.call_tool("remove_background", asked)).is_error

    with http(folder) as address:
        asyncio.run(main(address))


def test_pages_of_strangers_are_kept_out(folder: Path) -> None:
    """Names that lead here by DNS, and origins that are not ours; bodies beyond the limit."""
    with http(folder, "--max-mb", "0.1") as address, httpx2.Client(trust_env=False, timeout=WAIT_S) as web:

        def status(**headers: str) -> int:
            return web.post(address, json=CALL, headers=HEADERS | headers).status_code

        assert status(host="attacker.example") == 421
        assert status(host="attacker.example:8000") == 421
        assert status(origin="http://attacker.example") == 403
        assert status(origin="http://127.0.0.1:3000") == 200
        assert status(host="localhost:1234") == 200
        assert b" 413 " in announced(address, 2_000_000)


def test_a_key_is_asked_for(folder: Path) -> None:
    """As a bearer token; other host names are let in when they are named."""

    async def main(address: str) -> None:
        async with httpx2.AsyncClient(headers={"authorization": "Bearer secret"}, trust_env=False) as web:
            transport = streamable_http_client(address, http_client=web)
            async with Client(transport, read_timeout_seconds=WAIT_S) as client:
                assert len((await client.list_tools()).tools) == 3

    with http(folder, "--http-key", "secret", "--http-name", "mcp.example") as address:
        asyncio.run(main(address))
        with httpx2.Client(trust_env=False, timeout=WAIT_S) as web:
            for headers in ({}, {"authorization": "Bearer other"}, {"authorization": "Basic secret"}):
                refused = web.post(address, json=CALL, headers=HEADERS | headers)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
            keyed = HEADERS | {"authorization": "Bearer secret", "host": "mcp.example"}
            assert web.post(address, json=CALL, headers=keyed).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("--http", "0.0.0.0:8765"), 78, "Refusing to listen on 0.0.0.0 without a key"),
        (("--http", "agents.example:8765"), 78, "Refusing to listen on agents.example without a key"),
        (("--http", "0.0.0.0:8765", "--http-key", "x"), 78, "--http-name HOST"),
        (("--http", "8765"), 2, "expected HOST:PORT such as 127.0.0.1:8765"),
        (("--http", "localhost:99999"), 2, "expected HOST:PORT"),
        (("--root", "/no/such/folder"), 2, "/no/such/folder"),
        (("--max-mb", "0"), 2, "--max-mb"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_at_the_start(
    folder: Path, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    """In one line."""
    done = subprocess.run(
        [sys.executable, *command(*arguments)],
        cwd=folder,
        env=clean(),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert done.returncode == status, done.stderr
    assert expected in done.stderr
    assert done.stdout == ""
