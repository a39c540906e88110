"""Admission of commands from the cloud: how many are written down, so that a flood costs neither disk nor control.

Ordinary commands have a rate. What stops the printer has one of its own, and beyond it only repetitions are left out:
a pause of a print that was to pause just now, a cancel of one that was to be cancelled. A stop that names another job
than the running one changes nothing, so it counts as an ordinary command.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from agent.core.clock import Clock
from agent.core.command import Command, Name

BURST = 60  # commands from the cloud that are accepted at once; STOPS have as many of their own
RATE = 2.0  # commands a second that are accepted after that
REPEATED_S = 1.0  # seconds in which a further stop of the same kind is a repetition, once there are too many of them


class TokenBucket:
    """BURST at once, then RATE a second. Not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens = float(BURST)
        self._filled_at = clock.monotonic()

    def take(self) -> bool:
        """Whether one more fits into the rate."""
        now = self._clock.monotonic()
        self._tokens = min(self._tokens + (now - self._filled_at) * RATE, float(BURST))
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Admission:
    """Decides which commands are accepted. Any thread. `running_job` gives the id of the job that runs, empty for
    none."""

    def __init__(self, clock: Clock, running_job: Callable[[], str]) -> None:
        self._clock = clock
        self._running_job = running_job
        self._lock = threading.Lock()  # guards what follows
        self._ordinary, self._stops = TokenBucket(clock), TokenBucket(clock)
        self._job = ""  # the running job at the last stop
        self._late: dict[bool, Command] = {}  # the last pause or resume (False) or respond (True) that was left out
        self._stopped_at: dict[Name, float] = {}  # when a stop of that kind was admitted last, for that job

    def admits(self) -> bool:
        """Whether one more ordinary command is accepted."""
        with self._lock:
            return self._ordinary.take()

    def admits_stop(self, command: Command) -> bool:
        """Whether this command, one of STOPS, is accepted: always, but for repetitions in a flood. The last pause or
        resume, and the last respond, that was not is kept for `take_late`: what a flood of them ends with counts."""
        job = self._running_job()
        with self._lock:
            if command.job_id and job and command.job_id != job:
                return self._ordinary.take()
            if job != self._job:
                self._job = job
                self._stopped_at.clear()
                self._late.clear()
            if not self._stops.take() and self._is_repeated(command.name):
                if command.name not in (Name.CANCEL, Name.RESET):
                    self._late[command.name is Name.RESPOND] = command
                return False
            self._note(command.name)
            self._late.pop(command.name is Name.RESPOND, None)
            return True

    def take_late(self) -> Command | None:
        """The last pause, resume or respond of a flood, once it is no repetition any more; None for none."""
        with self._lock:
            for key, late in self._late.items():
                if not self._is_repeated(late.name):
                    del self._late[key]
                    self._note(late.name)
                    return late
            return None

    def _is_repeated(self, name: Name | None) -> bool:
        """Whether one of this kind was admitted just now, with nothing after it that undoes it."""
        at = self._stopped_at.get(name) if name is not None else None
        return at is not None and self._clock.monotonic() - at < REPEATED_S

    def _note(self, name: Name | None) -> None:
        if name is None:
            return
        self._stopped_at[name] = self._clock.monotonic()
        if name is Name.RESUME:
            self._stopped_at.pop(Name.PAUSE, None)  # a pause counts again
