"""The installed unit under a real systemd: it starts, prints, reloads, and ends as an administrator expects it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent.files.firmware_file import make_manifest
from agent.service.signature import make_keys
from tests.integration.systemd.conftest import GCODE
from tests.integration.systemd.service import CONFIG, UNIT, Service
from tests.support.file_server import FileServer, reply

READY = 0.8  # seconds from the start of the process
GAP = 3.0  # seconds without an agent when one is killed
RESIDENT = 45 * 1024  # KiB
SMALL = "G28\nM117 reloaded\n"


def seconds_to_ready(agent: Service) -> float:
    agent.system.systemctl("start", UNIT)
    seconds = agent.took("ExecMainStart")
    agent.system.systemctl("stop", UNIT)
    return seconds


def test_it_is_ready_soon(agent: Service) -> None:
    """Not when the cloud answers or the printer does: when the state is open and the loops run."""
    tries = [seconds_to_ready(agent) for _ in range(3)]
    assert min(tries) <= READY, tries


def test_it_prints_and_says_so_and_stays_small(agent: Service, tmp_path: Path) -> None:
    agent.start()
    idle = agent.resident()
    agent.begin(tmp_path, GCODE)
    agent.system.systemctl("reload", UNIT)  # the status is told anew, which is else done every five seconds
    agent.until("systemctl status tells", lambda: re.match(r"printing part.gcode: \d+%", agent.show("StatusText")))
    agent.job_is(agent.job_id, "completed")
    agent.until("systemctl status tells the end", lambda: agent.show("StatusText") == "idle")
    assert idle <= RESIDENT, idle
    assert agent.resident("VmHWM") <= RESIDENT, agent.resident("VmHWM")


def test_a_configuration_that_cannot_be_used_keeps_it_down(agent: Service) -> None:
    agent.configure(more="[jobs]\n")
    agent.system.run("systemctl", "start", UNIT, check=False)
    agent.until("it has failed", lambda: agent.show("ActiveState") == "failed")
    assert agent.show("ExecMainStatus") == "78"
    assert agent.show("NRestarts") == "0"
    assert f"{CONFIG}: [jobs]: unknown section" in agent.log()


def test_it_starts_where_no_serial_module_is_loaded_and_may_open_no_other_device(agent: Service) -> None:
    """Its rules for char-ttyUSB and char-ttyACM name nothing then. One for ttyS it has not."""
    assert "ttyACM" not in Path("/proc/devices").read_text()
    agent.system.run("mknod", "/dev/ttyS9", "c", "4", "73")
    agent.system.run("chgrp", "dialout", "/dev/ttyS9")
    agent.system.run("chmod", "0660", "/dev/ttyS9")
    agent.configure(port="/dev/ttyS9")
    agent.system.systemctl("start", UNIT)
    agent.until("the port is refused", lambda: "Operation not permitted" in agent.show("StatusText"))
    assert agent.show("ActiveState") == "active"


def test_link_local_and_multicast_addresses_are_denied_and_the_cloud_is_reached(agent: Service) -> None:
    agent.start()
    denied = set(agent.show("IPAddressDeny").split())
    assert denied == {"169.254.0.0/16", "fe80::/64", "224.0.0.0/4", "ff00::/8"}
    assert "IPAddressDeny" not in agent.log(), "systemd has nothing to say about it"


def test_a_reload_takes_scripts_and_level_and_names_the_rest(agent: Service) -> None:
    agent.start()
    assert agent.do("home")["data"]["state"] == "completed"
    agent.configure(more='[scripts]\nhome = "off"\n[logs]\nlevel = "warning"\n[job]\nbed = "free"\nmax_file_mb = 7\n')
    agent.system.systemctl("reload", UNIT)
    agent.until("the reload is logged", lambda: "configuration restart needed" in agent.log())
    assert '"changed":"scripts.home, logs.level"' in agent.log()
    assert '"keys":"job.max_file_mb"' in agent.log()
    agent.forget()
    assert "switched off" in agent.do("home")["error_message"]
    agent.until("the refusal is logged", lambda: '"event":"task failed"' in agent.log())
    assert '"level":"info"' not in agent.log()
    assert agent.show("ActiveState") == "active"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("[scripts]\nhome = []\n[jobs]\n", "[jobs]: unknown section"),
        ('[scripts]\nhome = []\npause = ["M105\\n"]\n', "[scripts] pause: line 1"),
        ("[scripts\n", "not TOML"),
    ],
    ids=["a section too many", "two lines in one", "not TOML"],
)
def test_a_reload_of_a_bad_file_changes_nothing(agent: Service, more: str, reason: str) -> None:
    agent.start()
    agent.configure(more=more)
    agent.system.systemctl("reload", UNIT)
    agent.until("it says why", lambda: "configuration not reloaded" in agent.log())
    assert reason in agent.log()
    assert agent.do("home")["data"]["state"] == "completed"


def test_a_stop_ends_the_print_with_the_heaters_off(printing: Service) -> None:
    assert '"target":210' in json.dumps(printing.status()["data"], separators=(",", ":"))
    assert printing.line() > 0
    printing.system.systemctl("stop", UNIT)
    assert set(printing.targets()) == {0.0}
    assert '"outcome":"completed"' not in printing.log()
    assert printing.show("Result") == "success"


def test_credentials_may_be_there_or_not(agent: Service) -> None:
    """Root's own files become readable for the service alone; without them it starts all the same."""
    agent.system.systemctl("start", UNIT)
    agent.system.systemctl("stop", UNIT)
    agent.system.write("/etc/printer-agent/member_token", "a-member's-token\n", 0o600)
    agent.system.systemctl("start", UNIT)
    credential = agent.system.inside(f"/proc/{agent.pid()}/root/run/credentials/{UNIT}/member_token")
    assert credential.read_text() == "a-member's-token\n"
    assert credential.stat().st_mode & 0o077 == 0
    assert "a-member's-token" not in agent.system.systemctl("show", UNIT) + agent.log()


def test_a_firmware_package_is_installed_within_the_service_and_an_older_one_is_refused_after_a_restart(
    agent: Service, tmp_path: Path
) -> None:
    make_keys(tmp_path / "key", tmp_path / "key.pub")
    agent.system.write("/etc/printer-agent/firmware_key", (tmp_path / "key.pub").read_text(), 0o600)
    secrets = "NOTIFY_SOCKET|CREDENTIALS_DIRECTORY|PYTHONOPTIMIZE|STATE_DIRECTORY|INVOCATION_ID"
    script = f'env | grep -cE "^({secrets})="; cat "$1"; sleep 1000 & test "$PRINTER_AGENT_VERSION" != 9'
    agent.configure(
        f"[firmware_upgrade]\ncommand = ['/bin/sh', '-c', '{script}', 'sh']\nmodel = 'Mk-3'\n"
        f"public_key = '/run/credentials/{UNIT}/firmware_key'\n"
    )
    server = FileServer()
    try:
        for version in ("1", "2", "9"):
            package = tmp_path / f"fw-{version}"
            package.write_text(f"firmware {version}\n")
            make_manifest(package, model="Mk-3", version=version, private_key=tmp_path / "key")
        server.answers.append(lambda asked: reply(body=(tmp_path / asked.path.lstrip("/")).read_bytes())(asked))
        agent.start()
        failed = agent.do("firmware_upgrade", package_url=f"{server.url}/fw-9")
        assert failed["error_message"] == "firmware_upgrade: /bin/sh: exit code 1: 0 / firmware 9"
        done = agent.do("firmware_upgrade", package_url=f"{server.url}/fw-2")
        assert done["data"]["message"] == "version 2 installed", done
        agent.system.systemctl("restart", UNIT)
        agent.until("the next agent listens", agent.listens)
        refused = agent.do("firmware_upgrade", package_url=f"{server.url}/fw-1")
        assert (refused["error_code"], "2 was installed" in refused["error_message"]) == (422, True), refused
        tasks = agent.system.inside(f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs")
        assert len(tasks.read_text().split()) == 1, "what the command left behind has ended"
    finally:
        server.close()


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_an_installation_is_waited_for_longer_than_a_stop_may_take(agent: Service, tmp_path: Path, verb: str) -> None:
    """The port is free, systemd's copy of it too; the agent asks for the time that the command needs."""
    make_keys(tmp_path / "key", tmp_path / "key.pub")
    agent.system.write("/etc/printer-agent/firmware_key", (tmp_path / "key.pub").read_text(), 0o600)
    drop_in = f"/etc/systemd/system/{UNIT}.d/impatient.conf"
    agent.system.write(drop_in, "[Service]\nTimeoutStopSec=2\n")
    agent.system.systemctl("daemon-reload")
    opened = 'stat -L -c %F "$1"; exec 3<>"$1" && echo opened'
    agent.configure(
        f"[firmware_upgrade]\ncommand = ['/bin/sh', '-c', '{opened}; sleep 6', 'sh', '{{port}}']\nmodel = 'Mk-5'\n"
        f"public_key = '/run/credentials/{UNIT}/firmware_key'\n"
    )
    server = FileServer()
    try:
        package = tmp_path / "fw-2"
        package.write_text(f"firmware {verb}\n")
        make_manifest(package, model="Mk-5", version="20", private_key=tmp_path / "key")
        server.answers.append(lambda asked: reply(body=(tmp_path / asked.path.lstrip("/")).read_bytes())(asked))
        agent.start()
        agent.until("the port is kept", lambda: agent.show("NFileDescriptorStore") == "1")
        task_id = agent.command("firmware_upgrade", package_url=f"{server.url}/fw-2")
        agent.until("the command runs", lambda: "firmware installation started" in agent.log())
        agent.until("the port is kept no more", lambda: agent.show("NFileDescriptorStore") == "0")
        agent.system.systemctl(verb, UNIT)
        assert '"outcome":"exited","exit_code":0' in agent.log()
        assert "character special file / opened" in agent.log()
        if verb == "stop":
            assert agent.show("Result") == "success"
        body = agent.ended(task_id)
        assert body["data"]["firmware"]["installed"] is True, body
    finally:
        server.close()
        agent.system.inside(drop_in).unlink()
        agent.system.systemctl("daemon-reload")


def test_one_that_is_killed_is_back_soon_and_one_that_is_killed_again_and_again_takes_its_time(agent: Service) -> None:
    agent.system.systemctl("start", UNIT)
    for restarts in ("1", "2"):
        agent.killed(restarts)
        assert agent.took("ActiveExit") < GAP
    agent.killed("3")
    agent.until("it says that it waits", lambda: agent.show("StatusText").startswith("waiting 2 s, because 3 starts"))
    agent.until("it is ready", lambda: agent.show("ActiveState") == "active")
