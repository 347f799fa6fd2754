"""The house: documents, package and container tell the truth about the code beside them."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.features
import pytest
from starlette.routing import Route

import bgone.errors
from bgone.api import metrics
from bgone.api.dialect import Dialect
from bgone.api.dialects import backgrounderase
from bgone.api.routes import DIALECTS, routes
from bgone.errors import KINDS
from bgone.imaging import vips
from bgone.imaging.formats import FORMATS
from bgone.matting.models import EMBEDDED, MODELS
from bgone.pipeline.timings import PHASES
from bgone.settings import describe, flag
from tests.conftest import ROOT

PAGES = sorted(
    page for folder in (".", "docs", "models", "models/training", "benchmarks") for page in (ROOT / folder).glob("*.md")
)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]+)?\)")
# In PEP 508's words a requirement begins with its name; what follows the floor is a marker.
REQUIREMENT = re.compile(r"(?P<name>[a-z0-9-]+)(?:\[[a-z,]+\])?(?:>=(?P<floor>[0-9.]+))?", re.IGNORECASE)

SETTINGS = describe()
SETTING_NAMES = [name for name, *_ in SETTINGS]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def read(path: str) -> str:
    """A document's text."""
    return (ROOT / path).read_text(encoding="utf-8")


def marked(path: str, name: str) -> str:
    """What stands between ``<!-- name -->`` and ``<!-- /name -->``."""
    return read(path).partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")[0]


def rows(text: str) -> list[list[str]]:
    """Cells of a Markdown table's rows, without its head."""
    table = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table[2:]]


def default_words(default: str) -> str:
    """How tables show a default."""
    return f"`{default}`" if default else "empty"


def raised_kinds() -> list[str]:
    """Every kind that a constructor of errors.py makes."""
    tree = ast.parse(Path(bgone.errors.__file__).read_text())
    return sorted(
        {
            str(call.args[0].value)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and call.func.id == "ApiError"
            and isinstance(call.args[0], ast.Constant)
        }
    )


def requirements() -> list[str]:
    """Every requirement of the package, its extras, its build and its development."""
    project = PROJECT["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    lines = read("requirements-dev.txt").splitlines()
    development = [line for line in lines if line and not line.startswith("#")]
    return [*project["dependencies"], *extras, *PROJECT["build-system"]["requires"], *development]


def package_of(requirement: str) -> str:
    """``isal>=1.7; platform_machine == 'x86_64'`` → ``isal``."""
    match = REQUIREMENT.match(requirement)
    assert match is not None, requirement
    return match["name"]


def as_numbers(version: str) -> tuple[int, ...]:
    """``8.18.7`` → (8, 18, 7)."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


# --- settings -------------------------------------------------------------------------------------------------------


def test_readme_shows_every_setting_as_it_is() -> None:
    """README's table of settings is the settings' own description, in the same order."""
    expected = [
        [f"`BGONE_{name.upper()}`", f"`{flag(name)}`", default_words(default), words]
        for name, words, default in SETTINGS
    ]

    assert rows(marked("README.md", "settings")) == expected


def test_settings_page_explains_every_setting() -> None:
    """docs/settings.md has a section per setting: flag, default, description, then more words."""
    sections = read("docs/settings.md").split("\n## ")[1:]
    heads = [section.split("\n")[:3:2] for section in sections]

    assert heads == [
        [f"`BGONE_{name.upper()}`", f"`{flag(name)}` · default {default_words(default)} · {words}"]
        for name, words, default in SETTINGS
    ]
    assert all(len(section.strip().split("\n")) > 4 for section in sections)


def run_bgone(*arguments: str) -> str:
    """What ``bgone ARGUMENTS`` prints."""
    command = [sys.executable, "-m", "bgone", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_help_names_the_serve_command() -> None:
    """``bgone --help`` leads to ``serve``."""
    assert re.search(r"^  serve\b", run_bgone("--help"), re.MULTILINE)


def test_serve_help_names_every_setting() -> None:
    """``bgone serve --help`` shows each flag and its variable."""
    words = set(re.split(r"[\s;\[\]]+", run_bgone("serve", "--help")))

    missing = [name for name in SETTING_NAMES if not {flag(name), f"BGONE_{name.upper()}"} <= words]
    assert missing == []


# --- errors ---------------------------------------------------------------------------------------------------------


def test_kinds_are_found() -> None:
    """The reader of errors.py sees its constructors."""
    assert {"invalid_option", "overloaded", "internal"} <= set(raised_kinds())


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_dialects_know_every_kind(dialect: Dialect) -> None:
    """Each kind that can be raised has a status and a code in each dialect."""
    assert set(raised_kinds()) - set(dialect.failures) == set()


def test_errors_page_shows_every_kind_with_status_and_code() -> None:
    """The table of docs/errors.md is the dialects' own."""
    expected = [
        [f"`{kind}`", *(f"{status} `{code}`" if code else str(status) for status, code in cells)]
        for kind in KINDS
        for cells in [[dialect.failures[kind] for dialect in DIALECTS]]
    ]
    table = read("docs/errors.md").partition("| kind |")

    assert rows(table[1] + table[2].partition("\n\n")[0]) == expected


@pytest.mark.parametrize("kind", raised_kinds())
def test_errors_page_tells_cause_and_cure(kind: str) -> None:
    """Each kind that can be raised has its section."""
    heads = [line for line in read("docs/errors.md").splitlines() if line.startswith("### ")]
    assert any(f"`{kind}`" in head for head in heads)


# --- the API --------------------------------------------------------------------------------------------------------


def test_api_page_shows_every_output_format() -> None:
    """The table of docs/api.md is the formats' own."""
    expected = [
        [f"`{row.name}`", f"`{row.media_type}`", "yes" if row.keeps_alpha else "no", f"{row.max_side:,}"]
        for row in FORMATS.values()
    ]

    assert [cells[:4] for cells in rows(marked("docs/api.md", "formats"))] == expected


@pytest.mark.parametrize("option", backgrounderase._OPTIONS)
@pytest.mark.parametrize("page", ["README.md", "docs/dialects/backgrounderase.md"])
def test_pages_show_every_option(page: str, option: str) -> None:
    """Each option of the dialect has its row."""
    assert f"\n| `{option}` | " in read(page)


def test_api_page_shows_every_dialects_paths() -> None:
    """The table of paths is the dialects' own."""
    expected = [
        [operation.method, ", ".join(f"`{path}`" for path in operation.paths), dialect.name]
        for dialect in DIALECTS
        for operation in dialect.operations
    ]

    assert rows(marked("docs/api.md", "paths")) == expected


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_dialect_has_its_page(dialect: Dialect) -> None:
    """With its routes and a curl, led to from the API's page."""
    page = read(f"docs/dialects/{dialect.name}.md")

    assert f"dialects/{dialect.name}.md" in read("docs/api.md")
    assert all(operation.paths[0].partition("{")[0] in page for operation in dialect.operations)
    assert "curl" in page


def test_api_page_shows_every_path() -> None:
    """Each path that is served is named, but for the dialects' prefixes."""
    prefixes = tuple(f"/{dialect.name}/" for dialect in DIALECTS)
    paths = [route.path for route in routes() if isinstance(route, Route) and not route.path.startswith(prefixes)]

    assert len(paths) > 5
    assert [path for path in paths if f"`{path}`" not in read("docs/api.md")] == []


# --- operations -----------------------------------------------------------------------------------------------------


def test_operations_page_shows_every_metric() -> None:
    """Each name of bgone.api.metrics is in the table of metrics."""
    names = re.findall(r'"(bgone_[a-z_]+)"', Path(metrics.__file__).read_text())

    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in read("docs/operations.md")] == []


@pytest.mark.parametrize("phase", PHASES)
def test_operations_page_shows_every_phase(phase: str) -> None:
    """Each phase's field of the log is explained."""
    assert f"`{phase}_ms`" in read("docs/operations.md")
    assert f"`{phase}` " in read("docs/operations.md")


# --- what bgone stands on -------------------------------------------------------------------------------------------


def test_every_dependency_is_explained() -> None:
    """docs/dependencies.md has a row for each requirement and for nothing else."""
    table = [line for line in read("docs/dependencies.md").splitlines() if line.startswith("| `")]
    explained = {name for line in table for name in re.findall(r"`([a-z0-9-]+)`", line.partition(" | ")[0])}
    explained |= {name for line in table if line.startswith("| `[") for name in re.findall(r"`([a-z0-9-]+)`", line)}

    assert explained == {package_of(line) for line in requirements()}


def floors() -> dict[str, str]:
    """Part → version below which docs/security.md does not go."""
    return {cells[0]: cells[1] for cells in rows(marked("docs/security.md", "floors"))}


def installed() -> dict[str, str]:
    """Part → version in use here."""
    packages = {name: importlib.metadata.version(name) for name in ("starlette", "python-multipart", "h11")}
    return {
        **packages,
        "libvips": vips.version(),
        "Pillow": importlib.metadata.version("pillow"),
        "libwebp": PIL.features.version("webp") or "0",
    }


def test_floors_name_what_is_measured() -> None:
    """Each floor of docs/security.md has an installed version to compare with."""
    assert set(floors()) == set(installed())


@pytest.mark.parametrize("part", floors())
def test_installed_decoders_are_not_below_their_floor(part: str) -> None:
    """No decoder or parser with a known open fault is in use."""
    assert as_numbers(installed()[part]) >= as_numbers(floors()[part])


@pytest.mark.parametrize(
    ("package", "part"),
    [
        ("pillow", "Pillow"),
        ("pyvips-binary", "libvips"),
        ("starlette", "starlette"),
        ("python-multipart", "python-multipart"),
    ],
)
def test_package_asks_for_the_floors(package: str, part: str) -> None:
    """pyproject.toml installs nothing below the floors of docs/security.md."""
    (requirement,) = (line for line in PROJECT["project"]["dependencies"] if package_of(line) == package)
    match = REQUIREMENT.match(requirement)
    assert match is not None

    # 12.3 and 12.3.0 are one version.
    asked, floor = ((*as_numbers(version), 0, 0)[:3] for version in (match["floor"], floors()[part]))
    assert asked >= floor


# --- documents ------------------------------------------------------------------------------------------------------


def links() -> Iterator[tuple[Path, str, str]]:
    """(page, path, anchor) of every link that stays in the repository."""
    for page in PAGES:
        for match in LINK.finditer(page.read_text(encoding="utf-8")):
            yield page, match[1], (match[2] or "").removeprefix("#")


def anchors(page: Path) -> set[str]:
    """What headings are called in links, by GitHub's rule."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_between_documents_resolve() -> None:
    """Files and headings that documents point to are there."""
    broken = []
    for page, path, anchor in links():
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{page.relative_to(ROOT)}: {path}#{anchor}")

    assert broken == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_commands_of_make_exist(page: str) -> None:
    """Each ``make`` command that documents show is a target."""
    code = re.findall(r"^    .*$|`[^`]+`", read(page), re.MULTILINE)
    shown = {target for text in code for target in re.findall(r"\bmake ([a-z]+)", text)}
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))

    assert shown
    assert shown - targets == set()


# --- package and container ------------------------------------------------------------------------------------------


def test_importing_bgone_loads_nothing_heavy() -> None:
    """``import bgone`` loads neither pixels, nets nor the web."""
    heavy = ("numpy", "cv2", "pyvips", "PIL", "onnxruntime", "starlette", "uvicorn")
    code = f"import bgone, sys; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert printed.strip() == "[]"


def test_a_server_without_accounts_loads_no_database() -> None:
    """What only accounts, traces or agents need costs a start 1.5 s and 30 MB: it is imported when it is used."""
    heavy = ("sqlalchemy", "alembic", "procrastinate", "psycopg", "redis", "limits", "opentelemetry", "mcp")
    code = f"import bgone.server, sys; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert printed.strip() == "[]"


def test_wheel_carries_the_embedded_model() -> None:
    """The file that the model table names is put where the package looks for it."""
    file = MODELS[EMBEDDED].file

    assert (ROOT / "models" / file).is_file()
    include = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert include[f"models/{file}"] == f"bgone/models/{file}"


def test_dockerfile_pleases_its_linter() -> None:
    """hadolint has nothing to say about the Dockerfile."""
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("needs hadolint: pip install -r requirements-dev.txt")
    done = subprocess.run([hadolint, "--no-color", "Dockerfile"], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


def test_container_runs_without_root_and_can_be_stopped() -> None:
    """A user by number, an exec-form entry point that hears SIGTERM, and a health check."""
    final = read("Dockerfile").rpartition("\nFROM ")[2]

    assert re.search(r"^USER [1-9]\d+", final, re.MULTILINE)
    assert '\nENTRYPOINT ["bgone"]\nCMD ["serve"]' in final
    assert "\nSTOPSIGNAL SIGTERM\n" in final
    assert "\nHEALTHCHECK " in final
