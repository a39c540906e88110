"""One open connection: what the printer says and what is asked for, turned into the printer's state.

    state       procedure           its end →
    OFFLINE     hello               IDLE
    BUSY        script              IDLE, completed
    PRINTING    feed                IDLE, completed         a Stop in the file → PAUSING
    PAUSING     pause               PAUSED
    RESUMING    resume              PRINTING, the feed goes on with the very next line
    CANCELLING  cancel              IDLE, cancelled (failed: the file could not be read)
    ERROR       none                (a restart or a reset → OFFLINE)

A print that is to be taken over is asked after before all that (`takeover`). What an agent after this one needs to take
this one's over is written into `notes` where the state changes (`memory`).

`over` says why the connection is of no use any more; the link then opens the port anew.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from agent.core.driver import Outcome, PrinterState
from agent.errors import DataError
from drivers.gcode.link.out_of_band import Urgent
from drivers.gcode.printing.dialects import Firmware, by_name, identify, with_checksums
from drivers.gcode.printing.procedures import old_lines_s
from drivers.gcode.protocol.fast_path import FastPath
from drivers.gcode.protocol.replies import Event, Kind
from drivers.gcode.protocol.steps import End
from drivers.gcode.session.driver_checkpoint import CheckpointWriter, DriverCheckpoint, Stage
from drivers.gcode.session.operation_state import RUNNING
from drivers.gcode.session.operations import Printing
from drivers.gcode.session.reply_handler import ReplyHandler
from drivers.gcode.session.takeover import PendingTakeover, TakeOver
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

__all__ = ["RUNNING", "Session"]

_S = PrinterState


class Session(Printing):
    """Used by the link's thread alone. `unsafe`: heaters may be on because the print before ended without its end;
    `ready` is called when the printer has answered."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        slot: Slot,
        settings: DriverSettings,
        timing: Timing,
        *,
        unsafe: bool,
        notes: CheckpointWriter | None = None,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._dialect = by_name(settings.dialect)
        checked = with_checksums(write) if self._dialect and self._dialect.checksums else write
        super().__init__(
            checked, slot, settings, timing, notes or CheckpointWriter(lambda _key, _memory: None), unsafe=unsafe
        )
        self.over = ""
        self.answered = False  # whether a hello was ever answered
        self.urgent = Urgent(write)
        self.capabilities: set[str] = set()
        self.taking: TakeOver | None = None
        self._ready = ready
        self._begin_at = inf
        self._half_until = inf
        self._restarting = False  # the board starts anew by our emergency stop
        self._ears = ReplyHandler(self)
        self.flow = FastPath(self, self, timing.patience, self._unreadable)

    # --- from the link's loop

    def open(self, now: float, begin_at: float) -> None:
        """The port is open; the board may still be starting until `begin_at`."""
        self._begin_at = begin_at
        self.slot.change(state=_S.OFFLINE, reason="waiting for the printer's answer", waiting="")
        self.step(now)

    def take_over(self, undecided: PendingTakeover, now: float) -> None:
        """Instead of `open`: the port is open, and a print is to be taken over."""
        self.slot.change(state=_S.OFFLINE, reason="finding out where the printer is", waiting="")
        self.taking = TakeOver(self, undecided, self._write, self._timing, now)
        self.step(now)

    def due(self, now: float) -> float:
        """When `step` has something to do, if nothing is heard before; `inf`: never."""
        if self.taking is not None:
            return self.taking.due()
        if self.state is _S.ERROR:
            return inf
        return min(self._begin_at, self._half_until, self.pump.due(now))

    def begin(self, now: float) -> None:
        """Say hello, with a clean slate."""
        self._begin_at = inf
        self.pump.drop()
        self._renew()
        self._parked = None
        self.capabilities.clear()
        self.state = _S.OFFLINE
        self.slot.change(state=_S.OFFLINE, reason="waiting for the printer's answer")
        self.pump.run(self.routines.hello(self._learn, unsafe=self.unsafe))
        self.step(now)

    def heard(self, event: Event, now: float) -> None:
        """Anything was heard. A halted printer is believed nothing but its restart."""
        self._half_until = inf
        if self.taking is not None:
            self.taking.heard(event, now)
        elif event.kind is Kind.START and self._restarting:
            self._restarting = False
        elif self.state is not _S.ERROR or event.kind is Kind.START:
            try:
                self._ears.heard(event, now)
            except DataError as error:
                self._unreadable(error)

    def half_heard(self, now: float) -> None:
        """A line has begun and not ended. Should its end not come, it was garbled."""
        self._half_until = now + self._timing.garbled

    def step(self, now: float) -> None:
        """Send what may be sent, and act on what has ended. Raises PortError."""
        if self.taking is not None and not self.taking.step(now):
            return
        if self.state is _S.ERROR:
            return
        if now >= self._begin_at:
            self.begin(now)
        if now >= self._half_until:
            self._half_until = inf
            self.protocol.damaged(now)
        try:
            if now >= self.protocol.deadline:
                command = self.protocol.tick(now)
                if command is not None:
                    self.pump.acknowledged(command, now, gave_up=command.gives_up)
            self.pump.step(now)
        except DataError as error:
            self._unreadable(error)
        while self.pump.changed:
            self._changed(now)
        if self.protocol.failure and not self.over:
            self.lost(self.protocol.failure)

    def held_up(self) -> bool:
        """See `Printing`; also while it waits for a person."""
        return self._ears.person or super().held_up()

    @property
    def person_needed(self) -> bool:
        """Whether the printer waits for the person in front of it."""
        return self._ears.person

    def halt(self) -> None:
        """Emergency stop: an error until a reset, also where the board starts anew by it."""
        self.urgent.halt(self.protocol.last)
        self._restarting = self.firmware.dialect.restarts_when_halted
        self.fatal("emergency stop")

    def lost(self, why: str) -> None:
        """The connection cannot go on; what ran has failed."""
        self.over = why
        self.pump.drop()
        self.fail(why, _S.OFFLINE)
        self.state = _S.OFFLINE

    def taken_over(self, key: str, memory: DriverCheckpoint, last: int, now: float) -> None:
        """The print `key` goes on in this connection, after the line with number `last` (which may be of either
        space); what is sent next is `takeover`'s."""
        self.taking = None
        self._renew()
        self.capabilities = set(memory.capabilities)
        firmware = self._know(memory.identity())
        self.protocol.take_over(last, ok_carries_temps=memory.speaks, patience_s=old_lines_s(firmware))
        self.notes.go_on(key, memory)
        self.answered = True
        self._ready()
        self._begin_operation(key, _S.PRINTING)
        self._set_polling(now)

    # --- inside

    def _changed(self, now: float) -> None:
        pump = self.pump
        pump.changed = False
        if pump.stop:
            reason, pump.stop = pump.stop, ""
            self.pause(reason, in_file=True)
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
            self._ready()
            self.enter(_S.IDLE)
        elif state in (_S.PRINTING, _S.BUSY):
            self._finish(Outcome.COMPLETED, "")
        elif state is _S.CANCELLING:
            self._finish(*self._verdict)
        elif state is _S.PAUSING:
            self.notes.change(Stage.PAUSED)
            self.state = _S.PAUSED
            self.slot.change(state=_S.PAUSED, waiting="")
        elif state is _S.RESUMING:
            self.go_on()
        self._set_polling(now)

    def _learn(self, texts: list[str]) -> Firmware:
        return self._know(identify(texts, frozenset(self.capabilities), self._dialect))

    def _know(self, firmware: Firmware) -> Firmware:
        self.firmware = firmware
        self.protocol.window.parses_emergencies(firmware.emergency)
        self.routines.firmware = self.urgent.firmware = firmware
        self.slot.change(firmware=firmware.name, machine=firmware.machine)
        if firmware.dialect.checksums:
            self.want_checksums()
        return firmware

    def want_checksums(self) -> None:
        """From now on every line has a checksum (docs/serial.md, Dialects)."""
        self.protocol.write_with(with_checksums(self._write))

    def fatal(self, text: str) -> None:
        """The printer has halted."""
        if self.taking is not None:
            self.taking.decided()
        self.pump.drop()
        self._parked = None
        self.state = _S.ERROR
        self.unsafe = True
        self.fail(text, _S.ERROR)

    def restarted(self, now: float) -> None:
        """The board begins anew."""
        if self.key:
            line = self.counters.line
            at = f" after line {line}" if self.state is not _S.BUSY else ""
            self.fail(f"the printer restarted{at}: its position is lost", _S.OFFLINE)
        self.begin(now)
