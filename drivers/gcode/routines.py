"""The procedures of one connection, with what they share: scripts, heaters, modes, what a pause remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.core.ports import Scripts
from drivers.gcode import procedures
from drivers.gcode.codes import clean
from drivers.gcode.dialects import Firmware
from drivers.gcode.feed import feed
from drivers.gcode.heat import Heat
from drivers.gcode.modes import Modes
from drivers.gcode.parking import Parking
from drivers.gcode.requests import RunScript, StartPrint
from drivers.gcode.steps import Procedure
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
        self._saved = procedures.Saved()
        self._paused = False  # whether a pause of ours began and has not ended

    def hello(self, learn: Callable[[list[str]], Firmware], *, unsafe: bool) -> Procedure:
        """See `procedures.hello`. What is not known of a printer that may have restarted: where its head is."""
        self._modes.homed = False
        return procedures.hello(self._timing, learn, unsafe=unsafe, heat=self.heat)

    def feed(self, request: StartPrint) -> Procedure:
        """A print, from its beginning."""
        follows = self.firmware.dialect.g90_extruder
        self._modes = Modes(extruder_follows=follows, homed=self._modes.homed)
        self.forget_pause()
        preamble = (*self._arm(), *request.preamble)
        return self._then(feed(request.source, preamble, self._modes, self.heat), self._disarm())

    def script(self, request: RunScript) -> Procedure:
        """A script."""
        for code in request.lines:
            self._modes.follow(code)
        return procedures.script(request.lines, self.heat)

    def pause(self) -> Procedure:
        """The way into a pause: the configured script, or the built-in one."""
        self._paused = True
        way = procedures.pause(_cleaned(self._scripts().pause), self.heat, self._saved, self._modes, self._parking)
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
        self._saved, self._paused = procedures.Saved(), False

    def _arm(self) -> list[bytes]:
        """During a print the firmware itself turns the heaters off when nothing moves for long (SERIAL.md §31). Not
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
    return [code for line in lines if (code := clean(line))]
