"""Replies of Faye: split, and the intact messages saved out of damaged ones (agent/faye/messages.py).

The oracle: nothing but ValueError is raised; a reply that the standard library reads has the same messages here; of a
reply in which some messages are damaged the others all arrive, in order; and how a reply was cut into chunks does not
matter."""

from __future__ import annotations

import json
import random
from typing import Any

from agent.faye.messages import (
    ELEMENT_LIMIT,
    KEPT_LIMIT,
    MESSAGE_LIMIT,
    Batch,
    ReplySplitter,
    decode,
    encode,
)
from benchmarks.fuzz.mutator import JSON, Mutator
from benchmarks.fuzz.target import parser

HANDSHAKE = (
    b'[{"id":"1","channel":"/meta/handshake","successful":true,"version":"1.0","supportedConnectionTypes":["websocket"],'
    b'"clientId":"cw5vb","advice":{"reconnect":"retry","interval":0,"timeout":45000}}]'
)
COMMAND = (
    b'[{"channel":"/printers/7/command","data":{"task_id":"123","command":"print_data","file_url":"https://a.example/b"},'
    b'"id":"x"},{"channel":"/meta/connect","successful":true,"clientId":"c","id":"4"}]'
)
STRINGS = (
    b'[ {"channel":"/printers/7/command","data":"{\\"task_id\\":\\"9\\",\\"command\\":\\"pause\\"}"} ,\n'
    b'"{\\"channel\\":\\"/a\\",\\"data\\":[1,2,{\\"b\\":null}]}", {"channel":"/b/\\u00e9","data":"\xc3\xa9\\ud83d"}]'
)
EXAMPLES = (
    HANDSHAKE,
    COMMAND,
    STRINGS,
    b'{"channel":"/meta/connect","successful":false,"error":"401:c:Unknown client","id":"5"}',
    b'[{"channel":"/a","data":{"deep":[[[[{"a":[1.5e3,-0.0,true]}]]]],"text":"] } , [ { \\\\ \\" "}}]',
)
TOKENS = (*JSON, b'{"channel":"/x"}', b',{"channel":"/y","data":1}', b'"channel"', b"\\u", b'\\"', b"\n")
DAMAGES = (
    *(b"nonsense", b"NaN", b'{"channel":7}', b'"text"', b'{"channel":"/a","data":NaN}', b'{"channel":"/a" "data":1}'),
    *(b'{"channel":"/a","data":"\xff\xc3"}', b'{"channel":"/a","data":"\\q"}', b"{,}", b'{"a":1,}', b"-", b"", b"01"),
    *(b'{"a":\x00}', b"\xef\xbb\xbf1"),
)
"""What stands in the place of a message; brackets and quotation marks are in balance, so that its end is known."""
LARGE_DAMAGES = (
    b'{"channel":"/a","data":"' + b"x" * MESSAGE_LIMIT + b'"}',
    b'{"channel":"/a","data":[' + b"0," * 11_000 + b"0]}",
    b"[" * 4_000 + b"]" * 4_000,
    b'{"channel":"/a","data":' + b"[" * 900 + b"]" * 900 + b"}",
)
BLANKS = (b"", b"", b" ", b"\n\t ")


def _check_any(data: bytes, choose: random.Random) -> None:
    """Judge what comes of any bytes."""
    try:
        batch = decode(data)
    except ValueError:
        _require_unreadable(data)
        return
    _require_sound(batch)
    _require_the_same_in_chunks(data, choose)
    expected = _as_the_standard_library(data)
    if expected is not None:
        assert [message.wire() for message in batch.messages] == expected


def _check_salvage(choose: random.Random) -> None:
    """Judge what is saved out of a reply with damaged messages."""
    intact: list[dict[str, Any]] = []
    elements: list[bytes] = []
    for number in range(choose.randrange(1, 9)):
        if choose.random() < 0.5:
            elements.append(choose.choice(LARGE_DAMAGES if choose.random() < 0.02 else DAMAGES))
            continue
        intact.append({"channel": f"/c/{number}", "id": f"keep-{number}", "data": _value(choose, 3)})
        elements.append(json.dumps(intact[-1], ensure_ascii=choose.random() < 0.5).encode())
    blank = choose.choice(BLANKS)
    body = blank + b"[" + (blank + b"," + blank).join(elements) + b"]" + blank
    batch = decode(body)
    _require_sound(batch)
    kept = [wire for message in batch.messages if str((wire := message.wire()).get("id")).startswith("keep-")]
    assert kept == intact, f"{len(kept)} of {len(intact)} messages were saved out of {body[:500]!r}"
    _require_the_same_in_chunks(body, choose)


def _require_sound(batch: Batch) -> None:
    assert len(batch.messages) + batch.rejected <= ELEMENT_LIMIT + 1
    assert sum(len(message.source) for message in batch.messages) <= KEPT_LIMIT
    for each in batch.messages:
        message = each.message()
        assert message.channel == each.channel
        try:
            again = decode(encode([dict(message.raw)]))
        except ValueError:  # a number beyond what JSON can hold: 1e999
            continue
        assert [one.wire() for one in again.messages] == [message.raw], "encoding and decoding changes it"


def _require_the_same_in_chunks(data: bytes, choose: random.Random) -> None:
    whole, pieces = ReplySplitter(), ReplySplitter()
    whole.feed(data)
    at = 0
    while at < len(data):
        size = choose.choice((1, 2, 7, 60, 5_000)) if len(data) < 1_000 else choose.choice((1, len(data) // 9 + 1))
        pieces.feed(data[at : at + size])
        at += size
    assert pieces.elements() == whole.elements(), "how it was cut into chunks changes it"


def _require_unreadable(data: bytes) -> None:
    """A reply that was given up is none that the standard library reads, as far as that is a reply at all."""
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return
    assert not isinstance(value, list | dict), "readable JSON was given up"


def _as_the_standard_library(data: bytes) -> list[dict[str, Any]] | None:
    """The messages of a reply that is JSON without doubt; None for any other."""
    if max(map(data.count, (b"[", b"{"))) > 50 or b"NaN" in data or b"Infinity" in data:
        return None
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    messages = []
    for each in value if isinstance(value, list) else [value]:
        message = each
        if isinstance(each, str) and each.startswith("{"):
            try:
                message = json.loads(each)
            except (ValueError, RecursionError):
                continue
        if isinstance(message, dict) and isinstance(message.get("channel"), str):
            messages.append(message)
    return messages


def _value(choose: random.Random, depth: int) -> Any:
    pick = choose.randrange(9 if depth else 7)
    if pick == 7:
        return [_value(choose, depth - 1) for _ in range(choose.randrange(4))]
    if pick == 8:
        return {
            choose.choice(("a", 'b"]', "\\", "é", "")): _value(choose, depth - 1) for _ in range(choose.randrange(4))
        }
    return (
        None,
        True,
        2**70,
        -1.5,
        "x[{\"'\\,}]\n" * choose.randrange(3),
        "\U0001f600 \N{LATIN SMALL LETTER E WITH ACUTE}",
        "{}",
    )[pick]


_MUTATED = parser(Mutator(EXAMPLES, TOKENS, max_size=3_000), _check_any)


def trial(choose: random.Random) -> None:
    """One reply: mutated anywhere, or some of its messages damaged."""
    if choose.random() < 0.6:
        _MUTATED(choose)
    else:
        _check_salvage(choose)
