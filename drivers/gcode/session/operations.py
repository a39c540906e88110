"""What is done on a connection: prints and scripts, their pauses and their ends; where it is written down for the agent
after this one (`memory`)."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from agent.core.driver import Outcome, PrinterState
from agent.errors import DataError
from drivers.gcode.printing.pump import Pump
from drivers.gcode.printing.routines import Routines
from drivers.gcode.protocol.patience import LONG_S
from drivers.gcode.protocol.protocol import Protocol
from drivers.gcode.protocol.running import Running
from drivers.gcode.protocol.steps import Procedure
from drivers.gcode.protocol.window import Window
from drivers.gcode.requests import RunScript, StartPrint
from drivers.gcode.session.driver_checkpoint import CheckpointWriter, Pause, Stage
from drivers.gcode.session.operation_state import RUNNING, Standing
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

_S = PrinterState


class Printing(Standing):
    """The half of a `Session` that callers' requests go to. `write` is the port's, `notes` where it is written down."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        slot: Slot,
        settings: DriverSettings,
        timing: Timing,
        notes: CheckpointWriter,
        *,
        unsafe: bool,
    ) -> None:
        super().__init__(slot, notes, unsafe=unsafe)
        self._write = write
        self._timing = timing
        self._window = settings.window
        self.routines = Routines(settings, timing, lambda: slot.scripts or settings.scripts)
        self._parked: Running | None = None
        self._in_file = False  # whether the pause is one that the file asks for
        self._renew()

    # --- requests, from the mailbox

    def start_print(self, request: StartPrint, now: float) -> None:
        """`request` was accepted while IDLE; if that is no longer so it fails."""
        if self._refused(request.key):
            return
        self._begin_operation(request.key, _S.PRINTING)
        self._set_polling(now)
        self.pump.run(self.routines.feed(request, self._begun))

    def run_script(self, request: RunScript, now: float) -> None:
        """As `start_print`."""
        if self._refused(request.key):
            return
        self._begin_operation(request.key, _S.BUSY)
        self._set_polling(now)
        self.pump.run(self.routines.script(request))

    def pause(self, reason: str, *, in_file: bool = False) -> None:
        """Only while PRINTING; otherwise the moment has passed."""
        if self.state is _S.PRINTING and self.pump.ended is None:
            self._parked = self.pump.park()
            self.notes.change(Stage.PAUSING, pause=Pause(in_file=in_file, reason=reason))
            self.go_away(reason, self.routines.pause(self.parking), in_file=in_file)

    def go_away(self, reason: str, way: Procedure, *, in_file: bool) -> None:
        """PAUSING, by `way`."""
        self._in_file = in_file
        self.enter(_S.PAUSING, reason)
        self.pump.run(way)

    def resume(self) -> None:
        """Only while PAUSED."""
        if self.state is _S.PAUSED:
            self.notes.change(Stage.RESUMING)
            self.enter(_S.RESUMING)
            self.pump.run(self.routines.resume())

    def cancel(self) -> None:
        """Whatever runs."""
        if self.state in RUNNING and self.state is not _S.CANCELLING:
            self._verdict = (Outcome.CANCELLED, "")
            if self.firmware.emergency and self.held_up():
                self.protocol.urgent(b"M108")
            self._make_safe()

    def held_up(self) -> bool:
        """Whether the printer is at something long, which M108 ends where there is an emergency parser."""
        return any(c.patience >= LONG_S for c in self.protocol.in_flight)

    def set_aside(self, running: Running) -> None:
        """The print goes on with `running` after the pause."""
        self._parked = running

    def end_it(self, error: str, way: Procedure) -> None:
        """CANCELLING, by `way`; `error` says why it has failed, if it has."""
        self._verdict = (Outcome.FAILED if error else Outcome.CANCELLED, error)
        self.enter(_S.CANCELLING)
        self.pump.run(way)

    def parking(self) -> None:
        """The position is known; the head is about to move away."""
        reason = self.slot.read().reason
        self.notes.change(Stage.PARKING, pause=self.routines.to_remember(reason, in_file=self._in_file))

    def paused_by_itself(self, reason: str) -> None:
        """The printer has parked by itself, and knows the way back."""
        if self.state is _S.PRINTING and self.pump.ended is None:
            self._parked = self.pump.park()
            self.routines.forget_pause()
            self.notes.change(Stage.PAUSED, pause=Pause(reason=reason))
            self.enter(_S.PAUSED, reason)

    def go_on(self) -> None:
        """With the very next line of the file."""
        self.notes.change(Stage.PRINTING, pause=Pause())
        self.enter(_S.PRINTING)
        parked, self._parked = self._parked, None
        if parked:
            self.pump.unpark(parked)

    def _begun(self) -> None:
        """The printer counts this print's lines from now on."""
        self.notes.begin(self.key, self.firmware, speaks=self.protocol.ok_carries_temps, homed=self.routines.homed)

    def _renew(self) -> None:
        """A protocol that knows nothing, and what runs over it."""
        self.protocol = Protocol(self._write, self.counters, self._timing, Window(self._window))
        self.pump = Pump(self.protocol, self._timing)

    def _make_safe(self) -> None:
        self._parked = None
        self.notes.change(Stage.CANCELLING, pause=self.routines.to_remember(""), error=self._verdict[1])
        self.enter(_S.CANCELLING)
        self.pump.run(self.routines.cancel())

    def _unreadable(self, error: DataError) -> None:
        self._verdict = (Outcome.FAILED, str(error))
        self._make_safe()

    def _set_polling(self, now: float) -> None:
        """Without auto-report every 2 s; with it only when idle, to see whether anybody is there (docs/serial.md
        §14)."""
        quiet = inf if self.state is not _S.IDLE else self._timing.idle_poll
        self.pump.poll_every(quiet if self.firmware.autoreport else self._timing.poll, now)
