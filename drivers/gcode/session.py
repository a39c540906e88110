"""One open connection: what the printer says and what is asked for, turned into the printer's state.

    state       procedure           its end →
    OFFLINE     hello               IDLE
    BUSY        script              IDLE, completed
    PRINTING    feed                IDLE, completed         a Stop in the file → PAUSING
    PAUSING     pause               PAUSED
    RESUMING    resume              PRINTING, the feed goes on with the very next line
    CANCELLING  cancel              IDLE, cancelled (failed: the file could not be read)
    ERROR       none                (a restart or a reset → OFFLINE)

`over` says why the connection is of no use any more; the link then opens the port anew.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import structlog

from agent.core.ports import Outcome, PrinterState
from agent.errors import DataError
from drivers.gcode.codes import LONG_S
from drivers.gcode.dialects import Firmware, by_name, identify, with_checksums
from drivers.gcode.ears import Ears
from drivers.gcode.flow import Flow
from drivers.gcode.protocol import Protocol
from drivers.gcode.pump import Pump, Running
from drivers.gcode.replies import Event, Kind
from drivers.gcode.requests import RunScript, StartPrint
from drivers.gcode.routines import Routines
from drivers.gcode.slot import Slot
from drivers.gcode.steps import End
from drivers.gcode.timing import Timing
from drivers.gcode.urgent import Urgent
from drivers.gcode.window import Window
from drivers.settings import DriverSettings

_S = PrinterState
RUNNING = (_S.BUSY, _S.PRINTING, _S.PAUSING, _S.PAUSED, _S.RESUMING, _S.CANCELLING)
_log = structlog.get_logger(part="gcode")


class Session:
    """Used by the link's thread alone. `unsafe`: heaters may be on because the print before ended without its end."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        slot: Slot,
        settings: DriverSettings,
        timing: Timing,
        *,
        unsafe: bool,
    ) -> None:
        self.over = ""
        self.answered = False  # whether a hello was ever answered
        self.unsafe = unsafe
        self.state = _S.OFFLINE
        self.key = ""
        self.firmware = Firmware()
        self.urgent = Urgent(write)
        self.slot = slot
        self.counters = slot.new_counters()
        self._timing = timing
        self._dialect = by_name(settings.dialect)
        self._write = with_checksums(write) if self._dialect and self._dialect.checksums else write
        self._window = settings.window
        self.routines = Routines(settings, timing)
        self.capabilities: set[str] = set()
        self._parked: Running | None = None
        self._verdict = (Outcome.CANCELLED, "")
        self._begin_at = inf
        self._half_until = inf
        self.protocol = Protocol(write, self.counters, timing, Window(self._window))
        self.pump = Pump(self.protocol, timing)
        self._ears = Ears(self)
        self.flow = Flow(self, self._ears, timing.patience, self._unreadable)

    # --- from the link's loop

    def open(self, now: float, begin_at: float) -> None:
        """The port is open; the board may still be starting until `begin_at`."""
        self._begin_at = begin_at
        self.slot.change(state=_S.OFFLINE, reason="waiting for the printer's answer", waiting="")
        self.step(now)

    def due(self, now: float) -> float:
        """When `step` has something to do, if nothing is heard before; `inf`: never."""
        if self.state is _S.ERROR:
            return inf
        return min(self._begin_at, self._half_until, self.pump.due(now))

    def begin(self, now: float) -> None:
        """Say hello, with a clean slate."""
        self._begin_at = inf
        self.pump.drop()
        self.protocol = Protocol(self._write, self.counters, self._timing, Window(self._window))
        self.pump = Pump(self.protocol, self._timing)
        self._parked = None
        self.capabilities.clear()
        self.state = _S.OFFLINE
        self.slot.change(state=_S.OFFLINE, reason="waiting for the printer's answer")
        self.pump.run(self.routines.hello(self._learn, unsafe=self.unsafe))
        self.step(now)

    def heard(self, event: Event, now: float) -> None:
        """Anything was heard. A halted printer is believed nothing but its restart."""
        self._half_until = inf
        if self.state is not _S.ERROR or event.kind is Kind.START:
            self._ears.heard(event, now)

    def half_heard(self, now: float) -> None:
        """A line has begun and not ended. Should its end not come, it was garbled."""
        self._half_until = now + self._timing.garbled

    def step(self, now: float) -> None:
        """Send what may be sent, and act on what has ended. Raises PortError."""
        if self.state is _S.ERROR:
            return
        if now >= self._begin_at:
            self.begin(now)
        if now >= self._half_until:
            self._half_until = inf
            self.protocol.damaged(now)
        if now >= self.protocol.deadline:
            command = self.protocol.tick(now)
            if command is not None:
                self.pump.acknowledged(command, now, gave_up=command.gives_up)
        try:
            self.pump.step(now)
        except DataError as error:
            self._unreadable(error)
        while self.pump.changed:
            self._changed(now)
        if self.protocol.failure and not self.over:
            self.lost(self.protocol.failure)

    # --- requests, from the mailbox

    def start_print(self, request: StartPrint, now: float) -> None:
        """`request` was accepted while IDLE; if that is no longer so it fails."""
        if self._refused(request.key):
            return
        self._begin_operation(request.key, _S.PRINTING, now)
        self.pump.run(self.routines.feed(request))

    def run_script(self, request: RunScript, now: float) -> None:
        """As `start_print`."""
        if self._refused(request.key):
            return
        self._begin_operation(request.key, _S.BUSY, now)
        self.pump.run(self.routines.script(request))

    def pause(self, reason: str) -> None:
        """Only while PRINTING; otherwise the moment has passed."""
        if self.state is _S.PRINTING:
            self._parked = self.pump.park()
            self._enter(_S.PAUSING, reason)
            self.pump.run(self.routines.pause())

    def resume(self) -> None:
        """Only while PAUSED."""
        if self.state is _S.PAUSED:
            self._enter(_S.RESUMING)
            self.pump.run(self.routines.resume())

    def cancel(self) -> None:
        """Whatever runs."""
        if self.state in RUNNING and self.state is not _S.CANCELLING:
            self._verdict = (Outcome.CANCELLED, "")
            if self.firmware.emergency and any(c.patience >= LONG_S for c in self.protocol.in_flight):
                self.protocol.urgent(b"M108")
            self._make_safe()

    def lost(self, why: str) -> None:
        """The connection cannot go on; what ran has failed."""
        self.over = why
        self.pump.drop()
        self._fail(why, _S.OFFLINE)
        self.state = _S.OFFLINE

    # --- inside

    def paused_by_itself(self, reason: str) -> None:
        """The printer has parked by itself, and knows the way back."""
        if self.state is _S.PRINTING:
            self._parked = self.pump.park()
            self.routines.forget_pause()
            self._enter(_S.PAUSED, reason)

    def _changed(self, now: float) -> None:
        pump = self.pump
        pump.changed = False
        if pump.stop:
            reason, pump.stop = pump.stop, ""
            self.pause(reason)
        elif pump.ended is not None:
            ended, pump.ended = pump.ended, None
            self._ended(ended, now)
        elif not self._ears.person:
            self.slot.change(waiting=pump.waiting)
        try:
            pump.step(now)
        except DataError as error:
            self._unreadable(error)

    def _ended(self, end: End, now: float) -> None:
        state = self.state
        if state is _S.OFFLINE:
            if end is End.NO_ANSWER:
                self.over = "no answer"
                return
            self.unsafe = False
            self.answered = True
            self._enter(_S.IDLE)
            self._set_polling(now)
        elif state in (_S.PRINTING, _S.BUSY):
            self._finish(Outcome.COMPLETED, "", now)
        elif state is _S.CANCELLING:
            self._finish(*self._verdict, now)
        elif state is _S.PAUSING:
            self.state = _S.PAUSED
            self.slot.change(state=_S.PAUSED, waiting="")
        elif state is _S.RESUMING:
            self.go_on()

    def go_on(self) -> None:
        self._enter(_S.PRINTING)
        parked, self._parked = self._parked, None
        if parked:
            self.pump.unpark(parked)

    def _enter(self, state: PrinterState, reason: str = "") -> None:
        self.state = state
        self.slot.change(state=state, reason=reason, waiting="")

    def _begin_operation(self, key: str, state: PrinterState, now: float) -> None:
        self.key, self.state, self.unsafe = key, state, True
        self._verdict = (Outcome.CANCELLED, "")
        self._set_polling(now)

    def _finish(self, outcome: Outcome, error: str, now: float) -> None:
        key, self.key, self.state = self.key, "", _S.IDLE
        self.unsafe = False
        self._set_polling(now)
        _log.info("ended", key=key, outcome=outcome.value, error=error, **self.link())
        self.slot.end(key, outcome, _S.IDLE, error)

    def _fail(self, error: str, state: PrinterState) -> None:
        key, self.key = self.key, ""
        if key:
            _log.warning("failed", key=key, error=error, **self.link())
            self.slot.end(key, Outcome.FAILED, state, error, reason=error)
        else:
            self.slot.change(state=state, reason=error, waiting="")

    def _refused(self, key: str) -> bool:
        if self.state is _S.IDLE:
            return False
        now = self.slot.read()
        self.slot.end(key, Outcome.FAILED, self.state, "the printer was lost before it could begin", now.reason)
        return True

    def _make_safe(self) -> None:
        self._parked = None
        self._enter(_S.CANCELLING)
        self.pump.run(self.routines.cancel())

    def _unreadable(self, error: DataError) -> None:
        self._make_safe()
        self._verdict = (Outcome.FAILED, str(error))

    def _set_polling(self, now: float) -> None:
        """Without auto-report every 2 s; with it only when idle, to see whether anybody is there (SERIAL.md §14)."""
        quiet = inf if self.state is not _S.IDLE else self._timing.idle_poll
        self.pump.poll_every(quiet if self.firmware.autoreport else self._timing.poll, now)

    def _learn(self, texts: list[str]) -> Firmware:
        self.firmware = identify(texts, frozenset(self.capabilities), self._dialect)
        self.protocol.window.parses_emergencies(self.firmware.emergency)
        self.routines.firmware = self.urgent.firmware = self.firmware
        self.slot.change(firmware=self.firmware.name, machine=self.firmware.machine)
        if self.firmware.dialect.checksums:
            self.want_checksums()
        return self.firmware

    def want_checksums(self) -> None:
        """From now on every line has a checksum (SERIAL.md, Dialects)."""
        self.protocol.write_with(with_checksums(self._write))

    def fatal(self, text: str) -> None:
        self.pump.drop()
        self._parked = None
        self.state = _S.ERROR
        self.unsafe = True
        self._fail(text, _S.ERROR)

    def restarted(self, now: float) -> None:
        if self.key:
            line = self.counters.line
            at = f" after line {line}" if self.state is not _S.BUSY else ""
            self._fail(f"the printer restarted{at}: its position is lost", _S.OFFLINE)
        self.begin(now)

    def link(self) -> dict[str, int]:
        return {"line": self.counters.line, "sent": self.counters.sent, "resent": self.counters.resent}
