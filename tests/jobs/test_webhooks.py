"""Webhooks: who is told, how it is signed, how often it is tried, and who is never asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest

from bgone.errors import StartError
from bgone.imaging.geometry import Box
from bgone.jobs.deliveries import Delivery, MemoryDeliveries, Rules
from bgone.jobs.hooks import OneHook, key_of, new_secret, signature
from bgone.jobs.job import Failure, Job, Stored
from bgone.jobs.webhooks import Webhooks
from bgone.pipeline.addresses import parse_networks
from tests.conftest import ROOT
from tests.jobs.receivers import ENOUGH_S, receiver

BODY = b'{"jobId":"cm3abc","status":"completed"}'
LOOPBACK = "127.0.0.0/8"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the specification's own example
QUICK = Rules(pauses_s=(0.01, 0.02, 0.03))


@asynccontextmanager
async def sending(
    allow: str = LOOPBACK, names: dict[str, list[str]] | None = None, rules: Rules = QUICK, **options: Any
) -> AsyncIterator[Webhooks]:
    """A sender that knows ``names`` and no others."""

    def resolve(host: str, _port: int) -> list[str]:
        if host not in (names or {}):
            raise OSError("unknown name")
        return (names or {})[host]

    sender = Webhooks(
        parse_networks(allow), rules=rules, hooks=OneHook(SECRET), resolver=resolve, **{"poll_s": 0.05, **options}
    )
    try:
        yield sender
    finally:
        await sender.aclose()


async def over(sender: Webhooks, job_id: str = "cm3abc") -> Delivery:
    """The one delivery of a job, once it is over."""
    async with asyncio.timeout(ENOUGH_S):
        while True:
            (delivery,) = await sender.deliveries.of_job(job_id)
            if delivery.state != "waiting":
                return delivery
            await asyncio.sleep(0.005)


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())  # type: ignore[arg-type]


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_a_receiver_is_told_once() -> None:
    """POST of JSON with its length to the very path and query; any 2xx ends it, and is in the log."""

    async def main() -> None:
        async with receiver("204 No Content") as listener, sending() as sender:
            assert await sender.send("cm3abc", listener.url, BODY)
            delivery = await over(sender)
            (told,) = listener.told
            assert (told.path, told.body) == ("/hook?token=1", BODY)
            assert told.headers["content-type"] == "application/json"
            assert delivery.state == "delivered"
            (tried,) = delivery.tries
            assert (tried.status, tried.error) == (204, "")
            assert 0 < tried.latency_ms < ENOUGH_S * 1000

    run(main)


def snippet() -> Callable[[dict[str, str], bytes, str], bool]:
    """The receiver's function as docs/webhooks.md shows it."""
    text = (ROOT / "docs/webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    space: dict[str, Any] = {}
    exec(code, space)
    verify: Callable[[dict[str, str], bytes, str], bool] = space["verify"]
    return verify


def test_receivers_can_verify_by_the_documents_snippet() -> None:
    """What was sent verifies; with another secret, body, id or time it does not."""

    async def main() -> None:
        verify = snippet()
        async with receiver("200 OK") as listener, sending() as sender:
            await sender.send("cm3abc", listener.url, BODY)
            (told,) = await listener.heard(1)
            assert verify(told.headers, told.body, SECRET)
            assert not verify(told.headers, told.body, new_secret())
            assert not verify(told.headers, told.body + b" ", SECRET)
            assert not verify({**told.headers, "webhook-id": "msg_x"}, told.body, SECRET)
            late = str(int(told.headers["webhook-timestamp"]) - 3600)
            assert not verify({**told.headers, "webhook-timestamp": late}, told.body, SECRET)
            assert not verify({}, told.body, SECRET)

    run(main)


def test_signatures_are_those_of_standard_webhooks() -> None:
    """The example of the specification's own libraries (standardwebhooks, tests of its Python and Rust releases)."""
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    assert signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!"])
def test_bad_secrets_stop_the_start(secret: str) -> None:
    """No secret, too short a one, or none of this form."""
    with pytest.raises(StartError):
        OneHook(secret)


def test_new_secrets_differ_and_can_be_used() -> None:
    """32 bytes each."""
    assert len({new_secret() for _ in range(9)}) == 9
    assert len(key_of(new_secret())) == 32


def test_the_end_of_any_job_is_told_to_the_accounts_own_url() -> None:
    """Done with a link, failed with a reason; nobody is told where no URL is set."""
    at = datetime(2026, 1, 31, 3, 4, 5, tzinfo=UTC)
    stored = Stored("k" * 32, "image/png", ".png", 9, 4, 3, Box(0, 0, 4, 3))
    done = Job("d" * 32, "foner", "acc_1", "done", at, at + timedelta(seconds=2), stored, price=Decimal(1))
    failed = replace(done, id="f" * 32, state="failed", result=None, failure=Failure("fetch_failed", "No."))

    async def main() -> None:
        async with receiver("200 OK") as listener, sending() as sender:
            await sender.announce(done, "https://b/results/x")
            assert await sender.deliveries.recent(9) == []
            sender._hooks = OneHook(SECRET, listener.url)
            await sender.announce(done, "https://b/results/x")
            await sender.announce(failed, None)
            told = {
                event["type"]: event["data"] for event in map(orjson.loads, [t.body for t in await listener.heard(2)])
            }
            assert told["job.done"]["result_url"] == "https://b/results/x"
            assert told["job.done"]["job_id"] == done.id
            assert told["job.failed"]["error"] == {"code": "fetch_failed", "message": "No."}

    run(main)


# --- how often ------------------------------------------------------------------------------------------------------


def test_it_is_tried_again_with_the_same_id() -> None:
    """An error, a redirect (not followed) and a broken line; then it is taken, and that was all."""

    async def main() -> None:
        async with receiver("500 Oops", "302 Found", "", "200 OK") as listener, sending() as sender:
            await sender.send("cm3abc", listener.url, BODY)
            delivery = await over(sender)
            assert delivery.state == "delivered"
            assert [told.body for told in listener.told] == [BODY] * 4
            assert {told.headers["webhook-id"] for told in listener.told} == {delivery.id}
            assert [tried.status for tried in delivery.tries] == [500, 302, None, 200]
            assert delivery.tries[0].error == "answered 500"
            assert "redirects are not followed" in delivery.tries[1].error

    run(main)


def test_tries_end() -> None:
    """Four in all by this schedule, then it is given up; redelivery begins anew with the same id."""

    async def main() -> None:
        async with receiver(*["503 Busy"] * 4, "200 OK") as listener, sending() as sender:
            await sender.send("cm3abc", listener.url, BODY)
            assert (await over(sender)).state == "failed"
            assert len(listener.told) == 4
            assert await sender.redeliver("cm3abc") == 1
            assert (await over(sender)).state == "delivered"
            assert len({told.headers["webhook-id"] for told in listener.told}) == 1
            assert await sender.redeliver("nothing") == 0

    run(main)


def test_receivers_that_are_gone_for_good_are_believed() -> None:
    """410 ends it at once."""

    async def main() -> None:
        async with receiver("410 Gone") as listener, sending() as sender:
            await sender.send("cm3abc", listener.url, BODY)
            assert (await over(sender)).state == "failed"
            assert len(listener.told) == 1

    run(main)


def test_one_end_is_one_message() -> None:
    """Whoever says twice that a job is over says one thing; another job, or another URL, is another."""

    async def main() -> None:
        async with receiver("200 OK") as listener, sending() as sender:
            assert await sender.send("cm3abc", listener.url, BODY)
            assert not await sender.send("cm3abc", listener.url, BODY)
            assert await sender.send("cm3abc", listener.url + "&b", BODY)
            assert await sender.send("other", listener.url, BODY)
            await listener.heard(3)
            assert len({told.headers["webhook-id"] for told in listener.told}) == 3

    run(main)


# --- who holds up whom ----------------------------------------------------------------------------------------------


def test_silent_receivers_are_left() -> None:
    """Whoever takes the connection and says nothing has a bounded time, and the log says so."""

    async def main() -> None:
        async with receiver("200 OK", slow_s=30) as listener, sending(try_s=0.05) as sender:
            await sender.send("cm3abc", listener.url, BODY)
            delivery = await over(sender)
            assert delivery.state == "failed"
            assert [tried.error for tried in delivery.tries] == ["no answer within 0.05 s"] * 4

    run(main)


def test_a_slow_receiver_holds_up_nobody() -> None:
    """Fifty messages for one that hangs; another's go out at once, and the hanging one never has more than two."""

    async def main() -> None:
        async with (
            receiver("200 OK", slow_s=600) as slow,
            receiver("200 OK") as quick,
            sending(at_once=4, per_host=2) as sender,
        ):
            for number in range(50):
                await sender.send(f"slow{number}", slow.url, BODY)
            await slow.heard(2)
            for number in range(20):
                await sender.send(f"quick{number}", quick.url, BODY)
            await quick.heard(20)
            assert slow.most_open == 2

    run(main)


def test_vanishing_receivers_hold_up_nobody() -> None:
    """One that was there and is not any more: its messages wait, the others' are told."""

    async def main() -> None:
        async with receiver("200 OK") as gone:
            url = gone.url
        async with receiver("200 OK") as there, sending(rules=Rules(pauses_s=(60.0,))) as sender:
            for number in range(10):
                await sender.send(f"gone{number}", url, BODY)
                await sender.send(f"there{number}", there.url, BODY)
            await there.heard(10)
            delivery = await over(sender, "there9")
            assert delivery.state == "delivered"
            (waiting,) = await sender.deliveries.of_job("gone0")
            assert waiting.state == "waiting"
            assert waiting.due_at is not None
            assert waiting.due_at - waiting.created_at > timedelta(seconds=40)

    run(main)


def test_dead_receivers_do_not_fill_the_memory() -> None:
    """Beyond its bound the log of a process without a database forgets what is over, then takes no more."""

    async def main() -> None:
        rules = Rules(pauses_s=(60.0,))
        async with receiver("200 OK") as listener, sending(deliveries=MemoryDeliveries(rules, most=3)) as sender:
            assert await sender.send("taken", listener.url, BODY)
            await over(sender, "taken")
            for number in range(3):
                assert await sender.send(f"dead{number}", "http://127.0.0.1:1/", BODY)
            assert await sender.deliveries.of_job("taken") == []
            assert not await sender.send("dead4", "http://127.0.0.1:1/", BODY)

    run(main)


def test_our_own_faults_count_as_tries() -> None:
    """Nothing is tried for ever, and nothing ends the sending: not even what nobody has foreseen."""

    class Broken(MemoryDeliveries):
        faults = 3

        async def next_due(self) -> datetime | None:
            self.faults -= 1
            if self.faults >= 0:
                raise RuntimeError("a fault of ours")
            return await super().next_due()

    def resolve(_host: str, _port: int) -> list[str]:
        raise RuntimeError("another")

    async def main() -> None:
        async with receiver("200 OK") as listener:
            sender = Webhooks(
                parse_networks(LOOPBACK), deliveries=Broken(QUICK), resolver=resolve, poll_s=0.05, hooks=OneHook(SECRET)
            )
            await sender.send("cm3abc", "http://a.test/", BODY)
            await sender.send("other", listener.url, BODY)
            delivery = await over(sender)
            assert delivery.state == "failed"
            assert {tried.error for tried in delivery.tries} == {"it could not be sent"}
            assert (await over(sender, "other")).state == "delivered"
            await sender.aclose()

    run(main)


# --- who is never asked ---------------------------------------------------------------------------------------------


def test_names_are_looked_up() -> None:
    """A name leads to its addresses, and stands in ``Host``."""

    async def main() -> None:
        async with receiver("200 OK") as listener, sending(names={"a.test": ["127.0.0.1"]}) as sender:
            await sender.send("cm3abc", listener.url.replace("127.0.0.1", "a.test"), BODY)
            (told,) = await listener.heard(1)
            assert told.headers["host"] == f"a.test:{listener.port}"

    run(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "inside.test", "mixed.test"])
def test_nobody_inside_is_asked(host: str) -> None:
    """Loopback is not public, by number or by name, nor beside a public address: not a byte is sent."""

    async def main() -> None:
        names = {"inside.test": ["127.0.0.1"], "mixed.test": ["93.184.216.34", "127.0.0.1"]}
        async with receiver("200 OK") as listener, sending(allow="", names=names) as sender:
            await sender.send("cm3abc", f"http://{host}:{listener.port}/", BODY)
            delivery = await over(sender)
            assert listener.told == []
            assert {tried.error.rstrip(".").rpartition(" ")[2] for tried in delivery.tries} == {"allowed"}

    run(main)


def test_redirects_inside_are_not_followed() -> None:
    """The receiver may say where to: nobody goes there."""

    async def main() -> None:
        async with receiver("200 OK") as inside:
            way = f"307 Temporary Redirect\r\nlocation: {inside.url}"
            async with receiver(way) as listener, sending() as sender:
                await sender.send("cm3abc", listener.url, BODY)
                assert (await over(sender)).state == "failed"
            assert len(listener.told) == 4
            assert inside.told == []

    run(main)


@pytest.mark.parametrize(
    "url", ["http://unknown.test/", "http://93.184.216.34:22/", "ftp://a.test/", "", "http://127.0.0.1:1/"]
)
def test_addresses_that_lead_nowhere(url: str) -> None:
    """An unknown name, a refused port, no web address, nobody listening: given up, nothing raised."""

    async def main() -> None:
        async with sending() as sender:
            await sender.send("cm3abc", url, BODY)
            delivery = await over(sender)
            assert delivery.state == "failed"
            assert all(tried.error and tried.status is None for tried in delivery.tries)

    run(main)
