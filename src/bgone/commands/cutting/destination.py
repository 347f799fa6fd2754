"""Where the answers go, and so in which format: what ``-o``, ``--name`` and ``--format`` say together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bgone.commands.cutting.naming import BESIDE, IN_FOLDER, Naming, check_template
from bgone.commands.cutting.sources import STDIN, many
from bgone.imaging.formats import FORMATS, find_format
from bgone.pipeline.render import AUTO

DEFAULT = "png"
_AUTO_MAY_BE = ("png", "jpg")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the answers go.

    Attributes:
        naming: Names the files; of no use with ``to_stdout``.
        format: Name of a row of ``FORMATS``, or ``auto``.
        to_stdout: The one answer goes to standard output.
    """

    naming: Naming
    format: str
    to_stdout: bool = False

    @property
    def endings(self) -> tuple[str, ...]:
        """Of the files that may come out, without dots."""
        names = _AUTO_MAY_BE if self.format == AUTO else (self.format,)
        return tuple(FORMATS[name].suffix.removeprefix(".") for name in names)


def destination(
    names: Sequence[str], output: str | None, template: str | None, form: str | None, *, is_folder: bool
) -> Destination:
    """What is meant.

    Args:
        names: The sources.
        output: Of ``-o``, or None.
        template: Of ``--name``, or None.
        form: Of ``--format``, a name that ``find_format`` knows or ``auto``; or None.
        is_folder: ``--recursive`` or ``--watch`` was said: ``output`` cannot be a file.

    Raises:
        ValueError: They contradict each other; with words for people.
    """
    said = None if form is None else _name(form)
    if output == "-" or (output is None and list(names) == [STDIN]):
        if many(names) or is_folder:
            raise ValueError("standard output takes one picture: name a folder (-o)")
        return Destination(Naming(None), said or DEFAULT, to_stdout=True)
    if template is not None:
        check_template(template)
        said = _agree(template, said)
    if output is None:
        return Destination(Naming(None, template or BESIDE), said or DEFAULT)
    if template is None and not is_folder and _is_file(names, output):
        return Destination(Naming(None, exact=Path(output)), _agree(output, said) or DEFAULT)
    if os.path.exists(output) and not os.path.isdir(output):
        raise ValueError(f"{output} is a file: answers of several pictures go to a folder")
    return Destination(Naming(Path(output), template or IN_FOLDER), said or DEFAULT)


def _is_file(names: Sequence[str], output: str) -> bool:
    """An ending makes a file of it, where there is one picture and no folder of that name."""
    return not (many(names) or output.endswith(os.sep) or os.path.isdir(output)) and bool(Path(output).suffix)


def _agree(name: str, said: str | None) -> str | None:
    """The format that a file's ending means; it must not be another than ``said``."""
    ending = os.path.splitext(name)[1][1:]
    if not ending or "{" in ending:
        return said
    row = find_format(ending)
    if row is None:
        known = ", ".join(form.suffix for form in FORMATS.values())
        raise ValueError(
            f"{name}: no format is called {ending!r}; expected an ending of {known}, or / at the end for a folder"
        )
    if said not in (None, row.name):
        raise ValueError(f"{name} is of format {row.name}, but --format says {said}")
    return row.name


def _name(form: str) -> str:
    if form.lower() == AUTO:
        return AUTO
    row = find_format(form)
    return form if row is None else row.name
