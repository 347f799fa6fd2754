"""The desk: what a request needs of jobs and of the object store, between the conductor and the job book."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import orjson

from bgone.api.auth import Caller
from bgone.api.dialect import Context, Download, Forget, Info, Keep, Show, ShowAll, Submit
from bgone.api.gate import Call, Gate, Purchase
from bgone.api.metrics import Metrics
from bgone.api.results import Signer
from bgone.errors import ApiError, job_forbidden, job_not_found
from bgone.imaging.formats import FORMATS
from bgone.imaging.photo import open_photo
from bgone.jobs.book import JobBook, Made
from bgone.jobs.job import TRACE, Job, State, Stored, new_id
from bgone.jobs.webhooks import Webhooks
from bgone.pipeline.order import Link, Order, PictureGround, StoredPicture, Upload
from bgone.pipeline.studio import Studio
from bgone.pipeline.timings import Timings
from bgone.storage.objects import Objects, new_key
from bgone.traces.context import read_text
from bgone.traces.spans import Passing, Traces

if TYPE_CHECKING:  # with the database's libraries, which a server without one does not load
    from bgone.jobs.durable import DurableBook

BASE_URL = "base_url"  # a job's note
Webhook = Callable[[Job, Context], Mapping[str, object]]
LINK_S = 24 * 3600.0  # how long links in announcements work
_OVER_S = 24 * 3600.0  # "to the end" of a job: longer than any deadline


@dataclass(slots=True)
class _Pending:
    """A job under way in a book that ends with this process: who pays for it.

    Attributes:
        purchase: What is held.
        charged: Credits, once they have been taken.
        caller: With what is left then.
        settled: What was held is charged or given back.
    """

    purchase: Purchase
    charged: Decimal | None = None
    caller: Caller | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An order that becomes a job; the call's ``request_id`` is the job's."""

    does: Submit
    order: Order
    call: Call
    price: Decimal
    preview: bool
    context: Context
    idempotency_key: str

    @property
    def notes(self) -> Mapping[str, str]:
        """What is kept with the job: also where links lead, for whoever tells of its end, and of which trace it is."""
        trace = {TRACE: self.call.trace} if self.call.trace else {}
        return {**self.order.notes, BASE_URL: self.context.base_url, **trace}


class Desk:
    """Takes jobs in, shows them, keeps pictures.

    Args:
        studio: Checks and makes pictures.
        book: Keeps jobs; where it is a ``DurableBook``, they outlive this process.
        objects: Keeps pictures.
        signer: Makes links to them.
        fetch: URL and most bytes → bytes, guarded.
        gate: Holds and charges what jobs cost.
        webhooks: Tells strangers of jobs that are over.
        webhook_of: Dialect → what its webhooks say; None where it has none.
        job_wait_s: How long a call that waits for its job holds the line.
    """

    def __init__(
        self,
        studio: Studio,
        book: JobBook | DurableBook,
        objects: Objects,
        signer: Signer,
        fetch: Callable[[str, int], Awaitable[bytes]],
        gate: Gate,
        webhooks: Webhooks,
        webhook_of: Callable[[str], Webhook | None],
        job_wait_s: float,
    ) -> None:
        self._studio = studio
        self._book = book
        self._objects = objects
        self._signer = signer
        self._fetch = fetch
        self._webhooks = webhooks
        self._gate = gate
        self._webhook_of = webhook_of
        self._outlives = not isinstance(book, JobBook)
        self._pending: dict[str, _Pending] = {}
        self._job_wait_s = job_wait_s

    # --- jobs ---------------------------------------------------------------------------------------------------

    async def submit(
        self,
        does: Submit,
        order: Order,
        call: Call,
        price: Decimal,
        context: Callable[[Caller | None], Context],
        *,
        preview: bool,
        idempotency_key: str = "",
    ) -> Info:
        """Take a job in, wait for it as long as the dialect wants, tell how it stands.

        Args:
            does: What the dialect says of it.
            order: What to make.
            call: Who asks.
            price: What is held for it.
            context: (the caller with what is left, or None for as it was) → what ``render`` may know.
            preview: The price is a preview's.
            idempotency_key: The client's name for this call; the same name is the same job, where jobs outlive us.

        Raises:
            ApiError: The picture is refused by its header, credits do not suffice, too much is waiting, or the job
                failed while the call waited in a way that the dialect answers as an error.
        """
        order = await self.resolve(order)
        await self._studio.check(order)
        call = replace(call, request_id=new_id())
        asked = _Asked(does, order, call, price, preview, context(None), idempotency_key)
        wait_s = does.wait_s(order, self._job_wait_s)
        try:
            return await self._taken(asked, wait_s, context)
        except asyncio.CancelledError:
            # Who waits for the end and hangs up was never told a name, and will not come back for the picture.
            if wait_s > _OVER_S and not idempotency_key:
                await asyncio.shield(self._book.cancel(call.request_id))
            raise

    async def _taken(self, asked: _Asked, wait_s: float, context: Callable[[Caller | None], Context]) -> Info:
        does, call, pending = asked.does, asked.call, None
        if self._outlives:
            job = await self._take_for_good(asked, waits=wait_s > 0)
        else:
            job, pending = await self._take(asked)
        caller = None
        if wait_s > 0:
            job = await self._book.wait(job.id, min(wait_s, _OVER_S))
            if pending is not None:
                if job.state in ("done", "failed"):
                    await pending.settled.wait()
                caller = pending.caller
            else:
                caller = replace(await self._gate.fresh(call.caller), rate=call.caller.rate)
            failure = job.failure
            if failure is not None and (does.raises is None or failure.kind in does.raises):
                raise ApiError(failure.kind, failure.message)
        return does.render(job, context(caller))

    async def _take(self, asked: _Asked) -> tuple[Job, _Pending]:
        """Into a book that ends with this process: what is held is settled by us."""
        call, order = asked.call, asked.order
        job_id = call.request_id
        purchase = await self._gate.hold(call, asked.price, preview=asked.preview)
        # Before the book knows the job: it may be over before the book has answered.
        pending = self._pending[job_id] = _Pending(purchase)
        try:
            notes = asked.notes
            job = await self._book.submit(job_id, call.dialect, call.caller.account.id, order, notes, asked.price)
        except BaseException:
            del self._pending[job_id]
            await self._gate.give_back(purchase, "not taken")
            raise
        return job, pending

    async def _take_for_good(self, asked: _Asked, *, waits: bool) -> Job:
        """Into a book in the database: hold and job, then charge and end, are one transaction each."""
        call = asked.call
        assert not isinstance(self._book, JobBook)
        return await self._book.submit(
            call.request_id,
            call.dialect,
            call.caller.account.id,
            asked.order,
            asked.notes,
            asked.price,
            idempotency_key=asked.idempotency_key,
            pay=self._gate.pay(call, asked.price, preview=asked.preview),
            waits=waits,
        )

    async def settle(self, job: Job) -> None:
        """Take the price of a picture that is made; nobody has seen that its job is done.

        Raises:
            no_credits: The hold had run out, and it is not there any more.
            overloaded: It cannot be taken now.
        """
        pending = self._pending[job.id]
        pending.caller, pending.charged = await self._gate.charge(pending.purchase, job.price)
        pending.settled.set()

    async def ended(self, job: Job) -> None:
        """Give back what a job that failed was to cost, and tell whoever asked to be told of its end.

        Raises:
            overloaded: The database is away; a book that outlives us asks again.
        """
        pending = self._pending.get(job.id)
        if pending is not None:
            if job.state != "done":
                charged = pending.charged is not None
                await self._gate.give_back(pending.purchase, f"job {job.state}", charged=charged)
                pending.settled.set()
            del self._pending[job.id]
            pixels = job.result.width * job.result.height if job.result else 0
            self._gate.note(pending.purchase.call, pending.charged or Decimal(0), pixels, failed=job.state != "done")
        base_url = job.notes.get(BASE_URL, "")
        link = self.linker(base_url)
        tell = self._webhook_of(job.dialect)
        if tell is not None and (url := job.notes.get("webhook_url")):
            body = tell(job, Context(job.id, base_url=base_url, link=link))
            await self._webhooks.send(job.id, url, orjson.dumps(body), job.owner, job.notes.get(TRACE, ""))
        result = job.result
        await self._webhooks.announce(job, link(result, f"{job.id}{result.suffix}", LINK_S) if result else None)

    async def aclose(self) -> None:
        """Give back what is held for jobs that end with this process."""
        open_ones = [pending for pending in self._pending.values() if pending.charged is None]
        await asyncio.gather(*(self._gate.give_back(pending.purchase, "server stopped") for pending in open_ones))

    async def find(self, job_id: str) -> Job | None:
        """The job of this id, whosever it is."""
        return await self._book.get(job_id)

    async def find_many(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        """Those of these jobs that are known, by id."""
        return await self._book.find_many(job_ids)

    async def any_open(self, job_ids: Sequence[str]) -> bool:
        """Whether one of these jobs is not over."""
        return await self._book.any_open(job_ids)

    async def cancel(self, job_id: str) -> Job | None:
        """End a job that is not over; what it holds is given back."""
        return await self._book.cancel(job_id)

    async def counts(self, owner: str, dialect: str) -> Mapping[State, int]:
        """How many of an owner's jobs in a dialect are in each state."""
        return await self._book.counts(owner, dialect)

    async def show(self, does: Show, identity: str, context: Context) -> Info:
        """One job of the caller's.

        Raises:
            job_not_found: There is none.
            job_forbidden: It is somebody else's.
        """
        return does.render(await self._own(does.read_id(identity), context), context)

    async def show_all(self, does: ShowAll, dialect: str, context: Context) -> Info:
        """A page of the caller's jobs, newest first."""
        page = does.parse(context.query)
        of = None if does.of_all else dialect
        jobs = await self._book.list(context.caller.account.id, of, page.limit, page.offset)
        return does.render(tuple(jobs), page, context)

    async def forget(self, does: Forget, identity: str, context: Context) -> Info:
        """Remove one job of the caller's, with all that is kept of it.

        Raises:
            job_not_found, job_forbidden: As for ``show``.
        """
        job = await self._own(does.read_id(identity), context)
        await self._book.delete(job.owner, job.id)
        return does.render(job, context)

    async def download(self, does: Download, identity: str, context: Context) -> Order:
        """The order that writes a finished job's picture anew.

        Raises:
            job_not_found, job_forbidden: As for ``show``.
            ApiError: Whatever the dialect says of a job that is not done.
        """
        job = await self._own(does.read_id(identity), context)
        options = does.parse(job, context)
        assert job.result is not None
        return Order(Upload(await self._read(job.result.key)), options)

    async def _own(self, job_id: str, context: Context) -> Job:
        job = await self._book.get(job_id)
        if job is None:
            raise job_not_found()
        if job.owner != context.caller.account.id:
            raise job_forbidden()
        return job

    # --- pictures -----------------------------------------------------------------------------------------------

    async def keep(self, does: Keep, order: Order, context: Context) -> Info:
        """Store a picture as it came.

        Raises:
            ApiError: It cannot be fetched, or its header is refused.
        """
        source = (await self.resolve(order)).source
        assert not isinstance(source, StoredPicture)
        data = await self._fetch(source.url, order.limits.file_bytes) if isinstance(source, Link) else source.data
        photo = await asyncio.to_thread(open_photo, data, order.limits)
        form = FORMATS.get(_WRITTEN.get(photo.kind, photo.kind))
        media_type, suffix = (form.media_type, form.suffix) if form else ("application/octet-stream", ".bin")
        key = new_key()
        await self._objects.put(key, data, media_type)
        stored = Stored(key, media_type, suffix, len(data), photo.width, photo.height)
        return does.render(stored, context)

    async def resolve(self, order: Order) -> Order:
        """The order with every stored picture read.

        Raises:
            job_not_found: Nothing is stored under the client's name for it.
        """
        ground = order.options.background
        if isinstance(ground, PictureGround) and isinstance(ground.source, StoredPicture):
            ground = replace(ground, source=await self._stored(ground.source))
            order = replace(order, options=replace(order.options, background=ground))
        if isinstance(order.source, StoredPicture):
            order = replace(order, source=await self._stored(order.source))
        return order

    def linker(self, base_url: str) -> Callable[[Stored, str, float], str]:
        """Makes links to stored pictures under ``base_url``."""
        return lambda stored, name, seconds: self._signer.sign(base_url, stored, name, seconds)

    async def _stored(self, source: StoredPicture) -> Upload:
        return Upload(await self._read(source.key))

    async def _read(self, key: str) -> bytes:
        try:
            return await self._objects.get(key)
        except KeyError as error:
            raise job_not_found() from error


@asynccontextmanager
async def make_picture(
    studio: Studio, order: Order, metrics: Metrics | None = None, traces: Traces | None = None
) -> AsyncIterator[Made]:
    """What the job book makes pictures by: the studio's walk, its memory given back at the end.

    Args:
        studio: Makes them.
        order: Whose notes are the job's.
        metrics: Counts.
        traces: Where a span of the work goes, in the trace of the request that brought the job.

    Raises:
        ApiError: As ``Studio.make`` and the reading of its spool do.
    """
    holding, timings = studio.budget.open(studio.seats.retry_after_s()), Timings()
    span = (traces or Passing()).begin("job", "consumer", read_text(order.notes.get(TRACE, "")), {})
    try:
        if isinstance(order.source, Upload):
            holding.grow(len(order.source.data))
        result = await studio.make(order, holding, timings)
        span.facts["bgone.pixels"] = pixels = result.photo_width * result.photo_height
        if metrics is not None:
            metrics.pixels.inc(pixels)
        try:
            suffix = FORMATS[result.format].suffix
            yield Made(result.spool.pieces(), result.media_type, suffix, result.width, result.height, result.subject)
        finally:
            result.spool.close()
    except ApiError as error:
        span.error = error.kind
        raise
    finally:
        if metrics is not None:
            metrics.phases(timings.seconds)
            metrics.estimate.observe(holding.held_bytes)
        holding.release()
        span.phases = timings.spans
        span.end()


_WRITTEN = {"jpeg": "jpg", "heif": "avif"}
