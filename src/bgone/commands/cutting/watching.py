"""New and changed pictures of folders, once whoever writes them has finished.

By looking, not by inotify: that tells nothing of network folders, of many a container's mounts and of what was there
before. A look at 10,000 files takes 0.3 s of CPU, and the rest after it ten times as long. A file counts as finished
when two looks see the same size and time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bgone.commands.cutting.sources import Source

LOOK_S = 1.0
RESTS = 10  # times as long as a look takes, so that a huge folder costs at most a tenth of a core

Stamp = tuple[int, int, int]


def watch(
    look: Callable[[], Iterable[Source]],
    wait: Callable[[float], bool],
    is_ours: Callable[[str], bool],
    *,
    look_s: float = LOOK_S,
) -> Iterator[Source]:
    """Every picture when it is finished, and again whenever it has changed.

    Args:
        look: Gives what is there now.
        wait: Waits so many seconds; True when it is time to end.
        is_ours: Whether a path is an answer, which is no source.
        look_s: Seconds between two looks, at least.
    """
    given: dict[str, Stamp] = {}
    seen: dict[str, Stamp] = {}
    while True:
        began = time.monotonic()
        now: dict[str, Stamp] = {}
        for source in look():
            stamp = stamp_of(source.path)
            if stamp is None:
                continue
            now[source.text] = stamp
            if stamp[0] > 0 and seen.get(source.text) == stamp != given.get(source.text):
                given[source.text] = stamp
                if not is_ours(source.text):
                    yield source
        seen = now
        # A file that has gone may come back with the same stamp, as `mv` does.
        given = {text: stamp for text, stamp in given.items() if text in now}
        if wait(max(look_s, RESTS * (time.monotonic() - began))):
            return


def stamp_of(path: Path | None) -> Stamp | None:
    """Size in bytes, time of change and number of a file; None when it has gone."""
    if path is None:
        return None
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns, facts.st_ino
