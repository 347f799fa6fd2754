"""The questions by name, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.bench import Bench, Row
from benchmarks.questions import against_rembg, clients, first_byte, limits, liveness, memory, size, start

QUESTIONS: dict[str, Callable[[Bench], list[Row]]] = {
    "12mp": against_rembg.twelve,
    "1mp": against_rembg.one,
    "12mp-net": against_rembg.twelve_net,
    "clients": clients.ask,
    "48mp": against_rembg.forty_eight,
    "48mp-memory": memory.large,
    "48mp-crowd": memory.crowded,
    "growth": memory.growth,
    "codecs": limits.codecs,
    "first-byte": first_byte.ask,
    "size": size.ask,
    "own-part": limits.own_part,
    "start": start.ask,
    "livez": liveness.ask,
}
