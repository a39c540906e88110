"""What can go wrong on purpose, from specs such as `lost-ok=0.01` or `reset@500`. Seeded: the same specs and the same
traffic give the same mishaps.

To add a fault: an entry in `_KINDS`, and either a method of `Faults` or a member of `Trip`."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from agent.errors import DataError


class Trip(Enum):
    """What happens when the line with a certain number is reached; each happens once."""

    STORM = "resend-storm"  # the line is asked for again, however often it comes
    SILENCE = "silence"  # no more answers, until the board is reset
    RESET = "reset"  # the board restarts: `start`
    KILL = "kill"  # thermal runaway
    UNPLUG = "unplug"  # the cable is pulled


@dataclass(frozen=True, slots=True)
class Event:
    """A trip at a line; for UNPLUG with the real seconds until the cable is put back, None for never."""

    trip: Trip
    seconds: float | None = None


class Faults:
    """The mishaps that some specs ask for. Without any, every method is the identity."""

    def __init__(self, specs: Sequence[str] = ()) -> None:
        """Raises DataError naming the spec that cannot be used, and what is accepted."""
        self._seed = 0
        self._rates = {"corrupt": 0.0, "lost-ok": 0.0, "double-ok": 0.0}
        self.trips: dict[int, Event] = {}
        for spec in specs:
            self._add(spec)
        # One generator each: a fault that is added does not move the mishaps of another.
        self._corrupt = random.Random(f"{self._seed}/corrupt")
        self._oks = random.Random(f"{self._seed}/oks")
        self._gap = self._next_gap()

    @property
    def corrupts(self) -> bool:
        """Does `received` ever change anything?"""
        return self._rates["corrupt"] > 0

    @property
    def changes_oks(self) -> bool:
        """Does `oks` ever give anything but 1?"""
        return self._rates["lost-ok"] > 0 or self._rates["double-ok"] > 0

    def received(self, data: bytes) -> bytes:
        """The bytes as the printer gets them: each is another one with the probability of `corrupt`."""
        if not self.corrupts:
            return data
        spoilt = bytearray(data)
        place = self._gap
        while place < len(spoilt):
            spoilt[place] ^= self._corrupt.randrange(1, 256)
            place += 1 + self._next_gap()
        self._gap = place - len(spoilt)
        return bytes(spoilt)

    def oks(self) -> int:
        """How often the next `ok` is sent: 0, 1 or 2 times."""
        if not self.changes_oks:
            return 1
        draw = self._oks.random()
        if draw < self._rates["lost-ok"]:
            return 0
        return 2 if draw < self._rates["lost-ok"] + self._rates["double-ok"] else 1

    def _next_gap(self) -> int:
        """Good bytes until the next bad one."""
        rate = self._rates["corrupt"]
        if rate <= 0:
            return 0
        if rate >= 1:
            return 0
        return int(math.log(1.0 - self._corrupt.random()) / math.log(1.0 - rate))

    def _add(self, spec: str) -> None:
        cut = min((spec.find(mark) for mark in "=@" if mark in spec), default=len(spec))
        kind = _KINDS.get(spec[: cut + 1])
        if kind is None:
            raise DataError(f"unknown fault {spec!r}; known are: {', '.join(k.form for k in _KINDS.values())}")
        try:
            kind.apply(self, spec[:cut], spec[cut + 1 :])
        except ValueError as error:
            raise DataError(f"fault {spec!r}: {error}; expected {kind.form}") from error

    def set_seed(self, _name: str, text: str) -> None:
        """`seed=N`: any whole number."""
        self._seed = int(text)

    def set_rate(self, name: str, text: str) -> None:
        """`name=RATE`: a probability. Raises ValueError when it is none."""
        rate = float(text)
        if not 0.0 <= rate <= 1.0:
            raise ValueError("a rate is between 0 and 1")
        self._rates[name] = rate
        if self._rates["lost-ok"] + self._rates["double-ok"] > 1.0:
            raise ValueError("lost-ok and double-ok together are more than 1")

    def set_trip(self, name: str, text: str) -> None:
        """`name@LINE`, for unplug `name@LINE:SECONDS` too. Raises ValueError when the line is none, or taken."""
        trip = Trip(name)
        line, colon, seconds = text.partition(":")
        if colon and trip is not Trip.UNPLUG:
            raise ValueError("it takes no seconds")
        number = int(line)
        if number < 1:
            raise ValueError("a line number is 1 or more")
        if number in self.trips:
            raise ValueError(f"line {number} already has {self.trips[number].trip.value}")
        wait = float(seconds) if colon else None
        if wait is not None and not 0.0 <= wait <= 86400.0:
            raise ValueError("the seconds are between 0 and 86400")
        self.trips[number] = Event(trip, wait)


@dataclass(frozen=True, slots=True)
class _Kind:
    form: str
    apply: Callable[[Faults, str, str], None]


_KINDS = {
    "corrupt=": _Kind("corrupt=RATE", Faults.set_rate),
    "lost-ok=": _Kind("lost-ok=RATE", Faults.set_rate),
    "double-ok=": _Kind("double-ok=RATE", Faults.set_rate),
    "resend-storm@": _Kind("resend-storm@LINE", Faults.set_trip),
    "silence@": _Kind("silence@LINE", Faults.set_trip),
    "reset@": _Kind("reset@LINE", Faults.set_trip),
    "kill@": _Kind("kill@LINE", Faults.set_trip),
    "unplug@": _Kind("unplug@LINE[:SECONDS]", Faults.set_trip),
    "seed=": _Kind("seed=N", Faults.set_seed),
}
