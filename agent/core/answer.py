"""Classification of HTTP answers to a report: taken, refused for good, token dead, retry later.

The table is in docs/protocol.md, «Answers and what they mean to the agent».
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum

MAX_RETRY_AFTER = 3600.0  # seconds; a server that asks for more is asked again after this


class Answer(StrEnum):
    """What the agent does with an answer."""

    TAKEN = "taken"
    NEVER = "never"
    TOKEN_DEAD = "token dead"  # noqa: S105 a name, not a secret
    LATER = "later"


def classify(status: int) -> Answer:
    """Classify an HTTP status of a printer call. What the table does not name is retried: losing a report is worse than
    sending it twice."""
    if 200 <= status < 300:
        return Answer.TAKEN
    if status in (401, 403):
        return Answer.TOKEN_DEAD
    if status in (400, 404, 405, 409, 410, 411, 413, 414, 415, 422):
        return Answer.NEVER
    return Answer.LATER


def retry_after(value: str | None, wall: float) -> float | None:
    """Parse a `Retry-After` header, seconds or a date, into seconds to wait (RFC 9110 §10.2.3). `wall` is now, in
    seconds since the epoch, best by the server's own clock. None when absent or unreadable; never negative, never above
    MAX_RETRY_AFTER."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value[:10])
    else:
        date = http_date(value)
        if date is None:
            return None
        seconds = date - wall
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def http_date(value: str | None) -> float | None:
    """Parse an HTTP date (RFC 9110 §5.6.7) into seconds since the epoch, GMT also where it does not say so; None for
    what is none."""
    try:
        date = parsedate_to_datetime(value or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
