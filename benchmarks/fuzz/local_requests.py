"""Lines of the local socket (agent/local): each gets an answer, and what is a request is one that can be sent again."""

from __future__ import annotations

import random

import msgspec

from agent.errors import DataError
from agent.local import local_requests
from benchmarks.fuzz.mutator import JSON, Mutator
from benchmarks.fuzz.target import pure, require_text

EXAMPLES = (
    *(
        b'{"op":"status"}',
        b'{"op":"command","command":"pause"}',
        b'{"op":"print","name":"a.gcode","size":9}',
        b'{"op":"halt"}',
    ),
    *(
        b'{"op":"task","task_id":"local-1"}',
        b'{"op":"register"}',
        b'{"op":"outbox","retry":3}',
        b'{"op":"outbox","drop":"all"}',
    ),
)
TOKENS = (
    *JSON,
    *(
        b'"op":',
        b'"at `$.op`"',
        b'"at `$.evil`"',
        b'"missing required field `x`"',
        b'"unknown field `y`"',
        b'"`":1',
        b'"size":1e3',
    ),
    *(b'"retry":', b'"command":', b'"all"', b"$.", b"`"),
)
ERROR_LIMIT = 1_200


def _check(data: bytes, _choose: random.Random) -> None:
    try:
        message = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return
    try:
        request = local_requests.parse(message)
    except DataError as error:
        require_text(str(error), ERROR_LIMIT)
        return
    assert local_requests.parse(msgspec.json.decode(local_requests.encode(request))) == request


TARGET = pure("local_requests", 100_000, Mutator(EXAMPLES, TOKENS), _check)
