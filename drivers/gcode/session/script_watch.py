"""Progress of the running script as telemetry tells it: lines done, and what the firmware says meanwhile."""

from __future__ import annotations

import msgspec

from agent.core.driver import ScriptProgress
from agent.core.printable import printable
from drivers.gcode.printing.head_position import position_in
from drivers.gcode.slot import Slot

TEXT_MAX = 200
"""Characters of what the firmware says that are kept."""


class ScriptWatch:
    """Used by the link's thread alone. Without a running script nothing of it does anything."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._now: ScriptProgress | None = None

    def begin(self, total: int) -> None:
        """Begin to watch a script of `total` lines."""
        self._publish(ScriptProgress(0, total))

    def begin_line(self, done: int) -> None:
        """Note that `done` lines are acknowledged and the next is about to be sent; what was said belongs to that."""
        if self._now is not None:
            self._publish(msgspec.structs.replace(self._now, done=done, said=""))

    def hear(self, text: str) -> None:
        """Note what the firmware says, in so far as it is neither an acknowledgement nor a place."""
        if self._now is None:
            return
        said = text.removeprefix("//").removeprefix("echo:").strip()
        if said and position_in([said]) is None:
            self._publish(msgspec.structs.replace(self._now, said=printable(said[:TEXT_MAX])))

    def end(self) -> None:
        """Watch no more: it has ended, or is being ended."""
        self._now = None

    def _publish(self, progress: ScriptProgress) -> None:
        self._now = progress
        self._slot.update(script=progress)
