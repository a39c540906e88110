"""Seeded mutator: damages real examples a little, or a lot."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

MAX_SIZE = 20_000
"""Bytes of an input, about."""
REPEATS = (2, 10, 200, 5_000)
NUMBERS = (
    b"0",
    b"-1",
    b"1e999",
    b"1e-9",
    b"9" * 19,
    b"9" * 80,
    b"9" * 5_000,
    b"0x10",
    b"1_0",
    b"\xd9\xa3",
    b"NaN",
    b"inf",
)
JSON = (
    *(
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'""',
        b'"\\ud800"',
        b'"\\u001b[31m"',
        b'"\\u202e"',
        b'"\xff"',
        b"NaN",
        b"{",
        b"[",
        b'"',
    ),
    *(
        b"}",
        b"]",
        b",",
        b":",
        b"\\",
        b'{"a":' * 2_000,
        b"[" * 3_000,
        b'{"a":1,"a":2}',
        b'"{}"',
        b"\xef\xbb\xbf",
        b" ",
        b"\x00",
    ),
)
"""Pieces of JSON that parsers stumble over."""
TERMINAL = (b"\x1b[31m", b"\x07", b"\xc2\x9b", b"\xe2\x80\xae", b"\r", b"\x00", b"\xff\xfe", b"\xed\xa0\x80")
"""What must not reach a terminal."""


_BEFORE_VALUE = re.compile(rb"[:=]")
_AFTER_VALUE = re.compile(rb"[,}\]\r\n]")


class Mutator:
    """Makes inputs of `examples`; `tokens` are put in between. An input has at most `max_size` bytes."""

    def __init__(self, examples: Sequence[bytes], tokens: Sequence[bytes], max_size: int = MAX_SIZE) -> None:
        self._examples = examples
        self._max_size = max_size
        self._tokens = (*tokens, *TERMINAL)
        self._steps: tuple[Callable[[bytes, random.Random], bytes], ...] = (
            self._insert,
            self._insert,
            self._replace_number,
            self._replace_value,
            self._splice,
            _flip,
            _delete,
            _repeat,
            _cut,
        )

    def __call__(self, choose: random.Random) -> bytes:
        """One input: an example, most often changed in a few places."""
        data = choose.choice(self._examples)
        for _ in range(choose.choice((0, 1, 1, 2, 3, 8))):
            data = choose.choice(self._steps)(data, choose)
        return data[: self._max_size]

    def _insert(self, data: bytes, choose: random.Random) -> bytes:
        at, piece = choose.randrange(len(data) + 1), choose.choice(self._tokens)
        end = at + choose.choice((0, 0, len(piece)))
        many = choose.choice((1, 1, 1, 2, 300))
        return data[:at] + (piece * many)[:MAX_SIZE] + data[end:]

    def _splice(self, data: bytes, choose: random.Random) -> bytes:
        other = choose.choice(self._examples)
        at = choose.randrange(len(other) + 1)
        return data[: choose.randrange(len(data) + 1)] + other[at:]

    def _replace_number(self, data: bytes, choose: random.Random) -> bytes:
        places = [at for at, byte in enumerate(data[:4_000]) if 48 <= byte <= 57]
        if not places:
            return self._insert(data, choose)
        start = end = choose.choice(places)
        while end < len(data) and 48 <= data[end] <= 57:
            end += 1
        return data[:start] + choose.choice(NUMBERS) + data[end:]

    def _replace_value(self, data: bytes, choose: random.Random) -> bytes:
        """Put a token in the place of what follows a colon or an equals sign, up to the next mark."""
        places = [match.end() for match in _BEFORE_VALUE.finditer(data[:4_000])]
        if not places:
            return self._insert(data, choose)
        start = choose.choice(places)
        end = _AFTER_VALUE.search(data, start)
        return data[:start] + choose.choice(self._tokens) + data[end.start() if end else len(data) :]


def _flip(data: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 1, 4))):
        if changed:
            changed[choose.randrange(len(changed))] = choose.randrange(256)
    return bytes(changed)


def _delete(data: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(data) + 1)
    return data[:start] + data[start + choose.choice((1, 2, 30)) :]


def _repeat(data: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(data) + 1)
    piece = data[start : start + choose.choice((1, 2, 20))]
    return data[:start] + (piece * choose.choice(REPEATS))[:MAX_SIZE] + data[start:]


def _cut(data: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data) + 1)]
