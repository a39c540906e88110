"""Replies within bounds: what is too large is skipped without a tree, in linear time, and costs no other message."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.faye.messages import ELEMENT_LIMIT, KEPT_LIMIT, MESSAGE_LIMIT, NODE_LIMIT, Batch, ReplySplitter, decode

CONNECT = b'{"channel":"/meta/connect","id":"7","successful":true}'
COMMAND = b'{"channel":"/a","data":{"command":"pause"}}'
CHUNK = 16 * 1024
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def message_of(*, size: int) -> bytes:
    """A message on /a of exactly so many bytes."""
    frame = b'{"channel":"/a","data":"%b"}'
    return frame % (b"x" * (size - len(frame % b"")))


def message_with(*, values: int) -> bytes:
    return b'{"channel":"/a","data":[%b]}' % b",".join([b"{}"] * values)


def channels(batch: Batch) -> list[str]:
    return [message.channel for message in batch.messages]


@pytest.mark.parametrize(
    "hostile",
    [
        message_of(size=MESSAGE_LIMIT + 1),
        message_with(values=NODE_LIMIT),
        b'{"command":"x","x":[%b]}' % b",".join([b"{}"] * 1_000_000),
        json.dumps(message_with(values=NODE_LIMIT).decode()).encode(),
        b"[" * 50_000 + b"]" * 50_000,
        b'{"channel":"/a","data":%b}' % (b"9" * 5_000),
    ],
    ids=["bytes", "values", "three-megabytes-of-braces", "values-in-a-string", "depth", "digits"],
)
def test_a_hostile_message_is_rejected_alone(hostile: bytes) -> None:
    batch = decode(b"[%b, %b, %b]" % (COMMAND, hostile, CONNECT))
    assert channels(batch) == ["/a", "/meta/connect"]
    assert batch.rejected == 1


def test_a_message_at_the_limits_is_usable() -> None:
    assert channels(decode(message_of(size=MESSAGE_LIMIT))) == ["/a"]
    assert channels(decode(message_with(values=NODE_LIMIT // 2 - 2))) == ["/a"]


def test_a_reply_keeps_no_more_than_its_limit() -> None:
    one = message_of(size=100_000)
    batch = decode(b"[%b]" % b",".join([one] * 60))
    assert sum(len(message.source) for message in batch.messages) <= KEPT_LIMIT
    assert (len(batch.messages), batch.rejected) == (20, 40)


def test_what_comes_after_the_last_message_that_fits_is_skipped_as_one() -> None:
    batch = decode(b"[%b]" % b",".join([COMMAND] * (ELEMENT_LIMIT + 500)))
    assert (len(batch.messages), batch.rejected) == (ELEMENT_LIMIT, 1)


@pytest.mark.parametrize("hostile", [b"{},", b'{"a":1},', b'{"a":[1,{"b":"c"}]},', b'"a",', b'"\\"",', b'["a"],'])
def test_a_message_of_any_size_takes_no_memory(hostile: bytes) -> None:
    """24 MB in chunks, as a transport reads them; ten times the limit of what is kept would show."""
    splitter = ReplySplitter()
    piece = hostile * (CHUNK // len(hostile))
    tracemalloc.start()
    try:
        splitter.feed(b'[{"channel":"/a","data":[')
        for _ in range(100):
            splitter.feed(piece)
        splitter.feed(b"0]}," + CONNECT + b"]")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert splitter.elements() == [CONNECT]
    assert splitter.rejected == 1
    assert peak < 2 * MESSAGE_LIMIT


def seconds(body: bytes) -> float:
    """The least of three runs, in chunks and as a whole."""

    def split_and_decode() -> None:
        splitter = ReplySplitter()
        try:
            for start in range(0, len(body), CHUNK):
                splitter.feed(body[start : start + CHUNK])
            splitter.elements()
            decode(body)
        except ValueError:
            return

    least = float("inf")
    for _ in range(3):
        started = time.process_time()
        split_and_decode()
        least = min(least, time.process_time() - started)
    return least


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b'[{"channel":"/a","data":"' + b'\\"' * n,
        lambda n: b'[{"channel":"/a","data":"' + b"\\" * n,
        lambda n: b'["' + b'","' * n,
        lambda n: b'[{"a":' + b'{"":[' * n,
        lambda n: b"[" + b'{"a":{"b":{"c":{' * (n // 4),
        lambda n: b"[" + b'{"a":"b","c":[1,2,{"d":' * (n // 8),
        lambda n: b"[" + b"[[[1],[1" * (n // 4),
        lambda n: b"[" + b"{}," * n,
    ],
    ids=["escapes", "backslashes", "strings", "nested", "deep", "cut", "almost-closed", "elements"],
)
def test_the_time_grows_no_faster_than_the_size(make: Callable[[int], bytes]) -> None:
    """Four times the size takes about four times as long; what is quadratic takes sixteen times."""
    small, large = seconds(make(10_000)), seconds(make(40_000))
    assert large < max(8 * small, 0.02), f"{small:.4f} s, then {large:.4f} s"


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=4), max_size=6),
    size=st.integers(1, 40),
    pretty=st.booleans(),
)
def test_a_reply_is_split_alike_in_any_chunks(*, values: list[dict[str, object]], size: int, pretty: bool) -> None:
    """The elements are what the standard decoder says, also where a chunk ends within a string or an escape."""
    body = json.dumps(values, indent=1 if pretty else None, ensure_ascii=pretty).encode()
    splitter = ReplySplitter()
    for start in range(0, len(body), size):
        splitter.feed(body[start : start + size])
    assert [json.loads(element) for element in splitter.elements()] == values
    assert json.loads(splitter.condensed()) == values


@pytest.mark.parametrize("body", [b"", b"  ", b"7", b'"x"', b"[", b'[{"channel":"/a"}', b"[] []", b"<html>", b'["\\'])
def test_what_is_neither_an_array_nor_an_object_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        decode(body)


def test_what_waits_for_its_handler_is_text() -> None:
    """A decoded message takes up to thirty times its source."""
    (message,) = decode(b"[%b]" % message_with(values=4_000)).messages
    assert len(message.source) < 14_000
    assert message.message().data == [{}] * 4_000
