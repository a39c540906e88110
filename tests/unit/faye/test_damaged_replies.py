"""Replies as they come off the wire: what one bad message does to the others."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.faye.messages import decode, encode

BEFORE: Mapping[str, object] = {"channel": "/printers/7/command", "data": {"task_id": "a"}, "id": "1"}
AFTER: Mapping[str, object] = {"channel": "/meta/connect", "successful": True, "clientId": "c"}


def batch(middle: bytes) -> bytes:
    """A reply with something between two sound messages."""
    return encode([BEFORE])[:-1] + b"," + middle + b"," + encode([AFTER])[1:]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
def test_a_byte_that_is_not_utf_8_spoils_its_own_string_alone(bad: bytes) -> None:
    body = batch(b'{"channel":"/printers/7/command","data":{"task_id":"b","name":"x' + bad + b'y"},"id":"2"}')
    decoded = decode(body)
    first, second, third = (message.wire() for message in decoded.messages)
    assert (first, third, decoded.rejected) == (BEFORE, AFTER, 0)
    data = second["data"]
    assert isinstance(data, dict)
    assert data["task_id"] == "b"
    assert set(data["name"]) - {"x", "y"} == {"\N{REPLACEMENT CHARACTER}"}


@pytest.mark.parametrize(
    "middle",
    [
        b'{"channel":"/a","data":NaN}',
        b'{"channel":"/a","data":"\xff" nonsense}',
        b'{"channel":7}',
        b'"text"',
        b'{"channel":"/a","data":' + b"[" * 2000 + b"]" * 2000 + b"}",
    ],
)
def test_a_message_that_cannot_be_used_is_rejected_alone(middle: bytes) -> None:
    decoded = decode(batch(middle))
    assert ([message.wire() for message in decoded.messages], decoded.rejected) == ([BEFORE, AFTER], 1)
