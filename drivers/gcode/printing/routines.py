"""The procedures of one connection, with what they share: scripts, heaters, modal state, what a pause must undo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agent.core.driver import Scripts
from agent.gcode.modal import ModalState
from agent.gcode.words import MAY_BE_UNKNOWN, script_line
from drivers.gcode.printing import procedures
from drivers.gcode.printing.dialects import Firmware
from drivers.gcode.printing.feed import feed, rest
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.printing.heaters_off import lines_off
from drivers.gcode.printing.parking import Parking
from drivers.gcode.printing.pause_state import ParkedState, PauseState
from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.protocol.phases import PROBE
from drivers.gcode.protocol.steps import End, Procedure, ask
from drivers.gcode.requests import RunScript, StartPrint
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings


class Routines:
    """Factory of procedures: each method builds a new one. `scripts` gives the scripts of this moment, which may be
    replaced while a print runs; `heaters` and `identity` belong to the session and are shared with it. `armed`: the
    firmware's own watch over the heaters may be armed."""

    def __init__(
        self,
        *,
        settings: DriverSettings,
        timing: Timing,
        scripts: Callable[[], Scripts],
        heaters: Heaters,
        identity: PrinterIdentity,
        unsafe: bool,
    ) -> None:
        """`unsafe`: an operation before this connection may have armed the firmware's watch."""
        self.armed = unsafe or settings.deadman_s > 0
        self._heaters = heaters
        self._identity = identity
        self._timing = timing
        self._scripts = scripts
        self._parking = Parking(settings.build_volume)
        self._deadman = settings.deadman_s
        self._modes = ModalState()
        self._parked = ParkedState()
        self._paused = False  # whether a pause of ours began and has not ended

    def hello(
        self, learn: Callable[[list[str]], Firmware], not_ready: Callable[[str], None], *, unsafe: bool
    ) -> Procedure:
        """Build the hello, see `procedures.hello`. The printer may have restarted, so the head counts as not homed."""
        self._modes.homed = False
        return procedures.hello(self._timing, learn, not_ready, unsafe=unsafe, heaters=self._heaters)

    def feed(self, request: StartPrint, begun: Callable[[], None]) -> Procedure:
        """Build a print from its first line. `begun` as in `feed.feed`."""
        self._modes = self._new_modes(homed=self._modes.homed)
        self.forget_pause()
        preamble = (*self._arm(), *request.preamble)
        return feed(
            request.source,
            preamble,
            self._modes,
            self._heaters,
            begun,
            line_size=self._identity.firmware.dialect.line_size,
        )

    def recover(self, *, homed: bool, pause: PauseState, before: Iterable[bytes]) -> None:
        """Take the modal state and the pause of a print that another agent began, of which the lines `before` were
        done. Raises OSError from reading them."""
        self._modes = self._new_modes(homed=homed)
        for code in before:
            self._modes.follow(code)
        self._parked, self._paused = pause.saved, pause.ours

    def rest(self, request: StartPrint, first: int, *, stopped: bool) -> Procedure:
        """Build the rest of a recovered print, from line `first`; `stopped`: the pause that this line asks for is
        over."""
        preamble = request.preamble if first == 1 else ()
        line_size = self._identity.firmware.dialect.line_size
        return rest(request.source, first, preamble, self._modes, self._heaters, stopped=stopped, line_size=line_size)

    def caught_up(self, procedure: Procedure | None, *, arm: bool) -> Procedure:
        """Build what comes first after a recovery (temperatures, reports), then `procedure`. `arm`: with the firmware's
        own watch over the heaters, as in a print."""
        end = yield from procedures.catch_up(self._identity.firmware, self._arm() if arm else ())
        return (yield from procedure) if procedure is not None else end

    def script(self, request: RunScript, begin_line: Callable[[int], None]) -> Procedure:
        """Build a script; `begin_line` as in `procedures.script`. It may heat, as a print does, so the firmware
        watches over it too."""
        for code in request.lines:
            self._modes.follow(code.removeprefix(MAY_BE_UNKNOWN))
        yield from procedures.send_each(self._arm())
        return (yield from procedures.script(request.lines, self._heaters, self._modes, begin_line))

    def pause(self, known: Callable[[], None]) -> Procedure:
        """Build the way into a pause: the configured script, or the built-in one. `known` as in `procedures.pause`."""
        self._paused, self._parked = True, ParkedState()
        lines = _cleaned(self._scripts().pause)
        way = procedures.pause(lines, self._heaters, self._parked, self._modes, self._parking, known)
        return self._then(way, self._disarm_pause())

    def pause_again(self) -> Procedure:
        """Build the way into a pause that was interrupted, or left."""
        lines = _cleaned(self._scripts().pause)
        way = procedures.pause_again(lines, self._heaters, self._parked, self._modes, self._parking)
        return self._then(way, self._disarm_pause())

    def resume(self) -> Procedure:
        """Build the way back to the print; nothing moves where the printer has paused by itself."""
        if not self._paused:
            return procedures.resume_sending(self._arm())
        self._paused = False
        lines = _cleaned(self._scripts().resume)
        way = procedures.resume(lines, self._heaters, self._parked, self._modes, self._parking)
        return self._then(way, procedures.send_each(self._arm()))

    def lines_off(self) -> list[bytes]:
        """Lines that switch heaters and fan off."""
        return lines_off(self._heaters.known, self._identity.firmware.dialect)

    def cool(self) -> Procedure:
        """Build what switches the heaters of an idle printer off."""
        return procedures.cool(self.lines_off())

    def cool_if_hot(self) -> Procedure:
        """Build the question whether a heater is on, and what switches it off then."""
        before = self._heaters.readings
        yield ask(PROBE)
        yield self._heaters.hold_for_reading(before)
        if self._heaters.active_targets():
            yield from self.cool()
        return End.DONE

    def cancel(self, *, stopped: bool) -> Procedure:
        """Build the end of whatever runs, heaters off; `stopped`: moves were stopped on the way."""
        parking = None if self._paused else self._parking
        lines = _cleaned(self._scripts().cancel)
        return procedures.cancel(
            lines,
            self._heaters,
            self._modes,
            parking,
            off=self.lines_off,
            disarm=self.disarm(),
            stop_s=self._timing.answer if stopped else None,
        )

    def disarm(self) -> Procedure:
        """Build the end of the firmware's own watch over the heaters: it would kill a printer that is idle."""
        if self.armed and self._identity.firmware.deadman:
            yield ask(procedures.DISARM)
        self.armed = False
        return End.DONE

    def forget_pause(self) -> None:
        """Drop what a pause has to undo: nothing of ours was moved."""
        self._parked, self._paused = ParkedState(), False

    def forget_home(self) -> None:
        """The printer has refused to home."""
        self._modes.homed = False

    @property
    def homed(self) -> bool:
        """Whether the printer is known to have been homed."""
        return self._modes.homed

    def pause_state(self, reason: str, *, in_file: bool = False) -> PauseState:
        """The present pause as the checkpoint keeps it."""
        return PauseState(self._parked, ours=self._paused, in_file=in_file, reason=reason)

    def _new_modes(self, *, homed: bool) -> ModalState:
        return ModalState(extruder_follows=self._identity.firmware.dialect.g90_extruder, homed=homed)

    def _arm(self) -> list[bytes]:
        """During a print the firmware itself turns the heaters off when nothing moves for long (docs/serial.md §31).
        Not during a pause, which may last as long as a person likes."""
        armed = self._deadman and self._identity.firmware.deadman
        self.armed = self.armed or bool(armed)
        return [b"M85 S%d" % self._deadman] if armed else []

    def _disarm_pause(self) -> Procedure:
        """A pause may be as long as a person likes."""
        if self._deadman:
            return (yield from self.disarm())
        return End.DONE

    @staticmethod
    def _then(procedure: Procedure, after: Procedure) -> Procedure:
        end = yield from procedure
        yield from after
        return end


def _cleaned(lines: Sequence[str]) -> list[bytes]:
    return [code for line in lines if (code := script_line(line))]
