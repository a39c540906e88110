"""The bed through the real channel: real processes, killed in the middle of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.printer_status import WAITS_FOR_BED
from agent.errors import EX_OK, EX_UNAVAILABLE
from agent.local.local_requests import ReadyRequest
from agent.local.socket_client import ask
from tests.rigs.agent_rig import KillableAgentRig, killable_agent_rig
from tests.support.prints import gcode, of_the_file, write_gcode


@pytest.fixture
def made(tmp_path: Path) -> Iterator[KillableAgentRig]:
    """An agent that asks, and a file that takes a moment."""
    with killable_agent_rig(tmp_path, bed="ask", speed="20") as rig:
        yield rig


def submit(made: KillableAgentRig, moves: int = 60) -> str:
    """Send a print; its task."""
    return str(made.submit(write_gcode(made.folder / "job.gcode", gcode(moves)))["task_id"])


def executed(made: KillableAgentRig) -> int:
    """How many lines of the file boards have executed, over all prints."""
    return len(of_the_file(made.executed(), gcode(60)))


def waits(made: KillableAgentRig) -> None:
    """Wait until the cloud has been told that the print waits, and a dismiss would arrive."""

    def told() -> bool:
        reports = made.reports()
        return bool(reports) and reports[-1]["data"].get("ui_sub_state") == WAITS_FOR_BED

    made.until("the cloud is told what the print waits for", told)
    made.until("it listens", lambda: made.status()["listening"])
    made.until("the status says it", lambda: made.status()["conditions"].get("bed"))


def test_a_second_print_waits_through_a_kill_until_the_cloud_dismisses_the_first(made: KillableAgentRig) -> None:
    submit(made)
    first = made.job_id
    assert made.ended()["job_status"] == "completed"
    before = executed(made)
    second = submit(made)
    waits(made)
    made.kill()
    made.start()
    waits(made)
    assert executed(made) == before
    refused = made.do("dismiss", job_id=made.job_id)
    assert refused["error_code"] == 409
    assert made.do("dismiss", job_id=first)["data"]["state"] == "completed"
    assert made.ended(second)["job_status"] == "completed"
    assert executed(made) == 2 * before


def test_a_print_that_was_killed_over_leaves_the_bed_taken_and_ready_gives_it_back(made: KillableAgentRig) -> None:
    submit(made)
    made.until("it prints", lambda: executed(made) > 5)
    with pytest.raises(Exception, match="ready: a print is on the bed"):
        ask(made.socket, ReadyRequest())
    made.kill()
    made.start()
    assert made.ended()["job_status"] == "completed"
    made.kill()
    made.start()
    made.until("it listens", lambda: made.status()["listening"])
    second = submit(made)
    waits(made)
    argv = [sys.executable, "-m", "agent.cli", "ready", "--config", str(made.folder / "agent.toml")]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (EX_OK, "ready: the bed is clear\n"), said.stderr
    assert made.ended(second)["job_status"] == "completed"


def test_a_local_print_obeys_the_same_rule_and_says_what_it_waits_for(made: KillableAgentRig) -> None:
    submit(made)
    assert made.ended()["job_status"] == "completed"
    config = ["--config", str(made.folder / "agent.toml")]
    file = made.folder / "job.gcode"

    def cli(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agent.cli", *words, *config], capture_output=True, text=True, check=False
        )

    said = cli("print", str(file))
    assert said.returncode == EX_OK, said.stderr
    assert "waits until the bed is clear: `printer-agent ready`" in said.stdout
    assert "bed       not confirmed clear" in cli("status").stdout
    assert cli("cancel").returncode == EX_OK
    made.kill()
    made.bed = "refuse"
    made.start()
    made.until("ready", lambda: made.status()["printer_status"] == "ready")
    said = cli("print", str(file))
    assert said.returncode == EX_UNAVAILABLE
    assert "nobody has confirmed that the bed is clear" in said.stderr
