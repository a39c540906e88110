"""Is every thread alive? Heartbeats of the threads, and what systemd is told (sd_notify(3)).

READY=1 is sent when the store is open and the loops run, not when the cloud answers: the printer works without it.
WATCHDOG=1 goes out only while every thread's pulse is fresh.
"""

from __future__ import annotations

import os

import sdnotify

from agent.core.ports import Clock

FRESH = 75.0  # seconds; longer than the longest wait of a healthy thread (connect 10 s + read 20 s, twice)


class Pulse:
    """One thread's heartbeat. Written by that thread alone, read by the main thread."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._last = clock.monotonic()

    def beat(self) -> None:
        """I am alive."""
        self._last = self._clock.monotonic()

    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock.monotonic() - self._last


class Health:
    """All pulses, and the line to systemd. Without systemd ($NOTIFY_SOCKET unset) the line goes nowhere."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pulses: list[Pulse] = []
        self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        self._status = ""

    def pulse(self, name: str) -> Pulse:
        """A pulse for a new thread."""
        made = Pulse(name, self._clock)
        self._pulses.append(made)
        return made

    def stale(self) -> list[str]:
        """The names of the threads that were not heard of for too long."""
        return [pulse.name for pulse in self._pulses if pulse.age() > FRESH]

    def ready(self) -> None:
        """The service is up."""
        self._notify("READY=1")

    def tick(self, status: str) -> None:
        """Tell systemd the state in words when it changed, and that we live, if all do."""
        status = "".join(c if c.isprintable() else " " for c in status)  # a newline would begin another assignment
        if status != self._status:
            self._status = status
            self._notify(f"STATUS={status}")
        if not self.stale():
            self._notify("WATCHDOG=1")

    def stopping(self) -> None:
        """The service goes down."""
        self._notify("STOPPING=1")

    def _notify(self, line: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(line)


def watchdog_interval(default: float) -> float:
    """Seconds between two ticks: half of systemd's WatchdogSec where it is set, else `default`."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return min(int(microseconds) / 2e6, default) if microseconds.isdigit() and int(microseconds) else default
