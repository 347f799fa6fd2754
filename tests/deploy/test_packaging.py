"""What is published: the same bytes each time, whole, with every dependency declared, and working once installed."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest
from packaging.requirements import Requirement

from bgone import __version__
from bgone.matting.models import MODELS
from tests.conftest import ROOT
from tests.deploy.programs import output
from tests.deploy.running import running
from tests.pictures import ball, decode, photo
from tests.serving import free_port

SITE = Path(importlib.metadata.distribution("click").locate_file("")).resolve()  # type: ignore[arg-type]
SOURCES = ROOT / "src" / "bgone"
BROUGHT = {"redis", "psycopg-pool"}  # by limits[redis], and by procrastinate


def source_tree(folder: Path) -> Path:
    """What a packager gets, without anything that a developer's machine leaves in it."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "training")
    for name in ("src", "models"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted, copy_function=shutil.copyfile)
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def build(tree: Path, *words: str) -> dict[str, bytes]:
    """The archives made of a tree, by name."""
    output(sys.executable, "-m", "build", "--no-isolation", *words, "--outdir", tree / "dist", tree)
    return {path.name: path.read_bytes() for path in (tree / "dist").iterdir() if path.name[0] != "."}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state of the sources, whoever works on them meanwhile."""
    return source_tree(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def archives(tree: Path) -> dict[str, bytes]:
    """Source archive, and the wheel made of that archive."""
    return build(tree)


@pytest.fixture(scope="module")
def wheel(archives: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a file."""
    (name,) = (name for name in archives if name.endswith(".whl"))
    path = tmp_path_factory.mktemp("wheel") / name
    path.write_bytes(archives[name])
    return path


def test_the_same_tree_gives_the_same_bytes(tree: Path, archives: dict[str, bytes], tmp_path: Path) -> None:
    """Elsewhere, at another time, with other permissions; a wheel made of the tree is that made of the archive."""
    other = shutil.copytree(tree, tmp_path / "tree", ignore=shutil.ignore_patterns("dist"))
    for path in other.rglob("*"):
        if path.is_file():
            os.utime(path, (1, 1))
            path.chmod(0o600)
    again = build(other, "--sdist", "--wheel")

    assert sorted(again) == [f"bgone-{__version__}-py3-none-any.whl", f"bgone-{__version__}.tar.gz"]
    assert {name: hashlib.sha256(data).hexdigest() for name, data in again.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in archives.items()
    }


def test_wheel_has_every_file_of_the_package(tree: Path, wheel: Path) -> None:
    """Code, migrations, the console, the marker of types; the models with card and sources; and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = tree / "src" / "bgone"
    ours = {f"bgone/{path.relative_to(sources)}" for path in sources.rglob("*") if path.is_file()}
    models = {"bgone/models/SOURCES.tsv"}
    for model in MODELS.values():
        if (ROOT / "models" / model.file).is_file():
            models |= {f"bgone/models/{model.file}", f"bgone/models/{Path(model.file).stem}.md"}

    assert "bgone/py.typed" in ours
    assert any("migrations/versions/" in name for name in ours)
    assert inside == ours | models


def imported() -> set[str]:
    """Top-level names that the package imports from elsewhere, anywhere."""
    names = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"bgone"}


def declared(*extras: str) -> list[Requirement]:
    """What the package asks for, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [each for each in map(Requirement, lines) if _applies(each, [""])]


def _applies(requirement: Requirement, extras: Sequence[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def canonical(name: str) -> str:
    """As indexes compare names."""
    return name.lower().replace("_", "-").replace(".", "-")


def closure(*extras: str) -> set[str]:
    """The distributions that come with bgone, by metadata alone."""
    found: set[str] = set()
    waiting = declared(*extras)
    while waiting:
        requirement = waiting.pop()
        name = canonical(requirement.name)
        if name in found:
            continue
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            inner = Requirement(line)
            if _applies(inner, ("", *requirement.extras)):
                waiting.append(inner)
    return found


def test_every_import_is_declared() -> None:
    """By the package that it belongs to, in the dependencies or in an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {canonical(each.name) for each in declared(*project["optional-dependencies"])} | BROUGHT
    owners = importlib.metadata.packages_distributions()
    strange = {name for name in imported() if not {canonical(owner) for owner in owners.get(name, ())} & asked}

    assert {"numpy", "starlette", "onnxruntime"} <= imported()
    assert strange == set()


def site_of(folder: Path, names: set[str], *, copies: bool = False) -> Path:
    """A folder with these distributions of the development's environment and no others."""
    folder.mkdir()
    tops = {
        file.parts[0]
        for name in names
        for file in importlib.metadata.files(name) or ()
        if file.parts[0] not in ("..", "__pycache__")
    }
    for top in tops:
        source, target = SITE / top, folder / top
        if not copies:
            target.symlink_to(source)
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copyfile(source, target)
    return folder


def environment(folder: Path, wheel: Path, names: set[str]) -> Path:
    """A new virtual environment with the wheel, in which these distributions can be imported; its ``bgone``."""
    output(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "--disable-pip-version-check",
        "--no-cache-dir",
    ]
    output(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    (packages,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    (packages / "declared.pth").write_text(f"{site_of(folder / 'site', names)}\n")
    return python.parent / "bgone"


def clean(folder: Path) -> dict[str, str]:
    """A user who has nothing yet."""
    return {"HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "data")}


def cuts_a_picture(command: list[str | Path], folder: Path, **variables: str) -> None:
    """It serves, from anywhere, and answers a photo with a cutout."""
    port = free_port()
    start: list[str | Path] = [
        "env",
        "-C",
        folder,
        *[f"--unset={name}" for name in os.environ if name.startswith(("BGONE_", "PYTHON"))],
    ]
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    words: list[str | Path] = [*start, *command, "serve", "--port", str(port)]
    with running(words, folder / "log", ready, {**clean(folder), **variables}):
        form = {"image_file": ("a.jpg", photo(161, 120, of=ball))}
        answer = httpx2.post(f"{url}/v1.0/removebg", files=form, trust_env=False, timeout=60)

    assert answer.status_code == 200, answer.text
    assert decode(answer.content).shape == (120, 161, 4)


def test_installed_wheel_serves_with_what_it_declares(wheel: Path, tmp_path: Path) -> None:
    """Its own files, and the dependencies that its metadata names; nothing of the development's."""
    program = environment(tmp_path, wheel, closure("cpu"))
    origin = output(program.parent / "python", "-c", "import bgone; print(bgone.__file__)")

    assert Path(origin.strip()).is_relative_to(tmp_path)
    cuts_a_picture([program], tmp_path)


def test_without_a_runtime_the_start_tells_the_cure(wheel: Path, tmp_path: Path) -> None:
    """``pip install bgone`` alone: one line, and the status of a configuration that is at fault."""
    program = environment(tmp_path, wheel, closure())
    said = output(program, "serve", "--port", str(free_port()), status=78, environment=clean(tmp_path))

    assert "pip install 'bgone[cpu]'" in said.splitlines()[-1]


@pytest.fixture
def one_file(wheel: Path, tmp_path: Path) -> Iterator[Path]:
    """``dist/bgone`` as by ``make binary``, of packages that are here already, and not compressed."""
    site = site_of(tmp_path / "site", closure("cpu"), copies=True)
    shiv = [
        sys.executable,
        "-m",
        "shiv.cli",
        "--quiet",
        "--reproducible",
        "--uncompressed",
        "--site-packages",
        str(site),
    ]
    output(*shiv, "--console-script", "bgone", "--output-file", tmp_path / "bgone", "--no-deps", "--no-index", wheel)
    shutil.rmtree(site)
    yield tmp_path / "bgone"
    shutil.rmtree(tmp_path, ignore_errors=True)  # some hundred megabytes


@pytest.mark.timeout(300)  # unpacks 400 MB
def test_one_file_executable_serves_from_a_clean_path(one_file: Path, tmp_path: Path) -> None:
    """With a home and a cache of its own, and no environment around it."""
    variables = {"SHIV_ROOT": str(tmp_path / "shiv")}
    assert output(sys.executable, one_file, "--version", environment=variables).strip().endswith(__version__)
    cuts_a_picture([sys.executable, one_file], tmp_path, **variables)


def test_make_binary_uses_the_same_words() -> None:
    """So that what is tested is what is made."""
    recipe = (ROOT / "Makefile").read_text().partition("\nbinary:")[2].partition("\n\n")[0]

    assert "shiv --quiet --reproducible --console-script bgone" in recipe
    assert (
        subprocess.run([sys.executable, "-m", "shiv.cli", "--version"], check=False, capture_output=True).returncode
        == 0
    )
