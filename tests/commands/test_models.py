"""``bgone models``: over a folder of its own, with nets that are really loaded."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from bgone.__main__ import cli
from bgone.commands.models import _progress
from bgone.matting import measuring
from bgone.matting.models import EMBEDDED, MODELS, Model, Recipe
from tests.commands.conftest import Run
from tests.matting.mirror import File, mirror
from tests.matting.nets import write_net

Told = Callable[..., dict[str, Any]]

RECIPE = Recipe(24, 32, number="float", layout="nchw", activation="sigmoid", input="input", output="output")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def net(tmp_path: Path) -> bytes:
    """A net as a publisher has it."""
    return write_net(tmp_path / "published.onnx", height=32, width=24).read_bytes()


@pytest.fixture
def tiny(net: bytes, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A row of the table for it; its one source is nowhere."""
    model = Model(
        "tiny",
        "tiny.onnx",
        hashlib.sha256(net).hexdigest(),
        "MIT",
        RECIPE,
        batchable=False,
        description="A net of a few bytes.",
        size_bytes=len(net),
        sources=("http://127.0.0.1:1/tiny.onnx",),
        terms="https://example.com/terms",
    )
    monkeypatch.setitem(MODELS, "tiny", model)
    return model


def facts(told: Told, name: str) -> dict[str, Any]:
    """A model's row of ``bgone models list``."""
    (row,) = [row for row in told("models", "list")["models"] if row["name"] == name]
    return dict(row)


def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "models"


def test_list_shows_every_row(bgone: Run, told: Told) -> None:
    """The embedded net is here and in use."""
    rows = told("models", "list")["models"]

    assert [row["name"] for row in rows] == list(MODELS)
    assert [row["name"] for row in rows if row["here"] == "yes"] == [EMBEDDED]
    assert facts(told, EMBEDDED)["used"] == "default"
    assert bgone("models", "list").stdout.startswith("name ")


def test_a_model_is_pulled_from_a_mirror_and_used(
    bgone: Run, told: Told, tiny: Model, net: bytes, tmp_path: Path
) -> None:
    """The mirror by flag; list, verify and use know it at once."""
    with mirror({"/nets/tiny.onnx": File(net)}) as address:
        done = bgone("models", "pull", "tiny", "--mirror", f"{address}/nets/")

    assert (done.exit_code, done.stdout) == (0, f"tiny is here, verified: {folder(tmp_path)}/tiny.onnx\n")
    assert (folder(tmp_path) / "tiny.onnx").read_bytes() == net
    assert [(row["name"], row["state"]) for row in told("models", "verify")["models"]] == [
        (EMBEDDED, "sound"),
        ("tiny", "sound"),
    ]
    assert bgone("models", "use", "tiny").exit_code == 0
    assert facts(told, "tiny")["used"] == "default (models use)"
    assert facts(told, EMBEDDED)["used"] == ""


def test_the_mirror_may_be_a_setting(
    bgone: Run, tiny: Model, net: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BGONE_MODELS_MIRROR and BGONE_MODELS_DIR."""
    monkeypatch.setenv("BGONE_MODELS_DIR", str(tmp_path / "nets"))
    with mirror({"/tiny.onnx": File(net)}) as address:
        monkeypatch.setenv("BGONE_MODELS_MIRROR", address)
        assert bgone("models", "pull", "tiny").exit_code == 0

    assert (tmp_path / "nets" / "tiny.onnx").read_bytes() == net


def test_no_source_is_one_line_and_why(bgone: Run, tiny: Model) -> None:
    """What was tried, then what to try."""
    done = bgone("models", "pull", "tiny")

    assert done.exit_code == 1
    assert "http://127.0.0.1:1/tiny.onnx: ConnectError" in done.stderr
    assert "tiny is at none of its 1 sources. Try --mirror URL, or --from FILE." in done.stderr


def test_a_file_that_does_not_fit_its_row_is_refused_with_both_shapes(
    bgone: Run, tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum is right, the row's recipe is not: nothing becomes visible."""
    other = write_net(tmp_path / "other.onnx", height=64, width=64).read_bytes()
    wrong = Model(
        "tiny", "tiny.onnx", hashlib.sha256(other).hexdigest(), "MIT", RECIPE, batchable=False, description="",
        size_bytes=len(other), sources=("http://127.0.0.1:1/tiny.onnx",),
    )  # fmt: skip
    monkeypatch.setitem(MODELS, "tiny", wrong)
    with mirror({"/tiny.onnx": File(other)}) as address:
        done = bgone("models", "pull", "tiny", "--mirror", address)

    assert done.exit_code != 0
    words = str(done.exception)
    assert "expected an input input float32 or float16 (n, 3, 32, 24)" in words
    assert "the graph has input tensor(float) [1, 3, 64, 64]" in words
    assert not (folder(tmp_path) / "tiny.onnx").exists()


@pytest.mark.parametrize(("commercial", "about"), [("no", "not for commercial use"), ("unclear", "unclear")])
def test_consent_is_asked_once(
    bgone: Run,
    told: Told,
    tiny: Model,
    net: bytes,
    monkeypatch: pytest.MonkeyPatch,
    commercial: Any,
    about: str,
) -> None:
    """Without it nobody is asked for the file; given once it is remembered."""
    monkeypatch.setitem(MODELS, "tiny", replace(tiny, commercial=commercial))
    served = File(net)
    with mirror({"/tiny.onnx": served}) as address:
        refused = bgone("models", "pull", "tiny", "--mirror", address)
        assert (refused.exit_code, served.asked) == (1, [])
        assert about in refused.stderr
        assert "https://example.com/terms" in refused.stderr
        assert "bgone models pull tiny --accept-licence" in refused.stderr
        assert facts(told, "tiny")["consent"] is False

        assert bgone("models", "pull", "tiny", "--mirror", address, "--accept-licence").exit_code == 0
        assert facts(told, "tiny")["consent"] is True
        assert bgone("models", "pull", "tiny", "--mirror", address).exit_code == 0


def test_a_bundle_goes_to_a_machine_without_network(bgone: Run, tiny: Model, net: bytes, tmp_path: Path) -> None:
    """Written from one folder, read into another: all that is inside, the embedded net passed over."""
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "tiny.onnx").write_bytes(net)
    tar = str(tmp_path / "models.tar")

    assert bgone("models", "bundle", "tiny", EMBEDDED, "-o", tar).exit_code == 0
    done = bgone("models", "pull", "--from", tar, "--models-dir", str(tmp_path / "elsewhere"))
    assert done.exit_code == 0
    assert (tmp_path / "elsewhere" / "tiny.onnx").read_bytes() == net
    assert not (tmp_path / "elsewhere" / MODELS[EMBEDDED].file).exists()


def test_a_damaged_file_is_found(bgone: Run, told: Told, tiny: Model, net: bytes, tmp_path: Path) -> None:
    """By verify, which ends with 1, by use and by bundle."""
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "tiny.onnx").write_bytes(net[:-1] + b"!")

    done = bgone("models", "verify")
    assert done.exit_code == 1
    assert "damaged or another file" in done.stdout
    assert "Type: bgone models pull tiny" in done.stdout
    for command in (("use", "tiny"), ("bundle", "tiny", "-o", str(tmp_path / "x.tar"))):
        assert "damaged or another file" in str(bgone("models", *command).exception)


def test_what_is_not_here_names_the_command(bgone: Run, tmp_path: Path) -> None:
    """Not used, not bundled, not measured."""
    for command in (("use",), ("verify",), ("bench",)):
        assert "Type: bgone models pull u2netp" in str(bgone("models", *command, "u2netp").exception)
    assert not (folder(tmp_path) / "in-use").exists()


@pytest.mark.parametrize("command", ["pull", "verify"])
def test_an_unknown_name_lists_the_known_ones(bgone: Run, command: str) -> None:
    """A wrong word, exit status 2."""
    done = bgone("models", command, "nothing")

    assert done.exit_code == 2
    assert f"expected one of {EMBEDDED}, birefnet-general-lite" in done.stderr


def test_pull_wants_a_name(bgone: Run) -> None:
    """It never brings all."""
    done = bgone("models", "pull")

    assert (done.exit_code, "bgone models list" in done.stderr) == (2, True)


def test_the_embedded_net_is_not_pulled(bgone: Run) -> None:
    """It came with the package."""
    assert bgone("models", "pull", EMBEDDED).stdout == f"{EMBEDDED} comes with bgone.\n"


def test_an_own_file_may_be_used(bgone: Run, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its full path from then on; one whose graph nobody can feed is refused."""
    own = write_net(tmp_path / "own.onnx", height=32, width=24)
    assert "expected an input uint8" in str(bgone("models", "use", str(own)).exception)

    own.with_suffix(".json").write_text(json.dumps(asdict(RECIPE)))
    monkeypatch.chdir(tmp_path)
    assert bgone("models", "use", "own.onnx").exit_code == 0
    row = facts(told, "own")
    assert (row["used"], row["licence"], row["width"]) == ("default (models use)", "own", 24)


def test_a_damaged_choice_is_mended_by_use(bgone: Run, told: Told, tmp_path: Path) -> None:
    """What the words of every other command say to type must work."""
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "in-use").write_text("no such model")
    assert "Type: bgone models use NAME" in str(bgone("models", "list").exception)

    assert bgone("models", "use", EMBEDDED).exit_code == 0
    assert facts(told, EMBEDDED)["used"] == "default (models use)"


def test_use_says_where_the_environment_wins(bgone: Run, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """The choice is written, and does not hold here."""
    monkeypatch.setenv("BGONE_MODEL", EMBEDDED)
    monkeypatch.setenv("BGONE_MODELS", "u2netp")

    assert f"BGONE_MODEL={EMBEDDED} is set here, and wins" in bgone("models", "use", EMBEDDED).stderr
    assert facts(told, EMBEDDED)["used"] == "default (BGONE_MODEL)"
    assert facts(told, "u2netp")["used"] == "choice"


def test_bench_measures_what_is_here(told: Told, bgone: Run) -> None:
    """The embedded net, in a process of its own."""
    (row,) = told("models", "bench", "--rounds", "2")["models"]

    assert (row["name"], row["rounds"]) == (EMBEDDED, 2)
    assert row["device"].endswith("ExecutionProvider")
    assert row["net_ms"] > 0
    assert row["load_s"] > 0
    assert row["memory_mb"] > 0


@pytest.mark.parametrize("command", ["pull", "use", "bundle", "verify", "bench"])
def test_shells_complete_names(command: str) -> None:
    """Of the table."""
    completing = ShellComplete(cli, {}, "bgone", "_BGONE_COMPLETE")

    assert [one.value for one in completing.get_completions(["models", command], "birefnet-hr-")] == [
        "birefnet-hr-general",
        "birefnet-hr-matting",
    ]


def test_a_measuring_process_that_is_killed_is_told(monkeypatch: pytest.MonkeyPatch, bgone: Run) -> None:
    """One line that names the likely cause."""
    monkeypatch.setattr(measuring, "_measure", _die)

    assert f"{EMBEDDED}: the system ended it" in str(bgone("models", "bench").exception)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Terminal:
    """A terminal that keeps what is written."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_a_terminal_sees_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name, share, megabytes; wiped at the end. Elsewhere nothing is drawn."""
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with _progress("tiny") as draw:
        draw(1_000_000, 4_000_000)
        draw(4_000_000, 4_000_000)

    assert "tiny  [######------------------] 1.0 of 4.0 MB" in screen.text
    assert "[########################] 4.0 of 4.0 MB" in screen.text
    assert screen.text.endswith("\r\x1b[K")
