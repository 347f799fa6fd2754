"""Which dialect answers on a path that several claim: host name, the job's own dialect, key, the operator's word.

The first rule that decides wins; where none does, information of all claimants is answered together, so that each
finds its own names in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bgone.api.dialect import Context, Dialect, Download, Headers, Info, Operation, Show, Tell
from bgone.jobs.job import Job

FindJob = Callable[[str], Awaitable[Job | None]]


@dataclass(frozen=True, slots=True)
class Claim:
    """A dialect at a path: method → operation."""

    dialect: Dialect
    operations: Mapping[str, Operation]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the choice depends on.

    Attributes:
        method: HTTP method, HEAD as GET.
        host: Host name, lower case, without its port.
        headers: Request headers.
        query: Query parameters.
        id: The path's ``{id}``, or "".
    """

    method: str
    host: str
    headers: Headers
    query: Headers
    id: str = ""


async def choose(
    claims: Sequence[Claim], asked: Asked, hosts: Mapping[str, Dialect], prefer: Sequence[str], find_job: FindJob
) -> Claim:
    """The claim that answers; several that nothing tells apart become one.

    Args:
        claims: Who serves the path, at least one, in the order of the dialect table.
        asked: The request.
        hosts: Host name → dialect.
        prefer: Names of dialects that the operator prefers.
        find_job: Our id → job.
    """
    left = [claim for claim in claims if asked.method in claim.operations] or list(claims)
    if len(left) > 1:
        left = _by_host(left, asked, hosts)
    if len(left) > 1:
        left = await _by_job(left, asked, find_job)
    if len(left) > 1:
        left = _by_key(left, asked)
    for name in prefer:
        left = [claim for claim in left if claim.dialect.name == name] or left
    return left[0] if len(left) == 1 else _together(left, asked.method)


def _by_host(claims: list[Claim], asked: Asked, hosts: Mapping[str, Dialect]) -> list[Claim]:
    named = hosts.get(asked.host)
    return [claim for claim in claims if claim.dialect is named] or claims


async def _by_job(claims: list[Claim], asked: Asked, find_job: FindJob) -> list[Claim]:
    if not asked.id:
        return claims
    for claim in claims:
        does = claim.operations[asked.method].does if asked.method in claim.operations else None
        if isinstance(does, Show | Download):
            job = await find_job(does.read_id(asked.id))
            if job is not None and job.dialect == claim.dialect.name:
                return [claim]
    return claims


def _by_key(claims: list[Claim], asked: Asked) -> list[Claim]:
    """Who finds a key where it looks for one; among these, whose keys begin so, the longest beginning first."""
    keys = [(claim, claim.dialect.find_key(asked.headers, asked.query)) for claim in claims]
    shown = [(claim, key) for claim, key in keys if key]
    if not shown:
        return claims
    matches = [
        (max((len(p) for p in claim.dialect.key_prefixes if key.startswith(p)), default=0)) for claim, key in shown
    ]
    longest = max(matches)
    return [claim for (claim, _), length in zip(shown, matches, strict=True) if length == longest]


def _together(claims: list[Claim], method: str) -> Claim:
    first = claims[0]
    operations = [claim.operations[method] for claim in claims if method in claim.operations]
    tells = [operation.does for operation in operations if isinstance(operation.does, Tell)]
    if len(tells) < 2 or len(tells) < len(operations):
        return first
    own = operations[0]

    def answer(context: Context) -> Info:
        infos = [tell.answer(context) for tell in tells]
        body = {name: value for info in reversed(infos) for name, value in info.body.items()}
        return Info(infos[0].status, body, infos[0].headers)

    counts_jobs = any(tell.counts_jobs for tell in tells)
    merged = Operation(own.name, own.method, own.paths, Tell(answer, counts_jobs), own.needs_key, own.render_error)
    return Claim(first.dialect, {**first.operations, method: merged})
