"""`printer-agent run` under a supervisor that does not read: a notification never waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.errors import UnavailableError
from agent.local.local_requests import StatusRequest
from agent.local.socket_client import ask
from drivers.simulated.options import Options
from drivers.simulated.printer import VirtualPrinter
from tests.support.supervisor import Supervisor

START = 20.0  # seconds until the agent must have answered on a slow machine
END = 10.0  # seconds until it must have ended after SIGTERM
TICK = 7.0  # seconds until a notification that waits has been sent again


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def agent(tmp_path: Path, supervisor: Supervisor) -> Iterator[subprocess.Popen[bytes]]:
    """The agent as a process with a printer at a pseudo-terminal, its supervisor's queue full from before its start."""
    supervisor.fill()
    config = tmp_path / "agent.toml"
    config.write_text(
        '[cloud]\nserver = "http://127.0.0.1:9"\n'
        f'[serial]\nport = "{tmp_path}/printer"\nbaud = 115200\n'
        f'[state]\ndir = "{tmp_path}/state"\n[local]\nsocket = "{tmp_path}/agent.sock"\n'
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PRINTER_AGENT_", "XDG_"))}
    environ = {**kept, "NOTIFY_SOCKET": supervisor.address, "WATCHDOG_USEC": "30000000"}
    argv = [sys.executable, "-m", "agent.cli", "run", "--config", str(config)]
    with (
        VirtualPrinter(Options(speed=1.0, link=tmp_path / "printer")),
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(argv, stderr=log, env=environ) as process,
    ):
        yield process
        process.kill()


def wait_until(folder: Path, state: str) -> None:
    """Wait until the agent answers that its printer is in this state."""
    end = time.monotonic() + START
    while time.monotonic() < end:
        try:
            if ask(folder / "agent.sock", StatusRequest())["status"]["printer_status"] == state:
                return
        except UnavailableError:
            pass
        time.sleep(0.05)
    raise AssertionError(log_of(folder))


def log_of(folder: Path) -> str:
    return (folder / "log").read_text()


def test_sigterm_ends_an_agent_whose_supervisor_never_reads(tmp_path: Path, agent: subprocess.Popen[bytes]) -> None:
    wait_until(tmp_path, "ready")
    time.sleep(0.5)  # its main thread has been at its first notifications
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(END) == 0
    assert "agent stopped" in log_of(tmp_path)


def test_a_supervisor_that_reads_late_is_told_that_the_agent_is_ready_and_alive(
    tmp_path: Path, agent: subprocess.Popen[bytes], supervisor: Supervisor
) -> None:
    wait_until(tmp_path, "ready")
    time.sleep(0.5)
    assert supervisor.texts() == []
    texts = supervisor.wait("READY=1", TICK) + supervisor.wait("WATCHDOG=1", TICK)
    assert any(text.startswith("STATUS=") for text in "\n".join(texts).split("\n"))
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(END) == 0
    assert "STOPPING=1" in "\n".join(supervisor.texts())


def test_a_port_that_waits_for_a_supervisor_gets_there_before_the_agent_hands_over(
    tmp_path: Path, agent: subprocess.Popen[bytes], supervisor: Supervisor
) -> None:
    """Without it the next agent opens the port anew, which resets the board in the middle of the print."""
    wait_until(tmp_path, "ready")
    file = tmp_path / "long.gcode"
    file.write_text("G28\n" + "G1 X10 F600\nG1 X100\n" * 1000)
    argv = [sys.executable, "-m", "agent.cli", "print", str(file), "--config", str(tmp_path / "agent.toml")]
    subprocess.run(argv, check=True, timeout=START, stdout=subprocess.DEVNULL)
    wait_until(tmp_path, "printing")
    agent.send_signal(signal.SIGUSR2)
    end = time.monotonic() + END
    while "agent handing over" not in log_of(tmp_path):
        assert time.monotonic() < end
        time.sleep(0.001)
    time.sleep(0.02)  # what is sent at the beginning of the end was sent
    kept = []
    while agent.poll() is None:
        assert time.monotonic() < end
        kept += [fds for text, fds in supervisor.read() if "FDSTORE=1" in text]
    kept += [fds for text, fds in supervisor.read() if "FDSTORE=1" in text]
    ((port,),) = kept
    assert os.ttyname(port) == str((tmp_path / "printer").resolve())
    os.close(port)
    assert agent.wait() == 0
