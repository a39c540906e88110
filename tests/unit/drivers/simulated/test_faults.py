"""Mishaps on purpose: what they do, that they can be repeated, and what a bad spec is told."""

from __future__ import annotations

import pytest

from agent.errors import DataError
from drivers.simulated import Faults
from tests.unit.drivers.simulated.support import Host, numbered


def test_without_a_spec_nothing_happens() -> None:
    faults = Faults()
    assert faults.to_printer(b"hello") == faults.to_host(b"hello") == b"hello"
    assert {faults.ok_count() for _ in range(100)} == {1}
    assert {(faults.ok_delay(), faults.glues_ok(), faults.resend_ok()) for _ in range(100)} == {(0.0, False, True)}
    assert faults.requested_lines(5) == [5]
    assert faults.boot_garbage() == b""
    assert not faults.alters_oks
    assert not faults.scheduled


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
        "corrupt-back=2",
        "glued-ok=x",
        "late-ok=0.1:",
        "late-ok=0.1:-5",
        "late-ok=:5",
        "slow-board=",
        "slow-board=-1",
        "slow-board=nan",
        "boot-garbage=-1",
        "boot-garbage=1.5",
        "silence@5:x",
        "silence=5",
        "heating-failed@5:2",
        "pause@",
    ],
)
def test_a_bad_spec_is_named_with_what_is_accepted(spec: str) -> None:
    with pytest.raises(DataError) as caught:
        Faults([spec])
    assert repr(spec) in str(caught.value)
    assert "=" in str(caught.value) or "@" in str(caught.value)


def test_what_is_unknown_is_told_the_forms_in_one_line() -> None:
    with pytest.raises(DataError, match=r"^unknown fault 'gremlins'; known are: corrupt=RATE, .*, seed=N; help.*$"):
        Faults(["gremlins"])


def test_help_lists_every_fault_with_what_it_does() -> None:
    with pytest.raises(DataError) as caught:
        Faults(["help"])
    lines = str(caught.value).splitlines()[1:-1]
    assert len(lines) == 26
    assert all(len(line.split(maxsplit=1)) == 2 for line in lines)
    for line in lines:
        form = (
            line.split()[0]
            .replace("NAME:FAULT:PHASE", "bed:stuck:off")
            .replace("RATE", "0.5")
            .replace("LINE", "5")
            .replace("BYTES", "5")
            .replace("=N", "=5")
        )
        for spec in {form.partition("[")[0], form.replace("[", "").replace("]", "")}:
            Faults([spec.replace("SECONDS", "5").replace("MS", "5")])


def test_what_has_struck_is_counted_by_its_name() -> None:
    specs = ("lost-ok=0.3", "double-ok=0.3", "slow-board=1", "double-resend=0.5", "resend-storm@5", "kill@900")
    host = Host(faults=specs)
    assert dict(host.faults.counts) == {}
    for number in range(1, 20):
        host.line(number, "G90")
        host.wait(0.01)
    struck = host.faults.counts
    assert set(struck) == {"lost-ok", "double-ok", "slow-board", "double-resend", "resend-storm"}
    assert struck["resend-storm"] == 1, "and kill@900 has not come"


def test_boot_garbage_counts_for_each_boot() -> None:
    host = Host(faults=("boot-garbage=20",))
    host.firmware.reset(1.0)
    assert dict(host.faults.counts) == {"boot-garbage": 2}


def test_two_mishaps_at_one_line_are_refused() -> None:
    with pytest.raises(DataError, match="line 5 already has reset"):
        Faults(["reset@5", "kill@5"])


def test_rates_that_exceed_one_together_are_refused() -> None:
    with pytest.raises(DataError, match="more than 1"):
        Faults(["lost-ok=0.6", "double-ok=0.6"])


def test_corruption_keeps_its_rate_and_does_not_depend_on_how_the_bytes_arrive() -> None:
    data = b"N1 G1 X1 Y2 E3*55\n" * 5000
    whole = Faults(["corrupt=0.01", "seed=7"]).to_printer(data)
    faults = Faults(["seed=7", "corrupt=0.01"])
    assert b"".join(faults.to_printer(data[at : at + 7]) for at in range(0, len(data), 7)) == whole
    corrupted = sum(a != b for a, b in zip(data, whole, strict=True))
    assert 700 < corrupted < 1100
    assert Faults(["corrupt=0.01", "seed=8"]).to_printer(data) != whole


def test_at_rate_one_every_byte_is_another() -> None:
    assert all(a != b for a, b in zip(b"hello", Faults(["corrupt=1"]).to_printer(b"hello"), strict=True))


def test_a_second_fault_does_not_move_the_first() -> None:
    alone = Faults(["lost-ok=0.2"])
    among = Faults(["corrupt=0.3", "lost-ok=0.2"])
    among.to_printer(b"x" * 100)
    assert [alone.ok_count() for _ in range(200)] == [among.ok_count() for _ in range(200)]


def test_oks_are_lost_and_doubled() -> None:
    """docs/serial.md §1, §4."""
    assert Host(faults=("lost-ok=1",)).send("G90") == []
    assert Host(faults=("double-ok=1",)).line(1, "G1 X1") == ["ok", "ok"]
    lost = [len(host.line(n, "G90")) for host in [Host(faults=("lost-ok=0.3", "seed=3"))] for n in range(1, 301)]
    assert 60 < lost.count(0) < 120
    again = [len(host.line(n, "G90")) for host in [Host(faults=("lost-ok=0.3", "seed=3"))] for n in range(1, 301)]
    assert lost == again


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_a_resend_storm_asks_for_its_line_until_the_numbers_begin_again(command: str) -> None:
    """docs/serial.md §10."""
    host = Host(faults=("resend-storm@2",))
    assert host.line(1, command) == ["ok"]
    for _ in range(12):
        assert host.line(2, command) == ["Error:checksum mismatch, Last Line: 1", "Resend: 2", "ok"]
    assert host.executed == [command]
    assert host.line(0, "M110 N0") == ["ok"]
    assert [host.line(n, command) for n in (1, 2, 3)] == [["ok"]] * 3


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_silence_lasts_until_a_reset(command: str) -> None:
    """docs/serial.md §16, §29."""
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
    """docs/serial.md §20."""
    host = Host(faults=("reset@3",))
    assert [host.line(n, command) for n in (1, 2)] == [["ok"], ["ok"]]
    said = host.raw(numbered(3, command) + numbered(4, command))
    assert said[0] == "start"
    assert "ok" not in said
    assert host.firmware.resets == 1
    assert host.line(4, command)[1] == "Resend: 1"
    assert len(host.executed) == 2


def test_a_kill_says_why_and_halts() -> None:
    """docs/serial.md §23a, §25: two error lines."""
    host = Host(faults=("kill@2",))
    host.line(1, "G1 X1")
    assert host.line(2, "G1 X2") == [
        "Error:Thermal Runaway, system stopped! Heater_ID: 0",
        "Error:Printer halted. kill() called!",
        "//action:poweroff",
    ]
    assert host.firmware.stopped


def test_unplugging_is_left_to_the_port() -> None:
    """docs/serial.md §29."""
    host = Host(faults=("unplug@1:2.5",))
    assert host.line(1, "G1 X1") == []
    assert host.firmware.unplug is not None
    assert host.firmware.unplug.seconds == 2.5


def test_what_the_host_reads_is_spoilt_too() -> None:
    """docs/serial.md §4."""
    corrupted = [Host(faults=("corrupt-back=0.05", f"seed={seed}")).send("M115") for seed in (1, 1, 2)]
    assert corrupted[0] == corrupted[1] != corrupted[2] != Host().send("M115")
    host = Host(faults=("corrupt-back=1",))
    assert host.line(1, "G1 X1") != ["ok"]
    assert host.executed == ["G1 X1"]


def test_both_directions_are_spoilt_independently() -> None:
    both, back = Faults(["corrupt=0.3", "corrupt-back=0.3"]), Faults(["corrupt-back=0.3"])
    both.to_printer(b"x" * 100)
    assert both.to_host(b"hello" * 50) == back.to_host(b"hello" * 50) != both.to_printer(b"hello" * 50)


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_an_ok_is_glued_to_another_line(command: str) -> None:
    """docs/serial.md §4."""
    host = Host(faults=("glued-ok=1",))
    assert host.line(1, command) == [" T:21.00 /0.00 B:21.00 /0.00 @:0 B@:0ok"], "to a report when nothing else is said"
    assert host.send("M9999") == ['echo:Unknown command: "M9999"ok']
    assert host.send("M105")[0].startswith("ok T:"), "one with data is left as it is"
    assert len(host.raw(b"G90\nG91\n")) == 2
    with_data, plain = host.raw(b"M105\nG90\n")
    assert with_data.startswith("ok T:")
    assert plain.endswith("@:0ok"), "no ok to another"
    rare = Host(faults=("glued-ok=0.2", "seed=4"))
    assert 20 < sum("@:0ok" in rare.line(n, "G90")[0] for n in range(1, 201)) < 60


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_an_ok_comes_late(command: str) -> None:
    """docs/serial.md §16."""
    host = Host(faults=("late-ok=1:200",))
    assert host.line(1, command) == host.wait(0.19) == []
    assert host.firmware.wake_at() == pytest.approx(0.2)
    assert host.wait(0.02) == ["ok"]
    assert host.executed == [command]
    assert Host(faults=("late-ok=0.0",)).line(1, command) == ["ok"]
    host = Host(faults=("late-ok=1",))
    host.line(1, command)
    assert host.wait(0.49) == []
    assert host.wait(0.02) == ["ok"]


def test_what_is_said_meanwhile_overtakes_a_late_ok_but_no_other_ok_does() -> None:
    host = Host(faults=("late-ok=0.5:1000", "seed=2"))
    host.send("M155 S1")
    host.wait(3.0)
    said = host.line(1, "G90") + host.line(2, "M114") + host.wait(0.9)
    assert any(line.startswith("X:") for line in said)
    said += host.wait(3.0)
    assert said.count("ok") == 2


def test_a_slow_board_takes_its_time_for_each_ok() -> None:
    host = Host(faults=("slow-board=50",))
    assert host.raw(b"G90\nG91\nG90\n") == []
    assert [len(host.wait(0.05)) for _ in range(4)] == [1, 1, 1, 0]


def test_late_and_slow_go_by_the_time_of_the_host() -> None:
    host = Host(faults=("slow-board=50",), speed=100.0)
    assert host.line(1, "G90") == host.wait(4.9) == []
    assert host.wait(0.2) == ["ok"]
    host = Host(faults=("slow-board=50",), leap=True)
    assert host.line(1, "G4 S1000") == [] or "ok" not in host.wait(0.0)
    assert host.wait(0.06)[-1] == "ok"


def test_a_request_asks_for_a_line_that_is_off() -> None:
    """docs/serial.md §9, §10."""
    host = Host(faults=("wrong-resend=1", "seed=1"))
    for number in range(1, 11):
        host.line(number, "G90")
    asked = {int(host.raw(b"N11 G91*1\n")[1].removeprefix("Resend: ")) for _ in range(60)}
    assert asked == {8, 9, 10, 12, 13, 14}
    assert host.line(11, "G91") == ["ok"], "what it wants has not changed"


def test_a_request_is_made_twice() -> None:
    """docs/serial.md §9: a repeated request is stale."""
    host = Host(faults=("double-resend=1",))
    assert host.raw(b"N1 G91*1\n")[1:] == ["Resend: 1", "Resend: 1", "ok"]


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_a_silence_may_end_and_what_was_sent_meanwhile_is_lost(command: str) -> None:
    """docs/serial.md §14, §16."""
    host = Host(faults=("silence@2:10",))
    host.send("M155 S1")
    host.line(1, command)
    assert host.line(2, command) == host.wait(5.0) == host.send("M105") == host.line(3, command) == []
    assert not host.firmware.stopped, "it comes back by itself"
    assert host.firmware.wake_at() == pytest.approx(10.0)
    assert len(host.wait(5.0)) == 1, "no heap of reports"
    assert host.line(99, "G90")[1] == "Resend: 2"
    assert host.line(2, command) == ["ok"]
    assert host.executed.count(command) == 2


def test_a_silence_is_not_leapt_over() -> None:
    busy = Host(faults=("silence@1:10",), leap=True)
    assert busy.raw(b"G4 S50\n" + numbered(1, "G90")) == busy.wait(9.9) == []
    assert busy.wait(0.2)[-1] == "ok", "that of G4"
    fast = Host(faults=("silence@1:10",), speed=100.0)
    assert fast.line(1, "G90") == fast.wait(999.0) == fast.send("G90") == []
    fast.wait(2.0)
    assert fast.send("G90") == ["ok"]
    host = Host(faults=("silence@1:10",), leap=True)
    assert host.line(1, "G4 S100") == host.wait(9.9) == []
    host.wait(0.2)
    assert host.line(1, "G4 S100")[-1] == "ok"


@pytest.mark.parametrize("command", ["G90", "G1 X1"])
def test_the_printer_pauses_for_a_person(command: str) -> None:
    """docs/serial.md §15, §25a, §30."""
    host = Host(faults=("pause@2",))
    host.line(1, command)
    assert host.line(2, command) + host.wait(1.0) == ["//action:paused"]
    assert host.wait(4.0) == ["echo:busy: paused for user"] * 2
    assert host.executed == [command] * 2
    assert host.send("M108") == ["//action:resumed", "ok", "ok"]
    assert host.line(3, command) == ["ok"]


@pytest.mark.parametrize("leap", [False, True])
def test_a_person_may_come_by_themselves(leap: bool) -> None:
    host = Host(faults=("pause@1:5",), leap=leap)
    assert host.line(1, "G1 X5") == ["//action:paused"]
    assert "ok" not in host.wait(4.9)
    assert host.wait(0.2)[-2:] == ["//action:resumed", "ok"]
    assert host.send("M114")[0].startswith("X:5.00")


def test_a_pause_keeps_the_place_of_its_line_in_the_queue() -> None:
    host = Host(faults=("pause@2:1",), host_prompts=False)
    assert host.raw(numbered(1, "G4 S5") + numbered(2, "G91") + numbered(3, "G90")) == []
    assert "//action:paused" not in host.wait(4.9)
    host.wait(0.2)
    host.wait(1.0)
    assert host.executed == ["G4 S5", "G91", "G90"]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("heating-failed", "Heating failed, system stopped! Heater_ID: 0"),
        ("thermal-runaway", "Thermal Runaway, system stopped! Heater_ID: 0"),
        ("mintemp", "MINTEMP triggered, system stopped! Heater_ID: 0"),
    ],
)
def test_a_heater_fails_with_two_lines(fault: str, text: str) -> None:
    """docs/serial.md §25."""
    host = Host(faults=(f"{fault}@1",))
    said = host.line(1, "M109 S200")
    assert said == [f"Error:{text}", "Error:Printer halted. kill() called!", "//action:poweroff"]
    assert host.send("M105") == []


def test_boot_garbage_comes_before_start_on_the_same_line() -> None:
    """docs/serial.md §21."""
    host = Host(faults=("boot-garbage=20",))
    assert len(host.booted[0]) >= 5
    firmware = Host(faults=("boot-garbage=20", "seed=5")).firmware
    firmware.reset(1.0)
    said = firmware.advance(1.0)
    assert said[20:25] == b"start"
    assert not any(32 <= byte < 128 or byte in b"\r\n" for byte in said[:20])


def test_the_same_seed_gives_the_same_print() -> None:
    specs = ["corrupt=0.01", "corrupt-back=0.01", "lost-ok=0.1", "double-ok=0.1", "glued-ok=0.1", "late-ok=0.1:20"]
    specs += ["wrong-resend=0.3", "double-resend=0.3", "lost-resend-ok=0.3", "slow-board=1", "boot-garbage=8"]

    def heard(seed: int) -> list[str]:
        host = Host(faults=(*specs, f"seed={seed}"))
        return host.booted + [line for n in range(1, 200) for line in host.line(n, "G1 X1") + host.wait(0.01)]

    assert heard(1) == heard(1) != heard(2)
