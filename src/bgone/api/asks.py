"""What an operation reads of a request, as a value: beside the parser that reads it, for whoever describes the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bgone.api.fields import BodyKind
from bgone.api.options import Reader

FORMS: tuple[BodyKind, ...] = ("multipart", "urlencoded")
EVERY_BODY: tuple[BodyKind, ...] = ("multipart", "urlencoded", "json")


@dataclass(frozen=True, slots=True)
class PictureNames:
    """The fields that may carry one picture, each a way of its own to send it.

    Attributes:
        files: Parts of a multipart body.
        links: Texts that are a URL.
        encoded: Texts in base64.
        stored: Texts that name a picture which is stored here.
    """

    files: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    encoded: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """Those that every kind of body can carry."""
        return (*self.links, *self.encoded, *self.stored)


@dataclass(frozen=True, slots=True)
class Asks:
    """What is read.

    Attributes:
        picture: The photo; None where there is none to send.
        ground: A picture under the subject.
        options: Option → reader: members of the body; where a raw picture may be the body, parameters of the query.
        links: Further texts of the body that are a URL: name → words.
        texts: Further texts of the body: name → words.
        query: Parameters of the query alone.
        headers: Name → what it changes.
        words: Option → words beside what its reader expects.
        bodies: Kinds of body; ``raw`` is the photo itself.
    """

    picture: PictureNames | None = None
    ground: PictureNames | None = None
    options: Mapping[str, Reader[Any]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Reader[Any]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    bodies: tuple[BodyKind, ...] = ("multipart",)


NOTHING_ASKED = Asks(bodies=())
