"""One step after the other: what a procedure waits for, and which line may go next."""

from __future__ import annotations

from math import inf

from drivers.gcode.protocol.running import Running, prepared
from drivers.gcode.protocol.steps import End, Procedure
from drivers.gcode.protocol.window import Window
from tests.unit.drivers.gcode.wire import Wire, line


def two_lines() -> Procedure:
    yield line(1)
    yield line(2)
    return End.DONE


def test_a_prepared_procedure_is_at_its_first_step() -> None:
    running = prepared(two_lines())
    seen = [running.next]
    for _ in range(2):
        running.advance()
        seen.append(running.next)
    assert seen == [line(1), line(2), None]
    assert running.end is End.DONE


def test_a_new_step_is_not_held() -> None:
    running = Running(two_lines())
    running.hold_until = 5.0
    running.advance()
    assert running.hold_until == inf


def test_only_the_line_after_the_last_one_goes_beside_others() -> None:
    wire = Wire(Window(3))
    wire.send(line(1))
    assert not wire.protocol.fits(line(3))
    assert not wire.protocol.fits(line(1))
    assert wire.protocol.fits(line(2))
