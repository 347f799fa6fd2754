"""Gathers the pages of the documentation site in build/docs and builds it into build/site: `make docs`.

The pages in docs/ are written to be read where they lie; some that belong to the site lie elsewhere. Links between
them are turned to where the pages go; links to files that are no pages become plain words.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE, SITE = ROOT / "build" / "docs", ROOT / "build" / "site"
# Pages that lie outside docs/ → their place in the site.
OUTSIDE = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/README.md": "examples.md",
    "models/bgone-small-1.md": "model-card.md",
}
_LINK = re.compile(r"(?<!!)\[(?P<words>[^\]\[]+)\]\((?P<target>[^)\s]+)\)")
_PICTURES = (".jpg", ".png", ".webp", ".svg")


def pages() -> dict[Path, Path]:
    """File in the repository → page of the site."""
    docs = ROOT / "docs"
    own = {path: path.relative_to(docs) for path in sorted(docs.rglob("*.md"))}
    return own | {ROOT / source: Path(page) for source, page in OUTSIDE.items() if (ROOT / source).exists()}


def turned(text: str, source: Path, known: dict[Path, Path]) -> str:
    """A page's text with its links as the site needs them."""
    here = known[source].parent

    def turn(link: re.Match[str]) -> str:
        target, _, anchor = link["target"].partition("#")
        if not target or ":" in target or target.startswith("/"):
            return link[0]
        there = Path(os.path.normpath(source.parent / target))
        if (page := known.get(there)) is not None:
            fragment = f"#{anchor}" if anchor else ""
            return f"[{link['words']}]({os.path.relpath(page, here)}{fragment})"
        # What is missing stays as it is, for the strict build to find.
        return link["words"] if there.exists() else link[0]

    return _LINK.sub(turn, text)


def stage() -> None:
    """Lay the pages and their pictures out anew."""
    shutil.rmtree(STAGE, ignore_errors=True)
    known = pages()
    for source, page in known.items():
        (STAGE / page).parent.mkdir(parents=True, exist_ok=True)
        (STAGE / page).write_text(turned(source.read_text(), source, known))
    for picture in sorted((ROOT / "docs" / "pictures").rglob("*")):
        if picture.suffix in _PICTURES:
            copy = STAGE / picture.relative_to(ROOT / "docs")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, copy)


def main() -> int:
    """Stage and build; a broken link or anchor is a failure. With ``--pages``: print where the pages go, no more."""
    if "--pages" in sys.argv[1:]:
        print(*(page.as_posix() for page in pages().values()), sep="\n")  # noqa: T201 - what was asked for
        return 0
    stage()
    build = [str(Path(sys.executable).parent / "zensical"), "build", "--strict", "--clean"]
    return subprocess.run(build, cwd=ROOT, check=False).returncode  # noqa: S603 - our own words


if __name__ == "__main__":
    sys.exit(main())
