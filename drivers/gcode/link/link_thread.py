"""The one thread that owns the port: it reads, writes, and does what callers ask for through its mailbox.

No lock, queue or log line is touched for a line of the file. While the printer works on a line the next one is ready.
As long as each line is answered by a plain `ok`, the thread waits inside the read itself (`_stream`), LISTEN_S at most:
the mailbox is looked into after each answer. Otherwise it waits for the port and the mailbox together (`_talk`).
"""

from __future__ import annotations

import os
import select

from agent.errors import NotReadyError
from drivers.gcode.link.port import LISTEN_S, Port
from drivers.gcode.link.printer_search import PrinterSearch
from drivers.gcode.protocol.line_splitter import LineSplitter
from drivers.gcode.protocol.replies import parse
from drivers.gcode.requests import Plain, Request, RunScript, StartPrint
from drivers.gcode.session.session import RUNNING, Session

MAILBOX = 16


class LinkThread(PrinterSearch):
    """`start` once, `post` from any thread, `stop` once."""

    def start(self) -> None:
        """Begin to look for the printer."""
        self._thread.start()

    def post(self, request: Request) -> None:
        """Put a request into the mailbox. Raises NotReadyError when it is full."""
        if len(self._mail) >= MAILBOX:
            raise NotReadyError("too many requests at once")
        self._mail.append(request)
        self._wake()

    def stop(self, timeout: float, *, hand_over: bool = False) -> None:
        """Cancel what runs, let go of the port and end the thread, within `timeout` seconds; with `hand_over` leave a
        print as it is."""
        self._hand_over = hand_over
        self._stop_at = self._now() + timeout * 0.8
        self._stopping = True
        self._wake()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _talk(self, port: Port, session: Session) -> None:
        now_is, mail, fd = self._now, self._mail, port.fd
        splitter = LineSplitter()
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(fd, select.POLLIN)
        asked_out = quick = False
        now = now_is()
        self._greet(port, session, now)
        while not session.over:
            if port.blocked is not asked_out:
                asked_out = port.blocked
                poll.modify(fd, select.POLLIN | (select.POLLOUT if asked_out else 0))
            self._beat(now)
            due = min(session.due(now), self._stop_at, self._beat_at)
            if quick and not asked_out and due - now > 2 * LISTEN_S and session.flow.flows(now):
                now, data = self._stream(port, session)
                if data:
                    self._listen(data, splitter, session, now)
                    if self._attend(port, session, now):
                        return
                    continue
                due = now
            ready = poll.poll(max(0.0, due - now) * 1000 + 1)
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
            if not data or mail or self._stopping or now >= self._beat_at:
                return now, data
            data = flow.quickly(data, now)
            if data:
                return now, data

    def _attend(self, port: Port, session: Session, now: float) -> bool:
        """After what was heard: requests, and whatever is to be sent; whether it is time to leave."""
        if self._mail:
            self._deliver(port, session, now)
        session.step(now)
        return self._stopping and self._may_leave(port, session, now)

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
                session.halt()
            else:
                session.lost("the printer was reset")
                session.urgent.reboot()
                port.pulse(self._rest)
        self._slot.confirm(session.state, lambda: not self._mail)

    def _may_leave(self, port: Port, session: Session, now: float) -> bool:
        """On the way out: a print that is handed over stays as it is, after a whole line; else first a safe end of what
        runs, heaters off in any case."""
        if self._hand_over and (session.prints or session.taking is not None):
            return not port.blocked or now >= self._stop_at
        if session.state in RUNNING and now < self._stop_at:
            session.cancel()
            session.step(now)
            return session.state not in RUNNING
        if session.unsafe or session.routines.heat.targets():
            session.urgent.heaters_off(session.routines.heat.heaters)
            session.lost("the agent has stopped")
        return True
