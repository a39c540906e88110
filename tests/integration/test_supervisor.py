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
    """The agent as a process, its supervisor's queue full from before its start."""
    supervisor.fill()
    config = tmp_path / "agent.toml"
    config.write_text(
        '[cloud]\nserver = "http://127.0.0.1:9"\n[printer]\ndriver = "simulated"\n'
        f'[state]\ndir = "{tmp_path}/state"\n[local]\nsocket = "{tmp_path}/agent.sock"\n'
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PRINTER_AGENT_", "XDG_"))}
    environ = {**kept, "NOTIFY_SOCKET": supervisor.address, "WATCHDOG_USEC": "30000000"}
    argv = [sys.executable, "-m", "agent.cli", "run", "--config", str(config)]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(argv, stderr=log, env=environ) as process:
        yield process
        process.kill()


def wait_until_it_answers(folder: Path) -> None:
    end = time.monotonic() + START
    while True:
        try:
            assert ask(folder / "agent.sock", StatusRequest())["status"]
        except UnavailableError:
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        else:
            return


def log_of(folder: Path) -> str:
    return (folder / "log").read_text()


def test_sigterm_ends_an_agent_whose_supervisor_never_reads(tmp_path: Path, agent: subprocess.Popen[bytes]) -> None:
    wait_until_it_answers(tmp_path)
    time.sleep(0.5)  # its main thread has been at its first notifications
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(END) == 0
    assert "agent stopped" in log_of(tmp_path)


def test_a_supervisor_that_reads_late_is_told_that_the_agent_is_ready_and_alive(
    tmp_path: Path, agent: subprocess.Popen[bytes], supervisor: Supervisor
) -> None:
    wait_until_it_answers(tmp_path)
    time.sleep(0.5)
    assert supervisor.texts() == []
    texts = supervisor.wait("READY=1", TICK) + supervisor.wait("WATCHDOG=1", TICK)
    assert any(text.startswith("STATUS=") for text in "\n".join(texts).split("\n"))
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(END) == 0
    assert "STOPPING=1" in "\n".join(supervisor.texts())
