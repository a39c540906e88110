"""Bodies of the first clients of this interface, brought into the form that its reference describes. Pure.

The simulator in the browser posted forms (`application/x-www-form-urlencoded`, `data[layer]=4`), with `data` as a
string of JSON at times; the first firmware sent null and empty strings for what did not apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import parse_qsl

import msgspec

OPTIONAL = ("error_code", "error_message", "job_id", "job_status", "job_progress", "printer_status", "data")
"""Attributes of a report that need not be there: null, and an empty string but in a message, count as absent."""
NUMBERS = frozenset(
    ("progress", "error_code", "job_progress", "layer", "total_layers", "seconds_left", "temperature", "error")
)
"""Attributes that are numbers; a form has texts alone."""
MAX_FIELDS = 200


def form_object(body: bytes) -> dict[str, object]:
    """Decode a form into an object; `name[key]=value` makes an object `name`. Raises ValueError."""
    made: dict[str, object] = {}
    for name, text in parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS):
        outer, bracket, inner = name.partition("[")
        if not bracket:
            made[name] = _value(name, text)
            continue
        inside = made.setdefault(outer, {})
        if not isinstance(inside, dict) or not inner.endswith("]"):
            raise ValueError(f"{outer} is both a value and an object")
        inside[inner[:-1]] = _value(inner[:-1], text)
    return made


def plain_report(body: Mapping[str, object]) -> dict[str, object]:
    """A report or heartbeat without what does not apply, `data` as an object and `job_id` as a string."""
    plain = {name: value for name, value in body.items() if not (name in OPTIONAL and _is_nothing(name, value))}
    job_id, data = plain.get("job_id"), plain.get("data")
    if isinstance(job_id, int) and not isinstance(job_id, bool):
        plain["job_id"] = str(job_id)
    if isinstance(data, str):
        # What cannot be decoded stays a string, which the check that follows refuses.
        with suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
            plain["data"] = msgspec.json.decode(data)
    return plain


def _is_nothing(name: str, value: object) -> bool:
    return value is None or (value == "" and name != "error_message")


def _value(name: str, text: str) -> object:
    if name not in NUMBERS:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
