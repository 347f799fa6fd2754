"""A server that is busy, in trouble, or none: what becomes of pictures."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.commands.process import COMMAND, environment, lines, run
from tests.pictures import encode, photo, scene
from tests.serving import free_port, serve

ANSWER = encode(scene(), "PNG")


@dataclass
class Server:
    """A server that is not bgone, but answers as the test says.

    Attributes:
        url: Its address.
        asked: Headers of each request, names in lower case.
        goes_on: Set to let answers that hang go on.
    """

    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)


Reply = Callable[[BaseHTTPRequestHandler, Server], None]


@contextlib.contextmanager
def serving(*replies: Reply) -> Iterator[Server]:
    """Replies to requests in order; the last one to all further ones."""
    server, left, lock = Server(), list(replies), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if self.headers.get("transfer-encoding") == "chunked":
                while (size := int(self.rfile.readline(), 16)) > 0:
                    self.rfile.read(size + 2)
                self.rfile.readline()
            else:
                self.rfile.read(int(self.headers["content-length"]))
            with lock:
                server.asked.append({name.lower(): value for name, value in self.headers.items()})
                reply = left.pop(0) if len(left) > 1 else left[0]
            reply(self, server)

        def log_message(self, *_: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{web.server_address[1]}"
    try:
        yield server
    finally:
        server.goes_on.set()
        web.shutdown()
        thread.join()
        web.server_close()


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    """A whole answer."""

    def send(handler: BaseHTTPRequestHandler, _server: Server) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def break_off(handler: BaseHTTPRequestHandler, _server: Server) -> None:
    """Half an answer."""
    reply_head(handler)
    handler.close_connection = True


def hang(handler: BaseHTTPRequestHandler, server: Server) -> None:
    """Half an answer, and nothing more for long."""
    reply_head(handler)
    server.goes_on.wait()
    handler.close_connection = True


def reply_head(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "image/png")
    handler.send_header("content-length", str(len(ANSWER)))
    handler.end_headers()
    handler.wfile.write(ANSWER[: len(ANSWER) // 2])
    handler.wfile.flush()


picture = reply(200, ANSWER, content_type="image/png", x_width="61", x_height="40")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three files."""
    files = [tmp_path / f"{name}.jpg" for name in "abc"]
    for file in files:
        file.write_bytes(photo())
    return files


def test_a_busy_server_is_asked_again(photos: list[Path], tmp_path: Path) -> None:
    """When it says so; whoever has no more turns left fails with its words."""
    with serving(reply(503, retry_after="0"), reply(429, retry_after="0"), picture) as server:
        done = run("cut", photos[0], "-o", tmp_path / "x.png", "--server", server.url, "--key", "k1")

    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "x.png").read_bytes() == ANSWER
    assert [headers["x-api-key"] for headers in server.asked] == ["k1"] * 3


def test_a_server_that_stays_busy_is_given_up(photos: list[Path], tmp_path: Path) -> None:
    """After some tries."""
    busy = b'{"detail": "The server is busy; try again later.", "code": "overloaded"}'
    with serving(reply(503, busy, retry_after="0")) as server:
        done = run("cut", photos[0], "-o", tmp_path / "x.png", "--server", server.url)

    assert done.returncode == 1
    assert b"a.jpg: The server is busy; try again later.\n" in done.stderr
    assert len(server.asked) == 8


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (break_off, "the connection to the server broke"),
        (reply(200, b"<html>", content_type="text/html"), "the server answered text/html instead of a picture"),
        (reply(502, b"<html>"), "the server answered 502 Bad Gateway"),
        (reply(500, b'{"detail": 7}'), "the server answered 500"),
    ],
)
def test_an_answer_that_is_none_leaves_no_file(photos: list[Path], tmp_path: Path, answer: Reply, words: str) -> None:
    """Each picture fails for itself, in one line."""
    with serving(answer) as server:
        done = run("cut", *photos, "-o", tmp_path / "out", "--server", server.url)

    *told, summary = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert len(told) == 3
    assert all(words in line for line in told)
    assert summary.startswith("0 done, 3 failed in ")
    assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []


def test_nobody_is_asked_twice_with_a_wrong_key(photos: list[Path], tmp_path: Path) -> None:
    """The next picture would fail alike; the server's words tell why."""
    home = tmp_path / "server"
    home.mkdir()
    with serve(home, api_keys="right") as server:
        wrong = run(
            "cut", *photos, "-o", tmp_path / "out", "--json", "-j", "1", "--server", server.url, "--key", "wrong"
        )
        right = run("cut", *photos, "-o", tmp_path / "out", said={"BGONE_SERVER": server.url, "BGONE_API_KEY": "right"})

    told, summary = lines(wrong.stdout)
    assert (told["error"]["kind"], summary["summary"]["not_begun"], wrong.returncode) == ("key_wrong", 2, 1)
    assert right.returncode == 0


def test_no_server_is_no_use(photos: list[Path], tmp_path: Path) -> None:
    """One line, not one for each picture."""
    done = run("cut", *photos, "-o", tmp_path / "out", "-j", "1", "--server", f"http://127.0.0.1:{free_port()}")

    first, summary = done.stderr.decode().splitlines()
    assert "cannot be reached" in first
    assert summary.startswith("0 done, 1 failed, 2 not begun")
    assert done.returncode == 1


def test_a_second_signal_ends_at_once_and_leaves_nothing(photos: list[Path], tmp_path: Path) -> None:
    """The first waits for what is begun, and that may take long."""
    with serving(hang) as server:
        command = [*COMMAND, "cut", *map(str, photos), "-o", str(tmp_path / "out"), "--server", server.url]
        with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as process:
            while not (tmp_path / "out").is_dir() or not os.listdir(tmp_path / "out"):  # half an answer has come
                assert process.poll() is None
                time.sleep(0.02)
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.2)

    assert process.returncode == 130
    assert os.listdir(tmp_path / "out") == []
