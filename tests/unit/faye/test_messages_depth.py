"""How deeply a message may nest."""

from __future__ import annotations

import json

import pytest

from agent.faye.messages import ELEMENT_LIMIT, MAX_DEPTH, ReplySplitter, decode


def nested(levels: int, kind: str) -> str:
    """A message that nests `levels` deep, in lists or objects: the message itself is the first."""
    data = "1"
    for _ in range(levels - 1):
        data = f"[1,{data}]" if kind == "lists" else f'{{"a":1,"b":{data}}}'
    return f'{{"channel":"/a","data":{data}}}'


@pytest.mark.parametrize("kind", ["lists", "objects"])
def test_a_message_may_nest_as_deep_as_the_limit_and_not_deeper(kind: str) -> None:
    well, too_deep = nested(MAX_DEPTH, kind), nested(MAX_DEPTH + 1, kind)
    batch = decode(f"[{well},{too_deep},{well}]".encode())
    assert [json.dumps(message.wire()) for message in batch.messages] == [json.dumps(json.loads(well))] * 2
    assert batch.rejected == 1


def test_commas_behind_the_last_element_that_is_kept_begin_no_other() -> None:
    """However the reply is cut into chunks."""
    splitter = ReplySplitter()
    splitter.feed(b"[" + b"1," * (ELEMENT_LIMIT - 1))
    for _ in range(9):
        for chunk in (b'{"a":1}', b","):
            splitter.feed(chunk)
    splitter.feed(b"1]")
    assert len(splitter.elements()) <= ELEMENT_LIMIT
    assert splitter.rejected == 1
