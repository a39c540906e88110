"""The local socket: what can be asked for, by a real client, on a real Unix socket."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.core.bed import BedState
from agent.core.command import Command, Name
from agent.core.conditions import Conditions
from agent.core.driver import Heater, PrinterState
from agent.core.job import JobState, JobView
from agent.core.printer_status import AWAITING_BED, INSTALLING
from agent.core.task import TaskEvent, TaskState
from agent.errors import DataError, RefusedError
from agent.local.local_requests import (
    CommandRequest,
    HaltRequest,
    LocalCommand,
    OutboxRequest,
    ReadyRequest,
    RegisterRequest,
    StatusRequest,
    TaskRequest,
)
from agent.local.socket_client import (
    AnsweredError,
    ask,
    print_file,
    run_command,
    wait_for_task,
)
from agent.local.status_text import status_lines, summary
from agent.state.checkpoint import FileMark
from agent.state.store import Identity
from tests.rigs.local_rig import GCODE, PATIENCE, SERVER, TOKEN, SocketRig


def talk(rig: SocketRig, sent: bytes) -> dict[str, Any]:
    """A client of our own: exactly these bytes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        client.connect(str(rig.path))
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as stream:
            return dict(json.loads(stream.readline()))


def send(rig: SocketRig, request: dict[str, Any]) -> dict[str, Any]:
    """A request that our own client would not build."""
    return talk(rig, json.dumps(request).encode() + b"\n")


def test_only_the_owner_may_connect(rig: SocketRig) -> None:
    assert stat.S_IMODE(rig.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(rig.path.parent.stat().st_mode) == 0o700


def test_status_tells_the_printer_the_cloud_and_the_queue(rig: SocketRig) -> None:
    rig.store.identities.save(Identity(SERVER, 7, TOKEN, registration_code="AB12", registration_url="https://p"))
    rig.store.tasks.accept(Command("t", Name.HOME, "home"), b"{}")
    rig.driver.now(
        port="/dev/ttyUSB0", firmware="Marlin", heaters=(Heater("tool0", 20.0),), display="Bed \x1b[2Jlevelling"
    )
    answer = ask(rig.path, StatusRequest())
    found = answer["status"]
    assert (found["printer_status"], found["printer"], found["port"]) == ("ready", "mine", "/dev/ttyUSB0")
    assert found["registration"] == {
        "printer_id": 7,
        "registered": False,
        "code": "AB12",
        "url": "https://p",
        "replaces": "",
    }
    assert (found["waiting_reports"], found["listening"]) == (1, False)
    assert TOKEN not in str(answer)
    assert status_lines(found) == [
        "printer   ready at /dev/ttyUSB0",
        "display   Bed \\x1b[2Jlevelling",
        "tool0     20.0 °C, target 0",
        "cloud     printer 7; add it with the code AB12 at https://p",
        "cloud     not listening for commands now",
        "reports   1 wait for the cloud",
    ]


def test_register_and_outbox(rig: SocketRig) -> None:
    assert ask(rig.path, RegisterRequest())["registration"] == {"registered": False, "reason": ""}
    rig.store.identities.save(Identity(SERVER, 7, TOKEN, registered=True))
    assert ask(rig.path, RegisterRequest())["registration"] == {"printer_id": 7, "registered": True}
    rig.store.tasks.accept(Command("t", Name.HOME, "home"), b'{"progress":0}')
    assert ask(rig.path, OutboxRequest())["outbox"] == [{"task_id": "t", "kind": "receipt", "waiting": True}]


def test_a_refused_report_can_be_sent_once_more_or_thrown_away(rig: SocketRig) -> None:
    for name in ("a", "b", "c"):
        rig.store.tasks.accept(Command(name, Name.HOME, "home"), b"{}")
        rig.store.outbox.set_aside(rig.store.outbox.heads()[0], 422, "no")
    ids = [row["id"] for row in ask(rig.path, OutboxRequest())["outbox"]]
    assert ask(rig.path, OutboxRequest(retry=ids[0]))["done"] == 1
    assert ask(rig.path, OutboxRequest(drop=ids[1]))["done"] == 1
    shown = ask(rig.path, OutboxRequest())["outbox"]
    assert [(row["task_id"], row["waiting"]) for row in shown] == [("a", True), ("c", False)]
    assert ask(rig.path, OutboxRequest(retry="all"))["done"] == 1
    assert ask(rig.path, OutboxRequest(drop="all"))["done"] == 0


@pytest.mark.parametrize("which", [99, 0, -1, True, None, "1", 1 << 70])
def test_a_refused_report_that_is_not_there_is_an_error(rig: SocketRig, which: object) -> None:
    answer = send(rig, {"op": "outbox", "retry": which})
    assert (answer["ok"], answer["exit_code"]) == (False, 65)


@pytest.mark.parametrize("name", ["pause", "resume", "cancel", "home", "park", "reset", "dismiss"])
def test_a_command_is_done_and_has_nothing_to_report(rig: SocketRig, name: LocalCommand) -> None:
    run_command(rig.path, name)
    (task,) = rig.store.tasks.in_state(TaskState.COMPLETED)
    assert (task.command.raw_name, task.local) == (name, True)
    assert rig.store.outbox.overview() == []


def test_a_command_that_is_refused_says_why(rig: SocketRig) -> None:
    rig.fails = "pause: nothing is printing"
    with pytest.raises(RefusedError, match="pause: nothing is printing") as caught:
        run_command(rig.path, "pause")
    assert (caught.value.code, caught.value.exit_code) == (409, 69)


@pytest.mark.parametrize(("code", "exit_code"), [(400, 65), (422, 65), (409, 69), (500, 69), (503, 69)])
def test_only_what_is_wrong_with_the_command_itself_is_bad_data(rig: SocketRig, code: int, exit_code: int) -> None:
    rig.fails, rig.code = "why", code
    with pytest.raises(RefusedError) as caught:
        run_command(rig.path, "home")
    assert caught.value.exit_code == exit_code


@pytest.mark.parametrize("name", ["firmware_upgrade", "print_data", "logs", "fly", None, 7, ["pause"]])
def test_what_a_person_here_may_not_ask_for_is_refused(rig: SocketRig, name: object) -> None:
    answer = send(rig, {"op": "command", "command": name})
    assert (answer["ok"], answer["exit_code"]) == (False, 65)
    assert answer["error"].startswith("expected command to be one of pause, resume")
    assert all(rig.store.tasks.in_state(state) == [] for state in TaskState)


def test_a_file_is_taken_in_and_printed(rig: SocketRig, tmp_path: Path) -> None:
    file = tmp_path / "cube.gcode"
    file.write_bytes(GCODE)
    job_id = print_file(rig.path, file).job_id
    (task,) = rig.store.tasks.in_state(TaskState.RUNNING)
    assert job_id == task.command.job_id == f"local_{task.command.task_id.removeprefix('local-')}"
    assert task.command.job_name == "cube.gcode"
    assert (rig.jobs / task.command.spooled).read_bytes() == GCODE
    assert stat.S_IMODE((rig.jobs / task.command.spooled).stat().st_mode) == 0o600


def test_a_file_that_cannot_be_printed_says_why(rig: SocketRig, tmp_path: Path) -> None:
    file = tmp_path / "cube.gcode"
    file.write_bytes(GCODE)
    rig.fails = "print_data: the printer is busy"
    with pytest.raises(RefusedError, match=r"cube.gcode: print_data: the printer is busy"):
        print_file(rig.path, file)


@pytest.mark.parametrize("times", [2, 40], ids=["2 MiB", "40 MiB"])
def test_a_file_that_is_too_large_is_refused_with_the_reason_while_it_is_sent(
    rig: SocketRig, tmp_path: Path, times: int
) -> None:
    file = tmp_path / "large.gcode"
    file.write_bytes(b"G1 X1\n" * (times * 180_000))
    with pytest.raises(AnsweredError, match="too large") as caught:
        print_file(rig.path, file)
    assert caught.value.exit_code == 65
    assert list(rig.jobs.iterdir()) == []


def test_a_file_that_ends_early_leaves_nothing(rig: SocketRig) -> None:
    answer = talk(rig, b'{"op": "print", "name": "a", "size": 100}\nG28\n')
    assert (answer["ok"], answer["exit_code"]) == (False, 65)
    assert "broke off after 4 of 100 bytes" in answer["error"]
    assert list(rig.jobs.iterdir()) == []


@pytest.mark.parametrize("size", [None, -1, True, "9", 1.5])
def test_a_print_needs_a_size(rig: SocketRig, size: object) -> None:
    assert send(rig, {"op": "print", "size": size})["error"] == "expected size to be a number of bytes"


def test_a_file_that_is_not_there_or_no_file_is_named(rig: SocketRig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no.gcode: No such file"):
        print_file(rig.path, tmp_path / "no.gcode")
    with pytest.raises(DataError, match="not a file"):
        print_file(rig.path, tmp_path)


def test_a_task_can_be_asked_for(rig: SocketRig) -> None:
    rig.fails = "why"
    task_id = ask(rig.path, CommandRequest("home"))["task_id"]
    assert ask(rig.path, TaskRequest(task_id)) == {
        "ok": True,
        "state": "failed",
        "message": "why",
        "error_code": 409,
    }
    with pytest.raises(RefusedError, match="why"):
        wait_for_task(rig.path, task_id)
    with pytest.raises(AnsweredError, match="no such task"):
        ask(rig.path, TaskRequest("x"))


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", 64),
        (b"\n", 64),
        (b"{", 64),
        (b"\xff\n", 64),
        (b"[" * 60000 + b"\n", 64),
        (b"{}" + b" " * 70000 + b"x", 65),
        (b"[]\n", 65),
        (b'{"op": "fly"}\n', 65),
        (b'{"op": ["status"]}\n', 65),
        (b'"status"\n', 65),
    ],
)
def test_a_request_that_makes_no_sense_gets_an_answer(rig: SocketRig, sent: bytes, code: int) -> None:
    answer = talk(rig, sent)
    assert (answer["ok"], answer["exit_code"]) == (False, code)


def test_the_emergency_stop_goes_straight_to_the_driver(rig: SocketRig) -> None:
    assert ask(rig.path, HaltRequest()) == {"ok": True}
    assert rig.halts == 1
    assert rig.store.tasks.in_state(TaskState.RECEIVED) == []


def test_an_emergency_stop_that_cannot_be_done_says_to_switch_it_off(rig: SocketRig) -> None:
    rig.halt_fails = "cannot halt: the printer is offline"
    with pytest.raises(AnsweredError, match="halt: cannot halt: the printer is offline; switch the printer off"):
        ask(rig.path, HaltRequest())


def test_an_emergency_stop_is_refused_while_a_firmware_is_written(rig: SocketRig) -> None:
    rig.board.publish(None, INSTALLING)
    with pytest.raises(AnsweredError, match="halt: the firmware is being installed, which nothing may interrupt"):
        ask(rig.path, HaltRequest())
    assert rig.halts == 0
    rig.board.publish(None, "firmware_upgrade")  # it is still fetched
    ask(rig.path, HaltRequest())
    assert rig.halts == 1


def test_ready_confirms_the_bed_and_says_whether_it_was_needed(rig: SocketRig) -> None:
    assert ask(rig.path, ReadyRequest())["bed"] == "clear"
    take_bed(rig)
    rig.store.tasks.end("t", TaskEvent.COMPLETE, b"{}")
    answer = ask(rig.path, ReadyRequest())
    assert (answer["bed"], answer["job_id"]) == ("not_confirmed", "j")
    assert rig.store.bed.read().state is BedState.CLEAR


def test_ready_does_not_count_while_a_print_is_on_the_bed(rig: SocketRig) -> None:
    take_bed(rig)
    with pytest.raises(AnsweredError, match=r"ready: a print is on the bed .job j.; confirm that it is clear when"):
        ask(rig.path, ReadyRequest())
    assert rig.store.bed.read().state is BedState.PRINTING


def test_the_status_says_what_the_bed_waits_for(rig: SocketRig) -> None:
    rig.board.publish(JobView("j", "t", JobState.RECEIVED), AWAITING_BED, "not_confirmed")
    status = ask(rig.path, StatusRequest())["status"]
    assert "bed" in status["conditions"]
    text = "\n".join(status_lines(status))
    assert "waits     until the bed is clear" in text
    assert "bed       not confirmed clear: `printer-agent ready`" in text
    assert summary(rig.board.read(), Conditions()) == "waits until the bed is clear: j"


def take_bed(rig: SocketRig) -> None:
    """A print has begun."""
    rig.store.tasks.accept(Command(task_id="t", name=Name.PRINT_DATA, raw_name="print_data", job_id="j"), b"{}")
    rig.store.tasks.start("t")
    rig.store.checkpoints.begin(JobView("j", "t", JobState.PRINTING), FileMark(), [], "ask")


@pytest.mark.parametrize(
    ("busy", "job", "state", "says"),
    [
        ("print_data", None, PrinterState.IDLE, "print: the printer is busy with print_data"),
        ("home", None, PrinterState.BUSY, "print: the printer is busy with home"),
        ("", None, PrinterState.PAUSED, "print: the printer is paused"),
        ("", None, PrinterState.ERROR, "print: the printer is error: halted by M112"),
        ("", JobView("j", "t", JobState.RECEIVED), PrinterState.IDLE, "print: job j is not over yet"),
    ],
)
def test_a_printer_that_is_not_free_refuses_a_print_before_it_takes_the_bytes(
    rig: SocketRig, tmp_path: Path, busy: str, job: JobView | None, state: PrinterState, says: str
) -> None:
    rig.driver.now(state=state, reason="halted by M112" if state is PrinterState.ERROR else "")
    rig.board.publish(job, busy)
    file = tmp_path / "large.gcode"
    file.write_bytes(GCODE * 400)
    with pytest.raises(AnsweredError, match=f"^{says}$") as caught:
        print_file(rig.path, file)
    assert caught.value.exit_code == 69
    assert list(rig.jobs.iterdir()) == []
    assert send(rig, {"op": "print", "name": "a", "size": 9}) == {"ok": False, "error": says, "exit_code": 69}
