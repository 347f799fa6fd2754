"""The native batch endpoint: over a real port, a real studio and jobs in a database, with an engine that is quick."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import uvicorn
from httpx2 import AsyncClient, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from bgone.api import batches
from bgone.api.auth import StaticKeys
from bgone.api.batch_orders import packed_name
from bgone.api.batches import Batching
from bgone.api.desk import Desk, make_picture
from bgone.api.gate import Call, OpenGate, Pay, Purchase
from bgone.api.metrics import Metrics
from bgone.api.policy import Policy
from bgone.api.protocol import guarded_protocol
from bgone.api.results import Results, Signer
from bgone.api.routes import webhook_of
from bgone.errors import no_credits
from bgone.jobs.batch_rows import TableBatches
from bgone.jobs.batches import Batch, Batches, Item, MemoryBatches
from bgone.jobs.book import BookLimits, JobBook
from bgone.jobs.durable import DurableBook
from bgone.jobs.hooks import OneHook, new_secret
from bgone.jobs.job import Failure, Job
from bgone.jobs.making import DurableLimits
from bgone.jobs.queue import open_queue
from bgone.jobs.webhooks import Webhooks
from bgone.pipeline.addresses import parse_networks
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher
from bgone.pipeline.studio import Studio, StudioOptions
from bgone.storage.database import Database
from bgone.storage.objects import Objects
from tests.api.test_unpacking import zipped
from tests.databases import Clock, migrated_postgres, sqlite_address
from tests.jobs.receivers import receiver
from tests.origin import site
from tests.pictures import ball, decode, photo
from tests.pipeline.test_studio import RedEngine
from tests.serving import Served, free_port

__all__ = ["migrated_postgres"]

LOOPBACK = parse_networks("127.0.0.0/8,::1/128")
ENOUGH_S = 60.0
PHOTO = photo()
OTHER = photo(seed=1)


class _Purse(OpenGate):
    """Pays for so many jobs and then for none."""

    def __init__(self, left: int) -> None:
        super().__init__(StaticKeys(("mine", "yours")), keys_needed=True)
        self.left = left
        self.db: Database | None = None

    async def hold(self, call: Call, price: Decimal, *, preview: bool) -> Purchase:
        if self.left == 0:
            raise no_credits()
        self.left -= 1
        return Purchase(call)

    async def give_back(self, purchase: Purchase, reason: str, *, charged: bool = False) -> None:
        self.left += 1

    def pay(self, call: Call, price: Decimal, *, preview: bool) -> Pay | None:
        async def paying(also: Callable[[Any, str], None]) -> None:
            assert self.db is not None
            await self.hold(call, price, preview=preview)
            await self.db.write(lambda connection: also(connection, "held"))

        return paying

    def settle(self, connection: Any, slip: str, job: Job) -> Decimal:
        if slip and job.state != "done":
            self.left += 1
        return Decimal(0)


@dataclass
class Shop:
    """A server with batches only.

    Attributes:
        client: Its client, with the key "mine".
        engine: Its net; its gate can be closed.
        purse: Its gate.
        batching: The endpoint.
        webhooks: What tells strangers.
    """

    client: AsyncClient
    engine: RedEngine
    purse: _Purse
    batching: Batching
    webhooks: Webhooks

    async def order(self, *urls: str, **options: object) -> Any:
        answer = await self.client.post("/batches/v1", json={"image_urls": urls, **options})
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def upload(self, archive: bytes, **options: str) -> Any:
        answer = await self.client.post("/batches/v1", files={"archive": ("a.zip", archive)}, data=options)
        assert answer.status_code == 202, answer.text
        return answer.json()

    async def finished(self, batch_id: str) -> Any:
        """The batch once it is over."""
        async with asyncio.timeout(ENOUGH_S):
            while (told := (await self.client.get(f"/batches/v1/{batch_id}")).json())["status"] != "finished":
                await asyncio.sleep(0.05)
        return told


@asynccontextmanager
async def open_shop(folder: Path, *, durable: bool, credits: int = 1000) -> AsyncIterator[Shop]:  # noqa: A002 - the word
    """Everything that a batch meets, on a free port."""
    engine, purse, fetcher = RedEngine(), _Purse(credits), Fetcher(allow=LOOPBACK)
    studio = Studio(fetcher, StudioOptions(2, 2, 50, 30), Budget(500_000_000))
    studio.set_engine(engine)
    objects, signer = Objects(f"file://{folder}/objects"), Signer(b"secret")
    webhooks = Webhooks(LOOPBACK, hooks=OneHook(new_secret()))
    db = purse.db = await Database.open(sqlite_address(folder))

    async def settle(job: Job) -> None:
        await desk.settle(job)

    async def ended(job: Job) -> None:
        await desk.ended(job)
        await batching.ended(job)

    make = partial(make_picture, studio)
    book: JobBook | DurableBook
    kept: Batches
    if durable:
        book = DurableBook(db, await open_queue(db), make, objects, DurableLimits(running=1), ended, purse.settle)
        kept = TableBatches(db)
    else:
        book = JobBook(make, objects, BookLimits(), settle=settle, on_end=ended)
        kept = MemoryBatches()
    desk = Desk(studio, book, objects, signer, fetcher.fetch, purse, webhooks, webhook_of, 0)
    batching = Batching(
        desk,
        kept,
        webhooks,
        objects,
        purse,
        Policy(),
        studio.budget,
        Metrics(),
        poll_s=0.02,
        keep_alive_s=0.1,
    )
    results = Results(objects, signer)

    class Fetched:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await results.serve(scope, receive, send)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"rooms": SimpleNamespace(batching=batching)}

    app = Router([*batches.routes(), Route("/results/{key}/{name}", Fetched())], lifespan=lifespan)
    port = free_port()
    config = uvicorn.Config(app, port=port, http=guarded_protocol(15), log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    if isinstance(book, DurableBook):
        book.start()
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        address = f"http://127.0.0.1:{port}"
        async with AsyncClient(base_url=address, headers={"x-api-key": "mine"}, timeout=ENOUGH_S, trust_env=False) as c:
            yield Shop(c, engine, purse, batching, webhooks)
    finally:
        engine.gate.set()
        server.should_exit = True
        await serving
        await book.aclose()
        await webhooks.aclose()
        await studio.aclose()
        await fetcher.aclose()
        await db.aclose()
        await objects.aclose()


@pytest.fixture(params=["memory", "database"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Runs a scene in a shop whose jobs live in the process, and in one whose jobs live in a database."""

    def run(scene: Callable[[Shop], Awaitable[None]], **options: int) -> None:
        async def main() -> None:
            async with open_shop(tmp_path, durable=request.param == "database", **options) as shop:
                await scene(shop)

        asyncio.run(main())

    return run


def code(answer: Response) -> tuple[int, str]:
    """Status and code of an error."""
    error = answer.json()["error"]
    assert error["status"] == answer.status_code
    return answer.status_code, error["code"]


# --- urls -----------------------------------------------------------------------------------------------------------


def test_every_url_becomes_a_picture(play: Callable[..., None]) -> None:
    """In order, by signed links, as lines, and in one archive; one that cannot be fetched fails alone."""

    async def scene(shop: Shop) -> None:
        with site({"/cat%20one.jpg": PHOTO, "/b.png?x=1": OTHER}) as origin:
            urls = [f"{origin}/cat%20one.jpg", f"{origin}/missing.jpg", "ftp://a.test/x.jpg", f"{origin}/b.png?x=1"]
            begun = await shop.order(*urls)
            assert [item["label"] for item in begun["items"]] == ["cat one.jpg", "missing.jpg", "x.jpg", "b.png"]
            told = await shop.finished(begun["id"])
        assert told["total"] == 4
        assert told["counts"] == {"queued": 0, "running": 0, "done": 2, "failed": 2, "cancelled": 0, "expired": 0}
        assert [item["status"] for item in told["items"]] == ["done", "failed", "failed", "done"]
        assert [item["error"] and item["error"]["code"] for item in told["items"]] == [
            None,
            "image_fetch_failed",
            "image_fetch_failed",
            None,
        ]
        assert told["items"][2]["job_id"] is None

        first = await shop.client.get(told["items"][0]["result_url"])
        assert first.headers["content-type"] == "image/png"
        assert decode(first.content).shape == (40, 61, 4)
        assert "/0001-cat-one.png?" in told["items"][0]["result_url"]

        lines = await shop.client.get(f"/batches/v1/{begun['id']}/results.ndjson")
        assert lines.headers["content-type"] == "application/x-ndjson"
        found = [orjson.loads(line) for line in lines.text.splitlines()]
        assert [(each["index"], each["status"]) for each in found] == [
            (0, "done"),
            (1, "failed"),
            (2, "failed"),
            (3, "done"),
        ]

        whole = await shop.client.get(f"/batches/v1/{begun['id']}/results.zip")
        assert int(whole.headers["content-length"]) == len(whole.content)
        with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == ["0001-cat-one.png", "0004-b.png"]
            assert archive.read("0001-cat-one.png") == first.content

    play(scene)


def test_options_are_those_of_v2(play: Callable[..., None]) -> None:
    """For every picture alike; one that cannot be is refused before anything begins."""

    async def scene(shop: Shop) -> None:
        with site({"/a.jpg": PHOTO}) as origin:
            begun = await shop.order(f"{origin}/a.jpg", format="jpg", bg_color="ff0000")
            told = await shop.finished(begun["id"])
            answer = await shop.client.get(told["items"][0]["result_url"])
            assert answer.headers["content-type"] == "image/jpeg"
            assert decode(answer.content)[0, 0, 0] > 200
            refused = await shop.client.post("/batches/v1", json={"image_urls": [f"{origin}/a.jpg"], "format": "tga"})
            assert code(refused) == (400, "invalid_option")
        assert shop.purse.left == 999

    play(scene)


def test_webhooks_tell_every_end(play: Callable[..., None]) -> None:
    """One for each picture with a job, with its place in the batch, and one for the whole."""

    async def scene(shop: Shop) -> None:
        async with receiver("200 OK") as listener:
            with site({"/a.jpg": PHOTO}) as origin:
                begun = await shop.order(f"{origin}/a.jpg", f"{origin}/b.jpg", webhook_url=listener.url)
                told = [orjson.loads(told.body) for told in await listener.heard(3)]
        (finished,) = [event for event in told if event["type"] == "batch.finished"]
        assert finished["data"]["id"] == begun["id"]
        assert (finished["data"]["status"], finished["data"]["total"]) == ("finished", 2)
        assert (finished["data"]["counts"]["done"], finished["data"]["counts"]["failed"]) == (1, 1)
        assert (await shop.client.get(finished["data"]["manifest_url"])).status_code == 200
        events = [event for event in told if event is not finished]
        by_index = {event["data"]["index"]: event for event in events}
        assert {event["data"]["batch_id"] for event in events} == {begun["id"]}
        assert by_index[0]["type"] == "job.done"
        assert (await shop.client.get(by_index[0]["data"]["result_url"])).status_code == 200
        assert by_index[1]["type"] == "job.failed"
        assert by_index[1]["data"]["error"]["code"] == "fetch_failed"

    play(scene)


def test_the_whole_is_told_once_under_one_id(play: Callable[..., None]) -> None:
    """Whoever says it: each of several jobs that end together, and a sweep that says it again."""

    async def scene(shop: Shop) -> None:
        async with receiver("200 OK") as listener:
            with site({"/a.jpg": PHOTO}) as origin:
                begun = await shop.order(*[f"{origin}/a.jpg"] * 4, webhook_url=listener.url)
                await listener.heard(5)
            jobs = await shop.batching.jobs.find_many([item["job_id"] for item in begun["items"]])
            await asyncio.gather(*(shop.batching.ended(job) for job in jobs.values()))
            told = await shop.webhooks.deliveries.of_job(begun["id"])
            assert len(told) == 1
            ids = [one.headers["webhook-id"] for one in listener.told]
            assert ids.count(told[0].id) == 1

    play(scene)


def test_a_batch_without_a_job_is_over_at_once(play: Callable[..., None]) -> None:
    """Whoever asked to be told is told all the same."""

    async def scene(shop: Shop) -> None:
        async with receiver("200 OK") as listener:
            begun = await shop.order("ftp://a.test/x.jpg", webhook_url=listener.url)
            (told,) = await listener.heard(1)
        assert begun["status"] == "finished"
        assert orjson.loads(told.body)["data"]["counts"]["failed"] == 1

    play(scene)


def test_a_cancelled_batch_is_told(play: Callable[..., None]) -> None:
    """When its last job is over: what was under way ends first."""

    async def scene(shop: Shop) -> None:
        shop.engine.gate.clear()
        async with receiver("200 OK") as listener:
            with site({"/a.jpg": PHOTO}) as origin:
                begun = await shop.order(*[f"{origin}/a.jpg"] * 3, webhook_url=listener.url)
                assert (await shop.client.delete(f"/batches/v1/{begun['id']}")).status_code == 200
                shop.engine.gate.set()
                told = [orjson.loads(one.body) for one in await listener.heard(4)]
        (finished,) = [event for event in told if event["type"] == "batch.finished"]
        assert finished["data"]["counts"]["cancelled"] + finished["data"]["counts"]["done"] == 3

    play(scene)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "missing_image")),
        ({"image_urls": []}, (400, "invalid_option")),
        ({"image_urls": "https://a.test/"}, (400, "invalid_option")),
        ({"image_urls": [1]}, (400, "invalid_option")),
        ({"image_urls": ["https://a.test/"] * 1001}, (400, "invalid_request")),
        ({"image_urls": ["https://a.test/"], "webhook_url": "nowhere"}, (400, "invalid_option")),
        ({"image_urls": ["https://a.test/" + "x" * 20_000_000]}, (413, "image_too_large")),
    ],
)
def test_bad_bodies_are_refused(play: Callable[..., None], body: Any, expected: tuple[int, str]) -> None:
    """And nothing is begun."""

    async def scene(shop: Shop) -> None:
        assert code(await shop.client.post("/batches/v1", json=body)) == expected
        assert shop.purse.left == 1000

    play(scene)


def test_the_server_has_batches(server: Served) -> None:
    """A real server, its own net: pictures in, events, an archive out; seen in its metrics."""
    with site({"/a.jpg": photo(200, 150, of=ball)}) as origin, server.client() as client:
        begun = client.post("/batches/v1", json={"image_urls": [f"{origin}/a.jpg"] * 3, "size": "preview"})
        assert begun.status_code == 202, begun.text
        path = f"/batches/v1/{begun.json()['id']}"
        lines = client.get(f"{path}/events").text.splitlines()
        assert (lines.count("event: item"), lines.count("event: finished")) == (3, 1)
        with zipfile.ZipFile(io.BytesIO(client.get(f"{path}/results.zip").content)) as archive:
            assert archive.testzip() is None
            assert archive.namelist() == ["0001-a.png", "0002-a.png", "0003-a.png"]
        told = client.get(path).json()
        assert decode(client.get(told["items"][0]["result_url"]).content).shape == (150, 200, 4)
        for each in ("", "/events", "/results.ndjson", "/results.zip"):
            assert client.head(path + each).status_code == 200
        assert 'dialect="batches"' in client.get("/metrics").text


# --- archives -------------------------------------------------------------------------------------------------------


def test_every_file_of_an_archive_becomes_a_picture(play: Callable[..., None]) -> None:
    """Names are labels; folders and what systems leave in archives are no pictures; text is a failure of its own."""

    async def scene(shop: Shop) -> None:
        archive = zipped(
            ("folder/", b""),
            ("folder/a.jpg", PHOTO),
            ("../../etc/b.jpg", OTHER),
            ("__MACOSX/._a.jpg", b"x"),
            ("notes.txt", b"no picture"),
        )
        begun = await shop.upload(archive, format="webp")
        told = await shop.finished(begun["id"])
        assert [(item["label"], item["status"]) for item in told["items"]] == [
            ("a.jpg", "done"),
            ("b.jpg", "done"),
            ("notes.txt", "failed"),
        ]
        assert told["items"][2]["error"]["code"] == "invalid_image"
        whole = await shop.client.get(f"/batches/v1/{begun['id']}/results.zip")
        with zipfile.ZipFile(io.BytesIO(whole.content)) as results:
            assert results.namelist() == ["0001-a.webp", "0002-b.webp"]

    play(scene)


def test_what_is_no_archive_is_refused(play: Callable[..., None]) -> None:
    """The whole call, and nothing begins."""

    async def scene(shop: Shop) -> None:
        answer = await shop.client.post("/batches/v1", files={"archive": ("a.zip", b"no ZIP at all")})
        assert code(answer) == (400, "invalid_request")
        many = zipped(*((f"{number}.jpg", b"x") for number in range(1001)))
        answer = await shop.client.post("/batches/v1", files={"archive": ("a.zip", many)})
        assert code(answer) == (400, "invalid_request")
        assert shop.purse.left == 1000

    play(scene)


# --- who, and how much ----------------------------------------------------------------------------------------------


def test_batches_belong_to_whoever_made_them(play: Callable[..., None]) -> None:
    """Others find nothing, nobody is asked for a key."""

    async def scene(shop: Shop) -> None:
        begun = await shop.order("https://a.invalid/x.jpg")
        for path in ("", "/events", "/results.ndjson", "/results.zip"):
            for headers in ({"x-api-key": "yours"},):
                answer = await shop.client.get(f"/batches/v1/{begun['id']}{path}", headers=headers)
                assert code(answer) == (404, "not_found")
            answer = await shop.client.get(f"/batches/v1/{begun['id']}{path}", headers={"x-api-key": ""})
            assert code(answer) == (401, "unauthorized")
        answer = await shop.client.delete(f"/batches/v1/{begun['id']}", headers={"x-api-key": "yours"})
        assert code(answer) == (404, "not_found")
        assert code(await shop.client.get("/batches/v1/nothing")) == (404, "not_found")
        answer = await shop.client.put("/batches/v1")
        assert code(answer) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "POST"

    play(scene)


def test_without_credits_nothing_begins(play: Callable[..., None]) -> None:
    """402, and no batch."""

    async def scene(shop: Shop) -> None:
        answer = await shop.client.post("/batches/v1", json={"image_urls": ["https://a.invalid/x.jpg"] * 40})
        assert code(answer) == (402, "payment_required")

    play(scene, credits=0)


def test_what_credits_suffice_for_is_made(play: Callable[..., None]) -> None:
    """The rest is told so, picture by picture; failed ones are given back."""

    async def scene(shop: Shop) -> None:
        with site({"/a.jpg": PHOTO}) as origin:
            begun = await shop.order(*[f"{origin}/a.jpg"] * 40)
            told = await shop.finished(begun["id"])
        assert told["counts"]["done"] == 3
        assert told["counts"]["failed"] == 37
        refused = [item for item in told["items"] if item["status"] == "failed"]
        assert {item["error"]["code"] for item in refused} == {"payment_required"}
        assert {item["job_id"] for item in refused} == {None}

    play(scene, credits=3)


def test_browsers_are_let_in_where_the_operator_says_so(play: Callable[..., None]) -> None:
    """Not by default; with ``cors`` all of them, preflight included."""

    async def scene(shop: Shop) -> None:
        plain = await shop.client.get("/batches/v1/nothing")
        assert "access-control-allow-origin" not in plain.headers
        assert (await shop.client.options("/batches/v1")).status_code == 405
        object.__setattr__(shop.batching, "policy", Policy(cors="all"))
        asked = await shop.client.options("/batches/v1")
        assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (204, "OPTIONS, POST")
        assert (await shop.client.get("/batches/v1/nothing")).headers["access-control-allow-origin"] == "*"

    play(scene)


def test_idempotency_keys_name_a_batch(play: Callable[..., None]) -> None:
    """The same key is the same batch; another owner's is another."""

    async def scene(shop: Shop) -> None:
        body = {"image_urls": ["https://a.invalid/x.jpg"]}
        once = await shop.client.post("/batches/v1", json=body, headers={"idempotency-key": "k"})
        twice = await shop.client.post("/batches/v1", json=body, headers={"idempotency-key": "k"})
        other = await shop.client.post("/batches/v1", json=body, headers={"idempotency-key": "k", "x-api-key": "yours"})
        assert once.json()["id"] == twice.json()["id"] != other.json()["id"]
        assert once.headers["location"] == f"/batches/v1/{once.json()['id']}"
        assert once.json()["items"][0]["job_id"] == twice.json()["items"][0]["job_id"]

    play(scene)


def test_the_same_key_at_the_same_moment_is_one_batch(play: Callable[..., None]) -> None:
    """Whoever is slower gives back what it held."""

    async def scene(shop: Shop) -> None:
        shop.engine.gate.clear()
        with site({"/a.jpg": PHOTO}) as origin:
            body = {"image_urls": [f"{origin}/a.jpg"] * 3}
            several = [shop.client.post("/batches/v1", json=body, headers={"idempotency-key": "k"}) for _ in range(4)]
            ids = {answer.json()["id"] for answer in await asyncio.gather(*several)}
            (batch_id,) = ids
            shop.engine.gate.set()
            told = await shop.finished(batch_id)
        assert told["counts"]["done"] == 3

    play(scene)


def test_streams_of_events_are_bounded(play: Callable[..., None]) -> None:
    """More than there may be are told to come again."""

    async def scene(shop: Shop) -> None:
        begun = await shop.order("https://a.invalid/x.jpg")
        for _ in range(batches.STREAMS):
            await shop.batching.streams.acquire()
        answer = await shop.client.get(f"/batches/v1/{begun['id']}/events")
        assert code(answer) == (503, "unavailable")
        assert answer.headers["retry-after"] == "30"

    play(scene)


def test_pages_are_parts(play: Callable[..., None]) -> None:
    """``limit`` of them from ``offset`` on, and where the next begins."""

    async def scene(shop: Shop) -> None:
        begun = await shop.order(*(f"https://a.invalid/{number}.jpg" for number in range(5)))
        path = f"/batches/v1/{begun['id']}"
        told = (await shop.client.get(path, params={"limit": 2, "offset": 1})).json()
        assert ([item["index"] for item in told["items"]], told["next_offset"]) == ([1, 2], 3)
        told = (await shop.client.get(path, params={"limit": 2, "offset": 3})).json()
        assert ([item["index"] for item in told["items"]], told["next_offset"]) == ([3, 4], None)
        assert code(await shop.client.get(path, params={"limit": "many"})) == (400, "invalid_option")

    play(scene)


# --- progress, end --------------------------------------------------------------------------------------------------


async def events_of(shop: Shop, batch_id: str, until: str) -> list[str]:
    """Lines of the stream up to the first that begins so."""
    lines = []
    async with shop.client.stream("GET", f"/batches/v1/{batch_id}/events") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        async for line in answer.aiter_lines():
            lines.append(line)
            if line.startswith(until):
                break
    return lines


def test_progress_is_told_as_it_happens(play: Callable[..., None]) -> None:
    """Comments while nothing happens, an event for each picture, then the end; who comes again is told to stop."""

    async def scene(shop: Shop) -> None:
        shop.engine.gate.clear()
        with site({"/a.jpg": PHOTO}) as origin:
            begun = await shop.order(f"{origin}/a.jpg", f"{origin}/none.jpg")
            first = await events_of(shop, begun["id"], ": still here")
            assert "event: progress" in first
            shop.engine.gate.set()
            lines = await events_of(shop, begun["id"], "event: nothing")
        data = [(lines[at - 1], orjson.loads(line[6:])) for at, line in enumerate(lines) if line.startswith("data: ")]
        items = {each["index"]: each["status"] for name, each in data if name == "event: item"}
        assert items == {0: "done", 1: "failed"}
        assert lines.count("event: finished") == 1
        assert data[-1][0] == "id: finished"
        assert data[-1][1]["status"] == "finished"
        answer = await shop.client.get(f"/batches/v1/{begun['id']}/events", headers={"last-event-id": "finished"})
        assert answer.status_code == 204

    play(scene)


def test_a_batch_is_cancelled(play: Callable[..., None]) -> None:
    """What waits is; what is being made is made."""

    async def scene(shop: Shop) -> None:
        shop.engine.gate.clear()
        with site({"/a.jpg": PHOTO}) as origin:
            begun = await shop.order(*[f"{origin}/a.jpg"] * 5)
            async with asyncio.timeout(ENOUGH_S):
                while shop.engine.inside == 0:
                    await asyncio.sleep(0.01)
            assert code(await shop.client.get(f"/batches/v1/{begun['id']}/results.zip")) == (409, "not_ready")
            answer = await shop.client.delete(f"/batches/v1/{begun['id']}")
            assert answer.json()["counts"]["cancelled"] == 4
            shop.engine.gate.set()
            told = await shop.finished(begun["id"])
        assert (told["counts"]["done"], told["counts"]["cancelled"]) == (1, 4)
        async with asyncio.timeout(ENOUGH_S):
            while shop.purse.left != 999:
                await asyncio.sleep(0.01)

    play(scene)


# --- keeping and naming --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgresql"])
def test_batches_are_kept(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """They come back whole, and are forgotten after their time."""

    async def scene(kept: Batches) -> None:
        clock = Clock()
        items = (Item(0, "a", "j" * 32), Item(1, "é", failure=Failure("fetch_failed", "No.")))
        batch = Batch(f"{id(kept):032x}", "acc_1", clock(), items)
        assert await kept.add(batch)
        assert not await kept.add(batch)
        assert await kept.get(batch.id) == batch
        assert await kept.get("nothing") is None
        assert await kept.get("a\0b") is None
        assert await kept.sweep(clock()) == 0
        clock.move(seconds=1)
        assert await kept.sweep(clock()) >= 1
        assert await kept.get(batch.id) is None

    address = sqlite_address(tmp_path) if kind != "postgresql" else request.getfixturevalue("migrated_postgres")

    async def main() -> None:
        if kind == "memory":
            await scene(MemoryBatches())
            return
        db = await Database.open(address)
        try:
            await scene(TableBatches(db))
        finally:
            await db.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("cat.jpg", "0001-cat.png"),
        ("", "0001.png"),
        ("../x y.jpg", "0001-x-y.png"),
        ("é", "0001.png"),
        (".a", "0001-a.png"),
    ],
)
def test_names_are_safe_everywhere(label: str, name: str) -> None:
    """ASCII, numbered, whatever the client said."""
    assert packed_name(0, label, ".png") == name
