"""Is every thread alive? Heartbeats of the threads, and what systemd is told (sd_notify(3)).

READY=1 is sent when the store is open and the loops run, not when the cloud answers: the printer works without it.
WATCHDOG=1 goes out only while every thread's pulse is fresh. When one is not, systemd is asked to end the agent there
and then (WATCHDOG=trigger), so a hung thread costs FRESH and a tick at most. WatchdogSec is for the case that not even
this thread runs any more.
"""

from __future__ import annotations

import math
import os

import sdnotify
import structlog

from agent.core.clock import Clock

log = structlog.get_logger(part="health")

FRESH = 20.0  # seconds that a healthy thread is silent at most, unless it has said that it will be for longer
TICK = 5.0  # seconds between two looks at the pulses, at most


class Pulse:
    """One thread's heartbeat. Written by that thread alone, read by the main thread."""

    def __init__(self, name: str, clock: Clock, *, waiting: bool = False) -> None:
        self.name = name
        self._clock = clock
        self._fresh_until = math.inf if waiting else clock.monotonic() + FRESH

    def beat(self, allow: float = 0.0) -> None:
        """I am alive, and the next beat comes within FRESH seconds, or within `allow` where that is longer: before a
        call that may take so long and has a limit of its own."""
        self._fresh_until = self._clock.monotonic() + max(FRESH, allow)

    def is_fresh(self) -> bool:
        """Whether the thread was heard of in time."""
        return self._clock.monotonic() <= self._fresh_until


class Health:
    """All pulses, and the line to systemd. Without systemd ($NOTIFY_SOCKET unset) the line goes nowhere."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pulses: list[Pulse] = []
        self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        self._watched = _watchdog() > 0
        self._status = ""
        self._said: list[str] = []

    def pulse(self, name: str, *, waiting: bool = False) -> Pulse:
        """A pulse for a new thread. With `waiting` it counts from its first beat on: for a thread that somebody else
        starts, some time or never."""
        made = Pulse(name, self._clock, waiting=waiting)
        self._pulses.append(made)
        return made

    def stale(self) -> list[str]:
        """The names of the threads that were not heard of for too long."""
        return [pulse.name for pulse in self._pulses if not pulse.is_fresh()]

    def ready(self) -> None:
        """The service is up, or up again after `reloading`."""
        self._notify("READY=1")

    def reloading(self) -> None:
        """The configuration is being read anew; `ready` says when it is done."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")

    def extend(self, seconds: float) -> None:
        """What goes on, a start or an end, may need that much longer, from now on."""
        self._notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, text: str) -> None:
        """The state in words, told when it changed."""
        text = "".join(c if c.isprintable() else " " for c in text)  # a newline would begin another assignment
        if text != self._status:
            self._status = text
            self._notify(f"STATUS={text}")

    def tick(self, status: str) -> None:
        """Tell systemd the state, and that we live, if all do; else ask for the end."""
        self.status(status)
        stale = self.stale()
        if stale != self._said:
            self._said = stale
            if stale:
                log.error("threads hang", threads=", ".join(stale))
        if not stale:
            self._notify("WATCHDOG=1")
        elif self._watched:
            self._notify("WATCHDOG=trigger")

    def stopping(self) -> None:
        """The service goes down."""
        self._notify("STOPPING=1")

    def _notify(self, line: str) -> None:
        if self._notifier is not None:
            self._notifier.notify(line)


def watchdog_interval(default: float = TICK) -> float:
    """Seconds between two ticks: half of systemd's WatchdogSec where that is less than `default`."""
    return min(_watchdog() / 2, default) or default


def _watchdog() -> float:
    """systemd's WatchdogSec; 0 where there is none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdigit() else 0.0
