"""The procedures of one connection, with what they share: scripts, heaters, modes, what a pause remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agent.core.driver import Scripts
from agent.gcode.modal import ModalState as Modes
from agent.gcode.words import host_line
from drivers.gcode.printing import procedures
from drivers.gcode.printing.dialects import Firmware
from drivers.gcode.printing.feed import feed, rest
from drivers.gcode.printing.heat import Heat
from drivers.gcode.printing.parking import Parking
from drivers.gcode.protocol.steps import Procedure
from drivers.gcode.requests import RunScript, StartPrint
from drivers.gcode.session.driver_checkpoint import DriverCheckpoint, Pause, Saved
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings


class Routines:
    """Each method gives a new procedure. `firmware` is what the printer said that it is, once it has. `scripts` gives
    those of this moment: they may be replaced while a print runs."""

    def __init__(self, settings: DriverSettings, timing: Timing, scripts: Callable[[], Scripts]) -> None:
        self.heat = Heat(timing)
        self.firmware = Firmware()
        self._timing = timing
        self._scripts = scripts
        self._parking = Parking(settings.build_volume)
        self._deadman = settings.deadman_s
        self._modes = Modes()
        self._saved = Saved()
        self._paused = False  # whether a pause of ours began and has not ended

    def hello(self, learn: Callable[[list[str]], Firmware], *, unsafe: bool) -> Procedure:
        """See `procedures.hello`. What is not known of a printer that may have restarted: where its head is."""
        self._modes.homed = False
        return procedures.hello(self._timing, learn, unsafe=unsafe, heat=self.heat)

    def feed(self, request: StartPrint, begun: Callable[[], None]) -> Procedure:
        """A print, from its beginning."""
        follows = self.firmware.dialect.g90_extruder
        self._modes = Modes(extruder_follows=follows, homed=self._modes.homed)
        self.forget_pause()
        preamble = (*self._arm(), *request.preamble)
        return self._then(feed(request.source, preamble, self._modes, self.heat, begun), self._disarm())

    def take_over(self, memory: DriverCheckpoint, before: Iterable[bytes]) -> None:
        """A print was taken over, of which the lines `before` were done. Raises OSError from reading them."""
        self._modes = Modes(extruder_follows=self.firmware.dialect.g90_extruder, homed=memory.homed)
        for code in before:
            self._modes.follow(code)
        self._saved, self._paused = memory.pause.saved, memory.pause.ours

    def rest(self, request: StartPrint, first: int, *, stopped: bool) -> Procedure:
        """A print that was taken over, from line `first`; `stopped`: the pause that this line asks for has been."""
        preamble = request.preamble if first == 1 else ()
        way = rest(request.source, first, preamble, self._modes, self.heat, stopped=stopped)
        return self._then(way, self._disarm())

    def caught_up(self, procedure: Procedure | None, *, arm: bool) -> Procedure:
        """What comes first after a print was taken over, then `procedure`; `arm` as in a print."""
        end = yield from procedures.catch_up(self.firmware, self._arm() if arm else ())
        return (yield from procedure) if procedure is not None else end

    def script(self, request: RunScript) -> Procedure:
        """A script."""
        for code in request.lines:
            self._modes.follow(code)
        return procedures.script(request.lines, self.heat)

    def pause(self, known: Callable[[], None]) -> Procedure:
        """The way into a pause: the configured script, or the built-in one. `known`: see `procedures.pause`."""
        self._paused, self._saved = True, Saved()
        lines = _cleaned(self._scripts().pause)
        way = procedures.pause(lines, self.heat, self._saved, self._modes, self._parking, known)
        return self._then(way, self._disarm())

    def pause_again(self) -> Procedure:
        """The way into a pause that was interrupted, or left."""
        lines = _cleaned(self._scripts().pause)
        way = procedures.pause_again(lines, self.heat, self._saved, self._modes, self._parking)
        return self._then(way, self._disarm())

    def resume(self) -> Procedure:
        """The way back; nothing where the printer has paused, and knows the way, by itself."""
        if not self._paused:
            return procedures.each(self._arm())
        self._paused = False
        way = procedures.resume(_cleaned(self._scripts().resume), self.heat, self._saved, self._modes, self._parking)
        return self._then(way, self._arm())

    def cancel(self) -> Procedure:
        """The end of whatever ran."""
        parking = None if self._paused else self._parking
        return procedures.cancel(
            _cleaned(self._scripts().cancel), self.heat, self._modes, parking, disarm=self._disarm()
        )

    def forget_pause(self) -> None:
        """Nothing of ours has to be undone."""
        self._saved, self._paused = Saved(), False

    @property
    def homed(self) -> bool:
        """Whether the printer is known to have been homed."""
        return self._modes.homed

    def to_remember(self, reason: str, *, in_file: bool = False) -> Pause:
        """Of the present pause, what the way back needs."""
        return Pause(self._saved, ours=self._paused, in_file=in_file, reason=reason)

    def _arm(self) -> list[bytes]:
        """During a print the firmware itself turns the heaters off when nothing moves for long (docs/serial.md §31).
        Not
        during a pause, which may last as long as a person likes."""
        armed = self._deadman and self.firmware.deadman
        return [b"M85 S%d" % self._deadman] if armed else []

    def _disarm(self) -> list[bytes]:
        return [procedures.DISARM] if self._arm() else []

    @staticmethod
    def _then(procedure: Procedure, lines: Sequence[bytes]) -> Procedure:
        end = yield from procedure
        yield from procedures.each(lines)
        return end


def _cleaned(lines: Sequence[str]) -> list[bytes]:
    return [code for line in lines if (code := host_line(line))]
