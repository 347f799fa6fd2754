"""A client that costs little: keep-alive, one form built once, answers read into one buffer and counted."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_BOUNDARY = "bgone-bench-7f3a91"
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Post:
    """A request, ready to be sent any number of times."""

    path: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and when, in seconds from before the request was sent.

    Attributes:
        first_byte_s: The first byte of the body was there.
        body: Only where it was asked to be kept.
    """

    status: int
    headers: Mapping[str, str]
    received_bytes: int
    first_byte_s: float
    seconds: float
    body: bytes = field(default=b"", repr=False)


def form(path: str, field_name: str, data: bytes, texts: Mapping[str, str]) -> Post:
    """A multipart form with one file."""
    parts = [
        f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in texts.items()
    ]
    parts.append(
        f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{field_name}"; filename="photo.jpg"\r\n'
        "content-type: image/jpeg\r\n\r\n".encode()
    )
    return Post(path, b"".join([*parts, data, f"\r\n--{_BOUNDARY}--\r\n".encode()]))


class Client:
    """One connection to 127.0.0.1, kept alive; not for several threads."""

    def __init__(self, port: int, timeout_s: float = 300) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self._buffer = bytearray(_BUFFER_BYTES)

    def post(self, post: Post, *, keep: bool = False) -> Answer:
        """Send it and read the answer to its end."""
        return self._ask("POST", post.path, post.body, keep=keep)

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None, keep=False)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: bytes | None, *, keep: bool) -> Answer:
        headers = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"} if body is not None else {}
        started = time.perf_counter()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        received, first_byte_s, kept = 0, 0.0, []
        while count := response.readinto(self._buffer):
            if not received:
                first_byte_s = time.perf_counter() - started
            received += count
            if keep:
                kept.append(bytes(self._buffer[:count]))
        seconds = time.perf_counter() - started
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, received, first_byte_s or seconds, seconds, b"".join(kept))


def crowd(port: int, posts: Sequence[Post], clients: int, requests: int) -> tuple[float, list[Answer]]:
    """``requests`` posts, taken in turn from ``posts``, by so many clients at once: (seconds in all, answers)."""
    answers: list[Answer] = []
    turn = iter(range(requests))
    lock = threading.Lock()
    failures: list[Exception] = []

    def work() -> None:
        client = Client(port)
        try:
            while True:
                with lock:
                    index = next(turn, None)
                if index is None:
                    return
                answers.append(client.post(posts[index % len(posts)]))
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise failures[0]
    return seconds, answers
