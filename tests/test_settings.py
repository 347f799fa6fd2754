"""Settings: from the environment and from flags, checked, safe by default."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bgone.__main__ import serve
from bgone.errors import StartError
from bgone.machine import cores
from bgone.settings import Settings, describe, flag, load

GIVEN: dict[str, tuple[str, object]] = {
    "host": ("::1", "::1"),
    "port": ("9000", 9000),
    "auth": ("none", "none"),
    "api_keys": ("one, two,,three ", ("one", "two", "three")),
    "legacy_keys": ("false", False),
    "admin_key": ("adm", "adm"),
    "data_dir": ("/var/lib/bgone", "/var/lib/bgone"),
    "database_url": ("postgresql+psycopg:///bgone", "postgresql+psycopg:///bgone"),
    "rate_limits": ("off", "off"),
    "limits_url": ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
    "limits_plans": ('{"free": {}}', '{"free": {}}'),
    "limits_outage": ("closed", "closed"),
    "model": ("/nets/own.onnx", "/nets/own.onnx"),
    "models": ("u2netp,/nets/own.onnx", ("u2netp", "/nets/own.onnx")),
    "models_dir": ("/nets", "/nets"),
    "models_mirror": ("https://nets.example/bgone", "https://nets.example/bgone"),
    "device": ("cuda", "cuda"),
    "threads": ("3", 3),
    "quality": ("fine", "fine"),
    "max_batch": ("8", 8),
    "low_memory": ("true", True),
    "picture_threads": ("5", 5),
    "seats": ("6", 6),
    "queue": ("0", 0),
    "memory_mb": ("256", 256),
    "deadline_s": ("12.5", 12.5),
    "max_mb": ("22", 22.0),
    "max_megapixels": ("0.5", 0.5),
    "input_formats": ("jpeg,png", ("jpeg", "png")),
    "max_fields": ("10", 10),
    "head_s": ("5", 5.0),
    "read_s": ("7.5", 7.5),
    "fetch_allow": ("127.0.0.0/8,::1/128", ("127.0.0.0/8", "::1/128")),
    "fetch_s": ("3", 3.0),
    "cors": ("all", "all"),
    "hosts": ("api.remove.bg=removebg,x=poof", ("api.remove.bg=removebg", "x=poof")),
    "prefer": ("foner", ("foner",)),
    "public_url": ("https://cut.example", "https://cut.example"),
    "preview_price": ("0", "0"),
    "objects_url": ("memory:///", "memory:///"),
    "result_ttl_s": ("60", 60.0),
    "link_secret": ("s3cret", "s3cret"),
    "webhook_secret": ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    "job_wait_s": ("0", 0.0),
    "jobs_running": ("4", 4),
    "jobs_waiting": ("0", 0),
    "grace_s": ("9", 9),
    "drain_s": ("0", 0.0),
    "metrics_port": ("9090", 9090),
    "log_level": ("debug", "debug"),
}

BAD = {
    "port": ("65536", "abc", "8.5", "-1"),
    "auth": ("yes", "None"),
    "rate_limits": ("yes",),
    "limits_outage": ("half",),
    "device": ("gpu", ""),
    "threads": ("-1", "two"),
    "quality": ("90", "finest"),
    "max_batch": ("0", "257"),
    "low_memory": ("perhaps",),
    "picture_threads": ("-1",),
    "seats": ("x",),
    "queue": ("-1",),
    "memory_mb": ("-5", "1GB"),
    "deadline_s": ("0", "nan", "inf"),
    "max_mb": ("-1", "inf"),
    "max_megapixels": ("-1", "inf", "1e300"),
    "input_formats": ("jpg",),
    "cors": ("yes",),
    "preview_price": ("2", "-1", "free"),
    "result_ttl_s": ("0",),
    "job_wait_s": ("601",),
    "jobs_running": ("-1",),
    "max_fields": ("0",),
    "fetch_s": ("0", "61"),
    "grace_s": ("1.5",),
    "drain_s": ("-1", "inf"),
    "metrics_port": ("-1", "65536", "x"),
    "log_level": ("loud",),
}


def test_every_setting_is_tried_below() -> None:
    """A new setting needs its line in this file."""
    assert set(GIVEN) == set(Settings.__struct_fields__)


@pytest.mark.parametrize("name", GIVEN)
def test_every_setting_comes_from_the_environment(name: str) -> None:
    """BGONE_<NAME>, as text."""
    text, value = GIVEN[name]

    assert getattr(load({f"BGONE_{name.upper()}": text}), name) == value


@pytest.mark.parametrize("name", GIVEN)
def test_every_setting_comes_from_a_flag_which_wins(name: str) -> None:
    """The flag is the setting's name with dashes."""
    text, value = GIVEN[name]
    other = {f"BGONE_{name.upper()}": getattr(Settings(), name)}

    assert getattr(load({key: str(value or "") for key, value in other.items()}, {name: text}), name) == value


def test_nothing_said_is_the_defaults() -> None:
    """Empty variables count as not said; others' variables are not ours."""
    assert load({}) == load({"BGONE_PORT": "", "PORT": "1", "BGONE_UNKNOWN": "1"}) == Settings()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_a_bad_value_names_option_expected_and_got(name: str, text: str) -> None:
    """By flag and by variable, in one line."""
    with pytest.raises(StartError) as caught:
        load({}, {name: text})

    words = str(caught.value)
    assert words.startswith(f"{flag(name)} (BGONE_{name.upper()}): ")
    assert words.endswith(f"; got {text!r}.")
    assert "xpected" in words or "nvalid" in words


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "::ffff:0.0.0.0", ""])
def test_open_to_others_without_keys_is_refused(host: str) -> None:
    """The words name both cures."""
    with pytest.raises(StartError, match=r"BGONE_API_KEYS=.* or say BGONE_AUTH=none"):
        load({}, {"host": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    """Nobody else reaches it: no key needed."""
    assert not load({"BGONE_HOST": host}).keys_needed


@pytest.mark.parametrize(
    ("said", "needed"),
    [
        ({"BGONE_API_KEYS": "k"}, True),
        ({"BGONE_API_KEYS": "k", "BGONE_HOST": "0.0.0.0"}, True),
        ({"BGONE_API_KEYS": "k", "BGONE_AUTH": "required"}, True),
        ({"BGONE_API_KEYS": "k", "BGONE_AUTH": "none"}, False),
        ({"BGONE_HOST": "0.0.0.0", "BGONE_AUTH": "none"}, False),
    ],
)
def test_keys_are_needed_where_there_are_any(said: dict[str, str], needed: bool) -> None:
    """Unless the operator says none."""
    assert load(said).keys_needed is needed


@pytest.mark.parametrize("keys", ["", " , "])
def test_required_without_keys_is_refused(keys: str) -> None:
    """Nobody could ever ask."""
    with pytest.raises(StartError, match="BGONE_AUTH=required but there are no keys"):
        load({"BGONE_AUTH": "required", "BGONE_API_KEYS": keys})


def test_zero_is_what_the_machine_allows() -> None:
    """All cores, one seat more than threads, a bounded share of the memory."""
    settings = Settings()

    assert settings.core_threads == settings.net_threads == cores()
    assert settings.seat_count == cores() + 1
    assert 0 < settings.memory_budget_bytes <= 512_000_000
    assert settings.models_path == settings.data_path / "models"
    assert settings.enabled_models == (settings.model,)


def test_what_is_said_is_taken() -> None:
    """No share, no guess."""
    settings = Settings(threads=3, picture_threads=5, memory_mb=64, models_dir="nets")

    assert (settings.net_threads, settings.core_threads, settings.seat_count) == (3, 5, 6)
    assert settings.memory_budget_bytes == 64_000_000
    assert settings.models_path == Path("nets")


def test_the_table_describes_every_setting() -> None:
    """Words end with a full stop; defaults are as typed."""
    table = {name: (words, default) for name, words, default in describe()}

    assert list(table) == list(Settings.__struct_fields__)
    assert all(words.endswith(".") for words, _ in table.values())
    assert table["port"][1] == "8000"
    assert table["api_keys"][1] == ""


def test_the_command_has_a_flag_for_every_setting() -> None:
    """With its variable and default in the help."""
    shown = " ".join(CliRunner().invoke(serve, ["--help"]).output.split())

    for name in Settings.__struct_fields__:
        assert f"{flag(name)} VALUE" in shown
        assert f"BGONE_{name.upper()};" in shown
