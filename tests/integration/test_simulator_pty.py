"""The virtual printer on a real pseudo-terminal, with a real serial client."""

from __future__ import annotations

import fcntl
import math
import os
import stat
import termios
import threading
import time
from collections.abc import Callable
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
import serial

from agent.errors import DataError
from drivers.simulated import DIALECTS, Options, ResetOnOpen, VirtualPrinter, serve


def _numbered(number: int, text: str) -> bytes:
    line = f"N{number} {text}".encode()
    return line + b"*%d\n" % reduce(xor, line)


def _open(path: str) -> serial.Serial:
    return serial.Serial(path, 115200, timeout=5.0, write_timeout=5.0)


def _ask(port: serial.Serial, line: bytes) -> list[bytes]:
    """Send a line; the answer up to its `ok`, or up to where nothing more comes."""
    port.write(line)
    answer: list[bytes] = []
    while not answer or not answer[-1].startswith(b"ok"):
        got = port.readline()
        if not got:
            break
        answer.append(got.rstrip())
    return answer


def _until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            return False
        pause.wait(0.001)
    return True


def test_thousands_of_numbered_moves_are_executed_in_order() -> None:
    executed: list[bytes] = []
    with VirtualPrinter(on_line=executed.append) as printer, _open(printer.path) as port:
        assert _ask(port, b"N0 M110 N0*125\n") == [b"ok"]
        for number in range(1, 3001):
            assert _ask(port, _numbered(number, f"G1 X{number % 200} Y{number % 7} F9000")) == [b"ok"]
        assert printer.executed == 3001
    assert executed[1:] == [b"G1 X%d Y%d F9000" % (n % 200, n % 7) for n in range(1, 3001)]


def test_three_lines_in_flight_lose_nothing() -> None:
    """docs/serial.md §6a."""
    executed: list[bytes] = []
    with VirtualPrinter(on_line=executed.append) as printer, _open(printer.path) as port:
        _ask(port, b"N0 M110 N0*125\n")
        sent = acknowledged = 0
        while acknowledged < 1500:
            while sent < 1500 and sent - acknowledged < 3:
                sent += 1
                port.write(_numbered(sent, f"G1 X{sent} F9000"))
            assert port.readline() == b"ok\n"
            acknowledged += 1
    assert executed[1:] == [b"G1 X%d F9000" % n for n in range(1, 1501)]


def test_clients_come_and_go_and_the_firmware_goes_on() -> None:
    with VirtualPrinter() as printer:
        for number in range(1, 6):
            with _open(printer.path) as port:
                assert _ask(port, _numbered(number, "G90")) == [b"ok"]
        assert printer.resets == 0


def _raw_ask(path: str, line: bytes, size: int = 4096) -> bytes:
    """What a client that sets and flushes nothing reads first after it has sent a line."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(fd, line)
        return os.read(fd, size)
    finally:
        os.close(fd)


def _detached(printer: VirtualPrinter) -> bool:
    return not printer._port._attached


def test_a_new_client_does_not_read_what_was_meant_for_the_last_one() -> None:
    with VirtualPrinter(Options(speed=1.0)) as printer:
        with _open(printer.path) as port:
            assert _ask(port, b"G90\n") == [b"ok"]
            port.write(b"M115\nM115\n")
            assert _until(lambda: printer.executed == 3)
        assert _until(lambda: _detached(printer))
        assert _raw_ask(printer.path, b"M105\n").startswith(b"ok T:")


def test_the_port_is_raw_for_a_client_that_sets_nothing() -> None:
    """Whatever the one before has set."""
    with VirtualPrinter() as printer:
        for _ in range(2):
            fd = os.open(printer.path, os.O_RDWR | os.O_NOCTTY)
            try:
                os.write(fd, b"G90\n")
                assert os.read(fd, 100) == b"ok\n"
                modes = termios.tcgetattr(fd)
                assert not modes[3] & (termios.ECHO | termios.ICANON)
                modes[3] |= termios.ECHO | termios.ICANON
                termios.tcsetattr(fd, termios.TCSANOW, modes)
            finally:
                os.close(fd)
            assert _until(lambda: _detached(printer))


def test_what_a_client_wrote_before_it_left_is_executed() -> None:
    """As with `echo G28 > /dev/ttyUSB0`."""
    with VirtualPrinter() as printer:
        fd = os.open(printer.path, os.O_WRONLY | os.O_NOCTTY)
        os.write(fd, b"G28\n")
        os.close(fd)
        assert _until(lambda: printer.executed == 1)


def _banner(port: serial.Serial) -> bytes:
    return bytes(port.readline())


@pytest.mark.parametrize(
    ("policy", "killed", "reboots"),
    [
        (ResetOnOpen.HALTED, False, False),
        (ResetOnOpen.HALTED, True, True),
        (ResetOnOpen.ALWAYS, False, True),
        (ResetOnOpen.NEVER, True, False),
    ],
)
def test_opening_the_port_reboots_the_board_as_configured(policy: ResetOnOpen, killed: bool, reboots: bool) -> None:
    """docs/serial.md §18, §23a."""
    with VirtualPrinter(Options(reset_on_open=policy)) as printer:
        with _open(printer.path) as port:
            port.write(b"M112\n" if killed else b"G90\n")
            assert _until(lambda: printer.executed > 0 or killed)
            if killed:
                assert _until(lambda: printer._firmware.stopped)
        assert _until(lambda: _detached(printer))
        before = printer.resets
        with _open(printer.path) as port:
            assert _until(lambda: printer._port._attached)
            assert printer.resets - before == int(reboots)
            if reboots:
                assert _banner(port) == b"start\n"


def test_m997_restarts_it_under_an_open_port() -> None:
    with VirtualPrinter() as printer, _open(printer.path) as port:
        port.write(b"M997\n")
        assert _banner(port) == b"start\n"


def test_a_client_that_does_not_read_holds_nothing_up() -> None:
    with VirtualPrinter() as printer:
        fd = os.open(printer.path, os.O_RDWR | os.O_NOCTTY)
        try:
            for asked in range(4, 401, 4):
                os.write(fd, b"M115\n" * 4)
                assert _until(lambda asked=asked: printer.executed == asked)  # type: ignore[misc]
            assert len(printer._port._pending) <= 65536
        finally:
            os.close(fd)
        assert _until(lambda: _detached(printer))
        assert _raw_ask(printer.path, b"M105\n").startswith(b"ok T:")
        start = time.monotonic()
    assert time.monotonic() - start < 0.5


@pytest.mark.timeout(20)
def test_a_client_that_reads_late_gets_all_that_was_said() -> None:
    with VirtualPrinter() as printer:
        fd = os.open(printer.path, os.O_RDWR | os.O_NOCTTY)
        try:
            for asked in range(4, 101, 4):
                os.write(fd, b"M115\n" * 4)
                assert _until(lambda asked=asked: printer.executed == asked)  # type: ignore[misc]
            heard = b""
            while heard.count(b"\nok\n") < 100:
                heard += os.read(fd, 65536)
            assert heard.count(b"FIRMWARE_NAME:") == 100
        finally:
            os.close(fd)


@pytest.mark.parametrize("attached", [False, True])
def test_stopping_is_prompt_and_leaves_no_thread(attached: bool) -> None:
    printer = VirtualPrinter(Options(speed=1.0))
    printer.start()
    port = _open(printer.path) if attached else None
    if port is not None:
        port.write(b"M0\nM113 S0\n")
        assert _until(lambda: printer.executed == 1)
    start = time.monotonic()
    printer.stop()
    printer.stop()
    assert time.monotonic() - start < 0.5
    assert "simulator" not in {thread.name for thread in threading.enumerate()}
    if port is not None:
        port.close()


def test_an_idle_printer_without_a_client_uses_little_time() -> None:
    with VirtualPrinter(Options(speed=1.0)) as printer:
        with _open(printer.path) as port:
            _ask(port, b"M155 S1\n")
        assert _until(lambda: _detached(printer))
        before = time.process_time()
        threading.Event().wait(0.5)
        assert time.process_time() - before < 0.25


def test_at_speed_n_time_runs_n_times_as_fast() -> None:
    with VirtualPrinter(Options(speed=20.0)) as printer, _open(printer.path) as port:
        start = time.monotonic()
        assert _ask(port, b"G4 S4\n")[-1] == b"ok"
        assert 0.19 < time.monotonic() - start < 1.0


def test_a_link_points_to_the_port_and_goes_away_with_it(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    link.symlink_to("/nowhere")
    with VirtualPrinter(Options(link=link)) as printer:
        assert printer.path == str(link)
        assert stat.S_ISCHR(link.stat().st_mode)
        with _open(printer.path) as port:
            assert _ask(port, b"G90\n") == [b"ok"]
    assert not os.path.lexists(link)


def test_a_file_in_the_place_of_the_link_is_left_alone(tmp_path: Path) -> None:
    link = tmp_path / "printer"
    link.write_text("precious")
    with pytest.raises(DataError, match="left alone"), VirtualPrinter(Options(link=link)):
        pass
    assert link.read_text() == "precious"
    assert "simulator" not in {thread.name for thread in threading.enumerate()}


def test_an_unplugged_printer_comes_back_under_its_link(tmp_path: Path) -> None:
    """docs/serial.md §29."""
    link = tmp_path / "printer"
    with VirtualPrinter(Options(link=link, faults=("unplug@2:0.1",))) as printer:
        with _open(printer.path) as port:
            assert _ask(port, _numbered(1, "G90")) == [b"ok"]
            port.write(_numbered(2, "G90"))
            assert _until(lambda: not os.path.lexists(link))
            with pytest.raises((serial.SerialException, OSError)):
                port.read(1)
        assert _until(link.exists)
        with _open(printer.path) as port:
            assert _ask(port, _numbered(1, "G90")) == [b"ok"]
        assert printer.resets == 1


def test_an_unplugged_printer_without_a_link_comes_back_under_another_name() -> None:
    """docs/serial.md §29."""
    with VirtualPrinter(Options(faults=("unplug@1:0.05", "unplug@2:0.05"))) as printer:
        for number in (1, 2):
            before = printer.path
            with _open(before) as port:
                if number == 2:
                    assert _ask(port, _numbered(1, "G90")) == [b"ok"]
                port.write(_numbered(number, "G90"))
                assert _until(lambda: printer.path != before)  # noqa: B023 (done before the next round)
            with _open(printer.path) as port:
                assert _ask(port, b"M115\n")[0].startswith(b"FIRMWARE_NAME")
        assert printer.resets == 2


def test_another_name_even_when_the_last_one_is_free_again() -> None:
    """docs/serial.md §29."""
    with VirtualPrinter(Options(faults=("unplug@1:0.2",))) as printer:
        before = printer.path
        with _open(before) as port:
            port.write(_numbered(1, "G90"))
            with pytest.raises((serial.SerialException, OSError)):
                port.read(1)
        assert _until(lambda: printer.resets == 1 and printer.path != before)


def test_a_link_points_to_the_other_name(tmp_path: Path) -> None:
    """docs/serial.md §29: looked for by id, not by number."""
    link = tmp_path / "printer"
    with VirtualPrinter(Options(link=link, faults=("unplug@1:0.05",))) as printer:
        before = link.readlink()
        with _open(printer.path) as port:
            port.write(_numbered(1, "G90"))
            assert _until(lambda: printer.resets == 1 and link.exists())
        assert link.readlink() != before


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_dialect_works_on_a_port(dialect: str) -> None:
    """docs/serial.md §k1: homed first, which Klipper asks for."""
    executed: list[bytes] = []
    with (
        VirtualPrinter(Options(dialect=dialect, homed=True), on_line=executed.append) as printer,
        _open(printer.path) as port,
    ):
        _ask(port, b"N0 M110 N0*125\n")
        assert _ask(port, _numbered(1, "G28"))[-1].startswith(b"ok")
        for number in range(2, 202):
            assert _ask(port, _numbered(number, f"G1 X{number % 200} F9000"))[-1].startswith(b"ok")
        assert _until(lambda: printer.executed == 202)
    assert executed[2:] == [b"G1 X%d F9000" % (n % 200) for n in range(2, 202)]


def test_a_client_that_died_with_the_port_locked_does_not_lock_it_for_ever(tmp_path: Path) -> None:
    """docs/serial.md §18: TIOCEXCL outlives its owner on a pty. Root may open it nevertheless, and so looks at the
    lock."""
    is_locked = 0x80045440  # TIOCGEXCL, asm-generic/ioctls.h
    with VirtualPrinter(Options(link=tmp_path / "printer")) as printer:
        fd = os.open(printer.path, os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(fd, termios.TIOCEXCL)
        assert _until(lambda: not _detached(printer))
        os.close(fd)
        assert _until(lambda: _detached(printer))
        with _open(printer.path) as port:
            assert fcntl.ioctl(port.fileno(), is_locked, bytes(4)) == bytes(4)
            assert _ask(port, b"G90\n") == [b"ok"]


def test_serve_announces_the_port_and_ends_when_told(tmp_path: Path) -> None:
    events: list[dict[str, object]] = []
    codes: list[int] = []
    stop = threading.Event()

    def run() -> None:
        codes.append(
            serve(
                link=tmp_path / "p", dialect="marlin", speed=math.inf, faults=["seed=1"], emit=events.append, stop=stop
            )
        )

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert _until(lambda: bool(events))
        assert events == [{"event": "ready", "port": str(tmp_path / "p")}]
        with _open(str(tmp_path / "p")) as port:
            assert _ask(port, b"M115\n")[0].startswith(b"FIRMWARE_NAME:Marlin 2.1.2")
    finally:
        stop.set()
        thread.join(5.0)
    assert codes == [0]


@pytest.mark.parametrize(
    ("dialect", "speed", "faults", "text"),
    [
        ("klingon", 1.0, [], "known are: klipper, marlin, marlin1"),
        ("marlin", 0.0, [], "above 0"),
        ("marlin", math.nan, [], "above 0"),
        ("marlin", 1.0, ["what"], "unknown fault 'what'"),
    ],
)
def test_serve_refuses_what_cannot_be(dialect: str, speed: float, faults: list[str], text: str) -> None:
    with pytest.raises(DataError, match=text):
        serve(link=None, dialect=dialect, speed=speed, faults=faults, emit=print, stop=threading.Event())
