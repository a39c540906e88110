"""Seeded random generators behind the faults: events with a probability, and bytes that are corrupted on the way."""

from __future__ import annotations

import math
import random


class RandomFault:
    """An event with a probability; with 0 it never asks its generator. `count`: how often it has occurred."""

    def __init__(self, rate: float, seed: str) -> None:
        self.count = 0
        self.rate = rate
        self.random = random.Random(seed)

    def occurs(self) -> bool:
        """Draw whether it occurs this time."""
        falls = self.rate > 0 and self.random.random() < self.rate
        self.count += falls
        return falls


class ByteCorruption:
    """Corrupts each byte with a probability, however the bytes are cut into blocks. `count`: how many it has."""

    def __init__(self, rate: float, seed: str) -> None:
        self.count = 0
        self.rate = rate
        self._random = random.Random(seed)
        self._gap = self._next_gap()

    def corrupt(self, data: bytes) -> bytes:
        """The bytes as they arrive at the other end."""
        if not self.rate:
            return data
        corrupted = bytearray(data)
        place = self._gap
        while place < len(corrupted):
            corrupted[place] ^= self._random.randrange(1, 256)
            self.count += 1
            place += 1 + self._next_gap()
        self._gap = place - len(corrupted)
        return bytes(corrupted)

    def _next_gap(self) -> int:
        """Good bytes until the next bad one."""
        if self.rate <= 0 or self.rate >= 1:
            return 0
        return int(math.log(1.0 - self._random.random()) / math.log(1.0 - self.rate))


def random_garbage(count: int, chance: random.Random) -> bytes:
    """Bytes that a board may send while it is switched on: no text, no end of line (docs/serial.md §21)."""
    return bytes(chance.choice((0, *range(128, 256))) for _ in range(count))
