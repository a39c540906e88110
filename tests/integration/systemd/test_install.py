"""`make install`, `make uninstall` and the Debian package, for real, on a machine whose changes are kept in memory."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.systemd.service import CONFIG, ROOT, UNIT, make, system_python
from tests.integration.systemd.system import System

CONFIGURED = '[cloud]\nserver = "http://127.0.0.1:9"\n[serial]\nport = "/dev/none"\n'
FILES = (
    "/etc/systemd/system/printer-agent.service",
    "/etc/systemd/system/printer-agent@.service",
    "/etc/udev/rules.d/60-printer-agent.rules",
    "/usr/local/bin/printer-agent",
    "/opt/printer-agent/bin/printer-agent",
)


@pytest.fixture
def machine(possible: None, tmp_path: Path) -> Iterator[System]:
    """One on which nothing of ours is installed."""
    made = System(tmp_path)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def there(machine: System, path: str) -> bool:
    """Also a link that leads nowhere from out here."""
    return machine.inside(path).is_symlink() or machine.inside(path).exists()


def pid(machine: System) -> str:
    return machine.show(UNIT)["MainPID"]


def test_make_install_and_uninstall(machine: System) -> None:
    """Over what is there: an older agent goes, the configuration stays."""
    python = f"SYSTEM_PYTHON={system_python()}"
    machine.write(CONFIG, CONFIGURED)
    for file in ("of-an-older-one", "pyvenv.cfg", "bin/printer-agent"):
        machine.write(f"/opt/printer-agent/{file}", "")
    machine.run(*make("install", python), timeout=110)
    assert all(there(machine, file) for file in FILES)
    assert not there(machine, "/opt/printer-agent/of-an-older-one")
    assert machine.inside(CONFIG).read_text() == CONFIGURED
    assert machine.run("printer-agent", "--version").stdout.startswith("printer-agent ")
    (package,) = machine.inside("/opt/printer-agent/lib").glob("python3.*/site-packages/agent")
    compiled = {path.name for path in package.rglob("*.pyc")}
    tag = package.parents[1].name.replace("python3.", "cpython-3")
    missing = [path.name for path in package.rglob("*.py") if f"{path.stem}.{tag}.pyc" not in compiled]
    assert missing == [], "the service cannot write there: it would compile at each start"
    assert compiled
    others = machine.run(
        "find", "/opt/printer-agent", "(", "!", "-user", "root", "-o", "-perm", "/022", ")", "!", "-type", "l"
    )
    assert others.stdout == "", "what somebody else could change"
    machine.systemctl("enable", "--now", UNIT)
    assert "No such file" in machine.run("printer-agent", "status").stdout
    machine.run(*make("uninstall", python))
    assert not any(there(machine, file) for file in FILES)
    assert machine.show(UNIT)["ActiveState"] == "inactive"
    assert machine.inside(CONFIG).read_text() == CONFIGURED


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("SYSTEM_PYTHON=/bin/false", "does not run"),
        ("PREFIX=opt", "expected an absolute path"),
        ("PREFIX=/", "absolute"),
        ("PREFIX=/opt", "is no environment of the agent"),
        ("EXTRAS=test", "a service can have websocket, qr and sandbox"),
    ],
)
def test_make_install_says_what_cannot_be(wrong: str, why: str, possible: None, tmp_path: Path) -> None:
    (tmp_path / "opt" / "somebody-else-s").mkdir(parents=True)
    done = subprocess.run(
        make("install", f"DESTDIR={tmp_path}", wrong), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert why in done.stderr
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["opt", "opt/somebody-else-s"]


def test_make_uninstall_removes_no_folder_that_is_not_the_agent_s(possible: None, tmp_path: Path) -> None:
    (tmp_path / "opt" / "somebody-else-s").mkdir(parents=True)
    done = subprocess.run(
        make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt"), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "is no environment of the agent" in done.stderr
    assert (tmp_path / "opt" / "somebody-else-s").exists()


def test_the_debian_package_is_installed_upgraded_and_purged(machine: System) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    built = machine.run(*make("deb", f"SYSTEM_PYTHON={system_python()}"), timeout=110).stdout
    package = f"{ROOT}/{re.findall(r'dist/printer-agent_[0-9.]+_[a-z0-9]+[.]deb', built)[-1]}"
    machine.run("dpkg", "--force-depends", "--install", package)
    assert "print.example.com" in machine.inside(CONFIG).read_text()
    machine.write(CONFIG, CONFIGURED)
    machine.systemctl("enable", "--now", UNIT)
    first = pid(machine)
    upgraded = machine.run("dpkg", "--force-depends", "--install", package)
    assert "conffile" not in upgraded.stdout + upgraded.stderr, "asked about a file that it has not changed"
    assert machine.show(UNIT)["ActiveState"] == "active"
    assert pid(machine) != first, "the running service is handed over to the new version"
    assert machine.inside(CONFIG).read_text() == CONFIGURED
    machine.run("dpkg", "--remove", "printer-agent")
    assert machine.show(UNIT)["ActiveState"] == "inactive"
    assert machine.inside(CONFIG).exists()
    assert machine.inside("/var/lib/private/printer-agent/agent.db").exists()
    ours, kept = others_in_var_lib(machine)
    machine.run("dpkg", "--purge", "printer-agent")
    gone = (CONFIG, "/var/lib/private/printer-agent", "/opt/printer-agent", "/usr/bin/printer-agent", *ours)
    assert [path for path in gone if there(machine, path)] == []
    assert [path for path in kept if not there(machine, path)] == []


def others_in_var_lib(machine: System) -> tuple[list[str], list[str]]:
    """What is the agent's, of a second printer and of one that never started, and what only looks like it."""
    machine.write("/var/lib/private/printer-agent-left/agent.db", "")
    machine.write("/etc/printer-agent/right.toml", "")
    machine.run("mkdir", "/var/lib/private/printer-agent-right", "/var/lib/private/printer-agent-empty")
    machine.run("ln", "-s", "private/printer-agent-left", "/var/lib/printer-agent-left")
    machine.write("/var/lib/private/printer-agent-exporter/data", "somebody else's")
    machine.run("ln", "-s", "private/printer-agent-exporter", "/var/lib/printer-agent-exporter")
    machine.write("/var/lib/printer-agent-backup/agent.db", "")
    machine.write("/srv/archive/agent.db", "")
    machine.run("ln", "-s", "/srv/archive", "/var/lib/private/printer-agent-archive")
    wants = "/etc/systemd/system/multi-user.target.wants"
    machine.run("mkdir", "-p", wants)
    machine.run("ln", "-s", "/lib/systemd/system/printer-agent@.service", f"{wants}/printer-agent@left.service")
    machine.write("/etc/printer-agent/member_token", "")
    ours = [f"/var/lib/private/printer-agent-{name}" for name in ("left", "right")]
    ours += ["/var/lib/printer-agent-left", "/etc/printer-agent/member_token", f"{wants}/printer-agent@left.service"]
    kept = [f"/var/lib/private/printer-agent-{name}" for name in ("empty", "exporter/data", "archive")]
    kept += ["/var/lib/printer-agent-exporter", "/var/lib/printer-agent-backup/agent.db", "/srv/archive/agent.db"]
    return ours, [*kept, "/etc/printer-agent/right.toml"]
