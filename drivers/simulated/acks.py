"""Sending of each `ok`: at once and on a line of its own, or lost, doubled, late or glued as the faults have it."""

from __future__ import annotations

import math
from collections import deque

from drivers.simulated.faults import Faults
from drivers.simulated.machine import Machine


class AckQueue:
    """Queue of the `ok`s on their way. They keep their order; other output may overtake one that is late. Instants are
    in the time of the host (`Options.real_second`)."""

    def __init__(self, machine: Machine, faults: Faults) -> None:
        self.due = math.inf  # the instant at which the next one that is late leaves
        self._machine = machine
        self._faults = faults
        self._held: deque[tuple[float, bytes]] = deque()

    def send(self, text: bytes, now: float) -> None:
        """Send `text`, which begins with `ok`, or hold it back for as long as the faults have it."""
        for _ in range(self._faults.ok_count()):
            delay = self._faults.ok_delay() * self._machine.options.real_second
            if delay or self._held:
                self._held.append((max(now, self._held[-1][0] if self._held else now) + delay, text))
                self.due = self._held[0][0]
            elif b":" not in text and self._faults.glues_ok():
                self._glue(text)
            else:
                self._machine.say(text)

    def release(self, now: float) -> None:
        """Send those that are due at `now`."""
        while self._held and self._held[0][0] <= now:
            self._machine.say(self._held.popleft()[1])
        self.due = self._held[0][0] if self._held else math.inf

    def _glue(self, text: bytes) -> None:
        """Append `text` to the last line of output, else to a temperature report in between (docs/serial.md §4)."""
        out = self._machine.out
        another = out and out[-1][-1:] == b"\n" and not out[-1].startswith((b"ok", b"Resend", b"rs "))
        if another and not out[-1].endswith(b"ok\n"):
            out[-1] = out[-1][:-1] + text + b"\n"
        else:
            self._machine.say(self._machine.temperatures() + text)
