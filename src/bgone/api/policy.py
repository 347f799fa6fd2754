"""What the operator says about the wire, made from the settings: limits, names, prices, who may call from where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from bgone.api.dialect import PREVIEW_PRICE, Dialect
from bgone.api.reading import ReadLimits
from bgone.imaging.photo import PhotoLimits
from bgone.imaging.sniff import FileKind

OWN_PIXELS = 100_000_000  # where neither the operator nor the provider says a limit
Cors = Literal["auto", "all", "off"]


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's word on every dialect; a limit of 0 or None leaves the provider's own.

    Attributes:
        file_bytes: Most bytes of one picture.
        pixels: Most pixels of one picture.
        kinds: Kinds of file that are accepted.
        heic: HEIC can be read here.
        fields: Most form fields.
        read_s: Patience with a silent client.
        cors: Browsers of any page may call the dialects that have browser clients (``auto``), all, or none.
        hosts: Host name → dialect, beside the providers' own.
        prefer: Dialects that win on a path that several claim, first to last.
        public_url: Where clients reach this server; empty: as the request says.
        legacy_keys: Keys may stand in the query and in JSON bodies.
        preview_price: Credits of a preview where previews are priced apart.
    """

    file_bytes: int = 0
    pixels: int = 0
    kinds: frozenset[FileKind] | None = None
    heic: bool = False
    fields: int = 100
    read_s: float = 30
    cors: Cors = "auto"
    hosts: Mapping[str, str] = field(default_factory=dict)
    prefer: tuple[str, ...] = ()
    public_url: str = ""
    legacy_keys: bool = True
    preview_price: Decimal = PREVIEW_PRICE

    def read_limits(self, dialect: Dialect) -> ReadLimits:
        """How much of a request is read."""
        return ReadLimits(file_bytes=self.file_bytes or dialect.file_bytes, parts=self.fields, patience_s=self.read_s)

    def photo_limits(self, dialect: Dialect) -> PhotoLimits:
        """What a picture's header may declare."""
        return PhotoLimits(
            file_bytes=self.file_bytes or dialect.file_bytes,
            pixels=self.pixels or dialect.pixels or OWN_PIXELS,
            heic=self.heic,
            kinds=self.kinds or dialect.kinds,
        )

    def allows_browsers(self, dialect: Dialect) -> bool:
        """Whether answers carry CORS headers."""
        return self.cors == "all" or (self.cors == "auto" and dialect.cors)
