"""The size limit of a report's `data`, and what is left out when it is exceeded."""

from __future__ import annotations

from typing import Any

import msgspec

MAX_DATA = 5000
"""Characters of `data` as JSON. Counted as UTF-16 units of the compact text, which is what a JavaScript server sees."""

# What goes first when `data` is too long; what is not here (state, numbers, short texts) goes last, and only then.
SHRINK_ORDER = (
    "heat_curve",
    "settings",
    "link",
    "temperatures",
    "job_name",
    "url",
    "message",
    "ui_sub_state",
    "change",
    "error_message",
    "command",
    "job_id",
)


LEFT_OUT = "left_out"
"""The key that names what was left out, where there is room for it."""


def shrink(data: dict[str, Any], limit: int = MAX_DATA) -> dict[str, Any]:
    """`data` within `limit` characters as JSON, still valid: what SHRINK_ORDER names goes first, strings by being cut,
    anything else by being left out; then the longest of what remains, `state` last of all, until it fits. What was
    left out of SHRINK_ORDER is named in LEFT_OUT."""
    if length(data) <= limit:
        return data
    left = _shrunk(data, limit)
    if LEFT_OUT in data or not (data.keys() - left.keys()) & set(SHRINK_ORDER):
        return left
    smaller = _shrunk(data, limit - limit // 25)  # room for the names
    named = {**smaller, LEFT_OUT: [key for key in SHRINK_ORDER if key in data and key not in smaller]}
    fits = length(named) <= limit and ("state" in smaller or "state" not in left)
    return named if fits else left


def _shrunk(data: dict[str, Any], limit: int) -> dict[str, Any]:
    left = dict(data)
    for key in SHRINK_ORDER:
        if key in left:
            _cut(left, key, limit)
        if length(left) <= limit:
            return left
    while left and length(left) > limit:
        del left[max(left, key=lambda key: (key != "state", length({key: left[key]})))]
    return left


def length(value: object) -> int:
    """Characters as compact JSON, in UTF-16 units."""
    return len(msgspec.json.encode(value).decode().encode("utf-16-le")) // 2


def _cut(data: dict[str, Any], key: str, limit: int) -> None:
    """Shorten a string by as much as is needed, or drop the key when that leaves nothing readable."""
    value = data.pop(key)
    if not isinstance(value, str):
        return
    room = limit - length({**data, key: "…"})
    kept = value[: max(room, 0)]
    while kept and length({**data, key: kept + "…"}) > limit:  # escapes and astral characters count more than one
        kept = kept[: len(kept) * 3 // 4]
    if len(kept) >= 8:
        data[key] = kept + "…"
