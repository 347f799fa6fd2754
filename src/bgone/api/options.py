"""The readers that dialect tables are made of: from an option's text to a typed value, or one clear complaint.

A reader knows what it expects in words and how to read it; who asked, and what the answer means, is the dialect's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import orjson

from bgone.api.colours import parse_colour
from bgone.api.fields import Fields
from bgone.errors import invalid_option
from bgone.imaging.geometry import Length, SizeCap
from bgone.pipeline.order import Colour

T_co = TypeVar("T_co", covariant=True)

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
    """

    expected: str
    parse: Callable[[str], T_co | None]

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


# --- the readers ----------------------------------------------------------------------------------------------------


def choice(*words: str, aliases: Mapping[str, str] | None = None) -> Reader[str]:
    """One of ``words`` in any case, read as spelled here; ``aliases`` are read as the words that they name."""
    spelled = {word.lower(): word for word in words} | {k.lower(): v for k, v in (aliases or {}).items()}
    return Reader(_either(*words, *(aliases or {})), lambda text: spelled.get(text.lower()))


def boolean(*, strict: bool = False) -> Reader[bool]:
    """true, false, 1, 0, yes, no, y, n, on, off in any case; only true and false when ``strict``."""
    true, false = (("true",), ("false",)) if strict else (_TRUE, _FALSE)
    values = dict.fromkeys(true, True) | dict.fromkeys(false, False)
    return Reader("true or false" if strict else "true, false, 1 or 0", lambda text: values.get(text.lower()))


def colour() -> Reader[Colour]:
    """Hex digits (3, 4, 6, 8) with or without ``#``, a CSS name, rgb(), rgba(), hsl() or hsla()."""
    return Reader("a colour such as ffffff, #fff, white or rgb(255, 255, 255)", parse_colour)


def integer(lo: int, hi: int) -> Reader[int]:
    """A whole number, ``lo`` and ``hi`` included; ``3.0`` is whole (JSON clients send it)."""

    def parse(text: str) -> int | None:
        match = _INTEGER.fullmatch(text)
        return int(match[1]) if match and lo <= int(match[1]) <= hi else None

    return Reader(f"a whole number from {lo} to {hi}", parse)


def number(lo: float, hi: float) -> Reader[float]:
    """A plain decimal number, ``lo`` and ``hi`` included; no exponents, no infinities."""

    def parse(text: str) -> float | None:
        return float(text) if _NUMBER.fullmatch(text) and lo <= float(text) <= hi else None

    return Reader(f"a number from {lo:g} to {hi:g}", parse)


def length(max_px: float = 100_000, max_percent: float = 100) -> Reader[Length]:
    """``30px``, ``10%`` or ``20`` (pixels), from 0 up to the limits."""
    return Reader(
        f"0 to {max_px:g} pixels or 0% to {max_percent:g}%", lambda text: _parse_length(text, max_px, max_percent)
    )


def lengths(*counts: int, max_px: float = 100_000, max_percent: float = 100) -> Reader[tuple[Length, ...]]:
    """As many lengths as one of ``counts`` says, apart by spaces or commas: ``lengths(1, 2, 4)`` for margins."""

    def parse(text: str) -> tuple[Length, ...] | None:
        read = [_parse_length(word, max_px, max_percent) for word in text.replace(",", " ").split()]
        sizes = tuple(size for size in read if size is not None)
        return sizes if len(sizes) == len(read) and len(sizes) in counts else None

    many = _either(*map(str, counts))
    return Reader(f"{many} lengths, each 0 to {max_px:g} pixels or 0% to {max_percent:g}%", parse)


def size_words(caps: Mapping[str, SizeCap]) -> Reader[SizeCap]:
    """One of the words of ``caps`` in any case, read as the cap that it names."""
    lowered = {word.lower(): cap for word, cap in caps.items()}
    return Reader(_either(*caps), lambda text: lowered.get(text.lower()))


def _parse_length(text: str, max_px: float, max_percent: float) -> Length | None:
    match = _LENGTH.fullmatch(text.lower())
    if not match:
        return None
    unit: Literal["px", "%"] = "%" if match[2] == "%" else "px"
    amount = float(match[1])
    return Length(amount, unit) if amount <= (max_percent if unit == "%" else max_px) else None


def _either(*words: str) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
