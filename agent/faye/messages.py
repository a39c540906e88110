"""Encode and decode Bayeux messages. Nothing that a server or a publisher sends makes these functions raise anything
other than ValueError.

The standard library's json is used on purpose: integers above 2^53 stay exact, and a lone surrogate (`"\\ud800"`, which
JavaScript can publish) survives; stricter decoders reject the whole batch for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_DEPTH = 100
"""Levels of nesting in one message. The decoder itself gives up near 1,000."""
SALVAGE_LIMIT = 4 * 1024 * 1024
"""Characters. A larger batch with an undecodable message in it is rejected as a whole."""

Wire = dict[str, object]
"""One message as decoded."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Message:
    """A published message.

    `data` is as received: any JSON value. A string that holds JSON stays a string; the receiver parses it if it wants.
    `id` is the publisher's, or "" (not unique: a retried publish arrives twice with one id). `raw` is the whole
    message; everything in it but the channel was chosen by the publisher and proves nothing."""

    channel: str
    data: object
    id: str
    raw: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Batch:
    """A decoded reply: the usable messages in order, and how many were not usable."""

    messages: tuple[Wire, ...]
    rejected: int


def encode(messages: Sequence[Mapping[str, object]]) -> bytes:
    """Encode a batch of messages as JSON. Raises TypeError, ValueError or RecursionError for what JSON cannot hold."""
    return json.dumps(messages, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def decode(body: bytes) -> Batch:
    """Decode a reply, an array or a single object, to its messages. Raises ValueError when it is neither.

    A byte that is not UTF-8 spoils its own string only. A message that nests too deeply or holds what is not JSON is
    rejected alone, as far as the rest of the batch can be told from it."""
    text = body.decode("utf-8", errors="replace")
    try:
        value = _loads(text)
    except ValueError:
        return _salvage(text)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise ValueError(  # noqa: TRY004 - it is the text that is wrong, not the caller's type
            f"a batch must be an array or an object, not {type(value).__name__}"
        )
    return _usable(value, 0)


def _usable(items: Sequence[object], rejected: int) -> Batch:
    """Keep what is a message: an object, or a string holding one, with a channel and at most MAX_DEPTH levels."""
    kept: list[Wire] = []
    for item in items:
        if isinstance(item, str) and item.startswith("{"):
            try:
                item = _loads(item)  # noqa: PLW2901 - some servers send each message as a string
            except ValueError:
                item = None  # noqa: PLW2901
        if isinstance(item, dict) and isinstance(item.get("channel"), str) and not _too_deep(item):
            kept.append(item)
        else:
            rejected += 1
    return Batch(tuple(kept), rejected)


def _salvage(text: str) -> Batch:
    """Decode element by element, so that one hostile message does not lose the others and our connect's reply."""
    if not text.lstrip().startswith("[") or len(text) > SALVAGE_LIMIT:
        raise ValueError("the reply is not JSON")
    items: list[object] = []
    rejected = 0
    for part in _elements(text):
        try:
            items.append(_loads(part))
        except ValueError:
            rejected += 1
    return _usable(items, rejected)


def _elements(text: str) -> Iterator[str]:
    """The source text of each element of the array in `text`. Raises ValueError when the array does not end."""
    depth = 0
    start = 0
    for match in _TOKEN.finditer(text):
        mark = match.group()
        if mark in ("[", "{"):
            depth += 1
            if depth == 1:
                start = match.end()
        elif mark in ("]", "}"):
            depth -= 1
            if depth == 0:
                yield text[start : match.start()]
                if text[match.end() :].strip():
                    break
                return
        elif mark == "," and depth == 1:
            yield text[start : match.start()]
            start = match.end()
    raise ValueError("the reply is not JSON, or it was cut")


def _loads(text: str) -> object:
    """Decode JSON; every error is a ValueError."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)  # json.loads would make a new one for each message


def _too_deep(value: object) -> bool:
    """Whether `value` nests deeper than MAX_DEPTH; without recursion."""
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [child for child in item.values() if isinstance(child, dict | list)]
            elif isinstance(item, list):
                below += [child for child in item if isinstance(child, dict | list)]
        if not below:
            return False
        level = below
    return True
