"""Health of the process: pulses of its threads, and notifications to systemd (sd_notify(3)).

READY=1 is sent when the store is open and the loops run, not when the cloud answers: the printer works without it.
WATCHDOG=1 is sent only while every thread's pulse is fresh. When one is not, systemd is asked to end the agent at once
(WATCHDOG=trigger), so a hung thread costs FRESH and a tick at most. WatchdogSec is for the case that this thread itself
no longer runs.
"""

from __future__ import annotations

import math
import os

import structlog

from agent.core.clock import Clock
from agent.service.notify_socket import NotifySocket

log = structlog.get_logger(part="health")

FRESH = 20.0  # seconds between two beats of a healthy thread, unless it announced a longer call
TICK = 5.0  # seconds between two checks of the pulses, at most


class Pulse:
    """Liveness of one thread. Written by that thread alone, read by the main thread."""

    def __init__(self, name: str, clock: Clock, *, waiting: bool = False) -> None:
        self.name = name
        self._clock = clock
        self._fresh_until = math.inf if waiting else clock.monotonic() + FRESH

    def beat(self, allow: float = 0.0) -> None:
        """Report that the thread runs and will beat again within FRESH seconds, or within `allow` where that is longer:
        before a call that may take so long and has a limit of its own."""
        self._fresh_until = self._clock.monotonic() + max(FRESH, allow)

    def is_fresh(self) -> bool:
        """Whether the last beat was recent enough."""
        return self._clock.monotonic() <= self._fresh_until


class Health:
    """All pulses, and notifications to systemd by `notify`. None of them waits for systemd: what it does not take now
    goes out with the next one, or with the next tick."""

    def __init__(self, clock: Clock, notify: NotifySocket) -> None:
        self.notify = notify
        self._clock = clock
        self._pulses: list[Pulse] = []
        self._watched = _watchdog() > 0
        self._status = ""
        self._logged_stale: list[str] = []

    def pulse(self, name: str, *, waiting: bool = False) -> Pulse:
        """Register a pulse for a new thread. With `waiting` it counts from its first beat on: for a thread that
        somebody else starts, later or never."""
        pulse = Pulse(name, self._clock, waiting=waiting)
        self._pulses.append(pulse)
        return pulse

    def stale(self) -> list[str]:
        """Names of the threads whose pulse is not fresh."""
        return [pulse.name for pulse in self._pulses if not pulse.is_fresh()]

    def ready(self) -> None:
        """Tell systemd that the service is up, or up again after `reloading`."""
        self.notify.send("READY=1")

    def reloading(self) -> None:
        """Tell systemd that the configuration is being reloaded; `ready` ends that."""
        self.notify.send(f"RELOADING=1\nMONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")

    def extend(self, seconds: float) -> None:
        """Ask systemd for `seconds` more from now on, for a start or a stop."""
        self.notify.send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, text: str) -> None:
        """Set the line of `systemctl status`; sent when it changed."""
        text = "".join(c if c.isprintable() else " " for c in text)  # a newline would begin another assignment
        if text != self._status:
            self._status = text
            self.notify.send(f"STATUS={text}")

    def tick(self, status: str) -> None:
        """Send the status, and the watchdog's keep-alive if every pulse is fresh; else ask systemd to end the agent.
        These two are never sent late, since the next tick has its own; what else waits for systemd goes along."""
        self.status(status)
        stale = self.stale()
        if stale != self._logged_stale:
            self._logged_stale = stale
            if stale:
                log.error("threads not responding", threads=", ".join(stale))
        if not stale:
            self.notify.send_once("WATCHDOG=1")
        elif self._watched:
            self.notify.send_once("WATCHDOG=trigger")
        self.notify.flush()

    def stopping(self) -> None:
        """Tell systemd that the service stops."""
        self.notify.send("STOPPING=1")


def watchdog_interval(default: float = TICK) -> float:
    """Seconds between two ticks: half of systemd's WatchdogSec where that is less than `default`."""
    return min(_watchdog() / 2, default) or default


def _watchdog() -> float:
    """systemd's WatchdogSec; 0 where there is none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdigit() else 0.0
