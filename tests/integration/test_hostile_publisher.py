"""Whoever may publish on the printer's channel, or a server gone wrong, takes neither memory, disk nor control.

The agent prints all the while: the cloud, the printer and the agent are processes, and the hostile messages ride along
with the cloud's own replies.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.local.local_requests import CommandRequest
from agent.local.socket_client import ask
from agent.service.logs import EVENTS
from tests.rigs.agent_rig import AgentRig, agent_rig
from tests.support.hostile_front import HostileFront, hostile_front
from tests.support.prints import gcode_file

PEAK_MB = 64.0
STATE_MB = 32.0
LOG_MB_A_MINUTE = 1.0
CANCEL_S = 1.0
LONG = "G28\nG1 Z5 F600\n" + "".join(f"G1 X{10 + i % 50} Y{20 + i % 30} F1200\n" for i in range(20_000))


class HostileRig:
    """A rig whose printer prints, behind a hostile front."""

    def __init__(self, rig: AgentRig, front: HostileFront) -> None:
        self.rig = rig
        self.front = front

    def publish(self, messages: list[dict[str, object]], *, raw: tuple[bytes, ...] = (), tail: bytes = b"") -> None:
        """Have the agent receive these on its command channel, and wait until a reply has carried them."""
        channel = f"/printers/{self.rig.printer_id}/command"
        elements = [json.dumps({"channel": channel, "data": message}).encode() for message in messages]
        self.front.add([*elements, *(one.replace(b"CHANNEL", channel.encode()) for one in raw)], tail)
        self.rig.command("request_settings")  # a held connect is answered now
        self.rig.until("a reply has carried the messages", lambda: not self.front.waiting())

    def peak_mb(self) -> float:
        """The agent's peak of resident memory (VmHWM)."""
        config = str(self.rig.folder / "agent.toml").encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if config in (folder / "cmdline").read_bytes().split(b"\0"):
                    status = (folder / "status").read_text()
            except OSError:
                continue
            else:
                if config in (folder / "cmdline").read_bytes():
                    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                    return int(line.split()[1]) / 1024
        raise AssertionError("the agent does not run")

    def state_mb(self) -> float:
        """The state folder, without the file that is printed."""
        files = (
            path
            for path in (self.rig.folder / "state").rglob("*")
            if path.is_file() and not {"jobs", "kept"} & {*path.parts}
        )
        return sum(path.stat().st_size for path in files) / (1 << 20)

    def cancel(self, *, locally: bool = False) -> float:
        """Cancel the job at the portal or at the printer; the seconds until the agent acts on it, by its own word."""
        began = time.monotonic()
        if locally:
            ask(self.rig.socket, CommandRequest("cancel"))
        else:
            self.rig.command("cancel", job_id=self.rig.job_id)
        self.rig.until("the cancel is acted on", lambda: self.rig.status()["printer_status"] != "printing", within=20)
        return time.monotonic() - began


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[HostileRig]:
    with hostile_front() as front, agent_rig(tmp_path, speed="2", front=front.behind) as rig:
        rig.submit(gcode_file(tmp_path, LONG))
        rig.until("it prints", lambda: rig.state() == "printing")
        yield HostileRig(rig, front)


def silent_server() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=64)


def three_megabytes_of_braces(rig: HostileRig) -> None:
    tree = b",".join([b"{}"] * 1_000_000)
    for _ in range(3):
        rig.publish([], raw=(b'{"channel":"CHANNEL","data":{"command":"x","x":[%b]}}' % tree,))


def many_settings(rig: HostileRig) -> None:
    value = "y" * 20_000
    for batch in range(5):
        rig.publish(
            [
                {"command": "settings", "task_id": f"s{batch}-{n}", "settings": {f"x{batch}-{n}": value}}
                for n in range(200)
            ]
        )


def many_refused_commands(rig: HostileRig) -> None:
    value = "y" * 60_000
    for batch in range(6):
        rig.publish(
            [
                {"command": "settings", "task_id": f"r{batch}-{n}", "settings": {"speed_percent": 0, "x": value}}
                for n in range(60)
            ]
        )


def many_distinct_tasks(rig: HostileRig) -> None:
    for batch in range(5):
        rig.publish([{"command": "home", "task_id": f"t{batch}-{n}"} for n in range(2000)])


def an_unterminated_string(rig: HostileRig) -> None:
    for _ in range(3):
        rig.publish([], raw=(b'{"channel":"CHANNEL","data":"' + b'\\"' * 200_000,), tail=b" ")


@pytest.mark.parametrize(
    "attack",
    [
        three_megabytes_of_braces,
        many_settings,
        many_refused_commands,
        many_distinct_tasks,
        an_unterminated_string,
    ],
    ids=lambda attack: attack.__name__,
)
def test_a_publisher_takes_neither_memory_nor_disk_nor_control(
    hostile: HostileRig, attack: Callable[[HostileRig], None]
) -> None:
    began = time.monotonic()
    attack(hostile)
    took = hostile.cancel(locally=attack is an_unterminated_string)  # a server gone wrong is asked less and less often
    log_mb = len(hostile.rig.log()) / (1 << 20)
    figures = (
        f"cancel {took:.2f} s, peak {hostile.peak_mb():.1f} MB, state {hostile.state_mb():.1f} MB, log {log_mb:.2f} MB"
    )
    body = hostile.rig.ended()
    assert body["job_status"] == "canceled", body
    assert hostile.peak_mb() <= PEAK_MB, figures
    assert hostile.state_mb() <= STATE_MB, figures
    assert log_mb <= LOG_MB_A_MINUTE * max(1.0, (time.monotonic() - began) / 60), figures
    assert took <= CANCEL_S + 1.0, figures  # and the portal's call, on a machine that does other things too


def test_actions_without_end_are_counted_and_the_print_loses_no_line(tmp_path: Path) -> None:
    """A printer that sends `//action:` without end made 65 MB of log in 8 s."""
    lines = 20_000
    text = "G28\n" + "".join(f"M118 A1 action:nonsense {n}\n" for n in range(lines))
    with hostile_front() as front, agent_rig(tmp_path, front=front.behind) as rig:
        rig.submit(gcode_file(tmp_path, text))
        body = rig.ended()
        assert (body["job_status"], body["data"]["line"]) == ("completed", lines + 1), body
        assert len(rig.log()) <= LOG_MB_A_MINUTE * (1 << 20)
        assert 1 <= rig.log().count('"event":"host action ignored"') <= EVENTS
        assert HostileRig(rig, front).peak_mb() <= PEAK_MB


def test_uploads_that_hang_keep_nobody_from_pausing_and_cancelling(hostile: HostileRig) -> None:
    rig = hostile.rig
    with closing(silent_server()) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/log"
        hostile.publish([{"command": "logs", "task_id": f"l{n}", "upload_url": url} for n in range(32)])
        pause = rig.command("pause", job_id=rig.job_id)
        assert rig.ended(pause)["data"]["state"] == "completed"
        assert hostile.cancel() <= CANCEL_S + 1.0
    assert hostile.peak_mb() <= PEAK_MB
