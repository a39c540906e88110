"""The udev rule: who gets the name /dev/printer-SERIAL. Asked of udev itself where it is installed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.integration.systemd.service import ROOT
from tests.integration.systemd.system import System, missing

RULES = ROOT / "systemd" / "60-printer-agent.rules"
NAMES = "ttyUSB[0-9]*|ttyACM[0-9]*"


def test_each_line_is_a_rule() -> None:
    """KEY[{attribute}] operator "value", with commas between."""
    term = r'[A-Z]+(\{[A-Za-z_]+\})?(==|!=|\+=|=)"[^"]+"'
    lines = [line for line in RULES.read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(rf"{term}(, {term})*", line) for line in lines)
    assert f'KERNEL!="{NAMES}"' in RULES.read_text()
    labels = re.findall(r'LABEL="(\w+)"', RULES.read_text())
    assert set(re.findall(r'GOTO="(\w+)"', RULES.read_text())) == set(labels)


@pytest.mark.skipif(shutil.which("udevadm") is None, reason="udev is not installed")
@pytest.mark.skipif(missing() != "", reason="no namespace to try it in")
@pytest.mark.parametrize(
    ("names", "serial", "link"),
    [("tty", "ABC123", "/dev/printer-ABC123"), ("tty", "", ""), ("ttyX", "ABC123", "")],
    ids=["a port with a serial number", "one without", "another device"],
)
def test_udev_gives_the_name(tmp_path: Path, names: str, serial: str, link: str) -> None:
    """There is no USB port here, so the rule is tried with the name of a device that there always is."""
    machine = System(tmp_path)
    machine.start()
    try:
        machine.write("/etc/udev/rules.d/10-serial.rules", f'SUBSYSTEM=="tty", ENV{{ID_SERIAL_SHORT}}="{serial}"\n')
        machine.write("/etc/udev/rules.d/60-printer-agent.rules", RULES.read_text().replace(NAMES, names))
        said = machine.run(str(shutil.which("udevadm")), "test", "--action=add", "/sys/class/tty/tty")
    finally:
        machine.stop()
    assert re.findall(r"DEVLINKS=(.*)", said.stdout) == ([link] if link else [])
    assert not re.findall(r"60-printer-agent.rules:\d+ (?!LINK)", said.stderr), said.stderr
