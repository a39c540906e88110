"""Discovery of serial ports: which there are, which may be printers, and whose: from /dev and /sys, nothing opened.

A port is known by its name in /dev/serial/by-id and, from sysfs, by its USB vendor, product and serial number; its
number (ttyUSB0) is chance (docs/serial.md §29).
"""

from __future__ import annotations

import re
from pathlib import Path

from drivers.gcode.session.port_identity import PortIdentity

DEV = Path("/dev")
SYS = Path("/sys")

_BY_NUMBER = ("ttyUSB*", "ttyACM*", "ttyAMA*")
# USB vendors whose serial ports are certainly no printers: modems, GPS receivers, radio sticks, power meters.
_VENDORS = frozenset(("12d1", "1199", "2c7c", "1bc7", "1e0e", "05c6", "1546", "1cf1", "0658", "1a6e"))
_NAMES = re.compile(r"modem|gps|gnss|u-blox|zigbee|z-?wave|conbee|bluetooth|smartcard|sonoff", re.IGNORECASE)


def list_ports(dev: Path = DEV, sys: Path = SYS) -> list[PortIdentity]:
    """List all ports that may be printers: by id first, then those that have only a number. The kernel's own console
    and devices that are certainly no printers are left out."""
    by_id = [identify_port(path, dev, sys) for path in sorted((dev / "serial/by-id").glob("*"))]
    known = {Path(port.path).resolve() for port in by_id}
    numbered = [path for pattern in _BY_NUMBER for path in sorted(dev.glob(pattern))]
    others = [identify_port(path, dev, sys) for path in numbered if path.resolve() not in known]
    return [port for port in (*by_id, *others) if not _is_no_printer(port, sys)]


def identify_port(path: Path, dev: Path = DEV, sys: Path = SYS) -> PortIdentity:
    """Identify the port at `path`, which need not exist."""
    folder = dev / "serial/by-id"
    name = path.name if path.parent == folder else ""
    if not name:
        target = path.resolve()
        name = next((link.name for link in sorted(folder.glob("*")) if link.resolve() == target), "")
    return PortIdentity(str(path), name, _usb_identity(path, sys))


def find_again(configured: str, known: PortIdentity | None, dev: Path = DEV, sys: Path = SYS) -> list[PortIdentity]:
    """Find the port that was configured by path, and that was `known` when it answered last: under its
    own path, unless that has become another device's, then under any name that is the same device's."""
    now = identify_port(Path(configured), dev, sys)
    if known is None:
        return [now]
    others = [port for port in list_ports(dev, sys) if port.same_device(known) and port.path != configured]
    taken = bool(now.usb and known.usb) and not now.same_device(known)
    return others if taken and others else [now, *others]


def tty(path: str) -> str:
    """Kernel's name of the port at `path`, such as `ttyUSB0`."""
    return Path(path).resolve().name


def _usb_identity(path: Path, sys: Path) -> str:
    """`vendor:product:serial` of the USB device that the port belongs to, found by going up in sysfs."""
    device = sys / "class/tty" / tty(str(path)) / "device"
    if not device.exists():
        return ""
    place = device.resolve()
    for folder in (place, *place.parents[:4]):
        if (folder / "idVendor").is_file():
            return ":".join(_text(folder / name) for name in ("idVendor", "idProduct", "serial"))
    return ""


def _is_no_printer(port: PortIdentity, sys: Path) -> bool:
    if _NAMES.search(port.by_id) or port.usb.partition(":")[0] in _VENDORS:
        return True
    return tty(port.path) in _text(sys / "class/tty/console/active").split()


def _text(path: Path) -> str:
    """A small file's text; empty when it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def lower_latency(path: str, sys: Path = SYS) -> int | None:
    """Set an FTDI chip's latency timer to 1 ms where that is allowed (docs/serial.md §17b); return what it is now, in
    ms, None for a port that has none."""
    timer = sys / "class/tty" / tty(path) / "device/latency_timer"
    try:
        if int(timer.read_text(encoding="ascii")) > 1:
            timer.write_text("1", encoding="ascii")
    except (OSError, ValueError):
        pass  # a udev rule can allow it; the value that is read next is reported
    value = _text(timer)
    return int(value) if value.isdigit() else None
