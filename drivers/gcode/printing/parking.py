"""Built-in parking of the head, where no script says otherwise (docs/serial.md §27, §28): retract, lift, then park.
Pure.

Each part only where it is safe: filament is moved by a hot nozzle only, the head by a printer that was homed only.
"""

from __future__ import annotations

from agent.gcode.modal import ModalState
from drivers.gcode.printing.head_position import HeadPosition
from drivers.gcode.printing.heaters import Heaters

HOT = 170.0
"""°C; below it firmwares move no filament (EXTRUDE_MINTEMP)."""
RETRACT = 2.0
"""mm of filament pulled back, and pushed again before the print goes on."""
LIFT = 10.0
"""mm that the head goes up before it goes anywhere else."""


class Parking:
    """Lines that park the head. `volume` is the build volume in mm (x, y, z), empty when not known: the lift may end at
    the end stop then."""

    def __init__(self, volume: tuple[float, ...] = ()) -> None:
        self._top = volume[2] if len(volume) == 3 else None

    def retraction(self, heaters: Heaters, modes: ModalState) -> float:
        """Millimetres of filament that may be pulled back now: none by a cold nozzle."""
        heater = heaters.known.get(f"tool{modes.tool}")
        return RETRACT if heater is not None and heater.actual >= HOT else 0.0

    def away(self, position: HeadPosition | None, modes: ModalState, retract: float) -> list[bytes]:
        """Lines that retract, lift, then move to the corner X0 Y0, from `position`; only what is safe, maybe none."""
        move = position if modes.homed else None
        if not retract and move is None:
            return []
        lines = [*modes.millimetres(), b"G90"]
        if retract:
            lines += [b"M83", b"G1 E-%g F2100" % retract]
        if move is not None:
            lines += [b"G1 Z%.3f F600" % self._height(move), b"G1 X0 Y0 F6000"]
        return lines

    def up(self, position: HeadPosition | None, modes: ModalState, retract: float) -> list[bytes]:
        """Lines that retract and lift, for a head that was stopped in the middle of moves: no more than is known to be
        free above it, by a relative move, and nowhere sideways (docs/serial.md §25d)."""
        lines = [*modes.millimetres(), b"G91"]
        if retract:
            lines += [b"M83", b"G1 E-%g F2100" % retract]
        if modes.homed and position is not None and (lift := self._height(position) - position.z) > 0:
            lines.append(b"G1 Z%.3f F600" % lift)
        return [*lines, b"G90"] if lines[-1] != b"G91" else []

    def _height(self, position: HeadPosition) -> float:
        """How high the head may be lifted, in mm."""
        high = position.z + LIFT
        return high if self._top is None else max(position.z, min(high, self._top))

    def prime(self, retracted: float) -> list[bytes]:
        """Lines that push the `retracted` millimetres of filament again."""
        return [b"M83", b"G1 E%g F2100" % retracted] if retracted else []
