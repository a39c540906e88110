"""A line that the printer refuses, and a printer that answers before it is ready (docs/serial.md §k1–k3)."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from agent.core.driver import Outcome, PrinterState
from drivers.gcode.requests import RunScript
from drivers.settings import DriverSettings
from tests.rigs.session_rig import SessionRig, wire

S = PrinterState
NOT_HOMED = "!! Must home axis first: 50.000 0.000 0.000 [0.000]"
HEATERS_OFF = [b"TURN_OFF_HEATERS", b"M104 S0", b"M140 S0", b"M107"]
STARTING = (
    "// Printer is not ready",
    "// The klippy host software is attempting to connect.  Please",
    "// retry in a few moments.",
    "!! Printer is not ready",
    "ok",
)
CONFIG_ERROR = (
    "// Option 'pin' in section 'fan' must be specified",
    '// Once the underlying issue is corrected, use the "RESTART"',
    "// command to reload the config and restart the host software.",
    "// Printer is halted",
    "!! Option 'pin' in section 'fan' must be specified",
    "ok",
)


def klipper(*, unsafe: bool = False) -> SessionRig:
    return SessionRig(firmware="Klipper", unsafe=unsafe)


def failed(rig: SessionRig) -> str:
    """Why the operation that ended last has failed."""
    last = rig.seen.last
    assert last is not None
    assert last.outcome is Outcome.FAILED
    return last.error


def test_a_refused_line_of_the_file_fails_the_job_with_its_number_text_and_the_reason() -> None:
    """docs/serial.md §k1: and the heaters go off."""
    rig = klipper().idle().print([b"G1 X50", b"G1 X51", b"G1 X52"])
    assert rig.take() == [wire(1, b"G1 X50")]
    rig.hear(NOT_HOMED, "ok")
    assert rig.session.operation.state is S.CANCELLING
    sent = rig.acknowledge()
    assert sent[:4] == HEATERS_OFF
    assert not [line for line in sent if line.startswith(b"N2")], "nothing more of the file"
    assert failed(rig) == ("line 1 (G1 X50): the printer refused it: Must home axis first: 50.000 0.000 0.000 [0.000]")
    assert rig.seen.state is S.IDLE


def test_the_refused_line_is_the_oldest_in_flight() -> None:
    """docs/serial.md §k1: with three lines in flight, each is answered in its turn."""
    rig = SessionRig(firmware="Klipper", settings=DriverSettings(window=3)).idle()
    rig.print([b"G1 X50", b"G1 X51", b"G1 X52"])
    assert len(rig.take()) == 3
    rig.hear("ok", NOT_HOMED, "ok", NOT_HOMED, "ok")
    rig.acknowledge()
    assert failed(rig).startswith("line 2 (G1 X51): ")


@pytest.mark.parametrize("code", [b"G28", b"G29", b"G1 X50"])
def test_a_refused_line_of_a_script_fails_it(code: bytes) -> None:
    """docs/serial.md §k1: home, park and calibrate are scripts."""
    rig = klipper().idle()
    rig.session.control.run_script(RunScript("s", (code, b"M117 after")), rig.now)
    rig.session.step(rig.now)
    rig.take()
    rig.hear(NOT_HOMED, "ok")
    sent = rig.acknowledge()
    assert b"M117 after" not in sent
    assert sent[:4] == HEATERS_OFF
    assert failed(rig).startswith(f"{code.decode()}: the printer refused it: Must home axis first")


def test_a_pause_whose_way_is_refused_fails_the_job() -> None:
    """docs/serial.md §k1, §27."""
    rig = klipper().idle(homed=True).print([b"G1 X1", b"G1 X2"])
    rig.take()
    rig.session.control.pause("")
    rig.hear("ok")
    assert rig.take() == [b"M400"]
    rig.hear("!! Move out of range: 0.000 0.000 500.000 [0.000]", "ok")
    rig.acknowledge()
    assert failed(rig) == "M400: the printer refused it: Move out of range: 0.000 0.000 500.000 [0.000]"


def test_a_resume_whose_way_is_refused_fails_the_job() -> None:
    """docs/serial.md §k1, §27."""
    rig = klipper().idle(homed=True).print([b"G1 X1", b"G1 X2"])
    rig.pause()
    rig.session.control.resume()
    rig.session.step(rig.now)
    assert rig.take()
    rig.hear(NOT_HOMED, "ok")
    rig.acknowledge()
    assert "the printer refused it: Must home axis first" in failed(rig)


def test_a_cancel_goes_on_although_lines_of_its_way_are_refused() -> None:
    """docs/serial.md §28, §k1: what is refused on the way out keeps no heater on, and the hello asks what is wrong."""
    rig = klipper().idle().print([b"G1 X1", b"G1 X2"])
    rig.take()
    rig.session.control.cancel()
    rig.hear("ok")
    sent = []
    while rig.session.operation.running:
        new = rig.take()
        assert new
        sent += new
        for _ in new:
            rig.hear("!! refused", "ok")
    assert sent[:5] == [*HEATERS_OFF, b"M84"]
    last = rig.seen.last
    assert last is not None
    assert last.outcome is Outcome.CANCELLED
    assert rig.acknowledge()[:5] == [b"N0 M110 N0*125", *HEATERS_OFF[1:], b"M115"], "heaters may be on still"
    assert rig.seen.state is S.IDLE


def test_a_poll_may_be_refused() -> None:
    rig = klipper().idle()
    rig.later(2.0)
    assert rig.take() == [b"M105"]
    rig.hear("!! something", "ok T:0")
    assert rig.seen.state is S.IDLE


# --- starting


class Starting(SessionRig):
    """A klippy that answers M110, M115 and M105, and everything else with `refusal` until that is empty."""

    refusal: tuple[str, ...] = STARTING

    def answer(self, code: bytes) -> None:
        if code == b"M115":
            self.hear("ok FIRMWARE_NAME:Klipper FIRMWARE_VERSION:?")
        elif code == b"M105":
            self.hear("ok T:0")
        elif self.refusal and not code.startswith(b"N0 M110"):
            self.hear(*self.refusal)
        else:
            super().answer(code)

    def asked_in(self, seconds: float) -> list[bytes]:
        """Everything that is sent in so many seconds, each line answered at once."""
        came, end = [], self.now + seconds
        while self.now < end:
            for line in self.take():
                came.append(line.partition(b"*")[0])
                self.answer(came[-1])
            self.later(0.01)
        return came


def starting(*, unsafe: bool = False) -> Starting:
    rig = Starting(unsafe=unsafe)
    rig.session.open(rig.now, rig.now)
    return rig


def test_a_klippy_that_starts_is_waited_for_and_the_status_says_so() -> None:
    """docs/serial.md §k2: M110 and M115 are answered before it is ready."""
    rig = starting()
    rig.asked_in(5.0)
    assert (rig.seen.state, rig.seen.reason) == (S.OFFLINE, "Klipper is starting")
    assert len(rig.asked_in(60.0)) <= 61, "one question a second"
    assert (rig.seen.state, rig.seen.reason) == (S.OFFLINE, "Klipper is starting")
    rig.refusal = ()
    rig.hear("// Klipper state: Ready")
    rig.asked_in(1.5)
    assert (rig.seen.state, rig.seen.reason) == (S.IDLE, "")


def test_heaters_that_may_be_on_go_off_once_more_when_klippy_is_ready() -> None:
    """docs/serial.md §k2, §31: before, the line was refused."""
    rig = starting(unsafe=True)
    rig.asked_in(6.0)
    rig.refusal = ()
    assert rig.asked_in(2.0)[1:5] == HEATERS_OFF


def test_a_configuration_error_is_an_error_with_its_text_until_klippy_restarts() -> None:
    """docs/serial.md §k2: it refuses everything for ever."""
    rig = starting()
    rig.refusal = CONFIG_ERROR
    rig.asked_in(5.0)
    assert (rig.seen.state, rig.seen.reason) == (S.ERROR, "Option 'pin' in section 'fan' must be specified")
    assert rig.asked_in(60.0) == []
    rig.refusal = ()
    rig.hear("// Klipper state: Disconnect")
    rig.asked_in(2.0)
    assert rig.seen.state is S.IDLE


# --- shutting down, restarting


def test_ready_in_the_middle_of_a_job_is_no_restart() -> None:
    """docs/serial.md §k2."""
    rig = klipper().idle().print([b"G1 X1", b"G1 X2"])
    rig.hear("// Klipper state: Ready", "ok")
    assert rig.session.operation.state is S.PRINTING
    assert rig.take()[-1] == wire(2, b"G1 X2")


def test_ready_after_a_shutdown_is_a_restart() -> None:
    """docs/serial.md §k3."""
    rig = klipper().idle()
    rig.hear("// Klipper state: Shutdown", "!! Lost communication with MCU 'mcu'", "ok")
    assert rig.seen.reason == "Lost communication with MCU 'mcu'"
    rig.hear("// Klipper state: Ready")
    rig.acknowledge()
    assert rig.seen.state is S.IDLE


@pytest.mark.parametrize("first", ["// Klipper state: Shutdown", "// Printer is shutdown"])
def test_a_shutdown_fails_the_job_with_its_reason_which_the_next_line_tells(first: str) -> None:
    """docs/serial.md §k3: `Shutdown` comes first, and why only to the next line."""
    rig = klipper().idle().print([b"G1 X1", b"G1 X2"])
    rig.take()
    rig.hear(first)
    assert rig.take() == [b"M400"]
    assert rig.session.operation.state is S.PRINTING
    rig.hear("ok", "// Printer is shutdown", "!! Lost communication with MCU 'mcu'", "ok")
    assert (rig.seen.state, rig.seen.reason) == (S.ERROR, "Lost communication with MCU 'mcu'")
    assert failed(rig) == "Lost communication with MCU 'mcu'"
    rig.later(100.0)
    assert rig.take() == []


def test_a_shutdown_that_is_not_explained_is_an_error_all_the_same() -> None:
    """docs/serial.md §k3."""
    rig = klipper().idle().print([b"G1 X1", b"G1 X2"])
    rig.hear("// Klipper state: Shutdown")
    rig.later(6.0)
    assert (rig.seen.state, rig.seen.reason) == (S.ERROR, "Klipper state: Shutdown")
    assert failed(rig) == "Klipper state: Shutdown"


def test_each_log_line_of_an_operation_names_its_task_and_its_job() -> None:
    rig = klipper().idle().print([b"G1 X50", b"G1 X51"])
    with capture_logs() as logs:
        rig.hear(NOT_HOMED, "ok")
        rig.hear("// Unknown command", "ok")
        rig.acknowledge()
    assert [line["event"] for line in logs] == ["operation ended"]
    assert {(line["task_id"], line["job_id"]) for line in logs} == {("p", "job-p")}
