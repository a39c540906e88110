"""Structured logs on stderr: JSON in the service, colour on a terminal. Tokens are redacted.

The last lines are also kept in memory, for the `logs` command.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import deque
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

RING_LINES = 2000  # lines
BOX_LIMIT = 3  # black boxes that are appended to the log

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRET_KEYS = frozenset({"token", "auth_token", "authentication_token", "member_token", "authorization"})
# 32 bytes as URL-safe base64 are 43 characters; more when something stands right before it, as in `%3D` or `\\n`.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43,}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BEARER = re.compile(r"(?i)\bbearer\s+\S+")


class Ring:
    """Ring buffer of the last RING_LINES log lines, redacted. Appending and copying are atomic: any thread."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=RING_LINES)

    def __call__(self, _logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """A structlog processor that keeps the event and passes it on."""
        self._lines.append(msgspec.json.encode(event, enc_hook=str))
        return event

    def text(self) -> bytes:
        """All lines, oldest first, each a JSON object."""
        return b"".join(line + b"\n" for line in tuple(self._lines))


def append_black_boxes(log: bytes, folder: Path) -> bytes:
    """The log followed by the newest black boxes of the serial link, each under a line with its name, oldest first. A
    box that cannot be read is left out."""
    parts = [log]
    for path in sorted(folder.glob("box-*.txt"))[-BOX_LIMIT:]:
        try:
            parts += [f"==== {path.name} ====\n".encode(), path.read_bytes()]
        except OSError:
            continue
    return b"".join(parts)


def redact(text: str) -> str:
    """Replace what looks like a token in a text."""
    text = text if text.isascii() else text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be written
    return _BEARER.sub("Bearer [token]", _TOKEN.sub(_hide, text))


def _hide(match: re.Match[str]) -> str:
    return match[0] if _DIGEST.fullmatch(match[0]) else "[token]"


def _redact_event(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {redact(key): _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: object) -> object:
    if key.lower() in _SECRET_KEYS:
        return "[token]"
    return value if isinstance(value, bool | int | float | None) else redact(str(value))


def configure(level: str, layout: str, ring: Ring | None = None) -> None:
    """Configure structlog for this process. `layout` is auto, json or console; auto is console on a terminal."""
    console = layout == "console" or (layout == "auto" and sys.stderr.isatty())
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    if ring is not None:
        processors.append(ring)
    if console:
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
