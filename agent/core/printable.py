"""Text from outside made printable: no escape sequence, control character or bidi control reaches a terminal, a log or
a page. Each is replaced by its escape as Python writes it (`\\x1b`, `\\u202e`)."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    """Replace the characters that are not printable (C0, C1, bidi and other format characters, line separators,
    surrogates), but for those in `keep`. Spaces of any kind become a plain space."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escape(one) for one in text)


def printable_json(text: str) -> str:
    """The same for a JSON text on one line, which stays the same JSON: within its strings alone there can be such
    characters, and they become `\\uXXXX`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _json_escape(one) for one in text)


def _escape(one: str) -> str:
    return " " if one.isspace() and one > "\x7f" and one not in "\x85\u2028\u2029" else _python_escape(one)


def _python_escape(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def _json_escape(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
