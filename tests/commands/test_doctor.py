"""``bgone doctor``: what it finds on a machine that is well, and on one that is not."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from moto.server import ThreadedMotoServer

from bgone.commands.checkup.environment import settings_without_effect
from bgone.commands.checkup.places import places
from bgone.settings import Settings, load
from bgone.storage.database import newest_version
from tests.commands.process import run
from tests.databases import own_postgres
from tests.serving import free_port

Findings = dict[str, list[dict[str, str]]]


def look(tmp_path: Path, *flags: str, **said: str) -> tuple[int, Findings]:
    """Exit status, and findings by what they are about, of a process of its own."""
    given = {f"BGONE_{name.upper()}": value for name, value in said.items()}
    data = {"BGONE_DATA_DIR": str(tmp_path / "data"), "BGONE_PORT": str(free_port())}
    done = run("doctor", "--json", *flags, said=data | given)
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["ok"] is (done.returncode == 0)
    found: Findings = {}
    for finding in told["findings"]:
        found.setdefault(finding["what"], []).append(finding)
    return done.returncode, found


def places_of(tmp_path: Path, **said: str) -> Findings:
    """Findings about places alone, in this process."""
    settings = load({}, {"data_dir": str(tmp_path / "data"), "port": "0"} | said)
    return {finding.what: [finding.as_json()] for finding in places(settings)}


def one(found: Findings, what: str) -> tuple[str, str, str]:
    """The only finding about something: state, words, cure."""
    (finding,) = found[what]
    return finding["state"], finding["words"], finding["cure"]


def test_a_machine_that_is_well(tmp_path: Path) -> None:
    """Everything is looked at, and nothing is made by looking."""
    status, found = look(tmp_path)

    assert status == 0
    assert set(found) == {
        "bgone", "runtime", "libraries", "reads", "heic", "writes", "deflate", "variables", "fetch allow list",
        "settings", "cores", "memory", "load", "scratch", "open files", "model", "device", "port", "data folder",
        "database", "object store", "rate limits",
    }  # fmt: skip
    assert [
        finding["words"] for findings in found.values() for finding in findings if finding["state"] == "problem"
    ] == []
    assert one(found, "reads")[:2] == ("ok", "jpeg, png, webp, gif, tiff, bmp, avif")
    assert one(found, "writes")[:2] == ("ok", "png, jpg, webp, tiff, bmp, gif, avif, zip")
    assert "verified" in one(found, "model")[1]
    assert one(found, "device")[1].startswith("CPUExecutionProvider runs ")
    assert list(tmp_path.iterdir()) == []


def test_people_read_a_line_for_each(tmp_path: Path) -> None:
    """With a cure below where there is one, and a count at the end."""
    said = {"BGONE_DATA_DIR": str(tmp_path), "BGONE_MEMROY_MB": "300", "BGONE_SERVER": "http://x"}
    done = run("doctor", said=said)
    shown = done.stdout.decode()

    assert (
        "warning  variables        BGONE_MEMROY_MB is read by nothing\n" + " " * 26 + "-> perhaps BGONE_MEMORY_MB\n"
        in shown
    )
    assert "BGONE_SERVER" not in shown
    assert shown.splitlines()[-1].startswith("0 problems, ")
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_bad_setting_is_a_problem(tmp_path: Path) -> None:
    """The rest is looked at all the same."""
    status, found = look(tmp_path, "--threads", "two")

    assert status == 1
    assert one(found, "settings")[:2] == ("problem", "--threads (BGONE_THREADS): Expected `int`, got `str`; got 'two'.")
    assert "device" in found


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"auth": "none", "api_keys": "k"}, "keys and accounts have no effect"),
        ({"auth": "none", "host": "0.0.0.0"}, "0.0.0.0 is open to whoever reaches it"),
        ({"limits_outage": "closed"}, "BGONE_LIMITS_OUTAGE has no effect"),
        ({"models_dir": "/nowhere"}, "/nowhere is no folder"),
    ],
)
def test_settings_without_effect_are_told(tmp_path: Path, said: dict[str, str], words: str) -> None:
    """With what to do instead."""
    found = [
        one for one in settings_without_effect(load({}, {"data_dir": str(tmp_path)} | said)) if one.what == "settings"
    ]

    assert any(words in finding.words and finding.cure for finding in found)
    assert {finding.state for finding in found} == {"warning"}


def test_an_allow_list_of_everything_is_told(tmp_path: Path) -> None:
    """It is no list any more."""
    wide = load({}, {"data_dir": str(tmp_path), "fetch_allow": "10.0.0.0/8,::/0"})

    assert [one.state for one in settings_without_effect(wide) if one.what == "fetch allow list"] == ["warning"]


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """It may be bgone itself: a warning."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        found = places_of(tmp_path, port=port)

    assert one(found, "port")[0] == "warning"
    assert f"127.0.0.1:{port} is taken" in one(found, "port")[1]


def test_a_model_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    """In the words of the server."""
    status, found = look(tmp_path, model=str(tmp_path / "own.onnx"))

    assert status == 1
    assert one(found, "model")[0] == "problem"
    assert "own.onnx" in one(found, "model")[1]


def test_a_device_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    """With what to install."""
    status, found = look(tmp_path, device="cuda")

    assert status == 1
    assert {finding["state"] for finding in found["model"]} == {"ok", "problem"}


def test_what_openvino_showed_is_told(tmp_path: Path) -> None:
    """Of a device that nobody chose: what runs, and why that."""
    status, found = look(tmp_path, device="auto")
    state, words, _ = one(found, "openvino")

    print(words)
    assert (status, state) == (0, "ok")
    assert one(found, "device")[1].startswith("OpenVINO " if ": used" in words else "CPUExecutionProvider ")


def test_openvino_that_was_asked_for_is_told_with_its_precision(tmp_path: Path) -> None:
    """It is used, so there is nothing to compare."""
    _, found = look(tmp_path, device="openvino")

    assert re.match(r"OpenVINO (f32|bf16|f16) runs ", one(found, "device")[1])
    assert "openvino" not in found


def test_a_data_folder_that_cannot_be_written_is_a_problem(tmp_path: Path) -> None:
    """Also for root, who may do nearly everything."""
    assert one(places_of(tmp_path, data_dir="/proc/1/bgone"), "data folder")[0] == "problem"


# --- the database ---------------------------------------------------------------------------------------------------


def test_a_database_is_looked_at_without_changing_it(tmp_path: Path) -> None:
    """An older bgone may be using it."""
    made = run("accounts", "create", "shop", said={"BGONE_DATA_DIR": str(tmp_path / "data")})
    assert made.returncode == 0
    good = places_of(tmp_path)
    with sqlite3.connect(tmp_path / "data" / "bgone.db") as link:
        link.execute("UPDATE alembic_version SET version_num = '0001'")
    link.close()
    old = places_of(tmp_path)
    link = sqlite3.connect(tmp_path / "data" / "bgone.db")
    assert link.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
    link.close()

    assert one(good, "database")[0] == "ok"
    assert newest_version() in one(good, "database")[1]  # type: ignore[operator]
    assert one(old, "database")[0] == "problem"
    assert one(old, "database")[2] == "bgone db upgrade"


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    """In one line."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bgone.db").write_text("no database" * 100)

    assert one(places_of(tmp_path), "database")[:2] == ("problem", "file is not a database")


def test_postgres_without_tables_is_a_problem(tmp_path: Path) -> None:
    """The password is not shown."""
    with own_postgres() as address:
        found = places_of(tmp_path, database_url=address)
    lost = places_of(tmp_path, database_url="postgresql+psycopg://bgone:pw@127.0.0.1:1/bgone")

    assert one(found, "database")[2] == "bgone db upgrade"
    assert "cannot be opened" in one(lost, "database")[1]
    assert "pw" not in one(lost, "database")[1]


# --- the object store, Redis ----------------------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server, and how it is reached."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ENDPOINT", f"http://{host}:{port}"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(name, value)
    yield f"http://{host}:{port}"
    server.stop()


def test_an_object_store_is_tried(tmp_path: Path, bucket: str) -> None:
    """A folder, a bucket, and a bucket that is not there."""
    httpx2.put(f"{bucket}/results", trust_env=False)
    folder = places_of(tmp_path, objects_url=f"file://{tmp_path}/objects")
    there = places_of(tmp_path, objects_url="s3://results/cut")
    missing = places_of(tmp_path, objects_url="s3://nothing/cut")

    assert one(folder, "object store")[0] == one(there, "object store")[0] == "ok"
    assert list((tmp_path / "objects").iterdir()) == []
    assert one(missing, "object store")[0] == "problem"


@pytest.mark.parametrize(("outage", "state"), [("open", "warning"), ("closed", "problem")])
def test_a_redis_that_is_away_is_told(tmp_path: Path, outage: str, state: str) -> None:
    """As bad as the setting for outages makes it."""
    away = f"redis://127.0.0.1:{free_port()}"
    found = places_of(tmp_path, rate_limits="on", limits_outage=outage, limits_url=away)

    assert one(found, "rate limits")[0] == state


def test_flags_are_those_of_serve(tmp_path: Path) -> None:
    """Every setting."""
    shown = " ".join(run("doctor", "--help").stdout.decode().split())

    assert [name for name in Settings.__struct_fields__ if f"--{name.replace('_', '-')} VALUE" not in shown] == []
