"""Encode and decode Bayeux messages within bounds. Nothing that a server or a publisher sends makes these functions
raise anything other than ValueError.

    a reply ─▶ ReplySplitter ─▶ the source text of each message ─▶ decoded one by one, only if it is small

A reply is split without building a tree, in linear time, chunk by chunk, so what is skipped costs no memory. A decoded
message takes up to thirty times its source, so only one is decoded at a time: what waits for a handler is source text.

The standard library's json is used on purpose: integers above 2^53 stay exact, and a lone surrogate (`"\\ud800"`, which
JavaScript can publish) survives; stricter decoders reject the whole message for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_DEPTH = 100
"""Levels of nesting in one message. The decoder itself gives up near 1,000."""
MESSAGE_LIMIT = 256 * 1024
"""Bytes of one message's source; a larger one is rejected undecoded. A command is a few hundred."""
NODE_LIMIT = 10_000
"""Values in one message; one with more is rejected undecoded. A value takes up to 240 bytes."""
KEPT_LIMIT = 2 * 1024 * 1024
"""Bytes of the messages of one reply that are kept; further ones are rejected."""
ELEMENT_LIMIT = 20_000
"""Messages of one reply; what comes after them is skipped. One real reply of 10,000 has been seen."""
HOPELESS_DEPTH = 100_000
"""Levels of nesting in a reply, beyond which it is given up as a whole."""

WINDOW = 1024
"""Bytes that are skipped in one go: the memory of the expression itself is up to 200 times as much."""

Wire = dict[str, object]
"""One message as decoded."""

_TEXT = rb'[^"\\]*+(?:\\.[^"\\]*+)*'  # of a string, up to its end or to a lone backslash at the chunk's
_PLAIN = rb'[^"\[\]{}]++'
_IN_STRING = re.compile(_TEXT, re.DOTALL)
_MARK = re.compile(rb'["\[\]{},]')
_OPENING = re.compile(rb"[\[{]*+")
_CLOSING = re.compile(rb"[\]}]*+")


def _whole_values(levels: int, group: int = 1) -> bytes:
    """The pattern of what can be skipped at once: strings, and brackets of at most so many levels. Nothing of it is
    tried again in another way, so that no byte is looked at more than `levels` times before the next bracket is taken
    by itself: a look-ahead and a reference to its `group`, because Python before 3.11.5 matches wrongly with possessive
    groups (python/cpython issue 106052)."""
    brackets = rb"|[\[{]%b[\]}]" % _whole_values(levels - 1, group + 1) if levels else b""
    return rb'(?=((?:%b|"%b"%b)*))\%d' % (_PLAIN, _TEXT, brackets, group)


_WHOLE_VALUES = re.compile(_whole_values(3), re.DOTALL)


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
class Received:
    """A usable message as its source text, which takes far less memory than decoded."""

    channel: str
    has_data: bool
    source: bytes

    def wire(self) -> Wire:
        """Decode the whole message."""
        value = _decode_element(self.source)
        if not isinstance(value, dict):
            raise ValueError("not a Bayeux message")  # noqa: TRY004 - it is the text that is wrong
        return value

    def message(self) -> Message:
        """Decode the message for its handler."""
        wire = self.wire()
        identity = wire.get("id")
        text = identity if isinstance(identity, str) else "" if identity is None else repr(identity)
        return Message(self.channel, wire.get("data"), text, wire)


@dataclass(frozen=True, slots=True)
class Batch:
    """A reply: the usable messages in order, and how many were not usable."""

    messages: tuple[Received, ...]
    rejected: int


class ReplySplitter:
    """Splits a reply, an array or a single object, into the source text of its messages, chunk by chunk.

    An element that is larger than `message_limit`, or does not fit into `kept_limit` with those before it, is skipped
    and counted in `rejected`; nothing of it is kept."""

    def __init__(self, message_limit: int = MESSAGE_LIMIT, kept_limit: int = KEPT_LIMIT) -> None:
        self._message_limit = message_limit
        self._room = kept_limit
        self._left = ELEMENT_LIMIT
        self._elements: list[bytes] = []
        self._current = bytearray()
        self._oversized = False
        self._depth = 0
        self._base = -1  # the depth at which elements are: 1 within an array, 0 for a single object; -1: not known yet
        self._in_string = False
        self._escaped = False  # the last chunk ended after a backslash
        self._ended = False
        self.rejected = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the reply. Raises ValueError when it is neither an array nor an object, or nests
        beyond measure."""
        position = 0
        if self._base < 0 or self._ended:
            position = self._outside(chunk, 0)
        while position < len(chunk):
            position = self._skip_string(chunk, position) if self._in_string else self._step(chunk, position)

    def elements(self) -> list[bytes]:
        """Return the elements that were kept, in order. Raises ValueError when the reply was cut."""
        if not self._ended:
            raise ValueError("the reply is not JSON, or it was cut")
        return self._elements

    def condensed(self) -> bytes:
        """Return the reply as JSON without what was skipped, of which `null` stays. Raises ValueError when it was
        cut."""
        return b"[%b]" % b",".join([*self.elements(), *[b"null"] * self.rejected])

    def _outside(self, chunk: bytes, position: int) -> int:
        """Skip white space before the reply's first bracket or after its last one; the position after the bracket."""
        rest = chunk[position:].lstrip()
        if not rest:
            return len(chunk)
        if self._ended or rest[:1] not in (b"[", b"{"):
            raise ValueError("the reply is not JSON: a batch must be an array or an object")
        start = len(chunk) - len(rest)
        if rest[:1] == b"{":
            self._base = 0
            return start
        self._base = self._depth = 1
        return start + 1

    def _skip_string(self, chunk: bytes, position: int) -> int:
        """Move within a string that an earlier chunk began: the position after its end, or the chunk's."""
        match = _IN_STRING.match(chunk, position + self._escaped)
        end = match.end() if match is not None else position
        self._escaped = chunk[end : end + 1] == b"\\"
        self._in_string = chunk[end : end + 1] != b'"'
        self._keep(chunk, position, end + 1)
        return end + 1

    def _step(self, chunk: bytes, position: int) -> int:
        """Move past whole values, where commas do not matter, and one mark; the position after it."""
        start = position
        if self._depth > self._base or self._left == 0:
            match = _WHOLE_VALUES.match(chunk, position, position + WINDOW)
            position = match.end() if match is not None else position
        match = _MARK.search(chunk, position)
        if match is None:
            self._keep(chunk, start, len(chunk))
            return len(chunk)
        mark, end = match[0], match.end()
        if mark == b'"':
            self._in_string = True
        elif mark in b"[{":
            deeper = _OPENING.match(chunk, end)
            self._depth += 1 + (deeper.end() - end if deeper is not None else 0)
            end = deeper.end() if deeper is not None else end
            if self._depth > HOPELESS_DEPTH:
                raise ValueError("the reply nests too deeply")
        elif mark in b"]}":
            self._depth -= 1
            run = _CLOSING.match(chunk, end) if self._depth > self._base + 1 else None
            if run is not None:  # as many at once as end no element
                closed = min(run.end() - end, self._depth - self._base - 1)
                self._depth, end = self._depth - closed, end + closed
        if self._depth < self._base or (self._depth == self._base == 0 and mark in b"]}"):
            self._keep(chunk, start, end - self._base)
            self._end_element(last=True)
            self._ended = True
            return self._outside(chunk, end)
        if mark == b"," and self._depth == self._base == 1 and self._left:
            self._keep(chunk, start, end - 1)
            self._end_element(last=False)
        else:
            self._keep(chunk, start, end)
        return end

    def _keep(self, chunk: bytes, start: int, end: int) -> None:
        if self._oversized:
            return
        if len(self._current) + end - start > min(self._message_limit, self._room):
            self._oversized = True
            self._current.clear()
            return
        self._current += chunk[start:end]

    def _end_element(self, *, last: bool) -> None:
        element = bytes(self._current).strip()
        self._current.clear()
        self._left -= 1
        if self._oversized:
            self._oversized = False
            self.rejected += 1
        elif element:
            self._room -= len(element)
            self._elements.append(element)
        elif not last or self._elements or self.rejected:
            self.rejected += 1  # nothing between two commas
        if not self._left:
            self._oversized = True  # all that is left is skipped as one


def encode(messages: Sequence[Mapping[str, object]]) -> bytes:
    """Encode a batch of messages as JSON. Raises TypeError, ValueError or RecursionError for what JSON cannot hold."""
    return json.dumps(messages, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def decode(body: bytes) -> Batch:
    """Decode a reply, an array or a single object, to its usable messages. Raises ValueError when it is neither.

    A byte that is not UTF-8 spoils its own string only. A message that nests too deeply, is too large or holds what is
    not JSON is rejected alone."""
    splitter = ReplySplitter()
    splitter.feed(body)
    kept: list[Received] = []
    elements = splitter.elements()
    for element in elements:
        try:
            value = _decode_element(element)
        except ValueError:
            continue
        channel = value.get("channel") if isinstance(value, dict) else None
        if isinstance(value, dict) and isinstance(channel, str) and not _too_deep(value):
            kept.append(Received(channel, "data" in value, element))
    return Batch(tuple(kept), splitter.rejected + len(elements) - len(kept))


def _decode_element(source: bytes) -> object:
    """Decode one element of a batch: a message, or a string that holds one (some servers send each as a string).
    Raises ValueError, before anything is decoded when it has more than NODE_LIMIT values."""
    if sum(source.count(mark) for mark in (b",", b"[", b"{")) > NODE_LIMIT:
        raise ValueError(f"a message has more than {NODE_LIMIT} values")
    value = _loads(source.decode("utf-8", errors="replace"))
    if isinstance(value, str) and value.startswith("{"):
        if sum(value.count(mark) for mark in ",[{") > NODE_LIMIT:
            raise ValueError(f"a message has more than {NODE_LIMIT} values")
        return _loads(value)
    return value


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
