"""Conversation with a printer over one open port: the loop that reads, lets the session write, and delivers requests.

No lock, queue or log line is touched for a line of the file. While the printer works on a line the next one is ready.
As long as each line is answered by a plain `ok`, the thread waits inside the read itself (`_stream`), LISTEN_S at most:
the mailbox is looked into after each answer. Otherwise it waits for the port and the mailbox together (`run`).
"""

from __future__ import annotations

import select
from collections.abc import Callable

from drivers.gcode.link.link_lifecycle import LinkLifecycle
from drivers.gcode.link.mailbox import Mailbox
from drivers.gcode.link.port import LISTEN_S, Port
from drivers.gcode.protocol.line_splitter import LineSplitter
from drivers.gcode.protocol.replies import parse
from drivers.gcode.requests import Query, Respond, RunScript, SimpleRequest, StartPrint
from drivers.gcode.session.session import Session
from drivers.gcode.slot import Slot

RELEASED = "the port is released for another program"
"""What `Telemetry.reason` says while it is."""


class Conversation:
    """Used by the link's thread alone. `rest` waits so many seconds without losing a wake-up."""

    def __init__(
        self,
        *,
        port: Port,
        session: Session,
        mailbox: Mailbox,
        lifecycle: LinkLifecycle,
        slot: Slot,
        now: Callable[[], float],
        rest: Callable[[float], None],
    ) -> None:
        self._port = port
        self._session = session
        self._mailbox = mailbox
        self._requests = mailbox.requests
        self._lifecycle = lifecycle
        self._slot = slot
        self._now = now
        self._rest = rest
        self._splitter = LineSplitter()

    def run(self, begin: Callable[[Session, Port, float], None]) -> None:
        """Talk until the session is over, or it is time to leave; `begin` opens the session. Raises PortError."""
        port, session, lifecycle, requests = self._port, self._session, self._lifecycle, self._requests
        now_is, fd, mail_fd = self._now, port.fd, self._mailbox.fd
        poll = select.poll()
        poll.register(mail_fd, select.POLLIN)
        poll.register(fd, select.POLLIN)
        asked_out = quick = False
        now = now_is()
        begin(session, port, now)
        while not session.over:
            if port.blocked is not asked_out:
                asked_out = port.blocked
                poll.modify(fd, select.POLLIN | (select.POLLOUT if asked_out else 0))
            lifecycle.beat_if_due(now)
            due = min(session.due(now), lifecycle.stop_at, lifecycle.beat_at)
            if quick and not asked_out and due - now > 2 * LISTEN_S and session.flow.flows(now):
                now, data = self._stream()
                if data:
                    self._listen(data, now)
                    if self._attend(now):
                        return
                    continue
                due = now
            ready = poll.poll(max(0.0, due - now) * 1000 + 1)
            now = now_is()
            quick = False
            for ready_fd, events in ready:
                if ready_fd != fd:
                    self._mailbox.drain()
                    continue
                if events & select.POLLOUT:
                    port.flush()
                if events & ~select.POLLOUT:
                    quick = self._listen(port.read(), now)
            if quick and not requests and not lifecycle.stopping:
                continue
            if self._attend(now):
                return

    def _stream(self) -> tuple[float, bytes]:
        """Line after line as long as each is answered by an `ok` and nothing else is to be done; the time, and what was
        read last and is not dealt with: nothing, when nothing came in LISTEN_S."""
        flow, requests, now_is, lifecycle = self._session.flow, self._requests, self._now, self._lifecycle
        listen = self._port.listen
        while True:
            now, data = flow.stream(listen, now_is, now_is() + LISTEN_S, requests)
            if not data or requests or lifecycle.stopping or now >= lifecycle.beat_at:
                return now, data
            data = flow.quickly(data, now)
            if data:
                return now, data

    def _attend(self, now: float) -> bool:
        """After what was heard: requests, and whatever is to be sent; whether it is time to leave."""
        if self._requests:
            self._deliver(now)
        self._session.step(now)
        return self._lifecycle.stopping and self._may_leave(now)

    def _listen(self, data: bytes, now: float) -> bool:
        """Deal with what was read; whether all there was to do about it is done already."""
        splitter, session = self._splitter, self._session
        if not splitter.pending and not self._requests:
            data = session.flow.quickly(data, now)
            if not data:
                return True
        for line in splitter.feed(data):
            for event in parse(line):
                session.heard(event, now)
        if splitter.pending:
            session.half_heard(now)
        return False

    def _deliver(self, now: float) -> None:
        """Hand the mailbox's requests to the session."""
        session, control, requests = self._session, self._session.control, self._requests
        while requests and not session.over:
            request = requests.popleft()
            if isinstance(request, StartPrint):
                control.start_print(request, now)
            elif isinstance(request, RunScript):
                control.run_script(request, now)
            elif isinstance(request, Query):
                control.query(request)
            elif isinstance(request, Respond):
                control.respond(request, now)
            else:
                self._deliver_simple(request, now)
        self._slot.confirm(session.operation.state, lambda: not requests)

    def _deliver_simple(self, request: SimpleRequest, now: float) -> None:
        session, control = self._session, self._session.control
        if request is SimpleRequest.PAUSE:
            control.pause("")
        elif request is SimpleRequest.RESUME:
            control.resume()
        elif request is SimpleRequest.CANCEL:
            control.cancel()
        elif request is SimpleRequest.COOL:
            control.cool()
        elif request is SimpleRequest.HALT:
            session.halt()
        elif request is SimpleRequest.RELEASE_PORT:
            self._lifecycle.released = True
            session.leave(RELEASED)
        elif request is SimpleRequest.RESET:
            session.reset(now, reset_line=self._port.reset_line)
            self._port.pulse(self._rest)

    def _may_leave(self, now: float) -> bool:
        """On the way out: a print that is handed over stays as it is, after a whole line; else first a safe end of what
        runs, heaters off in any case."""
        session, lifecycle = self._session, self._lifecycle
        if lifecycle.hand_over and session.can_be_handed_over:
            return not self._port.blocked or now >= lifecycle.stop_at
        if session.operation.running and now < lifecycle.stop_at:
            session.control.cancel()
            session.step(now)
            return not session.operation.running
        if now < lifecycle.stop_at and session.cool(now):
            return False
        session.switch_off()
        return True
