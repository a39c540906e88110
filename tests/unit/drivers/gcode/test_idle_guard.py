"""What an operation left on while the printer is idle: cooled as the dialect wants it, watched until it is off."""

from __future__ import annotations

import pytest

from agent.core.driver import PrinterState, Scripts
from drivers.gcode.printing.dialects import DIALECTS
from drivers.gcode.printing.heaters_off import lines_off
from drivers.gcode.requests import RunScript
from drivers.settings import DriverSettings
from tests.rigs.session_rig import SessionRig

S = PrinterState
OFF = [b"M104 S0", b"M140 S0", b"M107"]
HOT = "T:210.0 /210.0 B:60.0 /60.0"
COLD = "T:209.0 /0.0 B:60.0 /0.0"
FILE = [b"G1 X%d" % n for n in range(1, 4)]


def guarded(**more: object) -> SessionRig:
    """A printer whose firmware has a watch of its own, idle."""
    rig = SessionRig(settings=DriverSettings(deadman_s=3600), **more)  # type: ignore[arg-type]
    rig.idle()
    rig.acknowledge()
    return rig


def cooled(rig: SessionRig) -> list[bytes]:
    """What `cool` sends."""
    rig.session.control.cool()
    rig.session.step(rig.now)
    return rig.acknowledge()


@pytest.mark.parametrize("dialect", [dialect.name for dialect in DIALECTS])
@pytest.mark.parametrize(
    ("known", "tools", "chamber"),
    [((), [0], False), (("tool0", "bed", "chamber"), [0], True), (("tool1", "tool3", "bed"), [0, 1, 3], False)],
    ids=["nothing known", "a chamber", "tools"],
)
def test_every_heater_goes_off_on_every_dialect(
    dialect: str, known: tuple[str, ...], tools: list[int], chamber: bool
) -> None:
    """docs/serial.md §28a."""
    chosen = next(one for one in DIALECTS if one.name == dialect)
    nozzles = [b"M104 S0"] if tools == [0] else [b"M104 T%d S0" % tool for tool in tools]
    assert lines_off(known, chosen) == [
        *([b"TURN_OFF_HEATERS"] if dialect == "klipper" else []),
        *nozzles,
        *([b"G10 P%d R0 S0" % tool for tool in tools] if dialect == "reprap" else []),
        b"M140 S0",
        *([b"M141 S0"] if chamber else []),
        b"M107",
    ]


@pytest.mark.parametrize(
    ("firmware", "first"),
    [
        ("Marlin 2.1.2", OFF[0]),
        ("Klipper", b"TURN_OFF_HEATERS"),
        ("Repetier_1.0.4", OFF[0]),
        ("RepRapFirmware for Duet 2", OFF[0]),
        ("Smoothieware", OFF[0]),
    ],
)
def test_an_idle_printer_is_cooled_as_its_dialect_wants_it(firmware: str, first: bytes) -> None:
    """docs/serial.md §28a: and asked what its heaters are set to then."""
    rig = SessionRig(firmware=firmware).idle()
    sent = cooled(rig)
    assert sent[0] == first
    assert sent[-2:] == [b"M107", b"M105"]
    assert rig.seen.state is S.IDLE


def test_a_cool_that_comes_when_something_has_begun_does_nothing() -> None:
    rig = SessionRig().idle().print(FILE)
    rig.take()
    assert not [line for line in cooled(rig) if line in OFF]


def test_an_operation_that_begins_takes_the_place_of_a_cool() -> None:
    rig = SessionRig().idle()
    rig.session.control.cool()
    rig.session.step(rig.now)
    assert rig.take() == OFF[:1]
    rig.session.control.run_script(RunScript("s", (b"G28",)), rig.now)
    rig.hear("ok")
    assert rig.acknowledge() == [b"G28", b"M400"]


@pytest.mark.parametrize("what", ["print", "script"])
def test_the_firmwares_watch_stays_armed_until_the_heaters_are_off(what: str) -> None:
    """docs/serial.md §31: it is the last guard when this board dies, also over what a file leaves on."""
    rig = guarded()
    rig.temperatures = HOT
    if what == "print":
        rig.print(FILE)
    else:
        rig.session.control.run_script(RunScript("s", (b"M140 S60",)), rig.now)
        rig.session.step(rig.now)
    came = rig.acknowledge()
    assert b"M85 S3600" in came or what == "print"
    assert rig.seen.state is S.IDLE
    rig.later(60.0)
    assert b"M85 S0" not in [*came, *rig.acknowledge()]
    rig.temperatures = COLD
    assert cooled(rig) == [*OFF, b"M105", b"M85 S0"]


def test_after_a_file_that_switches_its_heaters_off_the_watch_ends_at_once() -> None:
    rig = guarded().print(FILE)
    assert rig.acknowledge()[-2:] == [b"M105", b"M85 S0"]
    rig.later(3600.0)
    assert b"M85 S0" not in rig.acknowledge(), "once"


def test_the_watch_of_an_agent_before_this_one_is_ended_when_the_heaters_are_off() -> None:
    """It would kill a printer that is idle."""
    rig = SessionRig(settings=DriverSettings(deadman_s=3600))
    rig.temperatures = HOT
    rig.session.open(rig.now, rig.now)
    assert b"M85 S0" not in rig.acknowledge()
    rig.temperatures = COLD
    assert cooled(rig)[-1] == b"M85 S0"


def test_the_watch_ends_after_the_cancel_script_which_may_heat() -> None:
    rig = guarded(scripts=Scripts(cancel=("M104 S100", "M117 bye"))).print(FILE)
    rig.take()
    rig.session.control.cancel()
    rig.hear("ok")
    assert rig.acknowledge()[-4:] == [*OFF, b"M85 S0"]


def test_heaters_that_are_on_after_the_hello_go_off_once_more() -> None:
    """docs/serial.md §28a: only now it is known that there are two tools."""
    rig = SessionRig(unsafe=True)
    rig.temperatures = "T:20.0 /0.0 T0:20.0 /0.0 T1:190.0 /190.0 B:20.0 /0.0"
    rig.session.open(rig.now, rig.now)
    came = rig.acknowledge()
    assert came.index(b"M104 S0") < came.index(b"M115") < came.index(b"M104 T1 S0")
