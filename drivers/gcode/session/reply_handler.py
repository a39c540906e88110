"""What the printer says, passed on to whom it concerns: the protocol, the pump, the session's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from agent.core.driver import PrinterState
from drivers.gcode.protocol.replies import Event, Kind
from drivers.gcode.session.host_actions import act

if TYPE_CHECKING:
    from drivers.gcode.session.session import Session

_log = structlog.get_logger(part="gcode")


class ReplyHandler:
    """A session's ears. `person`: the printer waits for the person in front of it."""

    def __init__(self, session: Session) -> None:
        self.person = False
        self._session = session
        self._warned = False
        self._handlers: dict[Kind, Callable[[Event, float], None]] = {
            Kind.OK: self._ok,
            Kind.RESEND: self._resend,
            Kind.ERROR: self._error,
            Kind.DAMAGED: self._damaged,
            Kind.TEMPERATURES: self._temperatures,
            Kind.BUSY: self._busy,
            Kind.BUSY_USER: self._busy,
            Kind.FATAL: self._fatal,
            Kind.START: self._start,
            Kind.WAIT: self._wait,
            Kind.SAVED: self._saved,
            Kind.ACTION: self._action,
            Kind.CAPABILITY: self._capability,
        }

    def heard(self, event: Event, now: float) -> None:
        """Deal with one event."""
        handler = self._handlers.get(event.kind)
        if handler is not None:
            handler(event, now)
        else:
            self._session.protocol.other(now)
            self._session.pump.note(event.text)

    def _error(self, event: Event, now: float) -> None:
        if "missing checksum" in event.text.lower():
            self._session.want_checksums()
        self._session.protocol.error(event.text, now)
        self._session.pump.note(event.text)

    def _damaged(self, event: Event, now: float) -> None:
        self._session.protocol.damaged(now)
        self._session.pump.note(event.text)

    def _temperatures(self, event: Event, now: float) -> None:
        session = self._session
        session.protocol.temperatures(now)
        session.slot.change(heaters=session.routines.heat.learn(event.readings))

    def _busy(self, event: Event, now: float) -> None:
        user = event.kind is Kind.BUSY_USER
        self._session.protocol.busy(now, user=user)
        self._wait_for_person(user)

    def _fatal(self, event: Event, _now: float) -> None:
        self._session.fatal(event.text)

    def _start(self, _event: Event, now: float) -> None:
        self._session.restarted(now)

    def _wait(self, _event: Event, now: float) -> None:
        self._session.protocol.wait(now)

    def _saved(self, _event: Event, now: float) -> None:
        command = self._session.protocol.saved(now)
        if command is not None:
            self._session.pump.acknowledged(command, now)

    def _capability(self, event: Event, now: float) -> None:
        self._session.protocol.other(now)
        if event.number:
            self._session.capabilities.add(event.text)

    def _ok(self, event: Event, now: float) -> None:
        session = self._session
        if event.text:
            session.pump.note(event.text)
            session.counters.quality.planner(event.text, printing=session.state is PrinterState.PRINTING)
        command = session.protocol.ok(event.text, now)
        if command is not None:
            session.pump.acknowledged(command, now)
        self._wait_for_person(False)

    def _resend(self, event: Event, now: float) -> None:
        session = self._session
        command = session.protocol.resend(event.number, now)
        if command is not None:
            session.pump.acknowledged(command, now)
        counters = session.counters
        if not self._warned and counters.resent > 10 and counters.resent * 10 > counters.sent:
            self._warned = True
            _log.warning("more than one line in ten is sent again: check the cable", **session.link())

    def _action(self, event: Event, now: float) -> None:
        """What somebody did at the printer (docs/serial.md §30): see `actions`. The line before which the printer has
        paused
        may take as long as a person does (§15)."""
        protocol, name = self._session.protocol, event.text.partition(" ")[0].lower()
        protocol.other(now)
        if name in ("paused", "resumed"):
            protocol.busy(now, user=name == "paused")
        act(self._session, event.text)

    def _wait_for_person(self, waits: bool) -> None:
        if waits != self.person:
            self.person = waits
            session = self._session
            session.slot.change(waiting="the person at the printer" if waits else session.pump.waiting)
