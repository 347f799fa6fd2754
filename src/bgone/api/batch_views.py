"""How batches look: JSON of a batch and of its pictures, lines of a manifest, server-sent events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import orjson

from bgone.api.batch_orders import DIALECT, LINK_S, packed_name
from bgone.api.packing import Packed
from bgone.api.times import utc_text
from bgone.jobs.batches import Batch, Item
from bgone.jobs.job import Failure, Job, State, Stored

Linker = Callable[[Stored, str, float], str]
_OPEN: tuple[State, ...] = ("queued", "running")
_STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled", "expired")


@dataclass(frozen=True, slots=True)
class Standing:
    """A batch as it stood when its jobs were looked up.

    Attributes:
        batch: It.
        jobs: Id → job; those that are forgotten are absent.
    """

    batch: Batch
    jobs: Mapping[str, Job]

    def state(self, item: Item) -> State:
        """How one picture stands."""
        if item.failure is not None:
            return "failed"
        job = self.jobs.get(item.job_id)
        return job.state if job is not None else "expired"

    @property
    def is_over(self) -> bool:
        """Nothing will change any more."""
        return not any(self.state(item) in _OPEN for item in self.batch.items)

    @property
    def open_ids(self) -> list[str]:
        """Jobs that may change."""
        return [item.job_id for item in self.batch.items if item.job_id and self.state(item) in _OPEN]

    @property
    def counts(self) -> dict[str, int]:
        """Pictures in each state."""
        found = Counter(self.state(item) for item in self.batch.items)
        return {state: found[state] for state in _STATES}

    def packed(self) -> list[Packed]:
        """The files of its archive."""
        found = []
        for item in self.batch.items:
            job = self.jobs.get(item.job_id)
            if job is not None and job.result is not None:
                found.append(Packed(packed_name(item.position, item.label, job.result.suffix), job.result))
        return found


def summary(standing: Standing) -> dict[str, object]:
    """A batch without its pictures."""
    batch = standing.batch
    return {
        "id": batch.id,
        "status": "finished" if standing.is_over else "processing",
        "created_at": utc_text(batch.created_at),
        "total": len(batch.items),
        "counts": standing.counts,
    }


def end_event(standing: Standing, url: str) -> dict[str, object]:
    """What ``webhook_url`` is told when all of a batch is over.

    Args:
        standing: As it stands then.
        url: Of the batch.
    """
    ends = [job.finished_at for job in standing.jobs.values() if job.finished_at is not None]
    finished_at = max(ends, default=standing.batch.created_at)
    links = {"url": url, "manifest_url": f"{url}/results.ndjson", "archive_url": f"{url}/results.zip"}
    return {
        "type": "batch.finished",
        "timestamp": finished_at,
        "data": {**summary(standing), "finished_at": utc_text(finished_at), **links},
    }


def page(standing: Standing, link: Linker, limit: int, offset: int) -> dict[str, object]:
    """A batch with ``limit`` of its pictures from ``offset`` on."""
    items = standing.batch.items[offset : offset + limit]
    end = offset + len(items)
    return {
        **summary(standing),
        "items": [item_view(standing, item, link) for item in items],
        "next_offset": end if end < len(standing.batch.items) else None,
    }


def item_view(standing: Standing, item: Item, link: Linker) -> dict[str, object]:
    """One picture."""
    job = standing.jobs.get(item.job_id)
    result = job.result if job is not None else None
    return {
        "index": item.position,
        "label": item.label,
        "job_id": item.job_id or None,
        "status": standing.state(item),
        "result_url": link(result, packed_name(item.position, item.label, result.suffix), LINK_S) if result else None,
        "width": result.width if result else None,
        "height": result.height if result else None,
        "error": _error(item.failure or (job.failure if job is not None else None)),
    }


def manifest(standing: Standing, link: Linker) -> bytes:
    """One line of JSON for each picture."""
    lines = (orjson.dumps(item_view(standing, item, link)) for item in standing.batch.items)
    return b"".join(line + b"\n" for line in lines)


def news(before: Standing | None, now: Standing, link: Linker) -> Iterable[bytes]:
    """Events of what has changed: pictures that are over since, then the progress, then that all are."""
    told = before or Standing(now.batch, {})
    for item in now.batch.items:
        is_new = before is None or told.state(item) != now.state(item)
        if is_new and now.state(item) not in _OPEN:
            yield event("item", item_view(now, item, link))
    if before is None or before.counts != now.counts:
        yield event("progress", summary(now))
    if now.is_over:
        yield event("finished", summary(now), identity="finished")


def event(name: str, data: Mapping[str, object], identity: str = "") -> bytes:
    """One server-sent event (HTML standard, 9.2)."""
    last = f"id: {identity}\n" if identity else ""
    return f"event: {name}\n{last}data: ".encode() + orjson.dumps(data) + b"\n\n"


def _error(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    return {"code": DIALECT.failures[failure.kind][1], "message": failure.message}
