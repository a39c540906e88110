"""Stopping in a hurry, waiting for a person, and rebooting: docs/serial.md §6a, §18–25a."""

from __future__ import annotations

import pytest

from tests.unit.drivers.simulated.support import Host

KILLED = ["Error:Printer halted. kill() called!", "//action:poweroff"]


def test_it_boots_with_a_banner() -> None:
    """docs/serial.md §18, §21."""
    assert Host().booted[:2] == ["start", "Marlin 2.1.2"]


@pytest.mark.parametrize("parser", [False, True])
@pytest.mark.parametrize("send", [lambda h: h.send("M112"), lambda h: h.line(1, "M112")])
def test_m112_halts_until_a_reset(parser: bool, send: object) -> None:
    """docs/serial.md §23, §23a."""
    host = Host(emergency_parser=parser)
    host.send("M104 S200")
    assert send(host) == KILLED  # type: ignore[operator]
    assert host.send("M105") == host.line(1, "G90") == host.wait(60.0) == []
    assert host.firmware.stopped
    host.firmware.reset(host.now)
    assert host.wait(0.0)[0] == "start"
    assert "/0.00" in host.send("M105")[0]
    assert host.line(1, "G90") == ["ok"]


@pytest.mark.parametrize("behind", [0, 1, 2])
def test_m108_and_m112_act_while_the_queue_has_a_free_place(behind: int) -> None:
    """docs/serial.md §6a: with M109 and two more queued they act at once."""
    for stop, expected in (("M108", ["ok"] * (behind + 2)), ("M112", KILLED)):
        host = Host()
        host.send("M109 S200")
        for _ in range(behind):
            assert host.send("G90") == []
        assert host.send(stop) == expected


def test_m108_and_m112_wait_behind_a_full_queue() -> None:
    """docs/serial.md §6a: with M109 and three more they are read when the heating is over."""
    host = Host()
    host.send("M109 S50")
    for _ in range(3):
        host.send("G90")
    assert host.send("M112") == []
    said = host.wait(60.0)
    assert said[-2:] == KILLED
    assert [line for line in said if line == "ok"] == ["ok"], "only the heating was over when M112 was read"


def test_an_emergency_parser_reads_past_a_full_queue() -> None:
    """docs/serial.md §23: it acts at once."""
    host = Host(emergency_parser=True)
    host.send("M109 S200")
    for _ in range(3):
        host.send("G90")
    assert host.send("M112") == KILLED


def test_what_an_emergency_parser_has_acted_on_gives_an_ok_in_its_turn() -> None:
    """docs/serial.md §23: of its own; builds differ."""
    host = Host(emergency_parser=True)
    for code in ("M108", "M410", "M876 S1"):
        assert host.send(code) == ["ok"]
    host.send("M109 S200")
    assert host.send("M108") == ["ok", "ok"], "that of M109 first"
    host = Host(emergency_parser=True, emergency_ok=False)
    assert host.send("M108") == host.send("M410") == host.send("M876 S1") == []
    host.send("M109 S200")
    assert host.send("M108") == ["ok"], "that of M109"


def test_the_emergency_parser_sees_a_code_that_arrives_in_pieces_but_not_in_a_text() -> None:
    """docs/serial.md §23."""
    host = Host(emergency_parser=True)
    assert host.send("M117 M112") == ["ok"]
    assert host.raw(b"M1") == host.raw(b"12") == []
    assert host.raw(b"\n") == KILLED


def test_a_numbered_m112_waits_for_its_turn_without_an_emergency_parser() -> None:
    """docs/serial.md §23: unnumbered first."""
    host = Host()
    host.send("G4 S10")
    assert host.line(1, "M112") == []
    assert host.wait(10.0)[-2:] == KILLED


def test_m410_stops_where_the_head_is() -> None:
    host = Host()
    host.send("G1 X100 F600")
    host.wait(5.0)
    assert host.send("M410") == ["ok"]
    assert host.send("M400") == ["ok"]
    assert host.send("M114")[0].startswith("X:50.00 ")


def test_m0_waits_for_a_person_with_a_prompt() -> None:
    """docs/serial.md §15, §25a."""
    host = Host()
    said = host.send("M0 Remove the part")
    assert "//action:prompt_begin Remove the part" in said
    assert "echo:busy: paused for user" in said
    assert "ok" not in host.wait(3600.0)
    assert host.send("M108") == ["//action:prompt_end", "ok", "ok"]


def prompt(text: str, *buttons: str) -> list[str]:
    """The lines of a prompt, in the order of a real Marlin 2.1.2."""
    shown = [f"prompt_button {button}" for button in buttons]
    return [f"//action:{word}" for word in ("prompt_end", f"prompt_begin {text}", *shown, "prompt_show")]


def test_m600_asks_twice_and_leaves_a_prompt_open() -> None:
    """docs/serial.md §25a, §25b, §30: M108 is the first click only; the question about purging waits for M876 S1."""
    host = Host(emergency_parser=True)
    host.send("M302 P1")
    assert host.send("M600") == ["//action:paused", *prompt("Pause", "Dismiss")]
    said = host.wait(60.0)
    assert said[-29:] == ["echo:busy: paused for user"] * 29
    assert said[1:-29] == ["echo:Insert filament and send M108", *prompt("Nozzle Parked", "Continue")]
    assert host.send("M108") == []
    said = host.wait(60.0)
    assert [line for line in said if "busy" not in line] == prompt("Paused", "PurgeMore", "Continue")
    assert said[-20:] == ["echo:busy: paused for user"] * 20
    assert host.send("M108") == host.send("M876 S7") == []
    assert "echo:busy: paused for user" in host.wait(4.0)
    assert "//action:prompt_end" not in host.send("M876 S1"), "a prompt takes one answer"


def test_m600_ends_by_m108_and_m876() -> None:
    """docs/serial.md §23, §25b: each with an ok of its own, after that of M600."""
    host = Host(emergency_parser=True)
    host.send("M302 P1")
    host.send("M600")
    host.wait(4.0)
    host.send("M876 S1")
    assert "//action:prompt_begin Paused" in host.wait(6.0)
    assert host.send("M876 S0") == []
    assert "//action:prompt_begin Paused" in host.wait(6.0), "purged once more, and asked again"
    said = host.send("M876 S1")
    assert said[:2] == ["//action:prompt_end", "//action:resumed"]
    assert said[2:6] == prompt("Resuming", "Dismiss")
    assert said[6:] == ["ok"] * 4
    assert host.wait(60.0) == []


def test_m600_on_a_cold_nozzle_warms_it_before_it_asks() -> None:
    """docs/serial.md §25a: it keeps busy."""
    host = Host()
    host.send("M600")
    assert set(host.wait(20.0)) == {"echo:busy: processing"}
    assert "//action:prompt_begin Nozzle Parked" in host.wait(60.0)


def test_without_an_emergency_parser_m876_waits_for_its_turn() -> None:
    """docs/serial.md §25b: then only a person ends the question about purging."""
    host = Host(faults=("runout@1:70",))
    host.send("M302 P1")
    host.line(1, "G90")
    host.wait(10.0)
    host.send("M108")
    host.wait(10.0)
    host.send("M876 S1")
    assert "//action:resumed" not in host.wait(49.0)
    assert "//action:resumed" in host.wait(2.0)


def test_the_display_is_shown_to_the_host() -> None:
    """docs/serial.md §25c."""
    host = Host()
    assert host.send("G4 P1000")[0] == "//action:notification Sleep..."
    host.wait(2.0)
    assert host.send("M104 S200")[0] == "//action:notification E1 Heating..."
    assert host.send("M140 S50")[0] == "//action:notification Bed Heating..."
    assert not [line for line in host.send("M104 S0") if "notification" in line]
    assert Host(host_prompts=False).send("M104 S200") == ["ok"]


def test_m997_restarts_the_board() -> None:
    """docs/serial.md §20: position and targets are lost, the heat is not."""
    host = Host()
    host.send("G92 X50")
    host.send("M104 S200")
    host.wait(30.0)
    assert host.send("M997")[0] == "start"
    temperatures = host.send("M105")[0]
    assert "/0.00" in temperatures
    assert float(temperatures[5:].split()[0]) > 90
    assert host.send("M114")[0].startswith("X:0.00")


def test_a_person_is_waited_for_even_when_time_leaps() -> None:
    host = Host(leap=True)
    assert "ok" not in host.send("M0")
    assert "ok" not in host.wait(100.0)
    assert host.send("M108")[-1] == "ok"
