"""The unit files: systemd understands them, they are as locked up as was measured and fit the agent's own numbers; and
the one for several printers says the same as the other. What they do is proven in tests/integration/systemd."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from agent.cli import _parser
from agent.commands.configuration import DEFAULT_CONFIG
from agent.errors import EX_CONFIG
from agent.service.health import FRESH, TICK

FOLDER = Path(__file__).parents[3] / "systemd"
UNIT = FOLDER / "printer-agent.service"
TEMPLATE = FOLDER / "printer-agent@.service"
UNITS = (UNIT, TEMPLATE)
EXPOSURE = 1.2
"""The most that `systemd-analyze security` may say, and what systemd 252 does say (0 is locked up, 10 is open). What is
left is what the agent is for: the network, a socket of its own, and the serial ports."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("CI"), reason="systemd-analyze is not installed"
)


def settings(text: str) -> dict[str, list[str]]:
    """Section.Key → its values, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    section = ""
    for line in text.splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = header[1]
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            found[f"{section}.{key}"].append(value)
    return found


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    return settings(UNIT.read_text(encoding="utf-8"))


def installed(folder: Path, text: str, name: str = UNIT.name) -> Path:
    """The unit with a program that exists here."""
    copy = folder / name.replace("@", "@mk3")
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text), encoding="utf-8")
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"},
    )


def complaints(unit_file: Path) -> list[str]:
    """What systemd has to say about our unit; it also looks at others, which are not our business."""
    done = analyze("verify", str(unit_file))
    return [line for line in done.stderr.splitlines() if unit_file.name in line]


@needs_systemd
@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_systemd_has_nothing_to_say_about_the_unit(file: Path, tmp_path: Path) -> None:
    assert complaints(installed(tmp_path, file.read_text(encoding="utf-8"), file.name)) == []


@needs_systemd
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("WatchdogSec=", "WatchdogSecs="), ("@system-service", "@system-services"), ("Restart=always", "Restart=ever")],
)
def test_systemd_would_have_found_a_typing_mistake(right: str, wrong: str, tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert right in text
    assert complaints(installed(tmp_path, text.replace(right, wrong)))


@needs_systemd
@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_the_service_is_as_locked_up_as_was_measured(file: Path, tmp_path: Path) -> None:
    copy = installed(tmp_path, file.read_text(encoding="utf-8"), file.name)
    done = analyze("security", "--offline=true", str(copy))
    overall = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert overall is not None, done.stderr
    assert float(overall[1]) <= EXPOSURE


def test_the_unit_for_several_printers_differs_in_the_printers_own_alone(unit: dict[str, list[str]]) -> None:
    template = settings(TEMPLATE.read_text(encoding="utf-8"))
    differing = {key for key in unit.keys() | template.keys() if unit.get(key) != template.get(key)}
    own = ["Unit.Description", "Unit.Documentation", "Service.ExecStart"]
    assert differing == {*own, "Service.User", "Service.StateDirectory", "Service.RuntimeDirectory"}
    for key in differing:
        assert [
            value.replace("-%i", "").replace(" for %i", "").replace("%i.toml", "config.toml") for value in template[key]
        ] == unit[key]


def test_systemd_waits_for_ready_and_starts_again_unless_the_configuration_is_wrong(unit: dict[str, list[str]]) -> None:
    assert unit["Service.Type"] == ["notify"]
    assert unit["Service.NotifyAccess"] == ["main"]
    assert unit["Service.Restart"] == ["always"]
    assert unit["Service.RestartPreventExitStatus"] == [str(EX_CONFIG)] == ["78"]
    assert unit["Unit.StartLimitIntervalSec"] == ["0"]


def test_the_watchdog_leaves_the_agent_its_own_time(unit: dict[str, list[str]]) -> None:
    """A thread may be silent for FRESH seconds, and the next look is a tick later; the agent is the first to notice."""
    assert FRESH + TICK < float(unit["Service.WatchdogSec"][0]) <= 30


def test_a_restart_hands_over_and_a_stop_ends_the_print(unit: dict[str, list[str]]) -> None:
    assert unit["Service.RestartKillSignal"] == ["SIGUSR2"]
    assert unit["Service.KillSignal"] == ["SIGTERM"]
    assert unit["Service.KillMode"] == ["mixed"]
    assert int(unit["Service.FileDescriptorStoreMax"][0]) >= 1
    assert unit["Service.RestartSec"] == ["500ms"]


def test_the_command_is_one_that_the_agent_has(unit: dict[str, list[str]]) -> None:
    program, *arguments = unit["Service.ExecStart"][0].split()
    assert program == "/opt/printer-agent/bin/printer-agent"
    assert _parser().parse_args(arguments).config == DEFAULT_CONFIG


def test_the_printer_does_not_wait_for_the_network(unit: dict[str, list[str]]) -> None:
    assert "network-online.target" not in " ".join(unit["Unit.After"] + unit["Unit.Wants"])
    assert "Unit.Requires" not in unit


def test_the_network_is_open_but_for_link_local_and_multicast_addresses(unit: dict[str, list[str]]) -> None:
    """Loopback and private networks stay open: the server may be there."""
    assert unit["Service.IPAddressDeny"] == ["link-local multicast"]
    assert "Service.IPAddressAllow" not in unit
    assert "Service.PrivateNetwork" not in unit


def test_the_serial_ports_can_be_reached(unit: dict[str, list[str]]) -> None:
    """Each kind of port is allowed, its module is loaded first, and the devices of the system are to be seen."""
    assert [rule.split() for rule in unit["Service.DeviceAllow"]] == [
        [f"char-{kind}", "rw"] for kind in ("ttyUSB", "ttyACM", "ttyAMA")
    ]
    for order in ("Unit.Wants", "Unit.After"):
        assert {"modprobe@usbserial.service", "modprobe@cdc_acm.service"} <= set(unit[order][0].split())
    assert unit["Service.Group"] == ["dialout"]
    assert "Service.PrivateDevices" not in unit


def test_the_state_is_for_the_agent_alone(unit: dict[str, list[str]]) -> None:
    for kind in ("State", "Runtime"):
        assert unit[f"Service.{kind}Directory"] == ["printer-agent"]
        assert unit[f"Service.{kind}DirectoryMode"] == ["0700"]
    assert unit["Service.UMask"] == ["0077"]
    assert unit["Service.DynamicUser"] == ["yes"]
