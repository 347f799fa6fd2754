"""The readers that dialect tables are made of: from an option's text to a typed value, or one clear complaint.

A reader knows what it expects in words and how to read it; who asked, and what the answer means, is the dialect's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import orjson

from bgone.api.colours import NAMES, parse_colour
from bgone.api.fields import Fields
from bgone.errors import invalid_option
from bgone.imaging.geometry import Length, SizeCap
from bgone.pipeline.order import Colour

T_co = TypeVar("T_co", covariant=True)
Schema = Mapping[str, Any]

# Longer than any colour, size or list of lengths; what is longer was never meant as an option.
MAX_OPTION_CHARS = 200

_TRUE = ("true", "1", "yes", "y", "on")
_FALSE = ("false", "0", "no", "n", "off")
_INTEGER = re.compile(r"([+-]?[0-9]{1,9})(?:\.0{1,9})?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")
_LENGTH = re.compile(r"([0-9]{1,6}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})\s*(px|%)?")


@dataclass(frozen=True, slots=True)
class Reader(Generic[T_co]):
    """Reads the text of one option.

    Attributes:
        expected: What is accepted, in words for the client: "png or jpg".
        parse: Stripped text to value; None for text that is not accepted.
        schema: The same for programs, as JSON Schema of the value or its text. All that it allows is accepted; what is
            accepted beside that (other cases and spellings) is not for new clients.
    """

    expected: str
    parse: Callable[[str], T_co | None]
    schema: Schema = field(default_factory=lambda: {"type": "string"}, compare=False)

    def __call__(self, option: str, raw: str) -> T_co:
        """The value of ``raw``.

        Raises:
            invalid_option: ``raw`` is too long, or not what is expected.
        """
        if len(raw) <= MAX_OPTION_CHARS:
            value = self.parse(raw.strip())
            if value is not None:
                return value
        raise invalid_option(option, self.expected, raw)


def read_options(table: Mapping[str, Reader[object]], fields: Fields) -> dict[str, object]:
    """The options of ``table`` that were sent, typed; a body field wins over a query parameter.

    Names outside the table are ignored; blank values and JSON nulls are absent.

    Raises:
        invalid_option: A known option carries a value that its reader does not accept, a list or an object.
    """
    return {
        option: reader(option, raw) for option, reader in table.items() if (raw := _sent(option, fields)) is not None
    }


def _sent(option: str, fields: Fields) -> str | None:
    for mapping in (fields.text, fields.query):
        value = mapping.get(option)
        if value is not None and not _is_blank(value):
            return value
    nested = fields.json.get(option) if fields.json is not None else None
    # Spelled out, a list or an object is a text that no reader accepts.
    return orjson.dumps(nested).decode() if isinstance(nested, (list, dict)) else None


def _is_blank(value: str) -> bool:
    return len(value) <= MAX_OPTION_CHARS and not value.strip()


# The named colours and spellings that every program should use; parse_colour reads more.
_BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
COLOUR: Schema = {
    "title": "Colour",
    "description": "Hex digits with or without #, a CSS name, rgb(), rgba(), hsl() or hsla(), in any case.",
    "type": "string",
    "anyOf": [
        {"pattern": "^#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})$"},
        {"enum": list(NAMES)},
        {"pattern": f"^rgb[(]{_BYTE}, ?{_BYTE}, ?{_BYTE}[)]$"},
        {"pattern": f"^rgba[(]{_BYTE}, ?{_BYTE}, ?{_BYTE}, ?(0|1|0[.][0-9]{{1,4}})[)]$"},
    ],
    "examples": ["#ffffff", "ff8800", "white", "rgb(255, 255, 255)"],
}


PERCENT = "([0-9]{1,2}([.][0-9]{1,6})?%|100%)"  # a pattern for readers of percentages


# --- the readers ----------------------------------------------------------------------------------------------------


def matching(pattern: str) -> Schema:
    """For readers of one's own: text that ``pattern`` matches from its first to its last letter."""
    return {"type": "string", "pattern": f"^({pattern})$"}


def choice(*words: str, aliases: Mapping[str, str] | None = None) -> Reader[str]:
    """One of ``words`` in any case, read as spelled here; ``aliases`` are read as the words that they name."""
    spelled = {word.lower(): word for word in words} | {k.lower(): v for k, v in (aliases or {}).items()}
    return Reader(_either(*words, *(aliases or {})), lambda text: spelled.get(text.lower()), _one_of(*words))


def boolean(*, strict: bool = False) -> Reader[bool]:
    """true, false, 1, 0, yes, no, y, n, on, off in any case; only true and false when ``strict``."""
    true, false = (("true",), ("false",)) if strict else (_TRUE, _FALSE)
    values = dict.fromkeys(true, True) | dict.fromkeys(false, False)
    expected = "true or false" if strict else "true, false, 1 or 0"
    return Reader(expected, lambda text: values.get(text.lower()), {"type": "boolean"})


def colour() -> Reader[Colour]:
    """Hex digits (3, 4, 6, 8) with or without ``#``, a CSS name, rgb(), rgba(), hsl() or hsla()."""
    return Reader("a colour such as ffffff, #fff, white or rgb(255, 255, 255)", parse_colour, COLOUR)


def integer(lo: int, hi: int) -> Reader[int]:
    """A whole number, ``lo`` and ``hi`` included; ``3.0`` is whole (JSON clients send it)."""

    def parse(text: str) -> int | None:
        match = _INTEGER.fullmatch(text)
        return int(match[1]) if match and lo <= int(match[1]) <= hi else None

    return Reader(f"a whole number from {lo} to {hi}", parse, {"type": "integer", "minimum": lo, "maximum": hi})


def number(lo: float, hi: float) -> Reader[float]:
    """A plain decimal number, ``lo`` and ``hi`` included; no exponents, no infinities."""

    def parse(text: str) -> float | None:
        return float(text) if _NUMBER.fullmatch(text) and lo <= float(text) <= hi else None

    return Reader(f"a number from {lo:g} to {hi:g}", parse, {"type": "number", "minimum": lo, "maximum": hi})


def length(max_px: float = 100_000, max_percent: float = 100) -> Reader[Length]:
    """``30px``, ``10%`` or ``20`` (pixels), from 0 up to the limits."""
    return Reader(
        f"0 to {max_px:g} pixels or 0% to {max_percent:g}%",
        lambda text: _parse_length(text, max_px, max_percent),
        matching(_length_pattern(max_px, max_percent)),
    )


def lengths(*counts: int, max_px: float = 100_000, max_percent: float = 100) -> Reader[tuple[Length, ...]]:
    """As many lengths as one of ``counts`` says, apart by spaces or commas: ``lengths(1, 2, 4)`` for margins."""

    def parse(text: str) -> tuple[Length, ...] | None:
        read = [_parse_length(word, max_px, max_percent) for word in text.replace(",", " ").split()]
        sizes = tuple(size for size in read if size is not None)
        return sizes if len(sizes) == len(read) and len(sizes) in counts else None

    many, one = _either(*map(str, counts)), _length_pattern(max_px, max_percent)
    schema = matching("|".join(" ".join([one] * count) for count in counts))
    return Reader(f"{many} lengths, each 0 to {max_px:g} pixels or 0% to {max_percent:g}%", parse, schema)


def size_words(caps: Mapping[str, SizeCap]) -> Reader[SizeCap]:
    """One of the words of ``caps`` in any case, read as the cap that it names."""
    lowered = {word.lower(): cap for word, cap in caps.items()}
    return Reader(_either(*caps), lambda text: lowered.get(text.lower()), _one_of(*caps))


def _parse_length(text: str, max_px: float, max_percent: float) -> Length | None:
    match = _LENGTH.fullmatch(text.lower())
    if not match:
        return None
    unit: Literal["px", "%"] = "%" if match[2] == "%" else "px"
    amount = float(match[1])
    return Length(amount, unit) if amount <= (max_percent if unit == "%" else max_px) else None


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def _length_pattern(max_px: float, max_percent: float) -> str:
    return f"({_pattern_up_to(max_px)}(px)?|{_pattern_up_to(max_percent)}%)"


def _pattern_up_to(limit: float) -> str:
    """Of decimal numbers with as many digits before the point as no number above ``limit`` has."""
    digits = len(str(int(limit) + 1)) - 1
    return f"[0-9]{{1,{digits}}}([.][0-9]{{1,6}})?"


def _either(*words: str) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
