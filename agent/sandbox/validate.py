"""Validation of a printer's reports and heartbeats: the tables «Reports on a command» and «Heartbeat» of
docs/protocol.md. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

JOB_STATES = ("received", "printing", "paused", "canceled", "completed", "failed")
PRINTER_STATES = ("ready", "busy", "printing", "paused", "maintenance", "error")
MAX_DATA = 5000
"""Characters of `data` as compact JSON."""

_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)


def is_uuid(text: object) -> bool:
    """Return whether `text` is a UUID in its usual written form."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def report_problem(body: dict[str, object]) -> str:
    """Return why `body` is not a report on a command; empty when it is one."""
    return "progress is required" if "progress" not in body else _problem(body)


def status_problem(body: dict[str, object]) -> str:
    """Return why `body` is not a heartbeat; empty when it is one."""
    return "printer_status is required" if "printer_status" not in body else _problem(body)


def _problem(body: dict[str, object]) -> str:
    for name, check in _ATTRIBUTES.items():
        problem = check(body[name]) if name in body else ""
        if problem:
            return f"{name} {problem}"
    return ""


def _fraction(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number, it is {_kind(value)}"
    return "" if 0 <= value <= 1 else f"must be from 0 to 1, it is {value}"


def _integer(value: object) -> str:
    return "" if isinstance(value, int) and not isinstance(value, bool) else f"must be an int, it is {_kind(value)}"


def _text(value: object) -> str:
    return "" if isinstance(value, str) else f"must be a string, it is {_kind(value)}"


def _data(value: object) -> str:
    if not isinstance(value, dict):
        return f"must be an object, it is {_kind(value)}"
    length = len(msgspec.json.encode(value).decode())
    return "" if length <= MAX_DATA else f"has {length} characters as JSON, at most {MAX_DATA} are taken"


def _one_of(allowed: tuple[str, ...]) -> Callable[[object], str]:
    def check(value: object) -> str:
        return "" if value in allowed else f"must be one of {', '.join(allowed)}"

    return check


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "a bool", int: "an int", float: "a float", str: "a string", list: "an array"}
    return names.get(type(value), "an object")


_ATTRIBUTES: dict[str, Callable[[object], str]] = {
    "progress": _fraction,
    "error_code": _integer,
    "error_message": _text,
    "job_id": _text,
    "job_status": _one_of(JOB_STATES),
    "job_progress": _fraction,
    "printer_status": _one_of(PRINTER_STATES),
    "data": _data,
}
