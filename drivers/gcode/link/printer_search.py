"""The search for the printer, on the link's thread: port after port until one of them answers, again when it is lost.

A print that is to be taken over comes first: only its own port is tried, until its fate is decided (`takeover`)."""

from __future__ import annotations

import os
import select
import threading
from abc import ABC, abstractmethod
from collections import deque
from math import inf

import structlog

from agent.core.clock import Clock
from agent.core.driver import Host, PrinterState, Unfinished
from agent.errors import DataError, PortError
from drivers.gcode.link.black_box import BlackBox
from drivers.gcode.link.discovery import Found, lower_latency
from drivers.gcode.link.port import Port, PortSearch
from drivers.gcode.link.port_opener import PortOpener
from drivers.gcode.requests import Request, RunScript, StartPrint
from drivers.gcode.session.driver_checkpoint import CheckpointWriter, decode
from drivers.gcode.session.session import Session
from drivers.gcode.session.takeover import PendingTakeover
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

_NO_PORT = "no serial port found: looked for /dev/serial/by-id/*, /dev/ttyUSB*, /dev/ttyACM*, /dev/ttyAMA*"
_log = structlog.get_logger(part="gcode")


class PrinterSearch(ABC):
    """The half of the link's thread that finds a port; `_talk` is what it is found for."""

    def __init__(
        self,
        settings: DriverSettings,
        slot: Slot,
        timing: Timing,
        clock: Clock,
        search: PortSearch | None = None,
        box: BlackBox | None = None,
        host: Host | None = None,
        unfinished: Unfinished | None = None,
    ) -> None:
        self._host = host or Host(lambda: None)
        self._unfinished = unfinished
        self._undecided: PendingTakeover | None = None
        self._settings = settings
        self._slot = slot
        self._timing = timing
        self._now = clock.monotonic
        self._mail: deque[Request] = deque()
        self._stop_at = inf  # when a stop was asked for: the latest moment to leave
        self._stopping = False
        self._hand_over = False
        self._unsafe = unfinished is not None
        self._beat_at = -inf
        self._opening = PortOpener(search or PortSearch(settings), self._host.port, box)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            return  # full of wake-ups already

    def _run(self) -> None:
        pause = self._timing.retry
        self._begin()
        while not self._stopping:
            answered = False
            try:
                answered = self._try_all()
            except Exception as error:  # noqa: BLE001 the thread must outlive a defect: say it, and begin anew
                _log.exception("link thread")
                self._failed_inside(error)
            self._slot.change(port="")
            pause = self._timing.retry if answered or self._undecided else min(pause * 2, self._timing.retry_most)
            self._rest(pause)
            self._decide()
        self._decide()

    def _begin(self) -> None:
        """With a print to take over: what was remembered of it."""
        unfinished = self._unfinished
        if unfinished is None:
            return
        try:
            memory = decode(unfinished.memory)
        except DataError as error:
            self._slot.fail(unfinished.key, str(error))
            return
        self._undecided = PendingTakeover(unfinished, memory, self._now() + self._timing.take_over)

    def _decide(self) -> None:
        """A print whose printer is not found in time, or before an ordinary stop, has failed."""
        undecided = self._undecided
        if undecided is None or (self._stopping and self._hand_over):
            return
        if not undecided.decided and not self._stopping and self._now() < undecided.deadline:
            return
        self._undecided = None
        if not undecided.decided:
            reason = self._slot.read().reason
            why = "the agent was stopped before it was found" if self._stopping else reason
            self._slot.fail(undecided.unfinished.key, f"the printer cannot be found again: {why}")

    def _try_all(self) -> bool:
        """Try every port and rate once; whether one of them answered (and is lost again now)."""
        reason = _NO_PORT
        undecided = self._undecided
        for attempt in self._opening.attempts(undecided.memory if undecided else None):
            if self._stopping:
                return True
            try:
                port, found = attempt()
            except PortError as error:
                reason = str(error)
                continue
            leave = False
            try:
                answered, reason, leave = self._connected(port, found)
            finally:
                self._opening.close(port, leave=leave)
            if answered:
                return True
        self._slot.change(state=PrinterState.OFFLINE, reason=reason)
        return False

    def _connected(self, port: Port, found: Found) -> tuple[bool, str, bool]:
        """Talk until the connection is of no use any more; whether it ever answered, why it ended, and whether it is
        left as it is for the next agent."""
        self._slot.opened(port.device, lower_latency(port.device))
        session = Session(
            port.write,
            self._slot,
            self._settings,
            self._timing,
            unsafe=self._unsafe,
            notes=CheckpointWriter(self._host.remember, found, port.baud),
            ready=lambda: self._opening.answered(port, found),
        )
        try:
            self._talk(port, session)
        except PortError as error:
            session.lost(str(error))
        except BaseException:
            session.lost("a defect in the driver; the log tells more")
            raise
        finally:
            self._unsafe = session.unsafe
        if session.answered:
            _log.info("disconnected", port=port.device, baud=port.baud, reason=session.over)
        why = session.over
        leave = self._hand_over and not why and (session.prints or session.taking is not None)
        return session.answered, f"{why} on {port.device} at {port.baud} baud" if why == "no answer" else why, leave

    @abstractmethod
    def _talk(self, port: Port, session: Session) -> None:
        """Until `session` is over, or it is time to leave. Raises PortError."""

    def _greet(self, port: Port, session: Session, now: float) -> None:
        """Begin a conversation."""
        if self._undecided is not None and not self._undecided.decided:
            session.take_over(self._undecided, now)
        else:
            session.open(now, now + self._timing.boot if port.resets else now)

    def _failed_inside(self, error: Exception) -> None:
        self._slot.change(state=PrinterState.OFFLINE, reason=f"{type(error).__name__}: {error}")

    def _rest(self, seconds: float) -> None:
        """Wait, unless a stop is asked for. Requests that come too late for a connection fail."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        end = self._now() + seconds
        while not self._stopping and (left := end - (now := self._now())) > 0:
            self._beat(now)
            if poll.poll(min(left, self._timing.beat) * 1000 + 1):
                self._drain()
            while self._mail:
                request = self._mail.popleft()
                if isinstance(request, StartPrint | RunScript):
                    self._slot.refuse(request.key)

    def _beat(self, now: float) -> None:
        if now >= self._beat_at:
            self._beat_at = now + self._timing.beat
            self._host.beat()

    def _drain(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return
