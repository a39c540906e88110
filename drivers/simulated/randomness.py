"""The dice behind the faults: how often something goes wrong, and bytes that are spoilt on the way. Seeded."""

from __future__ import annotations

import math
import random


class Dice:
    """Something that happens with a certain probability; with none it never asks its generator. `times`: how often it
    has happened."""

    def __init__(self, rate: float, seed: str) -> None:
        self.times = 0
        self.rate = rate
        self.random = random.Random(seed)

    def fall(self) -> bool:
        """Does it happen this time?"""
        falls = self.rate > 0 and self.random.random() < self.rate
        self.times += falls
        return falls


class Noise:
    """A line on which each byte becomes another one with a certain probability, however the bytes arrive. `times`: how
    many have."""

    def __init__(self, rate: float, seed: str) -> None:
        self.times = 0
        self.rate = rate
        self._random = random.Random(seed)
        self._gap = self._next_gap()

    def spoil(self, data: bytes) -> bytes:
        """The bytes as they come out at the other end."""
        if not self.rate:
            return data
        spoilt = bytearray(data)
        place = self._gap
        while place < len(spoilt):
            spoilt[place] ^= self._random.randrange(1, 256)
            self.times += 1
            place += 1 + self._next_gap()
        self._gap = place - len(spoilt)
        return bytes(spoilt)

    def _next_gap(self) -> int:
        """Good bytes until the next bad one."""
        if self.rate <= 0 or self.rate >= 1:
            return 0
        return int(math.log(1.0 - self._random.random()) / math.log(1.0 - self.rate))


def garbage(count: int, chance: random.Random) -> bytes:
    """What a board that is being switched on may send: bytes that are no text, and no end of line (docs/serial.md
    §21)."""
    return bytes(chance.choice((0, *range(128, 256))) for _ in range(count))
