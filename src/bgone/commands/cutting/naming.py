"""Where an answer goes: a template of names, and files that must never be written over."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from bgone.commands.cutting.sources import Source

# Word: what it stands for. The page of the command line shows this table.
WORDS = {
    "stem": "the source's name without its ending: `photo` of `photo.jpg`",
    "name": "the source's name: `photo.jpg`",
    "suffix": "its ending without the dot: `jpg`",
    "parent": "name of the folder that the source lies in",
    "format": "ending of the answer's format: `png`, `jpg`, ...",
    "index": "number of the picture from 1 on; `{index:04}` fills up with zeros",
}
IN_FOLDER = "{stem}.{format}"
BESIDE = "{stem}-cut.{format}"


@dataclass(frozen=True, slots=True)
class Naming:
    """How answers are called.

    Attributes:
        folder: Of all answers, or None: each beside its source.
        template: Path below that folder, of ``WORDS`` in braces.
        exact: The one file that everything goes to instead, or None.
    """

    folder: Path | None
    template: str = IN_FOLDER
    exact: Path | None = None

    def target(self, source: Source, index: int, ending: str) -> Path:
        """The file of an answer.

        Args:
            source: What it is cut from.
            index: Its number.
            ending: Of the answer's format, without the dot.
        """
        if self.exact is not None:
            return self.exact
        stem, dotted = os.path.splitext(source.name)
        home = (source.path or Path(source.name)).parent
        words: dict[str, object] = {
            "stem": stem,
            "name": source.name,
            "suffix": dotted[1:],
            "format": ending,
            "index": index,
        }
        if "{parent" in self.template:  # asks the file system
            words["parent"] = home.resolve().name
        named = self.template.format_map(words)
        return home / named if self.folder is None else self.folder / source.below / named


def check_template(template: str) -> str:
    """``template``, when it can be filled.

    Raises:
        ValueError: With words that say what is wrong.
    """
    try:
        parts = list(Formatter().parse(template))
        for _, word, _, _ in parts:
            if word is not None and word not in WORDS:
                raise ValueError(f"{{{word}}} is not one of {', '.join(f'{{{known}}}' for known in WORDS)}")
        filled = template.format_map(dict.fromkeys(WORDS, "x") | {"index": 1})
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"{template!r} is no template: {error}") from error
    if not filled or filled.endswith("/") or Path(filled).is_absolute() or ".." in Path(filled).parts:
        raise ValueError(f"{template!r} is no template: expected a file's name, or a path below the answers' folder")
    return template
