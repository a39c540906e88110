"""Each command of docs/protocol.md's table, sent by a member, done by the daemon on the simulated printer."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.local.local_requests import OutboxRequest
from agent.local.socket_client import ask
from tests.rigs.agent_rig import AgentRig, agent_rig
from tests.support.prints import check_record, gcode_file

LONG = "G28\nG1 Z5 F600\n" + "".join(f"G1 X{10 + i % 50} Y{20 + i % 30} F1200\n" for i in range(2000))
HEATING = "M190 S60\nM109 S210\nG28\nG1 X10 F6000\n"


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentRig]:
    """One rig for the commands that leave the printer as it was."""
    with agent_rig(tmp_path_factory.mktemp("rig")) as made:
        yield made


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[AgentRig]:
    """A printer that takes its time: 20 times real time."""
    with agent_rig(tmp_path, speed="20") as made:
        yield made


@pytest.mark.parametrize("command", ["home", "park", "dismiss"])
def test_a_printer_command_ends_completed(fast: AgentRig, command: str) -> None:
    task_id = fast.command(command)
    body = fast.ended(task_id)
    assert body["data"]["state"] == "completed", body
    check_record([report["body"] for report in fast.member.reports(task_id)])
    fast.until("ready again", lambda: fast.state() == "ready")


def test_a_calibration_that_the_firmware_does_not_know_fails_and_names_the_command(fast: AgentRig) -> None:
    body = fast.do("calibrate")
    assert (body["data"]["state"], body["error_message"]) == (
        "failed",
        "G29 V1: the printer does not know this command",
    )
    fast.until("ready again", lambda: fast.state() == "ready")


def test_a_reset_that_resets_nothing_fails_and_says_what_was_not_possible(fast: AgentRig) -> None:
    """A pty has no reset line, and the firmware no command for it."""
    body = fast.do("reset")
    assert body["data"]["state"] == "failed"
    assert body["error_message"].startswith("reset: nothing was reset: the port has no reset line, and Marlin 2.1.2")
    fast.until("ready again", lambda: fast.state() == "ready")


@pytest.mark.parametrize("command", ["pause", "resume", "cancel"])
def test_a_job_command_without_a_job_is_refused(fast: AgentRig, command: str) -> None:
    body = fast.do(command)
    assert body["error_code"] == 409
    assert "no job is running" in body["error_message"]
    assert body["data"]["state"] == "failed"


def test_an_unknown_command_gets_exactly_one_report(fast: AgentRig) -> None:
    task_id = fast.command("make_coffee")
    body = fast.ended(task_id)
    assert (body["error_code"], body["error_message"]) == (404, "unknown command")
    assert len(fast.member.reports(task_id)) == 1


def test_settings_are_checked_kept_and_read_back(fast: AgentRig) -> None:
    done = fast.do("settings", settings={"Settings": {"speed_percent": 120, "JobName": "tune"}})
    assert done["data"]["state"] == "completed"
    unknown = fast.do("settings", settings={"speed_percent": 90, "colour": "blue"})
    assert unknown["error_message"] == "settings: no such setting: colour"
    assert fast.do("request_settings")["data"]["settings"]["speed_percent"] == 120
    refused = fast.do("settings", settings={"speed_percent": 9000})
    assert refused["error_code"] == 422
    assert "speed_percent" in refused["error_message"]
    assert fast.do("request_settings")["data"]["settings"]["speed_percent"] == 120


def test_logs_are_uploaded_without_the_token(fast: AgentRig) -> None:
    body = fast.do("logs")
    assert body["data"]["state"] == "completed", body
    with tarfile.open(fileobj=io.BytesIO(fast.download(body["data"]["url"]))) as archive:
        text = "".join(file.read().decode() for entry in archive if (file := archive.extractfile(entry)) is not None)
    assert '"command":"logs"' in text
    identity = sqlite3.connect(fast.folder / "state" / "agent.db").execute("SELECT value FROM identity").fetchone()
    token = json.loads(identity[0])["auth_token"]
    assert len(token) == 43
    assert token not in text
    assert token not in fast.log()


def test_a_firmware_upgrade_is_refused_unless_configured(fast: AgentRig) -> None:
    body = fast.do("firmware_upgrade", package_url=f"{fast.url}/files/x/y")
    assert body["error_code"] == 501
    assert "not configured" in body["error_message"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Dear printer, please print a cube.\n", "G-code"),
        ("G1 X1 ; fine\nG1 X" + "1" * 120 + "\n", "line 2"),
        ("", "empty"),
        ("G28\nM104 S900\n", "900"),
        ("G28\nM112\n", "M112"),
    ],
)
def test_a_bad_file_is_a_terminal_failed_report_that_says_why(
    fast: AgentRig, tmp_path: Path, text: str, says: str
) -> None:
    answer = fast.submit(gcode_file(tmp_path, text))
    body = fast.ended(answer["task_id"])
    assert body["data"]["state"] == "failed"
    assert body["job_status"] == "failed"
    assert body["error_code"] == 422
    assert says in body["error_message"]
    check_record([report["body"] for report in fast.member.reports(answer["task_id"])])


def test_a_file_that_is_not_there_is_a_terminal_failed_report(fast: AgentRig) -> None:
    answer = fast.member.submit_job(fast.printer_id, f"{fast.url}/files/nothing/x.gcode", "x")
    body = fast.ended(answer["task_id"])
    assert body["job_status"] == "failed"
    assert "404" in body["error_message"]


def test_settings_of_a_job_become_gcode_only_within_their_limits(fast: AgentRig, tmp_path: Path) -> None:
    file = gcode_file(tmp_path, "G28\nG1 X10 F6000\n")
    assert fast.ended(fast.submit(file, speed_percent=150)["task_id"])["job_status"] == "completed"
    refused = fast.ended(fast.submit(file, speed_percent="150\nM112")["task_id"])
    assert refused["error_code"] == 422
    assert "speed_percent" in refused["error_message"]


def test_pause_resume_and_a_busy_printer(slow: AgentRig, tmp_path: Path) -> None:
    job = slow.submit(gcode_file(tmp_path, LONG))
    slow.job_is(job["job_id"], "printing")
    busy = slow.ended(slow.submit(gcode_file(tmp_path, LONG, "second.gcode"))["task_id"])
    assert busy["error_code"] == 409
    assert "busy" in busy["error_message"]
    assert slow.do("home")["error_code"] == 409
    wrong = slow.do("pause", job_id="another")
    assert wrong["error_code"] == 409
    assert "another" in wrong["error_message"]

    paused = slow.do("pause", job_id=job["job_id"])
    assert paused["data"]["state"] == "completed", paused
    assert paused["job_status"] == "paused"
    slow.job_is(job["job_id"], "paused")
    assert slow.status()["printer_status"] == "paused"
    line = slow.status()["data"]["line"]
    again = slow.do("pause", job_id=job["job_id"])
    assert again["error_code"] == 409

    resumed = slow.do("resume", job_id=job["job_id"])
    assert resumed["data"]["state"] == "completed", resumed
    slow.until("it goes on", lambda: slow.status()["data"].get("line", 0) > line)
    assert slow.do("cancel", job_id=job["job_id"])["data"]["state"] == "completed"
    body = slow.ended(job["task_id"])
    assert body["job_status"] == "canceled"
    assert "error_code" not in body
    slow.until("ready again", lambda: slow.state() == "ready")
    check_record([report["body"] for report in slow.member.reports(job["task_id"])])


def test_a_cancel_does_not_wait_for_the_heat_up_and_leaves_the_heaters_off(slow: AgentRig, tmp_path: Path) -> None:
    job = slow.submit(gcode_file(tmp_path, HEATING))
    slow.until("it heats", lambda: slow.status()["data"].get("ui_sub_state") == "heating")
    assert slow.do("cancel", job_id=job["job_id"])["data"]["state"] == "completed"
    assert slow.ended(job["task_id"])["job_status"] == "canceled"

    def targets() -> bool:
        heaters = slow.status()["data"]["temperatures"]
        return all(heater["target"] == 0 for heater in heaters.values())

    slow.until("the heaters are off", targets)


def test_reset_ends_the_print_and_the_printer_comes_back(tmp_path: Path) -> None:
    """docs/serial.md §k3: Klipper takes a moment, and is waited for."""
    with agent_rig(tmp_path, speed="20", dialect="klipper", faults=("klippy-starting=1",)) as made:
        job = made.submit(gcode_file(tmp_path, LONG))
        made.job_is(job["job_id"], "printing")
        assert made.do("reset")["data"]["state"] == "completed"
        assert made.ended(job["task_id"])["job_status"] == "failed"
        assert made.do("home")["data"]["state"] == "completed"


def test_klipper_with_a_wrong_configuration_is_an_error_with_its_text_and_stays_one(tmp_path: Path) -> None:
    """docs/serial.md §k2: in the status of the person at the printer, and in the answer to `reset`."""
    text = "Option 'pin' in section 'fan' must be specified"
    with agent_rig(tmp_path, dialect="klipper", faults=("klippy-config-error",), state="error") as made:
        assert text in json.dumps(made.status())
        body = made.do("reset")
        assert (body["data"]["state"], body["error_message"]) == ("failed", f"reset: {text}")
        made.until("still an error", lambda: made.state() == "error")


def cli(made: AgentRig, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "agent.cli", *words, "--config", str(made.folder / "agent.toml")]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_the_emergency_stop_fails_the_job_and_a_reset_brings_the_printer_back(slow: AgentRig, tmp_path: Path) -> None:
    """docs/serial.md §23, §23a, by a person at the printer."""
    job = slow.submit(gcode_file(tmp_path, LONG))
    slow.job_is(job["job_id"], "printing")
    halted = cli(slow, "halt")
    assert halted.returncode == 0, halted.stderr
    body = slow.ended(job["task_id"])
    assert body["job_status"] == "failed"
    slow.until("the printer is in error", lambda: slow.state() == "error")
    assert cli(slow, "reset").returncode == 0
    slow.until("ready again", lambda: slow.state() == "ready")


def test_the_person_at_the_printer_prints_pauses_resumes_and_cancels(slow: AgentRig, tmp_path: Path) -> None:
    printed = cli(slow, "print", str(gcode_file(tmp_path, LONG)))
    assert printed.returncode == 0, printed.stderr
    job_id = printed.stdout.split()[-1]
    assert job_id.startswith("local_")
    status = cli(slow, "status", "--json")
    found: dict[str, Any] = json.loads(status.stdout)
    assert (found["job_id"], found["job_status"]) == (job_id, "printing")
    assert "layer" in cli(slow, "status").stdout
    for word in ("pause", "resume", "cancel"):
        done = cli(slow, word)
        assert (done.returncode, done.stdout) == (0, f"{word}: done\n"), done.stderr
    refused = cli(slow, "pause")
    assert refused.returncode == 69
    assert "no job is running" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert ask(slow.socket, OutboxRequest())["outbox"] == []  # the cloud has no task for any of this
    assert slow.member.job(job_id)["local_job"] is True


ASKING = "G28\nG1 Z5 F600\nM0 Insert nut\nG1 X10 F600\nM0 Take photo\nG1 X20 F600\n"


def test_a_question_is_answered_from_the_cloud_and_at_the_printer(slow: AgentRig, tmp_path: Path) -> None:
    """docs/protocol.md «Prompts»."""
    assert slow.do("respond", choice=0)["error_message"] == "respond: the printer asks nothing"
    job = slow.submit(gcode_file(tmp_path, ASKING))
    prompt = slow.until("it asks", lambda: slow.status()["data"].get("prompt"))
    assert prompt == {
        "id": prompt["id"],
        "text": "the file asks for a pause (M0, line 3): Insert nut",
        "choices": ["Continue"],
        "answered": False,
    }
    assert "asks      the file asks for a pause (M0, line 3): Insert nut (0 Continue)" in cli(slow, "status").stdout

    def reported() -> bool:
        return any("prompt" in report["body"]["data"] for report in slow.member.reports(job["task_id"]))

    slow.until("the portal knows", reported)
    assert slow.do("respond", choice="Stop")["error_code"] == 422
    assert slow.do("respond", choice=0, prompt_id=prompt["id"] - 1)["error_code"] == 409
    body = slow.do("respond", choice="continue", prompt_id=prompt["id"])
    assert body["data"]["state"] == "completed", body
    slow.until("it asks again", lambda: slow.status()["data"].get("prompt", prompt)["id"] != prompt["id"])
    done = cli(slow, "respond", "0")
    assert (done.returncode, done.stdout) == (0, "respond: done\n"), done.stderr
    assert slow.ended(job["task_id"])["job_status"] == "completed"
    late = cli(slow, "respond", "0")
    assert late.returncode == 69
    assert "asks nothing" in late.stderr


def test_a_refused_report_that_is_not_there_cannot_be_sent_or_dropped(fast: AgentRig) -> None:
    for word in ("--retry", "--drop"):
        refused = cli(fast, "outbox", word, "99")
        assert (refused.returncode, refused.stderr) == (65, "printer-agent: no refused report has the id 99\n")
    assert cli(fast, "outbox", "--drop", "all").stdout == "0 thrown away\n"
    assert cli(fast, "outbox", "--retry", "some").returncode == 64


def test_a_bad_file_at_the_printer_is_refused_with_the_reason(fast: AgentRig, tmp_path: Path) -> None:
    bad = cli(fast, "print", str(gcode_file(tmp_path, "hello\n")))
    assert bad.returncode == 65
    assert "G-code" in bad.stderr
    missing = cli(fast, "print", str(tmp_path / "none.gcode"))
    assert missing.returncode == 65
    assert "none.gcode" in missing.stderr
