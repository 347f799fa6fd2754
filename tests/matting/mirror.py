"""A web server on loopback that serves model files as hosts do, and as they should not."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class File:
    """A file and how it is served.

    Attributes:
        content: Its bytes.
        etag: Its validator; empty: none.
        ranges: Whether ranges are answered.
        breaks_after: The connection ends after so many bytes of each answer, or None.
        status: Instead of the file, or None.
        location: Where a redirect leads.
        length_said: Whether the answer tells its length.
        gate: Each answer waits for it half way, where there is one.
        halfway: Set when an answer has come so far.
        asked: (Range, If-Range) of every request.
    """

    content: bytes
    etag: str = '"v1"'
    ranges: bool = True
    breaks_after: int | None = None
    status: int | None = None
    location: str = ""
    length_said: bool = True
    gate: threading.Event | None = None
    halfway: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)


@contextlib.contextmanager
def mirror(files: dict[str, File]) -> Iterator[str]:
    """Serve ``files`` (path → file), 404 for others; gives the address without a slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.close_connection = True
            file = files.get(self.path)
            if file is None:
                self.send_error(404)
                return
            file.asked.append((self.headers.get("range"), self.headers.get("if-range")))
            if file.status is not None:
                self.send_response(file.status)
                if file.location:
                    self.send_header("location", file.location)
                self.send_header("content-length", "0")
                self.send_header("connection", "close")
                self.end_headers()
                return
            self._send(file)

        def _send(self, file: File) -> None:
            start = self._start(file)
            if start > len(file.content):
                self.send_error(416)
                return
            body = file.content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("content-range", f"bytes {start}-{len(file.content) - 1}/{len(file.content)}")
            if file.length_said:
                self.send_header("content-length", str(len(body)))
            if file.etag:
                self.send_header("etag", file.etag)
            self.send_header("connection", "close")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                if file.gate is not None:
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    file.halfway.set()
                    file.gate.wait(60)
                    body = body[len(body) // 2 :]
                self.wfile.write(body[: file.breaks_after])

        def _start(self, file: File) -> int:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range") or "")
            if asked is None or not file.ranges:
                return 0
            shown = self.headers.get("if-range")
            return int(asked[1]) if shown in (None, file.etag) else 0

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        for file in files.values():
            if file.gate is not None:
                file.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
