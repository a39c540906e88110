"""Mishaps on purpose: what they do, that they can be repeated, and what a bad spec is told."""

from __future__ import annotations

import pytest

from agent.errors import DataError
from drivers.simulated import Faults
from tests.unit.simulated.support import Host, numbered


def test_without_a_spec_nothing_happens() -> None:
    faults = Faults()
    assert faults.received(b"hello") == b"hello"
    assert {faults.oks() for _ in range(100)} == {1}


@pytest.mark.parametrize(
    "spec",
    [
        "nonsense",
        "",
        "corrupt",
        "corrupt=",
        "corrupt=2",
        "corrupt=-0.1",
        "corrupt=nan",
        "corrupt@5",
        "lost-ok=x",
        "reset@0",
        "reset@-3",
        "reset@x",
        "reset@5:3",
        "unplug@5:",
        "unplug@5:-1",
        "unplug@5:nan",
        "seed=1.5",
    ],
)
def test_a_bad_spec_is_named_with_what_is_accepted(spec: str) -> None:
    with pytest.raises(DataError) as caught:
        Faults([spec])
    assert repr(spec) in str(caught.value)
    assert "=" in str(caught.value) or "@" in str(caught.value)


def test_two_mishaps_at_one_line_are_refused() -> None:
    with pytest.raises(DataError, match="line 5 already has reset"):
        Faults(["reset@5", "kill@5"])


def test_rates_that_exceed_one_together_are_refused() -> None:
    with pytest.raises(DataError, match="more than 1"):
        Faults(["lost-ok=0.6", "double-ok=0.6"])


def test_corruption_keeps_its_rate_and_does_not_depend_on_how_the_bytes_arrive() -> None:
    data = b"N1 G1 X1 Y2 E3*55\n" * 5000
    whole = Faults(["corrupt=0.01", "seed=7"]).received(data)
    faults = Faults(["seed=7", "corrupt=0.01"])
    assert b"".join(faults.received(data[at : at + 7]) for at in range(0, len(data), 7)) == whole
    spoilt = sum(a != b for a, b in zip(data, whole, strict=True))
    assert 700 < spoilt < 1100
    assert Faults(["corrupt=0.01", "seed=8"]).received(data) != whole


def test_at_rate_one_every_byte_is_another() -> None:
    assert all(a != b for a, b in zip(b"hello", Faults(["corrupt=1"]).received(b"hello"), strict=True))


def test_a_second_fault_does_not_move_the_first() -> None:
    alone = Faults(["lost-ok=0.2"])
    among = Faults(["corrupt=0.3", "lost-ok=0.2"])
    among.received(b"x" * 100)
    assert [alone.oks() for _ in range(200)] == [among.oks() for _ in range(200)]


def test_oks_are_lost_and_doubled() -> None:
    """SERIAL.md §1, 4."""
    assert Host(faults=("lost-ok=1",)).send("G90") == []
    assert Host(faults=("double-ok=1",)).line(1, "G1 X1") == ["ok", "ok"]
    lost = [len(host.line(n, "G90")) for host in [Host(faults=("lost-ok=0.3", "seed=3"))] for n in range(1, 301)]
    assert 60 < lost.count(0) < 120
    again = [len(host.line(n, "G90")) for host in [Host(faults=("lost-ok=0.3", "seed=3"))] for n in range(1, 301)]
    assert lost == again


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_a_resend_storm_asks_for_its_line_until_the_numbers_begin_again(command: str) -> None:
    """SERIAL.md §10."""
    host = Host(faults=("resend-storm@2",))
    assert host.line(1, command) == ["ok"]
    for _ in range(12):
        assert host.line(2, command) == ["Error:checksum mismatch, Last Line: 1", "Resend: 2", "ok"]
    assert host.executed == [command]
    assert host.line(0, "M110 N0") == ["ok"]
    assert [host.line(n, command) for n in (1, 2, 3)] == [["ok"]] * 3


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_silence_lasts_until_a_reset(command: str) -> None:
    """SERIAL.md §16, 29."""
    host = Host(faults=("silence@2",))
    host.send("M155 S1")
    assert host.line(1, command) == ["ok"]
    assert host.line(2, command) == host.send("M105") == host.wait(60.0) == []
    assert host.firmware.stopped
    host.firmware.reset(host.now)
    assert host.wait(0.0)[0] == "start"
    assert [host.line(n, command) for n in (1, 2)] == [["ok"], ["ok"]], "each mishap happens once"


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_a_reset_says_start_and_begins_to_count_again(command: str) -> None:
    """SERIAL.md §20."""
    host = Host(faults=("reset@3",))
    assert [host.line(n, command) for n in (1, 2)] == [["ok"], ["ok"]]
    said = host.raw(numbered(3, command) + numbered(4, command))
    assert said[0] == "start"
    assert "ok" not in said
    assert host.firmware.resets == 1
    assert host.line(4, command)[1] == "Resend: 1"
    assert len(host.executed) == 2


def test_a_kill_says_why_and_halts() -> None:
    """SERIAL.md §23a, 25: two error lines."""
    host = Host(faults=("kill@2",))
    host.line(1, "G1 X1")
    assert host.line(2, "G1 X2") == [
        "Error:Thermal Runaway, system stopped! Heater_ID: 0",
        "Error:Printer halted. kill() called!",
        "//action:poweroff",
    ]
    assert host.firmware.stopped


def test_unplugging_is_left_to_the_port() -> None:
    """SERIAL.md §29."""
    host = Host(faults=("unplug@1:2.5",))
    assert host.line(1, "G1 X1") == []
    assert host.firmware.unplug is not None
    assert host.firmware.unplug.seconds == 2.5
