"""The Compose example: fits the specification, is closed, and its settings work together.

No container is started: that takes a daemon and images. What the containers would be told is told to real processes:
bgone, its worker, PostgreSQL, Redis, and an S3 server in the bucket's place.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from bgone.settings import load
from tests.clients.install import python_packages
from tests.databases import own_postgres
from tests.deploy.programs import DEPLOY, output
from tests.deploy.running import accepts, running
from tests.deploy.test_packaging import clean
from tests.pictures import ball, decode, photo
from tests.serving import free_port

COMPOSE = DEPLOY / "compose"
TEXT = (COMPOSE / "compose.yaml").read_text()
EXAMPLE = dict(
    line.split("=", 1) for line in (COMPOSE / ".env.example").read_text().splitlines() if re.match("[A-Z]", line)
)
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
STORES = {"postgres", "redis", "s3"}


def interpolated(values: Mapping[str, str]) -> dict[str, Any]:
    """The example with its variables filled in, as Compose does it."""

    def fill(match: re.Match[str]) -> str:
        name, sign, rest = match.groups()
        value = values.get(name, "") or (rest if sign == "-" else "")
        assert value or sign == "-", f"{name} is required"
        return value

    return dict(yaml.safe_load(VARIABLE.sub(fill, TEXT)))


def filled() -> dict[str, str]:
    """What an operator would fill in."""
    return {name: value or secrets.token_hex(16) for name, value in EXAMPLE.items() if name != "PUBLIC_URL"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """All services, filled in."""
    found: dict[str, Any] = interpolated(filled())["services"]
    return found


def test_example_fits_the_specification() -> None:
    """By a strict reader of the Compose specification, which looks for what is named as well."""
    python = python_packages("compose-spec", "compose-spec==0.2.1")
    check = "import sys, compose_spec; compose_spec.PyCompose.from_json(sys.argv[1]).validate()"
    whole = interpolated(filled())
    output(python, "-c", check, json.dumps(whole))

    misspelled = json.dumps(whole).replace("pids_limit", "pids_limt", 1)
    assert "pids_limt" in output(python, "-c", check, misspelled, status=1)
    homeless = json.dumps(whole).replace('"networks": ["inside"', '"networks": ["outer"', 1)
    assert "outer" in output(python, "-c", check, homeless, status=1)


def test_variables_are_those_of_the_example_file() -> None:
    """None is missing there, and none is there for nothing; secrets have no value that somebody might leave."""
    assert {match[0] for match in VARIABLE.findall(TEXT)} == set(EXAMPLE)
    required = {match[0] for match in VARIABLE.findall(TEXT) if match[1] == "?"}
    assert {name for name, value in EXAMPLE.items() if not value} == required | {"PUBLIC_URL"}


def test_services_are_closed_in(services: dict[str, Any]) -> None:
    """Nothing writable but what must be, no powers of root, and a limit of memory; one port, on loopback."""
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        assert service["restart"] == ("no" if name == "upgrade" else "unless-stopped"), name
        assert "healthcheck" in service or name == "bgone", name  # the image has its own
        assert ("ports" in service) == (name == "bgone"), name
        assert not (name in STORES and "outside" in service["networks"]), name
    assert services["bgone"]["ports"] == ["127.0.0.1:8000:8000"]


def test_services_wait_for_what_they_need(services: dict[str, Any]) -> None:
    """And are given the time that they take to stop."""
    for name in ("bgone", "work"):
        waits = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
        assert waits == {
            "upgrade": "service_completed_successfully",
            "redis": "service_healthy",
            "s3": "service_healthy",
        }
        settings = load({**services[name]["environment"], "BGONE_HOST": "0.0.0.0"})
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > settings.drain_s + settings.grace_s


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[dict[str, str]]:
    """PostgreSQL, Redis and an S3 server: where they are in the example → where they are here."""
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    redis, s3 = free_port(), free_port()
    commands: list[tuple[list[str | Path], int]] = [
        (["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path], redis),
        ([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(s3)], s3),
    ]
    (tmp_path / "redis").mkdir()
    (tmp_path / "s3").mkdir()
    with (
        own_postgres() as postgres,
        running(commands[0][0], tmp_path / "redis" / "log", lambda: accepts(redis)),
        running(commands[1][0], tmp_path / "s3" / "log", lambda: accepts(s3)),
    ):
        assert httpx2.put(f"http://127.0.0.1:{s3}/bgone", trust_env=False).status_code == 200
        yield {
            "database": postgres,
            "redis://redis:6379": f"redis://127.0.0.1:{redis}",
            "http://s3:3900": f"http://127.0.0.1:{s3}",
            "garage": "us-east-1",  # a bucket made without a word lies there
        }


@pytest.mark.timeout(300)  # a dozen programs, one after the other
def test_what_the_containers_are_told_works_together(
    services: dict[str, Any], stores: dict[str, str], tmp_path: Path
) -> None:
    """Tables are made, an account and a key; a job that the server takes is done by the worker, through the bucket."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(("BGONE_", "AWS_"))}
    ports = {"bgone": free_port(), "work": free_port()}

    def told(name: str) -> dict[str, str]:
        given = {key: str(value) for key, value in services[name]["environment"].items()}
        given["BGONE_DATABASE_URL"] = stores["database"]
        for there, here in stores.items():
            given = {key: value.replace(there, here) if "BUCKET" not in key else value for key, value in given.items()}
        if name == "work":
            given["BGONE_METRICS_PORT"] = str(ports["work"])
        return {**base, **clean(tmp_path), "NO_PROXY": "127.0.0.1", **given}

    def bgone(*words: str, name: str = "bgone") -> str:
        command = [sys.executable, "-m", "bgone", *words]
        return subprocess.run(
            command, env=told(name), check=True, text=True, stdout=subprocess.PIPE, timeout=100
        ).stdout.strip()

    def ready(port: int) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    bgone(*services["upgrade"]["command"], name="upgrade")
    bgone("accounts", "create", "shop", "--credits", "10")
    headers = {"authorization": f"Bearer {bgone('keys', 'create', '--account', 'shop', '--prefix', 'sk_live_')}"}
    url = f"http://127.0.0.1:{ports['bgone']}"
    server = [sys.executable, "-m", "bgone", "serve", "--port", str(ports["bgone"])]
    worker = [sys.executable, "-m", "bgone", *services["work"]["command"]]
    with (
        running(server, tmp_path / "server.log", lambda: ready(ports["bgone"]), told("bgone")),
        running(worker, tmp_path / "worker.log", lambda: ready(ports["work"]), told("work")),
        httpx2.Client(base_url=url, trust_env=False, timeout=60, headers=headers) as client,
    ):
        form = {"image_file": ("a.jpg", photo(161, 120, of=ball))}
        answer = client.post("/api/v1/remove-bg", files=form)
        assert answer.status_code in (200, 202), answer.text
        job = answer.json()["jobId"]
        give_up_at = time.monotonic() + 60
        while (shown := client.get(f"/api/v1/jobs/{job}").json())["status"] == "processing":
            assert time.monotonic() < give_up_at, shown
            time.sleep(0.1)
        assert shown["status"] == "completed", shown
        assert decode(client.get(shown["outputUrl"]).content).shape == (120, 161, 4)
        admin = {"x-api-key": services["bgone"]["environment"]["BGONE_ADMIN_KEY"]}
        assert client.get("/admin/v1/accounts/shop", headers=admin).status_code == 200
        done = httpx2.get(f"http://127.0.0.1:{ports['work']}/metrics", trust_env=False).text
        assert re.search(r'^bgone_jobs_ended_total\{.*state="done"\} 1.0$', done, re.MULTILINE), done
