"""Serial ports are found, told apart and found again, in a tree of folders like /dev and /sys."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drivers.gcode.link.discovery import find_again, identify_port, list_ports, lower_latency
from drivers.gcode.link.port import BAUDS, PortSearch
from drivers.gcode.session.port_identity import PortIdentity
from drivers.settings import DriverSettings


class Computer:
    """/dev and /sys of a computer, below a folder of the test."""

    def __init__(self, root: Path) -> None:
        self.dev, self.sys = root / "dev", root / "sys"
        (self.dev / "serial/by-id").mkdir(parents=True)
        (self.sys / "class/tty").mkdir(parents=True)

    def plug(self, number: str, usb: str = "", by_id: str = "", latency: int | None = None) -> str:
        """A port `ttyUSB0`; `usb` is vendor:product:serial."""
        (self.dev / number).write_bytes(b"")
        if by_id:
            (self.dev / "serial/by-id" / by_id).symlink_to(self.dev / number)
        interface = self.sys / "devices" / f"usb-{number}" / "1-1:1.0"
        place = interface / number
        place.mkdir(parents=True)
        if usb:
            for name, text in zip(("idVendor", "idProduct", "serial"), usb.split(":"), strict=True):
                (interface.parent / name).write_text(text + "\n")
        if latency is not None:
            (place / "latency_timer").write_text(f"{latency}\n")
        (self.sys / "class/tty" / number).mkdir()
        (self.sys / "class/tty" / number / "device").symlink_to(place)
        return str(self.dev / number)

    def pull(self, number: str) -> None:
        target = self.dev / number
        for link in (self.dev / "serial/by-id").iterdir():
            if link.resolve() == target:
                link.unlink()
        target.unlink()
        (self.sys / "class/tty" / number / "device").unlink()
        (self.sys / "class/tty" / number).rmdir()
        shutil.rmtree(self.sys / "devices" / f"usb-{number}")

    def paths(self) -> list[str]:
        return [found.path for found in list_ports(self.dev, self.sys)]

    def search(self, port: str = "auto", baud: int = 115200) -> PortSearch:
        return PortSearch(DriverSettings(port=port, baud=baud), self.dev, self.sys)


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def test_ports_by_id_come_before_those_with_a_number_only_and_each_comes_once(computer: Computer) -> None:
    """docs/serial.md §29: by id, not by number."""
    computer.plug("ttyAMA0")
    computer.plug("ttyUSB0", by_id="usb-FTDI_FT232R_A1-if00-port0")
    computer.plug("ttyACM0")
    by_id = str(computer.dev / "serial/by-id/usb-FTDI_FT232R_A1-if00-port0")
    assert computer.paths() == [by_id, str(computer.dev / "ttyACM0"), str(computer.dev / "ttyAMA0")]


def test_without_any_port_nothing_is_found(tmp_path: Path) -> None:
    assert list_ports(tmp_path / "no", tmp_path / "such") == []


def test_modems_receivers_and_the_kernels_console_are_left_out(computer: Computer) -> None:
    computer.plug("ttyUSB0", usb="12d1:1506:0", by_id="usb-HUAWEI_Mobile-if00")
    computer.plug("ttyUSB1", usb="10c4:ea60:1", by_id="usb-Silicon_Labs_Sonoff_Zigbee_3.0-if00")
    computer.plug("ttyACM0", usb="1546:01a8:0", by_id="usb-u-blox_AG-if00")
    computer.plug("ttyAMA0")
    computer.plug("ttyACM1", usb="2c99:0002:CZPX")
    (computer.sys / "class/tty/console").mkdir()
    (computer.sys / "class/tty/console/active").write_text("tty1 ttyAMA0\n")
    assert computer.paths() == [str(computer.dev / "ttyACM1")]


def test_a_port_is_known_by_its_id_and_by_its_usb_numbers(computer: Computer) -> None:
    path = computer.plug("ttyUSB0", usb="0403:6001:A1", by_id="usb-FTDI_A1")
    known = identify_port(Path(path), computer.dev, computer.sys)
    assert known == PortIdentity(path, "usb-FTDI_A1", "0403:6001:A1")
    assert not PortIdentity("/dev/ttyS0").same_device(PortIdentity("/dev/ttyS0")), (
        "no identity, nothing to be the same by"
    )


def test_a_board_that_comes_back_under_another_number_is_found_by_what_it_is(computer: Computer) -> None:
    """docs/serial.md §29: ttyUSB0 may come back as ttyUSB1."""
    path = computer.plug("ttyUSB0", usb="0403:6001:A1", by_id="usb-FTDI_A1")
    search = computer.search(path)
    search.remember(identify_port(Path(path), computer.dev, computer.sys), 115200)
    computer.pull("ttyUSB0")
    computer.plug("ttyUSB1", usb="0403:6001:A1", by_id="usb-FTDI_A1")
    assert [port.path for port, _ in search.candidates()] == [path, str(computer.dev / "serial/by-id/usb-FTDI_A1")]
    computer.plug("ttyUSB0", usb="1a86:7523:", by_id="usb-1a86_Other")
    found = [port.path for port, _ in search.candidates()]
    assert found == [str(computer.dev / "serial/by-id/usb-FTDI_A1")], "the old number is another board's now"


def test_a_configured_port_that_was_never_there_is_simply_tried(computer: Computer) -> None:
    assert find_again("/dev/ttyUSB7", None, computer.dev, computer.sys) == [PortIdentity("/dev/ttyUSB7")]


def test_what_answered_last_is_tried_first_at_the_rate_it_answered_at(computer: Computer) -> None:
    one = computer.plug("ttyUSB0", usb="1:1:1")
    two = computer.plug("ttyUSB1", usb="1:1:2")
    search = PortSearch(DriverSettings(), computer.dev, computer.sys)
    first = [(port.path, baud) for port, baud in search.candidates()]
    assert first[:4] == [(one, 115200), (two, 115200), (one, 250000), (two, 250000)]
    search.remember(identify_port(Path(two), computer.dev, computer.sys), 250000)
    later = [(port.path, baud) for port, baud in search.candidates()]
    assert later[0] == (two, 250000)
    assert later[1 : len(BAUDS)] == [(two, baud) for baud in BAUDS if baud != 250000]
    assert sorted(later) == sorted(first)


def test_an_ftdi_chips_latency_is_lowered_and_said(computer: Computer) -> None:
    """docs/serial.md §17b: lower latency_timer through sysfs where allowed, and report it."""
    path = computer.plug("ttyUSB0", by_id="usb-FTDI_A1", latency=16)
    assert lower_latency(str(computer.dev / "serial/by-id/usb-FTDI_A1"), computer.sys) == 1
    assert lower_latency(path, computer.sys) == 1
    assert lower_latency(computer.plug("ttyACM0"), computer.sys) is None


def test_a_latency_that_must_not_be_changed_is_reported_as_it_is(computer: Computer) -> None:
    """docs/serial.md §17b."""
    path = computer.plug("ttyUSB0")
    fixed = Path("/proc/sys/kernel/ngroups_max")  # a number that not even root may change
    (computer.sys / "class/tty/ttyUSB0/device/latency_timer").symlink_to(fixed)
    assert lower_latency(path, computer.sys) == int(fixed.read_text())


def test_the_printer_s_port_is_where_it_answered_last_under_any_name(computer: Computer) -> None:
    computer.plug("ttyUSB0", usb="1a86:7523:a")
    path = computer.plug("ttyUSB1", usb="0403:6001:b")
    search = computer.search()
    assert search.printer_port() == "", "one of two, and none has answered"
    search.remember(identify_port(Path(path), computer.dev, computer.sys), 115200)
    assert search.printer_port() == path
    computer.pull("ttyUSB1")
    assert search.printer_port() == "", "never another one"
    moved = computer.plug("ttyUSB2", usb="0403:6001:b")
    assert search.printer_port() == moved


def test_a_port_at_which_nobody_has_answered_is_the_printer_s_if_it_is_configured_or_alone(computer: Computer) -> None:
    assert computer.search().printer_port() == ""
    path = computer.plug("ttyUSB0")
    assert computer.search().printer_port() == path
    other = computer.plug("ttyUSB1")
    assert computer.search(other).printer_port() == other
