"""The one thread that owns the port: it reads, writes, and does what callers ask for through its mailbox.

No lock, queue or log line is touched for a line of the file. While the printer works on a line the next one is ready.
As long as each line is answered by a plain `ok`, the thread waits inside the read itself (`_stream`), LISTEN_S at most:
the mailbox is looked into after each answer. Otherwise it waits for the port and the mailbox together (`_talk`).
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from math import inf

import structlog

from agent.core.ports import Clock, PrinterState
from agent.errors import NotReadyError, PortError
from drivers.gcode.blackbox import BlackBox
from drivers.gcode.discovery import lower_latency
from drivers.gcode.framing import LineSplitter
from drivers.gcode.port import LISTEN_S, Port, Search
from drivers.gcode.replies import parse
from drivers.gcode.requests import Plain, Request, RunScript, StartPrint
from drivers.gcode.session import RUNNING, Session
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

MAILBOX = 16
_NO_PORT = "no serial port found: looked for /dev/serial/by-id/*, /dev/ttyUSB*, /dev/ttyACM*, /dev/ttyAMA*"
_log = structlog.get_logger(part="gcode")


class LinkThread:
    """`start` once, `post` from any thread, `stop` once."""

    def __init__(
        self,
        settings: DriverSettings,
        slot: Slot,
        timing: Timing,
        clock: Clock,
        search: Search | None = None,
        box: BlackBox | None = None,
    ) -> None:
        self._box = box
        self._settings = settings
        self._slot = slot
        self._timing = timing
        self._now = clock.monotonic
        self._mail: deque[Request] = deque()
        self._stop_at = inf  # when a stop was asked for: the latest moment to leave
        self._stopping = False
        self._unsafe = False
        self._search = search or Search(settings)
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self) -> None:
        """Begin to look for the printer."""
        self._thread.start()

    def post(self, request: Request) -> None:
        """Put a request into the mailbox. Raises NotReadyError when it is full."""
        if len(self._mail) >= MAILBOX:
            raise NotReadyError("too many requests at once")
        self._mail.append(request)
        self._wake()

    def stop(self, timeout: float) -> None:
        """Cancel what runs, let go of the port and end the thread, within `timeout` seconds."""
        self._stop_at = self._now() + timeout * 0.8
        self._stopping = True
        self._wake()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:
            return  # full of wake-ups already

    def _run(self) -> None:
        pause = self._timing.retry
        while not self._stopping:
            answered = False
            try:
                answered = self._try_all()
            except Exception as error:  # noqa: BLE001 the thread must outlive a defect: say it, and begin anew
                _log.exception("link thread")
                self._failed_inside(error)
            self._slot.change(port="")
            pause = self._timing.retry if answered else min(pause * 2, self._timing.retry_most)
            self._rest(pause)

    def _try_all(self) -> bool:
        """Try every port and rate once; whether one of them answered (and is lost again now)."""
        reason = _NO_PORT
        for found, baud in self._search.candidates():
            if self._stopping:
                return True
            try:
                port = Port(found.path, baud, self._box)
            except PortError as error:
                reason = str(error)
                continue
            try:
                answered, reason = self._connected(port)
            finally:
                port.close()
            if answered:
                self._search.answered(found, baud)
                return True
        self._slot.change(state=PrinterState.OFFLINE, reason=reason)
        return False

    def _connected(self, port: Port) -> tuple[bool, str]:
        """Talk until the connection is of no use any more; whether it ever answered, and why it ended."""
        self._slot.opened(port.device, lower_latency(port.device))
        session = Session(port.write, self._slot, self._settings, self._timing, unsafe=self._unsafe)
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
        return session.answered, f"{why} on {port.device} at {port.baud} baud" if why == "no answer" else why

    def _talk(self, port: Port, session: Session) -> None:
        now_is, mail, fd = self._now, self._mail, port.fd
        splitter = LineSplitter()
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(fd, select.POLLIN)
        asked_out = quick = False
        now = now_is()
        session.open(now, now + self._timing.boot if port.resets else now)
        while not session.over:
            if port.blocked is not asked_out:
                asked_out = port.blocked
                poll.modify(fd, select.POLLIN | (select.POLLOUT if asked_out else 0))
            due = min(session.due(now), self._stop_at)
            if quick and not asked_out and due - now > 2 * LISTEN_S and session.flow.flows(now):
                now, data = self._stream(port, session)
                if data:
                    self._listen(data, splitter, session, now)
                    if self._attend(port, session, now):
                        return
                    continue
                due = now
            ready = poll.poll(None if due == inf else max(0.0, due - now) * 1000 + 1)
            now = now_is()
            quick = False
            for ready_fd, events in ready:
                if ready_fd != fd:
                    self._drain()
                    continue
                if events & select.POLLOUT:
                    port.flush()
                if events & ~select.POLLOUT:
                    quick = self._listen(port.read(), splitter, session, now)
            if quick and not mail and not self._stopping:
                continue
            if self._attend(port, session, now):
                return

    def _stream(self, port: Port, session: Session) -> tuple[float, bytes]:
        """Line after line as long as each is answered by an `ok` and nothing else is to be done; the time, and what was
        read last and is not dealt with: nothing, when nothing came in LISTEN_S."""
        flow, mail, now_is = session.flow, self._mail, self._now
        while True:
            now, data = flow.stream(port.listen, now_is, now_is() + LISTEN_S, mail)
            if not data or mail or self._stopping:
                return now, data
            data = flow.quickly(data, now)
            if data:
                return now, data

    def _attend(self, port: Port, session: Session, now: float) -> bool:
        """After what was heard: requests, and whatever is to be sent; whether it is time to leave."""
        if self._mail:
            self._deliver(port, session, now)
        session.step(now)
        return self._stopping and self._may_leave(session, now)

    def _listen(self, data: bytes, splitter: LineSplitter, session: Session, now: float) -> bool:
        """Deal with what was read; whether all there was to do about it is done already."""
        if not splitter.pending and not self._mail:
            data = session.flow.quickly(data, now)
            if not data:
                return True
        for line in splitter.feed(data):
            for event in parse(line):
                session.heard(event, now)
        if splitter.pending:
            session.half_heard(now)
        return False

    def _deliver(self, port: Port, session: Session, now: float) -> None:
        """Hand the mailbox's requests to the session."""
        while self._mail and not session.over:
            request = self._mail.popleft()
            if isinstance(request, StartPrint):
                session.start_print(request, now)
            elif isinstance(request, RunScript):
                session.run_script(request, now)
            elif request is Plain.PAUSE:
                session.pause("")
            elif request is Plain.RESUME:
                session.resume()
            elif request is Plain.CANCEL:
                session.cancel()
            elif request is Plain.HALT:
                session.urgent.halt(session.protocol.last)
                session.fatal("emergency stop")
            else:
                session.lost("the printer was reset")
                session.urgent.reboot()
                port.pulse(self._rest)
        self._slot.confirm(session.state, lambda: not self._mail)

    def _may_leave(self, session: Session, now: float) -> bool:
        """On the way out: first a safe end of what runs; heaters off in any case."""
        if session.state in RUNNING and now < self._stop_at:
            session.cancel()
            session.step(now)
            return session.state not in RUNNING
        if session.unsafe or session.routines.heat.targets():
            session.urgent.heaters_off(session.routines.heat.heaters)
            session.lost("the agent has stopped")
        return True

    def _failed_inside(self, error: Exception) -> None:
        self._slot.change(state=PrinterState.OFFLINE, reason=f"{type(error).__name__}: {error}")

    def _rest(self, seconds: float) -> None:
        """Wait, unless a stop is asked for. Requests that come too late for a connection fail."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        end = self._now() + seconds
        while not self._stopping and (left := end - self._now()) > 0:
            if poll.poll(left * 1000 + 1):
                self._drain()
            while self._mail:
                request = self._mail.popleft()
                if isinstance(request, StartPrint | RunScript):
                    self._slot.refuse(request.key)

    def _drain(self) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            return
