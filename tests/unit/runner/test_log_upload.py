"""`logs`: what is in them, where they may go, and what of the answer is told."""

from __future__ import annotations

import io
import json
import random
import socket
import tarfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent import __version__
from agent.core.command import Command, Name
from agent.core.driver import Link, Outcome, PrinterState, QueryAnswer
from agent.runner.log_upload import ASK_MAY_TAKE, UPLOAD_MAY_TAKE
from agent.state.store import Identity, Store
from tests.rigs.runner_rig import RunnerRig, ScriptedDriver
from tests.rigs.server_rig import Flood, Reply, ScriptedServer, answer, trickling

SECRET = "s3cret-of-the-inside"


def upload(rig: RunnerRig, url: str) -> dict[str, Any]:
    """The terminal report of `logs`."""
    task_id = rig.task(Name.LOGS, url=url)
    rig.runner.step()
    assert rig.woken.wait(20)
    rig.runner.step()
    return rig.end(task_id)


def texts(archive: bytes) -> dict[str, str]:
    """The texts of an archive."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        files = {entry.name.removeprefix("printer-agent-logs/"): opened.extractfile(entry) for entry in opened}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def test_the_archive_tells_what_happened_and_no_secret(rig: RunnerRig, server: ScriptedServer) -> None:
    token, code = "T" * 43, "QWERT7"
    rig.store.identities.save(Identity(server.url, 7, token, registration_code=code))
    (rig.jobs.parent / "log").mkdir()
    (rig.jobs.parent / "log" / "run.log").write_text(f"this run {code} https://u:pa55@h/f?{SECRET}\n")
    (rig.jobs.parent / "log" / "last.log").write_text(f"the run before it {token}\n")
    (rig.jobs.parent / "blackbox").mkdir()
    (rig.jobs.parent / "blackbox" / "box-000001.txt").write_text('# reason halted\n-0.1 > M587 S"net" P"pa55"\\n\n')
    home = rig.task(Name.HOME)
    rig.runner.step()
    rig.printer.ends(Outcome.FAILED, f"it was {code}")
    rig.runner.step()
    rig.printer.now(firmware="Marlin 2.1.2", machine="Ender", link=Link(lines=100, resends=3))
    upload(rig, f"{server.url}/l?{SECRET}")
    found = texts(server.asked()[0].body)
    assert list(found) == [
        "versions.json",
        "printer.json",
        "configuration.json",
        "tasks.jsonl",
        "log/memory.log",
        "log/run.log",
        "log/last.log",
        "blackbox/box-000001.txt",
    ]
    assert json.loads(found["versions.json"])["printer-agent"] == __version__
    printer = json.loads(found["printer.json"])
    assert (printer["firmware"], printer["link"]["resends"], printer["resend_rate"]) == ("Marlin 2.1.2", 3, 0.03)
    assert json.loads(found["configuration.json"])["scripts"]["calibrate"] == "off"
    first, second = (json.loads(line) for line in found["tasks.jsonl"].splitlines())
    assert (first["task_id"], first["command"], first["state"], first["message"]) == (
        home,
        "home",
        "failed",
        "it was [removed]",
    )
    assert (second["command"], second["state"]) == ("logs", "running")
    everything = "".join(found.values())
    assert "this run [removed] https://h/f?[removed]" in everything
    for secret in (token, code, "pa55", SECRET):
        assert secret not in everything


def test_the_keys_of_a_plug_in_driver_that_are_texts_are_left_out(
    tmp_path: Path, store: Store, server: ScriptedServer
) -> None:
    rig = RunnerRig(tmp_path, store, "driver.pin=1234x", "driver.speed=9")
    upload(rig, f"{server.url}/l")
    assert json.loads(texts(server.asked()[0].body)["configuration.json"])["driver"] == {"pin": "[removed]", "speed": 9}


def test_at_most_200_tasks_are_told(rig: RunnerRig, server: ScriptedServer) -> None:
    for number in range(250):
        rig.store.tasks.refuse(Command(f"old{number}", Name.HOME, "home"), None, b"{}", "late")
    upload(rig, f"{server.url}/l")
    told = [json.loads(line)["task_id"] for line in texts(server.asked()[0].body)["tasks.jsonl"].splitlines()]
    assert told == [*(f"old{number}" for number in range(51, 250)), "t-logs"]


def test_the_progress_of_an_upload_is_reported(rig: RunnerRig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task_id = rig.task(Name.LOGS, url=f"http://127.0.0.1:{listening.getsockname()[1]}/l")
        rig.runner.step()
        client, _ = listening.accept()
        with client:
            received = b""
            while b"\r\n\r\n" not in received:
                received += client.recv(65536)
            deadline = time.monotonic() + 10
            while len(rig.said(task_id)) < 2 and time.monotonic() < deadline:
                rig.clock.advance(2.0)
                rig.runner.step()
            last = rig.said(task_id)[-1]
            assert 0 < last["progress"] < 1
            assert last["data"]["message"].startswith(("packing: ", "sending: "))
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert rig.woken.wait(10)
    rig.runner.step()
    assert rig.end(task_id)["data"]["state"] == "completed"


def test_nothing_of_an_upload_stays_on_the_disk(rig: RunnerRig, server: ScriptedServer) -> None:
    upload(rig, f"{server.url}/l")
    assert list(rig.jobs.iterdir()) == []


def test_logs_go_to_the_url_and_the_answers_url_comes_back(rig: RunnerRig, server: ScriptedServer) -> None:
    server.script("/l?sig=1", answer({"url": f"{server.url}/kept/1"}))
    end = upload(rig, f"{server.url}/l?sig=1")
    assert end["data"]["url"] == f"{server.url}/kept/1"
    (asked,) = server.asked()
    assert (asked.method, asked.headers["Content-Type"]) == ("PUT", "application/gzip")
    assert texts(asked.body)["log/memory.log"] == "a line of the log\n"
    assert int(asked.headers["Content-Length"]) == len(asked.body)


@pytest.mark.parametrize(
    "told",
    [
        SECRET,
        f"ftp://127.0.0.1/{SECRET}",
        f"javascript:{SECRET}",
        f"https://10.0.0.1/{SECRET}",
        f"https://169.254.169.254/{SECRET}",
        f"http://127.0.0.1/{SECRET} and more",
        f"http://127.0.0.1/{SECRET}\n",
        f"http://127.0.0.1/{SECRET}\u00e4",
        f"http://127.0.0.1/<{SECRET}>",
        f"http://127.0.0.1/{SECRET * 200}",
        f"http://[{SECRET}",
        f"http:///{SECRET}",
        ["http://127.0.0.1/" + SECRET],
        {"a": SECRET},
        7,
    ],
)
def test_what_is_no_url_in_the_answer_is_not_told(rig: RunnerRig, server: ScriptedServer, told: object) -> None:
    server.usual = answer({"url": told})
    end = upload(rig, f"{server.url}/l?sig=1")
    assert end["data"]["url"] == f"{server.url}/l"
    assert SECRET not in str(end)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(403, SECRET.encode(), {"X-Reason": SECRET}),
        Reply(302, SECRET.encode(), {"Location": f"http://127.0.0.1/{SECRET}"}),
        Reply(500, SECRET.encode()),
        Reply(200, SECRET.encode(), {"Content-Encoding": "gzip"}),
    ],
)
def test_a_failure_tells_the_status_alone(rig: RunnerRig, server: ScriptedServer, reply: Reply) -> None:
    server.usual = reply
    end = upload(rig, f"{server.url}/l?{SECRET}")
    assert end["error_code"] == 500
    assert SECRET not in str(end)
    assert len(server.asked()) == 1


def test_the_body_of_a_redirect_is_not_read(rig: RunnerRig) -> None:
    flood = Flood(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536)
    try:
        assert "answered 302" in upload(rig, f"{flood.url}/l")["error_message"]
    finally:
        flood.close()
    assert flood.sent < 16 << 20


def test_a_netrc_of_this_machine_is_not_sent(
    rig: RunnerRig, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password pa55\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    upload(rig, f"{server.url}/l")
    assert "Authorization" not in server.asked()[0].headers


def test_the_password_in_the_url_is_used_and_not_told(rig: RunnerRig, server: ScriptedServer) -> None:
    end = upload(rig, server.url.replace("//", f"//me:{SECRET}@") + "/l")
    assert end["data"]["url"] == f"{server.url}/l"
    assert server.asked()[0].headers["Authorization"].startswith("Basic ")
    assert SECRET not in str(end)


@pytest.mark.parametrize("url", ["http://logs.example/x", "http://8.8.8.8/x"])
def test_logs_do_not_go_over_plain_http(rig: RunnerRig, url: str) -> None:
    assert "plain http is not allowed" in upload(rig, url)["error_message"]


@pytest.mark.parametrize("allow", [True, False])
def test_an_address_inside_is_only_used_when_the_owner_says_so(
    tmp_path: Path, store: Store, server: ScriptedServer, allow: bool
) -> None:
    """The configured server is not on loopback here."""
    more = ['cloud.allow_addresses=["127.0.0.0/8"]'] if allow else []
    rig = RunnerRig(tmp_path, store, "cloud.server=https://203.0.113.1", *more)
    end = upload(rig, f"{server.url}/l")
    assert len(server.asked()) == allow
    assert ("error_code" not in end) is allow
    assert allow or "not public" in end["error_message"]


def test_a_dripping_server_does_not_hold_the_thread(rig: RunnerRig) -> None:
    with trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x") as url:
        task_id = rig.task(Name.LOGS, url=f"{url}/l")
        rig.runner.step()
        for _ in range(40):
            if rig.woken.wait(0.1):
                break
            rig.clock.advance(UPLOAD_MAY_TAKE / 10)
        rig.runner.step()
        assert "did not answer" in rig.end(task_id)["error_message"]


def test_a_server_that_takes_the_logs_slowly_does_not_hold_the_thread(rig: RunnerRig) -> None:
    (rig.jobs.parent / "blackbox").mkdir()
    for number in range(10):  # more than the sockets between them take
        text = random.Random(number).randbytes(500_000).hex("\n", 20)
        (rig.jobs.parent / "blackbox" / f"box-{number:06}.txt").write_text(text)
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take_slowly() -> None:
            client, _ = server.accept()
            with client:
                while not end.wait(0.05) and client.recv(32768):
                    pass

        taker = threading.Thread(target=take_slowly, name="slow-taker")
        taker.start()
        task_id = rig.task(Name.LOGS, url=f"http://127.0.0.1:{server.getsockname()[1]}/l")
        rig.runner.step()
        for _ in range(150):
            if rig.woken.wait(0.2):
                break
            rig.clock.advance(UPLOAD_MAY_TAKE / 10)
        end.set()
        taker.join(5)
    rig.runner.step()
    assert rig.end(task_id)["error_message"] in (
        "logs: the logs were not taken within 300 s",
        "logs: the server for the logs did not answer: timed out",
    )


def test_an_endless_answer_to_an_upload_is_not_read(rig: RunnerRig) -> None:
    flood = Flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
    try:
        assert upload(rig, f"{flood.url}/l")["data"]["url"] == f"{flood.url}/l"
    finally:
        flood.close()
    assert flood.sent < 16 << 20


class AskedDriver(ScriptedDriver):
    """One that can be asked; the test says what it answers."""

    def query(self, query_id: str, lines: Sequence[str]) -> None:
        """Noted."""
        self.asked.append(f"{query_id}: {', '.join(lines)}")


class AskedRig(RunnerRig):
    """A runner whose driver can be asked."""

    driver = AskedDriver


@pytest.fixture
def asked(tmp_path: Path, store: Store) -> RunnerRig:
    """That rig."""
    return AskedRig(tmp_path, store)


def test_an_idle_printer_is_asked_for_its_settings_before_the_archive_is_packed(
    asked: RunnerRig, server: ScriptedServer
) -> None:
    task_id = asked.task(Name.LOGS, url=f"{server.url}/l")
    asked.runner.step()
    assert asked.printer.asked == [f"{task_id}/1: M115, M503"]
    asked.printer.now(query=QueryAnswer(f"{task_id}/1", (("FIRMWARE_NAME:Marlin",), ("M92 X80", "M301 P22")), True))
    asked.runner.step()
    assert asked.woken.wait(20)
    asked.runner.step()
    assert asked.end(task_id)["data"]["state"] == "completed"
    assert json.loads(texts(server.asked()[0].body)["printer.json"])["answers"] == {
        "M115": ["FIRMWARE_NAME:Marlin"],
        "M503": ["M92 X80", "M301 P22"],
    }


@pytest.mark.parametrize("busy", [True, False])
def test_a_printer_that_does_not_answer_does_not_hold_the_logs(
    asked: RunnerRig, server: ScriptedServer, busy: bool
) -> None:
    task_id = asked.task(Name.LOGS, url=f"{server.url}/l")
    asked.runner.step()
    if busy:
        asked.printer.now(state=PrinterState.PRINTING)
    else:
        asked.clock.advance(ASK_MAY_TAKE)
    asked.runner.step()
    assert asked.woken.wait(20)
    asked.runner.step()
    assert asked.end(task_id)["data"]["state"] == "completed"
    assert json.loads(texts(server.asked()[0].body)["printer.json"])["answers"] == {}


def test_an_agent_that_stops_while_the_printer_is_asked_says_so(asked: RunnerRig) -> None:
    task_id = asked.task(Name.LOGS, url="https://logs.example/l")
    asked.runner.step()
    asked.stop()
    assert asked.end(task_id)["error_message"] == "logs: the agent was stopped"
