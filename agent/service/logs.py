"""Structured logs on stderr: JSON in the service, colour on a terminal. Tokens are redacted.

The last lines are also kept in memory, and on the disk by `agent.service.run_log`, for the command `logs`.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any

import msgspec
import structlog

from agent.core.printable import printable

log = structlog.get_logger(part="log")

RING_LINES = 2000  # lines
WINDOW = 60.0  # seconds over which events are counted
EVENTS = 60  # events of one text in a window; further ones are counted only
TASK_EVENTS = 1000  # warnings about a task, of one text, in a window
VALUE_TEXT = 2000  # characters of a value
TRACEBACK_TEXT = 20_000  # characters of a traceback

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRET_KEYS = frozenset({"token", "auth_token", "authentication_token", "member_token", "authorization"})
# 32 bytes as URL-safe base64 are 43 characters; more when something stands right before it, as in `%3D` or `\\n`.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43,}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BEARER = re.compile(r"(?i)\bbearer\s+\S+")


class RateLimit:
    """A structlog processor that lets EVENTS events of one text through in WINDOW seconds, of warnings about a task
    TASK_EVENTS, and counts the others; any thread. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began_at = clock()
        self._counts: dict[tuple[str, bool], int] = {}
        self._suppressed: dict[str, int] = {}

    def __call__(self, _logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Pass the event on, or raise structlog.DropEvent."""
        self.report()
        text = str(event.get("event", ""))[:200]
        of_a_task = bool(event.get("task_id")) and name not in ("debug", "info")
        with self._lock:
            count = self._counts[text, of_a_task] = self._counts.get((text, of_a_task), 0) + 1
            if count <= (TASK_EVENTS if of_a_task else EVENTS):
                return event
            self._suppressed[text] = self._suppressed.get(text, 0) + 1
        raise structlog.DropEvent

    def report(self) -> None:
        """Log how many events the last window left out, once it is over."""
        with self._lock:
            if self._clock() - self._began_at < WINDOW:
                return
            self._began_at = self._clock()
            self._counts.clear()
            suppressed, self._suppressed = self._suppressed, {}
        for text, count in suppressed.items():
            log.warning("events suppressed", suppressed=text, count=count, window_s=WINDOW)


class Ring:
    """Ring buffer of the last RING_LINES log lines, redacted. Appending and copying are atomic: any thread."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=RING_LINES)
        self._write: Callable[[bytes], None] = self._lines.append

    def attach(self, write: Callable[[bytes], None]) -> None:
        """Give `write` each line from now on, and those before; while there is one thread."""
        for line in self._lines:
            write(line)

        def keep(line: bytes) -> None:
            self._lines.append(line)
            write(line)

        self._write = keep

    def __call__(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A structlog processor that keeps the event and passes it on."""
        self._write(msgspec.json.encode(event, enc_hook=str))
        return event

    def text(self) -> bytes:
        """All lines, oldest first, each a JSON object."""
        return b"".join(line + b"\n" for line in tuple(self._lines))


def redact(text: str) -> str:
    """Replace what looks like a token in a text."""
    text = text if text.isascii() else text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be written
    return _BEARER.sub("Bearer [token]", _TOKEN.sub(_hide, text))


def _hide(match: re.Match[str]) -> str:
    return match[0] if _DIGEST.fullmatch(match[0]) else "[token]"


def _redact_event(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {printable(redact(key)): _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: object) -> object:
    if key.lower() in _SECRET_KEYS:
        return "[token]"
    if isinstance(value, bool | int | float | None):
        return value
    return printable(_cut(redact(str(value)), TRACEBACK_TEXT if key == "exception" else VALUE_TEXT), keep="\n\t")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _one_line(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For a terminal: a line break of a value must not look like a line of ours. A traceback keeps its lines."""
    return {
        key: printable(value) if isinstance(value, str) and key != "exception" else value
        for key, value in event.items()
    }


def report_suppressed() -> None:
    """Log how many events were left out, where a window is over and no further event came."""
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, RateLimit):
            processor.report()


def configure(
    level: str, layout: str, ring: Ring | None = None, *, clock: Callable[[], float] = time.monotonic
) -> None:
    """Configure structlog for this process. `layout` is auto, json or console; auto is console on a terminal. `clock`
    gives monotonic seconds."""
    console = layout == "console" or (layout == "auto" and sys.stderr.isatty())
    processors: list[Any] = [
        RateLimit(clock),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    if ring is not None:
        processors.append(ring)
    if console:
        processors.append(_one_line)
        processors.append(
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        )
    else:
        processors.append(structlog.processors.JSONRenderer(serializer=_json))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it warns about each retry; the agent logs a failure once


def set_level(level: str) -> None:
    """Change the level from which on events are logged. Any thread."""
    structlog.configure(
        **{**structlog.get_config(), "wrapper_class": structlog.make_filtering_bound_logger(_LEVELS[level])}
    )


def _json(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
