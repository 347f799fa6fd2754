"""Who cuts: this process, or a bgone server elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import httpx2

from bgone import __version__
from bgone.agents.refusal import Refused
from bgone.errors import ApiError, StartError

if TYPE_CHECKING:
    from bgone.workshop import Tools, Workshop

_TIMEOUT = httpx2.Timeout(10.0, read=300.0, write=300.0)
_IN_PROCESS = "Pictures are cut in this process: there are no accounts, credits, limits or jobs here"


@dataclass(frozen=True, slots=True)
class Errand:
    """One picture to be cut.

    Attributes:
        photo: Its file, or its URL.
        options: Names of ``OPTIONS``, ``background_url`` and, where a server cuts, ``model``; values as JSON has them.
        background: A picture's file that goes under the subject.
    """

    photo: bytes | str = field(repr=False)
    options: Mapping[str, Any]
    background: bytes | None = field(default=None, repr=False)


class Scissors(Protocol):
    """Both say no by raising ``Refused``."""

    async def cut(self, errand: Errand) -> bytes:
        """The picture's file."""
        ...

    async def submit(self, errand: Errand) -> Mapping[str, Any]:
        """The same later: how its job stands."""
        ...

    async def job(self, identity: str) -> Mapping[str, Any]:
        """How a job stands."""
        ...

    async def account(self) -> Mapping[str, Any]:
        """What is left of plan and credits."""
        ...

    async def aclose(self) -> None:
        """End."""
        ...


class Here:
    """This process; the net is loaded with the first picture.

    Args:
        tools: How the workshop is set up.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._workshop: Workshop | None = None
        self._opening = asyncio.Lock()

    async def cut(self, errand: Errand) -> bytes:
        """See ``Scissors``."""
        async with self._opening:
            if self._workshop is None:
                self._workshop = await asyncio.to_thread(self._open)
        options = {**errand.options, "background_image": errand.background}
        try:
            data = await asyncio.wrap_future(self._workshop.submit(errand.photo, options, "bytes"))
        except ApiError as error:
            raise Refused(error.message) from error
        assert isinstance(data, bytes)
        return data

    async def submit(self, errand: Errand) -> Mapping[str, Any]:
        """Refused: nobody would keep the job."""
        raise Refused(f"{_IN_PROCESS}. Leave out `later`, or start `bgone mcp` with --server URL.")

    async def job(self, identity: str) -> Mapping[str, Any]:
        """Refused."""
        raise Refused(f"{_IN_PROCESS}. Jobs are asked for where `bgone mcp` was started with --server URL.")

    async def account(self) -> Mapping[str, Any]:
        """No account: everything is free."""
        return {"mode": "in-process", "unlimited": True, "note": f"{_IN_PROCESS}; nothing is counted."}

    async def aclose(self) -> None:
        """Wait for what is under way."""
        if self._workshop is not None:
            await asyncio.to_thread(self._workshop.close)

    def _open(self) -> Workshop:
        from bgone.workshop import Workshop

        try:
            return Workshop(self._tools)
        except StartError as error:
            raise Refused(f"The net could not be loaded: {error}") from error


class Afar:
    """A bgone server's ``/cut/v1``.

    Args:
        server: Its address.
        key: Or empty.
    """

    def __init__(self, server: str, key: str) -> None:
        headers = {"user-agent": f"bgone-mcp/{__version__}"} | ({"x-api-key": key} if key else {})
        self._server = server.rstrip("/")
        self._client = httpx2.AsyncClient(base_url=self._server, headers=headers, timeout=_TIMEOUT)

    async def cut(self, errand: Errand) -> bytes:
        """See ``Scissors``."""
        answer = await self._ask("POST", "/cut/v1", errand)
        return bytes(answer.content)

    async def submit(self, errand: Errand) -> Mapping[str, Any]:
        """See ``Scissors``."""
        return _object(await self._ask("POST", "/cut/v1/jobs", errand))

    async def job(self, identity: str) -> Mapping[str, Any]:
        """See ``Scissors``."""
        if not identity.isalnum():
            raise Refused("job_id: expected what remove_background answered as id")
        return _object(await self._ask("GET", f"/cut/v1/jobs/{identity}"))

    async def account(self) -> Mapping[str, Any]:
        """See ``Scissors``."""
        return {"server": self._server, **_object(await self._ask("GET", "/cut/v1/account"))}

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()

    async def _ask(self, method: str, path: str, errand: Errand | None = None) -> httpx2.Response:
        try:
            answer = await self._client.request(method, path, files=None if errand is None else _parts(errand))
        except httpx2.HTTPError as error:
            raise Refused(f"{self._server} cannot be reached: {str(error) or type(error).__name__}") from error
        if not answer.is_success:
            raise Refused(_complaint(answer))
        return answer


def _parts(errand: Errand) -> list[tuple[str, Any]]:
    parts: list[tuple[str, Any]] = [(name, (None, _text(value))) for name, value in errand.options.items()]
    photo = errand.photo
    parts.append(("image_url", (None, photo)) if isinstance(photo, str) else ("image", ("photo", photo)))
    if errand.background is not None:
        parts.append(("background_image", ("background", errand.background)))
    return parts


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _object(answer: httpx2.Response) -> Mapping[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Refused("the server did not answer a JSON object: is it bgone?")
    return told


def _complaint(answer: httpx2.Response) -> str:
    status = f"the server answered {answer.status_code} {answer.reason_phrase}".strip()
    try:
        told = answer.json()
        words = f"{told['detail']} ({told['code']}, {told['request_id']})"
    except (ValueError, KeyError, TypeError):
        return status
    pause = answer.headers.get("retry-after")
    return f"{words} Try again in {pause} s." if pause else words
