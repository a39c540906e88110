"""Procedures step by step, and what they leave behind for the next one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent.core.driver import PrinterState, Scripts
from agent.gcode.modal import ModalState
from drivers.gcode.printing import procedures
from drivers.gcode.printing.dialects import Firmware
from drivers.gcode.printing.head_position import HeadPosition
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.printing.heaters_off import lines_off
from drivers.gcode.printing.parking import Parking
from drivers.gcode.printing.pause_state import ParkedState
from drivers.gcode.protocol.replies import Reading
from drivers.gcode.protocol.steps import Ask, Hold, Procedure
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings
from tests.rigs.session_rig import SessionRig

FILE = [b"G1 X%d" % n for n in range(1, 9)]
OFF = [b"M104 S0", b"M140 S0", b"M107"]


def played(procedure: Procedure) -> list[bytes]:
    """What it sends, each line answered at once by nothing but `ok`; a wait shows as `wait`."""
    came: list[bytes] = []
    try:
        step = next(procedure)
        while True:
            came.append(step.command.code if isinstance(step, Ask) else b"wait" if isinstance(step, Hold) else b"?")
            step = procedure.send([])
    except StopIteration:
        return came


def heaters(*readings: Reading) -> Heaters:
    made = Heaters(Timing())
    made.learn(readings)
    return made


@pytest.mark.parametrize(
    ("known", "sent"),
    [
        ((), [b"M104 S210", b"wait"]),
        ((Reading("bed", 60.0, 60.0),), [b"M104 S210", b"wait"]),
        ((Reading("tool0", 90.0, 0.0),), [b"M104 S210", b"wait"]),
        ((Reading("tool0", 90.0, 210.0),), [b"wait"]),
    ],
    ids=["nothing known", "another heater", "off", "as it should be"],
)
def test_a_resume_sets_the_targets_that_are_not_known_to_be_set(known: Sequence[Reading], sent: list[bytes]) -> None:
    """docs/serial.md §27: an agent that took the pause over may not have heard of the heater yet."""
    saved = ParkedState(targets={"tool0": 210.0})
    assert played(procedures.resume((), heaters(*known), saved, ModalState(), Parking())) == sent


def test_after_a_resume_script_the_head_goes_back_even_if_the_pause_has_not_moved_it() -> None:
    """docs/serial.md §27: the script may have moved it."""
    saved = ParkedState(HeadPosition(1.0, 2.0, 3.0, None))
    way = procedures.resume((b"M117 back",), heaters(), saved, ModalState(), Parking())
    assert played(way) == [b"M117 back", b"G90", b"G1 X1.000 Y2.000 F6000", b"G1 Z3.000 F600", b"G90", b"M82"]
    assert played(procedures.resume((), heaters(), saved, ModalState(), Parking())) == []


@pytest.mark.parametrize(
    ("capabilities", "sent"),
    [
        ((), [b"M105"]),
        (("AUTOREPORT_TEMP",), [b"M105", b"M155 S2"]),
        (("BUSY_PROTOCOL",), [b"M105", b"M113 S2"]),
        (("AUTOREPORT_TEMP", "BUSY_PROTOCOL"), [b"M105", b"M155 S2", b"M113 S2"]),
    ],
)
def test_after_a_takeover_only_reports_that_the_firmware_has_are_asked_for(
    capabilities: Sequence[str], sent: list[bytes]
) -> None:
    """docs/serial.md §17: as the hello does."""
    firmware = Firmware("x", capabilities=frozenset(capabilities))
    assert played(procedures.catch_up(firmware, (b"M85 S9",))) == [*sent, b"M85 S9"]


@pytest.mark.parametrize(
    ("known", "off"),
    [
        ((), OFF),
        (("tool0", "bed"), OFF),
        (("tool0", "tool1", "bed"), [b"M104 T0 S0", b"M104 T1 S0", b"M140 S0", b"M107"]),
        (("tool0", "chamber"), [b"M104 S0", b"M140 S0", b"M141 S0", b"M107"]),
    ],
)
def test_each_heater_that_is_known_is_switched_off_nozzle_and_bed_always(
    known: Sequence[str], off: list[bytes]
) -> None:
    """docs/serial.md §28: with several tools `M104 S0` would be only the active one's."""
    assert lines_off(known) == off


def test_a_cancel_ends_the_firmwares_own_watch_over_the_heaters() -> None:
    """docs/serial.md §31: else it would kill a printer that is idle."""
    rig = SessionRig(settings=DriverSettings(deadman_s=3600)).idle().print(FILE)
    rig.session.control.cancel()
    rig.hear("ok")
    came = rig.acknowledge()
    assert came[came.index(OFF[0]) :] == [*OFF, b"M85 S0", b"M84"]


@pytest.mark.parametrize(
    ("scripts", "caps", "homed"),
    [
        (Scripts(), (), False),
        (Scripts(cancel=("M117 bye",)), (), True),
        (Scripts(cancel=("M84",)), (), False),
        (Scripts(cancel=("M117 bye",)), ("EMERGENCY_PARSER",), False),
        (Scripts(cancel=("G28 X Y",)), ("EMERGENCY_PARSER",), False),
        (Scripts(cancel=("G28",)), ("EMERGENCY_PARSER",), True),
    ],
    ids=["motors off", "a script", "a script with motors off", "moves stopped", "some axes homed again", "homed again"],
)
def test_after_a_cancel_the_printer_counts_as_homed_only_if_nothing_speaks_against_it(
    scripts: Scripts, caps: Sequence[str], homed: bool
) -> None:
    """docs/serial.md §25d, §28: switched off, or stopped in a move, the motors may have lost steps; then a pause of the
    next print does not drive the head anywhere."""
    rig = SessionRig(scripts, caps=caps).idle(homed=True).print([b"G1 X1 F60", *FILE])
    rig.take()
    rig.session.control.cancel()
    rig.session.step(rig.now)
    for _ in range(6):
        rig.acknowledge()
        rig.hear("ok")
        rig.later(3.0)
    assert rig.seen.state is PrinterState.IDLE
    rig.print(FILE)
    assert (b"G1 X0 Y0 F6000" in rig.pause()) is homed


def cancelled(rig: SessionRig) -> list[bytes]:
    """Cancel while a line is in flight, or nothing; what is sent."""
    rig.take()
    rig.session.control.cancel()
    rig.session.step(rig.now)
    rig.hear("ok")
    return rig.acknowledge()


def test_after_a_resume_a_cancel_parks_again() -> None:
    """docs/serial.md §28: only a head that is out of the way is left where it is."""
    rig = SessionRig().idle(homed=True).print(FILE)
    rig.pause()
    rig.resume()
    assert b"G1 X0 Y0 F6000" in cancelled(rig)


def test_a_print_after_one_that_was_cancelled_in_its_pause_is_out_of_the_way_of_nothing() -> None:
    """docs/serial.md §28: its own cancel parks."""
    rig = SessionRig().idle(homed=True).print(FILE)
    rig.pause()
    assert b"G1 X0 Y0 F6000" not in cancelled(rig)
    rig.print([b"G28", *FILE])
    rig.hear("ok")
    assert b"G1 X0 Y0 F6000" in cancelled(rig)
