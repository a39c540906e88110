"""The table of docs/serial.md Dialects, as the virtual firmwares keep it; and what else tells them apart on the
wire."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from agent.errors import ConfigError, DataError
from agent.testing import SystemClock
from drivers.settings import DriverSettings, SimulatedSettings
from drivers.simulated import DIALECTS, Options
from drivers.simulated.driver import SimulatedDriver
from tests.unit.drivers.simulated.support import Host, checked, numbered


@dataclass(frozen=True)
class Facts:
    """A column of the table. `emergency`: the bytes that stop it at once, whatever the state of its queue."""

    dialect: str
    name: str  # how M115 names it
    resend: str | None  # the request for line 2; None where none is made
    resend_ok: bool | None
    wait: bool
    report: bool
    busy: bool
    emergency: bytes
    checksum_always: bool = False
    ok: str = "ok"  # of line 1


TABLE = [
    Facts("marlin", "FIRMWARE_NAME:Marlin 2.1.2 ", "Resend: 2", True, False, True, True, b"M112\n"),
    Facts("marlin1", "FIRMWARE_NAME:Marlin 1.1.0", "Resend: 2", True, False, False, True, b"M112\n"),
    Facts("marlin1.0", "FIRMWARE_NAME:Marlin V1; Sprinter", "Resend: 2", True, False, False, False, b"M112\n"),
    Facts("prusa", "FIRMWARE_NAME:Prusa-Firmware ", "Resend: 2", True, False, True, True, b"M112\n"),
    Facts(
        "repetier", "FIRMWARE_NAME:Repetier_", "Resend:2", True, True, False, False, numbered(3, "M112"), True, "ok 1"
    ),
    Facts("reprap", "FIRMWARE_NAME: RepRapFirmware for ", "Resend: 2", True, False, False, False, b"M112\n"),
    Facts("reprap3", "FIRMWARE_NAME: RepRapFirmware for ", None, None, False, False, False, b"M112\n"),
    Facts("smoothie", "FIRMWARE_NAME:Smoothieware, ", "rs N2", True, False, False, False, b"\x18"),
    Facts("klipper", "ok FIRMWARE_NAME:Klipper ", None, None, False, False, False, b"M112\n"),
]

every = pytest.mark.parametrize("facts", TABLE, ids=lambda facts: facts.dialect)
BAD = b"N2 G1 X5*1\n"
REPETIER_FATAL = "fatal:Heater/sensor error Printer stopped and heaters disabled due to this error."


def ask(host: Host, facts: Facts, text: str) -> list[str]:
    """Send a line outside of a job, as this firmware wants it."""
    return host.raw(checked(text) if facts.checksum_always else text.encode() + b"\n")


def test_every_dialect_has_its_facts() -> None:
    assert {facts.dialect for facts in TABLE} == set(DIALECTS) - {"marlin2"}
    assert DIALECTS["marlin2"] is DIALECTS["marlin"]


def test_an_unknown_dialect_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match=r"'klingon'; known are: klipper, marlin, .*smoothie"):
        Options(dialect="klingon").checked()


def test_an_unknown_dialect_is_an_error_of_the_configuration() -> None:
    settings = DriverSettings(simulated=SimulatedSettings(dialect="klingon"))
    with pytest.raises(ConfigError, match=r"\[simulated\].*'klingon'; known are: klipper"):
        SimulatedDriver(settings, clock=SystemClock())


@every
def test_m115_tells_the_family(facts: Facts) -> None:
    """docs/serial.md §19."""
    said = ask(Host(dialect=facts.dialect), facts, "M115")
    assert any(line.startswith(facts.name) for line in said)
    assert sum(line.startswith("ok") for line in said) == 1


@every
def test_the_form_of_a_request_and_the_ok_behind_it(facts: Facts) -> None:
    """docs/serial.md §8."""
    host = Host(dialect=facts.dialect)
    host.raw(b"N0 M110 N0*125\n")
    assert host.line(1, "G90") == [facts.ok]
    said = host.raw(BAD)
    requests = [line for line in said if line.lower().startswith(("resend", "rs"))]
    assert requests == ([] if facts.resend is None else [facts.resend])
    if facts.resend is not None:
        assert (said[-1] == "ok") is facts.resend_ok
        assert host.executed[-1] == "G90"
        assert host.line(2, "G1 X5")[0].startswith("ok")
        assert host.executed[-1] == "G1 X5"


@pytest.mark.parametrize("facts", [f for f in TABLE if f.resend], ids=lambda facts: facts.dialect)
def test_the_ok_behind_a_request_may_be_left_out(facts: Facts) -> None:
    """docs/serial.md §8: some firmwares send it, some do not."""
    for options in ({"resend_ok": False}, {"faults": ("lost-resend-ok=1",)}):
        host = Host(dialect=facts.dialect, **options)
        host.line(1, "G90")
        assert host.raw(BAD)[-1] == facts.resend


@every
@pytest.mark.parametrize("number", [9, 900])
def test_a_number_that_is_too_high_tells_the_place_where_numbers_are_looked_at(facts: Facts, number: int) -> None:
    """docs/serial.md §9a: nothing is executed."""
    host = Host(dialect=facts.dialect)
    host.raw(b"N0 M110 N0*125\n")
    host.line(1, "G90")
    said = host.line(number, "G91")
    if facts.resend is None:
        assert said == ["ok"]
    else:
        assert facts.resend in said
        assert "G91" not in host.executed


@every
def test_wait_when_idle(facts: Facts) -> None:
    """docs/serial.md §5."""
    host = Host(dialect=facts.dialect)
    ask(host, facts, "G90")
    assert host.wait(3.0) == (["wait"] * 3 if facts.wait else [])
    ask(host, facts, "G4 S5")
    assert "wait" not in host.wait(4.5)


@every
def test_reports_of_temperatures(facts: Facts) -> None:
    """docs/serial.md §17, §22."""
    host = Host(dialect=facts.dialect)
    assert ask(host, facts, "M155 S1")[-1].startswith("ok" if facts.dialect != "repetier" else ("ok", "Unknown"))
    assert any("T:21" in line for line in host.wait(3.0)) is facts.report
    said = ask(host, facts, "M105")
    assert sum("21.0" in line for line in said) == 1


@every
def test_busy_while_it_works(facts: Facts) -> None:
    """docs/serial.md §15, §17."""
    host = Host(dialect=facts.dialect)
    ask(host, facts, "G4 S10")
    assert any("busy: processing" in line for line in host.wait(9.0)) is facts.busy


@every
def test_what_stops_it_in_a_hurry(facts: Facts) -> None:
    """docs/serial.md §23: before its turn, while a command is being executed."""
    host = Host(dialect=facts.dialect)
    host.raw(b"N0 M110 N0*125\n")
    host.line(1, "M104 S200")
    host.line(2, "G4 S100")
    said = host.raw(facts.emergency)
    assert said
    assert host.firmware.machine.nozzle.target == 0
    assert host.firmware.stopped or host.firmware.resets == 1


@every
def test_lines_without_a_checksum_outside_of_jobs(facts: Facts) -> None:
    host = Host(dialect=facts.dialect)
    said = host.send("G90")
    assert (host.executed == []) is facts.checksum_always
    if facts.checksum_always:
        assert said == ["Error:Missing checksum", "", "Resend:1", "ok"]
        assert host.raw(b"M110 N7\n") == ["ok"], "the one that is taken"
    else:
        assert said == ["ok"]


@every
def test_a_heater_that_fails_stops_it_with_a_reason(facts: Facts) -> None:
    """docs/serial.md §25."""
    for fault in ("heating-failed", "thermal-runaway", "mintemp", "kill"):
        host = Host(dialect=facts.dialect, faults=(f"{fault}@2",))
        host.line(1, "M104 S200")
        said = host.line(2, "G1 X1")
        assert len(said) >= 1
        assert "G1 X1" not in host.executed
        assert host.firmware.stopped
        assert host.firmware.machine.nozzle.target == 0
        if facts.dialect.startswith("marlin") or facts.dialect == "prusa":
            assert said[0].startswith("Error:")
            assert said[0].split(",")[0] in (
                "Error:Heating failed",
                "Error:Thermal Runaway",
                "Error:MINTEMP triggered",
            )
            assert said[1] == "Error:Printer halted. kill() called!"


@every
def test_a_stopped_board_comes_back_when_it_is_reset(facts: Facts) -> None:
    """docs/serial.md §20, §23a."""
    host = Host(dialect=facts.dialect, faults=("kill@1",))
    host.line(1, "G90")
    host.firmware.reset(host.now)
    assert host.wait(0.0)[0] == host.booted[0]
    assert host.line(1, "G90")[-1].startswith("ok")


@pytest.mark.parametrize(
    ("dialect", "restart", "refusal"),
    [
        (
            "repetier",
            "M999",
            ["fatal:Heater/sensor error Printer stopped and heaters disabled due to this error.", "ok"],
        ),
        ("reprap", "M999", []),
        ("smoothie", "M999", ["!!"]),
        ("klipper", "FIRMWARE_RESTART", None),
    ],
)
def test_some_refuse_everything_until_they_are_told_to_restart(
    dialect: str, restart: str, refusal: list[str] | None
) -> None:
    host = Host(dialect=dialect, faults=("kill@2",))
    host.line(1, "M155 S1")
    first = host.line(2, "G90")
    said = host.raw(checked("G91"))
    if refusal is None:
        assert first[-2:] == ["!! Heater extruder not heating at expected rate", "ok"]
        assert said[0].startswith("// Heater extruder")
        assert said[-2:] == ["!! Heater extruder not heating at expected rate", "ok"]
        assert host.send("M115")[0].startswith("ok FIRMWARE_NAME:Klipper")
    else:
        assert said == refusal
    assert "G91" not in host.executed
    assert host.booted[0] in host.raw(checked(restart))
    assert host.raw(checked("G91"))[-1].startswith("ok")


@pytest.mark.parametrize(("dialect", "answers"), [("marlin", False), ("marlin1", True), ("prusa", True)])
def test_only_marlin_2_passes_over_a_repeated_line_in_silence(dialect: str, answers: bool) -> None:
    """docs/serial.md §9a."""
    host = Host(dialect=dialect)
    for number in (1, 2, 3):
        host.line(number, "G90")
    assert ("Resend: 4" in host.line(3, "G90")) is answers
    assert ("Resend: 4" in host.line(2, "G90")) is answers


@pytest.mark.parametrize("dialect", ["marlin1", "marlin1.0", "prusa"])
def test_a_checksum_without_a_number_is_refused_by_some(dialect: str) -> None:
    said = Host(dialect=dialect).raw(checked("G90"))
    assert said == ["Error:No Line Number with checksum, Last Line: 0", "Resend: 1", "ok"]
    assert Host().raw(checked("G90")) == ["ok"]


@pytest.mark.parametrize(("dialect", "following"), [("marlin", 42), ("prusa", 42), ("marlin1.0", 4), ("repetier", 4)])
def test_which_number_of_m110_wins_differs(dialect: str, following: int) -> None:
    """docs/serial.md §7: make both numbers equal."""
    host = Host(dialect=dialect)
    host.raw(numbered(3, "M110 N41"))
    assert host.line(following, "G90")[-1].startswith("ok")
    assert host.executed[-1] == "G90"


def test_m110_in_a_message_is_found_by_marlin_alone() -> None:
    """docs/serial.md §13."""
    for dialect, asked in (("marlin", True), ("prusa", False), ("repetier", False)):
        host = Host(dialect=dialect)
        host.line(1, "M117 M110 N500")
        assert any("esend" in line for line in host.line(2, "G90")) is asked


def test_repetier_says_ok_on_receipt_and_the_data_afterwards() -> None:
    """docs/serial.md §2, §3."""
    host = Host(dialect="repetier")
    assert host.line(1, "G4 S5") == ["ok 1"]
    assert host.line(2, "M105") == ["ok 2"]
    assert host.line(3, "G90") == [], "its two places are taken"
    assert host.wait(5.0) == ["ok 3", "T:21.00 /0 B:21.00 /0 B@:0 @:0"]


def test_repetier_repeats_its_request_and_passes_over_what_comes_in_between() -> None:
    """docs/serial.md §9: a repeated request is stale; answer it once."""
    host = Host(dialect="repetier")
    host.line(1, "G90")
    assert host.raw(BAD) == ["Error:Wrong checksum", "", "Resend:2", "ok"]
    assert host.line(3, "G91") == ["skip 3", "ok"]
    assert host.wait(0.5) == ["", "Resend:2", "ok"] * 2
    assert host.line(2, "G91") == ["ok 2"]
    assert host.wait(0.9) == []


def test_repetier_gives_up_a_line_without_an_end() -> None:
    host = Host(dialect="repetier")
    assert host.raw(b"N1 G9") == []
    assert host.wait(0.3) == ["", "Resend:1", "ok"]
    assert host.line(1, "G90") == ["ok 1"]


def test_repetier_and_smoothie_end_their_lines_with_cr_and_lf() -> None:
    for dialect in ("repetier", "smoothie"):
        assert Host(dialect=dialect).firmware.receive(numbered(1, "G90"), 0.0).endswith(b"\r\n")


def test_the_timers_of_the_link_go_by_the_time_of_the_host() -> None:
    """A host cannot answer within milliseconds because the print is fast."""
    host = Host(dialect="repetier", speed=60.0)
    host.raw(BAD)
    assert host.wait(11.0) == []
    assert "Resend:1" in host.wait(2.0)
    host = Host(dialect="repetier", leap=True, speed=math.inf)
    host.line(1, "G4 S1000")
    assert host.wait(0.5) == []
    assert host.wait(0.6) == ["wait"]


def test_marlin_says_wait_when_it_is_built_so() -> None:
    """docs/serial.md §5."""
    assert Host(idle_wait=True).wait(2.5) == ["wait"] * 2


def test_prusa_stops_at_a_numbered_m112_too() -> None:
    host = Host(dialect="prusa")
    host.line(1, "G4 S100")
    assert host.line(2, "M112") == ["Error:Printer halted. kill() called!"]


def test_repetier_reboots_on_m112() -> None:
    host = Host(dialect="repetier")
    assert host.raw(checked("M112"))[0] == "start"
    assert host.firmware.resets == 1


def test_what_an_option_adds_a_dialect_has() -> None:
    host = Host(dialect="marlin1", auto_report=True, busy_protocol=False)
    assert host.send("M155 S1") == ["ok"]
    assert host.send("M113 S2") == ['echo:Unknown command: "M113 S2"', "ok"]
    assert len(host.wait(2.0)) == 2


@pytest.mark.parametrize("dialect", ["reprap", "reprap3", "smoothie"])
def test_a_spoilt_star_lets_a_spoilt_line_through_where_no_checksum_is_needed(dialect: str) -> None:
    host = Host(dialect=dialect)
    assert host.raw(b"N1 G1 X9x77\n") == ["ok"]


@pytest.mark.parametrize("dialect", ["marlin", "marlin1", "marlin1.0", "prusa", "repetier"])
def test_a_job_is_executed_once_and_in_order_on_a_bad_line(dialect: str) -> None:
    """By a host that sends what it is asked for (docs/serial.md §9)."""
    host = Host(dialect=dialect, leap=True, faults=("corrupt=0.004", "seed=3"))
    host.firmware.machine.cold_allowed = True
    following = asked = 0
    for _ in range(2000):
        if following == 300:
            break
        said = host.line(following + 1, f"G1 X{following + 1} F6000") + host.wait(0.05)
        requests = [line for line in said if line.startswith("Resend")]
        if requests:
            asked += 1
            following = int(requests[-1].removeprefix("Resend:")) - 1
        elif any(line.startswith("ok") for line in said) and not any("skip" in line for line in said):
            following += 1
        else:  # the end of the line was corrupted
            host.raw(b"\n")
            host.wait(0.3)
    assert asked > 10
    moves = [line for line in host.executed if line.startswith("G1 X")]
    assert moves == [f"G1 X{n} F6000" for n in range(1, 301)]


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        ("marlin", ["FR:150%", "ok"]),
        ("marlin1", ["ok"]),
        ("reprap", ["Speed factor override: 150.0%", "ok"]),
        ("smoothie", ["Speed factor at 150.00 %", "ok"]),
    ],
)
def test_m220_without_a_number_asks_or_sets_a_hundred(dialect: str, said: list[str]) -> None:
    """docs/serial.md §33a."""
    host = Host(dialect=dialect)
    host.send("M220 S150")
    assert host.send("M220") == said
    assert host.firmware.machine.motion.feed_percent == 150
    klipper = Host(dialect="klipper")
    klipper.send("M220 S150")
    klipper.send("M220")
    assert klipper.firmware.machine.motion.feed_percent == 100


def test_what_m500_has_stored_is_there_after_a_reset_and_nothing_else() -> None:
    host = Host()
    host.send("M204 P700")
    host.send("M500")
    host.send("M204 P800")
    assert any("M204 P800.00" in line for line in host.send("M503"))
    host.send("M997")
    assert any("M204 P700.00" in line for line in host.send("M503"))
