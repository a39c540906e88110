"""The latest telemetry, shared by the runner's thread (which calls the driver) and the driver's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from enum import Enum, auto
from typing import TypedDict, Unpack

import msgspec

from agent.core.driver import Heater, Link, Operation, Outcome, PrinterState, Telemetry
from agent.errors import NotReadyError


class Interrupt(Enum):
    """What the driver's thread does at once, whatever the printer is doing."""

    HALT = auto()
    RESET = auto()
    CLOSE = auto()
    HAND_OVER = auto()


class Changes(TypedDict, total=False):
    """The fields of `Telemetry` that this driver changes."""

    state: PrinterState
    reason: str
    port: str
    firmware: str
    heaters: tuple[Heater, ...]
    task_id: str
    line: int
    last: Operation | None
    link: Link


class Slot:
    """One immutable `Telemetry`, replaced as a whole. `wake` is called after a change that somebody may wait for,
    without the lock, because who is woken reads the slot."""

    def __init__(self, reason: str) -> None:
        self._lock = threading.Lock()
        self._now = Telemetry(PrinterState.OFFLINE, reason=reason)
        self.wake: Callable[[], None] = lambda: None
        self.interrupt: Interrupt | None = None

    def read(self) -> Telemetry:
        """Return the latest snapshot."""
        return self._now

    def note(self, **changes: Unpack[Changes]) -> None:
        """Replace fields that nobody waits for, such as `line` and `heaters`."""
        with self._lock:
            self._now = msgspec.structs.replace(self._now, **changes)

    def change(self, **changes: Unpack[Changes]) -> None:
        """Replace fields, and wake who waits."""
        self.note(**changes)
        self.wake()

    def move(self, expected: Collection[PrinterState], to: PrinterState, **changes: Unpack[Changes]) -> None:
        """Change the state to `to`. Raises NotReadyError, and changes nothing, unless it is one of `expected` now."""
        with self._lock:
            self.require(expected)
            self._now = msgspec.structs.replace(self._now, state=to, **changes)
        self.wake()

    def require(self, expected: Collection[PrinterState]) -> None:
        """Raise NotReadyError unless the present state is one of `expected`."""
        now = self._now
        if now.state not in expected:
            raise NotReadyError(f"the printer is {now.state}{now.reason and ': ' + now.reason}")

    def end(self, state: PrinterState, outcome: Outcome, error: str = "", reason: str = "") -> None:
        """Go to `state` with `reason`; the running operation, if there is one, has ended with `outcome`."""
        task_id = self._now.task_id
        last = Operation(task_id, outcome, error) if task_id else self._now.last
        port = "" if state is PrinterState.OFFLINE else self._now.port
        self.change(state=state, reason=reason, task_id="", last=last, port=port)
