"""What the session does about a heat alarm: heaters off, then the emergency stop (docs/heat-monitor.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from agent.core.driver import Outcome, PrinterState
from drivers.settings import DriverSettings, WatchSettings
from tests.rigs.session_rig import SessionRig

S = PrinterState
CODES = [b"G1 X%d" % n for n in range(400)]
OFF = [b"M104 S0", b"M140 S0"]
FALLEN = "T:24.0 /210.0 B:60.0 /60.0"


def reports(rig: SessionRig, text: str, seconds: float) -> Iterator[list[bytes]]:
    """Reports every 2 s, as a printer with auto-report has them; what is written after each. No line is answered."""
    for _ in range(int(seconds / 2)):
        rig.later(2.0)
        rig.hear(text)
        yield rig.take()


def alarmed(rig: SessionRig, text: str, seconds: float = 150.0) -> list[bytes]:
    """Reports until something is written that switches heaters off; that."""
    for written in reports(rig, text, seconds):
        if any(code in OFF for code in written):
            return written
    raise AssertionError("no alarm")


def no_heat(**settings: object) -> SessionRig:
    """A print whose tool is at 24 °C and is to be at 210 °C; its first line is in flight."""
    rig = SessionRig(caps=("AUTOREPORT_TEMP", "EMERGENCY_PARSER"), **settings).idle().print(CODES)  # type: ignore[arg-type]
    rig.take()
    return rig


def test_an_alarm_switches_the_heaters_off_and_sends_no_more_of_the_file() -> None:
    rig = no_heat()
    written = alarmed(rig, FALLEN)
    assert [code for code in written if code in OFF] == OFF
    rig.hear("ok", "ok", "ok", "ok", "ok")
    assert not any(line.startswith(b"N2 ") for line in rig.take())


def test_a_firmware_that_reports_every_target_as_0_is_not_stopped() -> None:
    rig = no_heat()
    alarmed(rig, FALLEN)
    rig.hear("T:24.0 /0.0 B:60.0 /0.0")
    now = rig.seen
    assert now.state is S.ERROR
    assert re.fullmatch(
        r"heat alarm: tool0: 2. → 24 °C in 9. s while heating to 210 °C; the heaters are off", now.reason
    )
    assert now.last is not None
    assert (now.last.task_id, now.last.outcome, now.last.error) == ("p", Outcome.FAILED, now.reason)
    rig.later(60.0)
    assert b"M112" not in rig.take()


def test_a_firmware_that_does_not_is_stopped_after_5_seconds() -> None:
    rig = no_heat()
    alarmed(rig, FALLEN)
    rig.later(2.0)
    rig.hear(FALLEN)
    assert rig.session.operation.state is S.PRINTING
    rig.take()
    rig.later(3.1)
    assert b"M112" in rig.take()
    assert rig.seen.state is S.ERROR
    assert rig.seen.reason.endswith("; emergency stop")


def test_over_the_limit_stops_the_printer_at_once() -> None:
    rig = SessionRig().idle()
    rig.later(2.0)
    for text in ("T:318.0 /310.0", "T:318.0 /310.0", "T:318.0 /310.0", "T:321.0 /310.0", "T:322.0 /310.0"):
        rig.hear(text)
        rig.later(1.0)
    written = rig.take()
    assert written.index(b"M104 S0") < written.index(b"M112")
    assert "over the limit of 320 °C; emergency stop" in rig.seen.reason


def test_heat_is_watched_while_the_printer_is_idle() -> None:
    """Somebody heats at the display; the sensor has come off."""
    rig = SessionRig(caps=("AUTOREPORT_TEMP",)).idle()
    alarmed(rig, FALLEN)
    rig.hear("T:24.0 /0.0 B:60.0 /0.0")
    assert rig.seen.state is S.ERROR
    assert rig.seen.last is None


def test_the_curve_of_the_alarm_is_in_the_operation_and_the_curves_of_all_heaters_in_the_record() -> None:
    rig = no_heat()
    recorded: list[dict[str, str]] = []
    rig.slot.failed = lambda _reason, about: recorded.append(about)
    alarmed(rig, FALLEN)
    rig.hear("T:24.0 /0.0 B:60.0 /0.0")
    last = rig.seen.last
    assert last is not None
    curve = last.heat_curve
    assert curve is not None
    assert (curve.heater, curve.kind) == ("tool0", "no_rise")
    assert len(curve.points) <= 40
    assert curve.points[-1][1:] == (24.0, 210.0)
    assert {"curve-tool0", "curve-bed"} <= recorded[0].keys()
    assert "-10:24.0/210" in recorded[0]["curve-tool0"]


def test_a_failure_after_an_alarm_has_no_curve_of_that() -> None:
    rig = SessionRig(caps=("AUTOREPORT_TEMP",)).idle()
    alarmed(rig, FALLEN)
    rig.hear("T:24.0 /0.0 B:60.0 /0.0")
    rig.hear("start")
    rig.acknowledge()
    assert rig.seen.state is S.IDLE
    rig.print(CODES)
    rig.hear("Error:Printer halted. kill() called!")
    assert rig.seen.last is not None
    assert rig.seen.last.heat_curve is None


def test_a_print_whose_file_switches_the_reports_off_is_asked() -> None:
    """M155 S0 in the file; the lines of the file are answered as ever."""
    rig = no_heat()
    for _ in reports(rig, "T:210.0 /210.0 B:60.0 /60.0", 20):
        pass
    asked = 0
    for _ in range(400):
        rig.hear("ok")
        asked += rig.take().count(b"M105")
        rig.later(0.1)
    assert 4 <= asked <= 10


def test_busy_is_no_silence() -> None:
    rig = no_heat()
    for _ in reports(rig, "T:210.0 /210.0 B:60.0 /60.0", 20):
        pass
    for _ in range(300):
        rig.later(2.0)
        rig.hear("echo:busy: processing")
    assert rig.session.operation.state is S.PRINTING


@pytest.mark.parametrize("enabled", [True, False])
def test_the_watch_can_be_switched_off(enabled: bool) -> None:
    rig = no_heat(settings=DriverSettings(watch=WatchSettings(enabled=enabled)))
    written = [code for lines in reports(rig, FALLEN, 200) for code in lines]
    assert (b"M104 S0" in written) is enabled


def test_a_firmware_that_restarts_is_looked_at_anew() -> None:
    rig = SessionRig(caps=("AUTOREPORT_TEMP",)).idle()
    for _ in reports(rig, FALLEN, 80):
        pass
    rig.hear("start")
    rig.acknowledge()
    assert [code for lines in reports(rig, FALLEN, 80) for code in lines if code in OFF] == []
