"""The board's own identifiers: from a tree of files as Linux has them, and whether two boards are one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.service.board_id import HASH_LENGTH, SOURCES, differing_source, read_board_id

SERIAL = "10000000a3f2c1d4"
MACHINE_ID = "4e5f0b3c9f9a4b0d8e7c6a5b4c3d2e1f"


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def put_device(root: Path, name: str, *, bus: str, address: str, assigned: str = "0") -> None:
    device = root / "sys/devices" / bus / name
    device.mkdir(parents=True)
    put(root, f"sys/class/net/{name}/address", f"{address}\n")
    put(root, f"sys/class/net/{name}/addr_assign_type", f"{assigned}\n")
    (root / "sys/class/net" / name / "device").symlink_to(device)


def test_every_source_of_a_board_is_read_as_a_hash(tmp_path: Path) -> None:
    put(tmp_path, "sys/firmware/devicetree/base/serial-number", SERIAL + "\0")
    put(tmp_path, "proc/cpuinfo", f"processor\t: 0\nHardware\t: BCM2835\nSerial\t\t: {SERIAL}\nModel\t: Pi\n")
    put(tmp_path, "sys/class/dmi/id/product_uuid", "0e1d2c3b-4a59-6877-8695-a4b3c2d1e0f1\n")
    put(tmp_path, "etc/machine-id", MACHINE_ID + "\n")
    put_device(tmp_path, "eth0", bus="platform/ethernet", address="b8:27:eb:01:02:03")
    found = read_board_id(tmp_path)
    assert tuple(found) == SOURCES
    assert all(len(value) == HASH_LENGTH for value in found.values())
    assert SERIAL not in str(found)


@pytest.mark.parametrize(
    "text", ["", "0000000000000000", "ffffffff", "Default string", "To Be Filled By O.E.M.", "None", "12", "a" * 40]
)
def test_what_makers_write_in_place_of_a_number_is_none(tmp_path: Path, text: str) -> None:
    put(tmp_path, "sys/firmware/devicetree/base/serial-number", text)
    put(tmp_path, "proc/cpuinfo", f"Serial : {text}\n")
    put(tmp_path, "sys/class/dmi/id/board_serial", text)
    assert read_board_id(tmp_path) == {}


def test_a_machine_id_that_is_made_anew_at_each_boot_is_none(tmp_path: Path) -> None:
    put(tmp_path, "etc/machine-id", MACHINE_ID)
    assert list(read_board_id(tmp_path)) == ["machine-id"]
    put(tmp_path, "run/machine-id", MACHINE_ID)
    assert read_board_id(tmp_path) == {}


@pytest.mark.parametrize(
    ("bus", "address", "assigned"),
    [
        ("pci0000:00/usb1/1-1", "b8:27:eb:01:02:03", "0"),
        ("platform/wifi", "b8:27:eb:01:02:03", "1"),
        ("platform/wifi", "00:00:00:00:00:00", "0"),
        ("platform/wifi", "bad", "0"),
    ],
)
def test_an_address_that_is_not_the_boards_own_is_none(tmp_path: Path, bus: str, address: str, assigned: str) -> None:
    put_device(tmp_path, "wlan0", bus=bus, address=address, assigned=assigned)
    assert read_board_id(tmp_path) == {}


def test_a_board_with_no_readable_file_has_no_identifier(tmp_path: Path) -> None:
    (tmp_path / "etc/machine-id").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0").mkdir(parents=True)
    assert read_board_id(tmp_path) == {}


@pytest.mark.parametrize(
    ("known", "here", "differs"),
    [
        ({}, {"cpuinfo": "a"}, ""),
        ({"cpuinfo": "a"}, {}, ""),
        ({"cpuinfo": "a"}, {"dmi": "b"}, ""),
        ({"cpuinfo": "a"}, {"cpuinfo": "b"}, "cpuinfo"),
        # A copied card has the machine-id of its original, and a system that was set up anew another one.
        ({"cpuinfo": "a", "machine-id": "m"}, {"cpuinfo": "b", "machine-id": "m"}, "cpuinfo"),
        ({"cpuinfo": "a", "machine-id": "m"}, {"cpuinfo": "a", "machine-id": "n"}, ""),
        ({"machine-id": "m"}, {"cpuinfo": "b", "machine-id": "n"}, "machine-id"),
        # A network device that was added or taken out does not make another board.
        ({"network": "a b"}, {"network": "b c"}, ""),
        ({"network": "a b"}, {"network": "c"}, "network"),
    ],
)
def test_the_strongest_source_that_both_have_decides(known: dict[str, str], here: dict[str, str], differs: str) -> None:
    assert differing_source(known, here) == differs
