"""Frames of a websocket after a sound handshake (agent/faye/websocket.py): each socket ends with one failure."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agent.faye.messages import decode
from agent.faye.transport import FRAME_LIMIT
from agent.faye.websocket import WebSocketTransport
from benchmarks.fuzz.answering_server import answering
from benchmarks.fuzz.mutator import JSON, Mutator
from benchmarks.fuzz.target import Target, Trial, parser, require_text
from tests.unit.faye.loopback import Ear, ask

TEXT = b'[{"channel":"/a","data":"\xc3\xa9"}]'


def _frame(data: bytes, opcode: int = 1, *, last: bool = True) -> bytes:
    head = bytes([(128 if last else 0) | opcode])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    return head + b"\x7e" + struct.pack("!H", len(data)) + data


EXAMPLES = (
    _frame(TEXT),
    _frame(TEXT[:9], last=False) + _frame(b"", 9) + _frame(TEXT[9:], 0),
    _frame(b"x" * 300, 2) + _frame(b"ping", 9) + _frame(b"pong", 10),
    _frame(TEXT) + _frame(struct.pack("!H", 1000) + b"bye", 8),
    b"\x81\x7f" + struct.pack("!Q", len(TEXT)) + TEXT,
    b"\x81\x85mask" + bytes(5),
)
TOKENS = (
    *JSON,
    b"\x81",
    b"\x01\x01[",
    b"\x00\x01 ",
    b"\x80\x01]",
    b"\x89\x00",
    b"\x88\x00",
    b"\xf1\x00",
    b"\x7f" + b"\xff" * 8,
    b"\x8f\x7d",
)


@contextmanager
def _prepare() -> Iterator[Trial]:
    with answering() as server:

        def check(data: bytes, _choose: random.Random) -> None:
            server.answer = data
            ear = Ear()
            transport = WebSocketTransport(server.url, ear, clock=time.monotonic)
            try:
                transport.send(ask())
                ear.wait(failures=1, within=5)
            finally:
                transport.close(5)
            assert len(ear.failures) == 1
            require_text(ear.failures[0][0], 300)
            for body, number in ear.replies:
                assert number is None
                assert len(body) <= FRAME_LIMIT
                try:
                    decode(body)
                except ValueError:
                    continue

        yield parser(Mutator(EXAMPLES, TOKENS), check)


TARGET = Target("websocket_frames", 5_000, _prepare)
