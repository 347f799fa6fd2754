"""One structured line per request, written by a thread of its own: a full pipe never blocks the event loop."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sys
from typing import Any

_MOST_WAITING = 10_000


def start_logging(level: str) -> logging.handlers.QueueListener:
    """Send every log record as one JSON line to standard error; call ``stop()`` on what is returned at the end.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
    """
    import structlog

    def render(_logger: Any, _name: str, event: Any) -> str:
        import orjson

        return orjson.dumps(event, default=str).decode()

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    waiting: queue.Queue[logging.LogRecord] = queue.Queue(_MOST_WAITING)
    sink = logging.StreamHandler(sys.stderr)
    sink.setFormatter(_JsonOrPlain())
    listener = logging.handlers.QueueListener(waiting, sink)
    root = logging.getLogger()
    root.handlers[:] = [_DroppingHandler(waiting)]
    root.setLevel(level.upper())
    logging.raiseExceptions = False
    logging.getLogger("pyvips").setLevel(logging.WARNING)  # it reports every strip at info
    logging.getLogger("python_multipart.multipart").setLevel(logging.ERROR)  # a warning per malformed body
    listener.start()
    return listener


class _DroppingHandler(logging.handlers.QueueHandler):
    """When nobody reads our log, lines are lost and requests are not."""

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return


class _JsonOrPlain(logging.Formatter):
    """Our own records are JSON already; those of libraries become JSON here."""

    def format(self, record: logging.LogRecord) -> str:
        import orjson

        message = super().format(record)
        if message.startswith("{"):
            return message
        return orjson.dumps(
            {"event": message, "logger": record.name, "level": record.levelname.lower()}, default=str
        ).decode()
