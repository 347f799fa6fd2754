"""Jobs of a server with accounts outlive its process: killed, restarted, asked again, over real HTTP."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from bgone.accounts.books import Books, open_books
from tests import pictures
from tests.databases import KINDS, on_database, own_postgres, sqlite_address
from tests.origin import listener
from tests.pictures import decode
from tests.serving import serve, start

PHOTO = pictures.photo(161, 120, of=pictures.ball)


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind that nobody else uses: killed servers leave connections behind."""
    if request.param == "sqlite":
        yield sqlite_address(tmp_path)
    else:
        with own_postgres() as found:
            on_database(found, lambda database: database.migrate())
            yield found


def new_key(address: str, given: int) -> str:
    async def make() -> str:
        async with open_books(address) as books:
            account = await books.accounts.create("shop", credits=Decimal(given))
            secret, _ = await books.keys.create(account.id, prefix="sk_live_")
            return secret

    return asyncio.run(make())


def in_books(address: str, work: Any) -> Any:
    async def main() -> Any:
        async with open_books(address) as books:
            return await work(books)

    return asyncio.run(main())


def test_a_killed_servers_jobs_are_done_by_the_next(address: str, tmp_path: Path) -> None:
    """Each accepted job ends once: a result behind its link, one charge, a webhook with one id; nothing stays held."""
    key = new_key(address, 20)
    headers = {"authorization": f"Bearer {key}"}
    settings: dict[str, object] = {
        "database_url": address,
        "data_dir": tmp_path / "state",
        "fetch_allow": "127.0.0.0/8",
        "public_url": "http://127.0.0.1:1",
    }
    with listener() as (url, told):
        with serve(tmp_path, **settings) as served:
            jobs = []
            for _ in range(8):
                answer = served.post(
                    "/api/v1/remove-bg",
                    files={"image_file": ("x.jpg", PHOTO)},
                    data={"webhook_url": url},
                    headers=headers,
                )
                assert answer.status_code == 202, answer.text
                jobs.append(answer.json()["jobId"])
            served.process.send_signal(signal.SIGKILL)
            served.process.wait()

        with serve(tmp_path, **settings) as served, served.client() as client:
            give_up_at = time.monotonic() + 90
            waiting = set(jobs)
            while waiting and time.monotonic() < give_up_at:
                for job in sorted(waiting):
                    shown = client.get(f"/api/v1/jobs/{job}", headers=headers)
                    assert shown.status_code == 200, shown.text
                    if shown.json()["status"] != "processing":
                        assert shown.json()["status"] == "completed", shown.text
                        link = shown.json()["outputUrl"].replace("http://127.0.0.1:1", served.url)
                        assert decode(client.get(link).content).shape == (120, 161, 4)
                        waiting.discard(job)
                time.sleep(0.1)
            assert not waiting
            ids: dict[str, set[str]] = {}  # job → ids of its messages
            while len(ids) < 8:
                one = told.get(timeout=max(0.1, give_up_at - time.monotonic()))
                ids.setdefault(orjson.loads(one.body)["jobId"], set()).add(one.message_id)

    assert set(ids) == set(jobs)
    assert all(len(messages) == 1 for messages in ids.values())

    async def look(books: Books) -> tuple[Decimal, Decimal, list[Any]]:
        balance = await books.credits.balance("shop")
        return balance.credits, balance.held, await books.credits.audit()

    assert in_books(address, look) == (12, 0, [])


def test_the_same_idempotency_key_is_the_same_job(address: str, tmp_path: Path) -> None:
    """Paid once; another picture under the same key is refused."""
    key = new_key(address, 5)
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "order-7"}
    with serve(tmp_path, database_url=address, data_dir=tmp_path / "state") as served:
        ids = {
            served.post("/api/v1/remove-bg", files={"image_file": ("x.jpg", PHOTO)}, headers=headers).json()["jobId"]
            for _ in range(3)
        }
        other = served.post(
            "/api/v1/remove-bg", files={"image_file": ("x.jpg", pictures.photo(80, 60))}, headers=headers
        )

        assert len(ids) == 1
        assert other.status_code == 400, other.text
        give_up_at = time.monotonic() + 80
        while in_books(address, lambda books: books.credits.balance("shop")).held and time.monotonic() < give_up_at:
            time.sleep(0.1)
    assert in_books(address, lambda books: books.credits.balance("shop")).credits == 4


def test_a_worker_alone_does_what_a_server_takes(address: str, tmp_path: Path) -> None:
    """``bgone work`` over the same database and object store; the server itself does none."""
    key = new_key(address, 5)
    headers = {"authorization": f"Bearer {key}"}
    settings: dict[str, object] = {"database_url": address, "data_dir": tmp_path / "state"}
    (tmp_path / "worker").mkdir()
    with serve(tmp_path, **settings, jobs_running=0) as served:
        job = served.post("/api/v1/remove-bg", files={"image_file": ("x.jpg", PHOTO)}, headers=headers).json()["jobId"]
        time.sleep(1)
        assert served.get(f"/api/v1/jobs/{job}", headers=headers).json()["status"] == "processing"

        worker = start(tmp_path / "worker", None, **settings)
        try:
            give_up_at = time.monotonic() + 80
            shown = served.get(f"/api/v1/jobs/{job}", headers=headers)
            while shown.json()["status"] == "processing" and time.monotonic() < give_up_at:
                time.sleep(0.1)
                shown = served.get(f"/api/v1/jobs/{job}", headers=headers)
            assert shown.json()["status"] == "completed", (tmp_path / "worker" / "log").read_text()
            assert decode(served.get(shown.json()["outputUrl"]).content).shape == (120, 161, 4)
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=30) == 0
