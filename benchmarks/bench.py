"""What every question needs: pictures, nets, servers, and how often to measure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import onnx

from benchmarks import models
from benchmarks.data import Album, Picture
from benchmarks.rembg import Rembg
from benchmarks.server import Server, bgone, serve
from bgone.matting import weights
from bgone.matting.models import EMBEDDED, MODELS


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        what: Is measured.
        asked: The bound, in words.
        measured: The figure with its spread, in words.
        passed: It keeps the bound.
        notes: What stands behind the figure, one fact each.
    """

    what: str
    asked: str
    measured: str
    passed: bool
    notes: tuple[str, ...] = ()


class Bench:
    """The workshop.

    Args:
        work: Folder for whatever is made; git ignores it.
        shared: The shared folder, or None.
        pairs: How often A and B are alternated.
        quick: A smoke test: few pairs, few requests; its figures are worth nothing.
    """

    def __init__(self, work: Path, shared: Path | None, pairs: int, *, quick: bool) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.work = work.resolve()
        self.pairs = 2 if quick else pairs
        self.quick = quick
        self.album = Album(self.work / "pictures", shared)

    def count(self, full: int, least: int = 1) -> int:
        """``full`` requests, or a few for a quick run."""
        return max(least, full // 8) if self.quick else full

    def pictures(self, size: str) -> list[Picture]:
        """See ``Album.pictures``."""
        return self.album.pictures(size)

    @cached_property
    def no_net(self) -> str:
        """Path of the net that answers a fixed matte."""
        return str(models.save(models.no_net(), self.work / "no-net.onnx"))

    @cached_property
    def embedded(self) -> Path:
        """The net that ships with bgone."""
        return weights.find(MODELS[EMBEDDED])

    @cached_property
    def rembg(self) -> Rembg:
        peer = Rembg(self.work)
        peer.install()
        return peer

    @contextmanager
    def bgone(self, *, net: bool, **settings: object) -> Iterator[Server]:
        """bgone as it comes, with the embedded net or without any."""
        with serve(bgone("" if net else self.no_net, **settings), self.work) as server:
            yield server

    @contextmanager
    def both(self, *, net: bool) -> Iterator[tuple[Server, Server]]:
        """bgone and rembg with the same net, or both without any; warmed by small pictures."""
        home = self.rembg.home
        if net:
            model = models.save(models.for_rembg(onnx.load(self.embedded)), home / "embedded.onnx")
        else:
            model = models.save(models.no_net_for_rembg(), home / "no-net.onnx")
        warm = self.pictures("1mp")[0].data
        with self.bgone(net=net) as ours, serve(self.rembg.kind(model), self.work) as theirs:
            for server in (ours, theirs):
                server.warm(warm)
            yield ours, theirs
