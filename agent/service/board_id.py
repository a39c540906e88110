"""Identifiers of the board that the agent runs on: a serial number of its hardware, and the machine-id of the system.

They tell a cloned card from the one that it was copied from. Hardware comes first: a clone has the machine-id of its
original. Each value is kept as a hash; all that are readable are kept, because which ones are depends on the kernel, on
the user and on the sandbox of the service (`ProcSubset=pid` hides /proc/cpuinfo).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

BoardId = Mapping[str, str]
"""Source → hashes of its values, with spaces between them."""

SOURCES = ("device-tree", "cpuinfo", "dmi", "network", "machine-id")
"""Where an identifier may come from, the strongest first."""

HASH_LENGTH = 16  # hexadecimal digits that are kept: enough to tell boards apart, too few to give a serial number away
READ_LIMIT = 65536  # bytes of a file that are read
MAX_ADDRESSES = 8  # network addresses that are kept
PLACEHOLDERS = frozenset(
    ("none", "unknown", "defaultstring", "tobefilledbyoem", "systemserialnumber", "notspecified", "notapplicable")
)
"""What makers write where no number was given, without spaces and signs, in lower case."""
SHARED = frozenset(("03000200040005000006000700080009", "0123456789", "123456789", "1234567890"))
"""Numbers that many boards have alike."""

_CPU_SERIAL = re.compile(r"^Serial[ \t]*:[ \t]*([0-9A-Fa-f]{4,64})$", re.MULTILINE)
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")


def read_board_id(root: Path = Path("/")) -> dict[str, str]:
    """Read what identifies this board; empty where nothing can be read. Never raises."""
    serials = {
        "device-tree": _read(root / "sys/firmware/devicetree/base/serial-number"),
        "cpuinfo": _cpu_serial(_read(root / "proc/cpuinfo")),
        "dmi": _read(root / "sys/class/dmi/id/product_uuid") or _read(root / "sys/class/dmi/id/board_serial"),
    }
    found = {source: _hash(text) for source, text in serials.items() if _is_number(text)}
    if addresses := _network_addresses(root / "sys/class/net"):
        found["network"] = " ".join(sorted(_hash(address) for address in addresses[:MAX_ADDRESSES]))
    machine = _read(root / "etc/machine-id")
    # Where /run has one, the system has none of its own and makes another at each boot (machine-id(5)).
    if _MACHINE_ID.fullmatch(machine) and not _read(root / "run/machine-id"):
        found["machine-id"] = _hash(machine)
    return found


def differing_source(known: BoardId, here: BoardId) -> str:
    """Name the source by which `here` is another board than `known`: the strongest that both have decides. Empty for
    the same board, and where they have none in common."""
    for source in SOURCES:
        if source in known and source in here:
            return "" if set(known[source].split()) & set(here[source].split()) else source
    return ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(READ_LIMIT).decode("ascii", "replace").strip("\0 \t\r\n")
    except OSError:
        return ""


def _cpu_serial(text: str) -> str:
    found = _CPU_SERIAL.search(text)
    return found[1] if found else ""


def _is_number(text: str) -> bool:
    """Whether it can be the number of one board: no placeholder, not one character again and again."""
    plain = re.sub(r"[^0-9a-z]", "", text.lower())
    return len(plain) >= 4 and len(set(plain)) > 1 and plain not in PLACEHOLDERS | SHARED


def _network_addresses(folder: Path) -> list[str]:
    """Burnt-in addresses of network devices that are part of the board: no USB dongle, nothing virtual or random."""
    try:
        devices = sorted(folder.iterdir())
    except OSError:
        return []
    return [
        address
        for device in devices
        if (device / "device").exists()
        and "/usb" not in str((device / "device").resolve())
        and _read(device / "addr_assign_type") == "0"
        and _MAC.fullmatch(address := _read(device / "address"))
        and _is_number(address)
    ]


def _hash(text: str) -> str:
    return hashlib.sha256(f"board {text.lower()}".encode()).hexdigest()[:HASH_LENGTH]
