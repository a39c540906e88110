"""Columns that a text takes on a terminal (wcwidth): wide letters take two, combining marks none.

For text that is printable already (agent/core/printable.py): control characters have no width that could be told.
"""

from __future__ import annotations

import unicodedata

CUT = "…"

_ZERO = frozenset(("Mn", "Me", "Cf"))
_JAMO = range(0x1160, 0x1200)  # medial vowels and final consonants: part of the syllable before them


def display_width(text: str) -> int:
    """Columns of `text`, as Unicode's East Asian Width has them (UAX #11); ambiguous letters take one."""
    return len(text) if text.isascii() else sum(_columns(one) for one in text)


def cut_to_width(text: str, limit: int) -> str:
    """Shorten `text` to `limit` columns, with an ellipsis at its end when something was left out."""
    if len(text) * 2 <= limit or (len(text) <= 2 * limit and display_width(text) <= limit):
        return text
    kept: list[str] = []
    used = 0
    for one in text:
        used += _columns(one)
        if used > limit - 1 or len(kept) > 4 * limit:  # any number of combining marks takes no column
            break
        kept.append(one)
    return "".join(kept) + CUT


def pad_to_width(text: str, columns: int) -> str:
    """Fill `text` with spaces to `columns` columns."""
    return text + " " * (columns - display_width(text))


def _columns(one: str) -> int:
    if unicodedata.category(one) in _ZERO or ord(one) in _JAMO:
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1
