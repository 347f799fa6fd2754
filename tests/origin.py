"""Small web sites on loopback: pictures that are fetched by URL, and a receiver of webhooks."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Told:
    """One POST that came in: its body, and the id of its message."""

    body: bytes
    message_id: str


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def site(files: Mapping[str, bytes]) -> Iterator[str]:
    """Serve ``files`` (path → bytes) by GET, 404 for others; gives the address without a slash at its end."""

    class Handler(_Quiet):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("content-length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

    with _running(Handler) as address:
        yield address


@contextlib.contextmanager
def listener() -> Iterator[tuple[str, queue.SimpleQueue[Told]]]:
    """Take webhooks: the address, and what came."""
    told: queue.SimpleQueue[Told] = queue.SimpleQueue()

    class Handler(_Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.put(Told(body, self.headers["webhook-id"]))
            self.send_response(204)
            self.end_headers()

    with _running(Handler) as address:
        yield address, told


@contextlib.contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
