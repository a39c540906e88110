"""The procedures of one connection, with what they share: scripts, heaters, modes, what a pause remembers."""

from __future__ import annotations

from collections.abc import Callable

from agent.core.ports import Scripts
from drivers.gcode import procedures
from drivers.gcode.codes import clean
from drivers.gcode.dialects import Firmware
from drivers.gcode.feed import feed
from drivers.gcode.heat import Heat
from drivers.gcode.modes import Modes
from drivers.gcode.requests import RunScript, StartPrint
from drivers.gcode.steps import Procedure
from drivers.gcode.timing import Timing


class Routines:
    """Each method gives a new procedure."""

    def __init__(self, scripts: Scripts, timing: Timing) -> None:
        self.heat = Heat(timing)
        self._timing = timing
        self._pause, self._resume, self._cancel = (
            [code for line in lines if (code := clean(line))]
            for lines in (scripts.pause, scripts.resume, scripts.cancel)
        )
        self._modes = Modes()
        self._saved = procedures.Saved()
        self._moved = False  # whether a script of ours has run since the pause began

    def hello(self, learn: Callable[[list[str]], Firmware], *, unsafe: bool) -> Procedure:
        """See `procedures.hello`."""
        return procedures.hello(self._timing, learn, unsafe=unsafe, heat=self.heat)

    def feed(self, request: StartPrint) -> Procedure:
        """A print, from its beginning."""
        self._modes = Modes()
        self.forget_pause()
        return feed(request.source, request.preamble, self._modes, self.heat)

    def script(self, request: RunScript) -> Procedure:
        """A script."""
        return procedures.script(request.lines, self.heat)

    def pause(self) -> Procedure:
        """The way into a pause, with the configured script."""
        self._moved = bool(self._pause or self._resume)
        return procedures.pause(self._pause, self.heat, self._saved)

    def resume(self) -> Procedure:
        """The way back."""
        return procedures.resume(self._resume, self.heat, self._saved, self._modes, moved=self._moved)

    def cancel(self) -> Procedure:
        """The end of whatever ran."""
        return procedures.cancel(self._cancel, self.heat)

    def forget_pause(self) -> None:
        """Nothing of ours has to be undone."""
        self._saved, self._moved = procedures.Saved(), False
