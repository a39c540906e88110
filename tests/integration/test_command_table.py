"""Each command through the real Faye server (npm `faye`), in each state of the printer: success, refusal, failure,
duplicate, race and outage, as a table.

One agent and one printer serve all rows; a row says in which state it begins, and `reach` goes there.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.local.local_requests import HaltRequest, TaskRequest
from agent.local.socket_client import ask
from tests.integration.faye_support import RealFayeServer
from tests.rigs.agent_rig import AgentRig, agent_rig
from tests.support.ports import free_port
from tests.support.prints import check_record, gcode_file

LONG = "G28\nG1 Z5 F600\n" + "".join(f"G1 X{10 + i % 50} Y{20 + i % 30} F120\n" for i in range(6_000))
HOT = "G28\nM104 S60\nG1 X10 F6000\n"

COMMANDS_OF_ONE = 50
"""Commands after which another agent takes the place of one: it drops a flood of more than 60, and 2 a second
(docs/bounds.md)."""

ONCE, TWICE, OUTAGE = "once", "twice", "outage"
DONE = 0


class Row(msgspec.Struct, frozen=True):
    """In the `state`, `command` ends with one of `codes` (0: completed) and a message that holds `says`; `then` is sent
    right behind it and ends with one of `then_codes`. How: once; twice, the second time as a duplicate; or with an
    outage from its arrival until it has ended."""

    command: str
    state: str
    codes: tuple[int, ...] = (DONE,)
    says: str = ""
    how: str = ONCE
    then: str = ""
    then_codes: tuple[int, ...] = ()
    parameters: dict[str, str] = {}

    def __str__(self) -> str:
        then = f"+{self.then}" if self.then else ""
        return f"{self.command}{then}-{self.state}-{self.how}-{'or'.join(map(str, self.codes))}"


def refused(command: str, state: str, says: str, code: int = 409, parameters: dict[str, str] | None = None) -> Row:
    return Row(command, state, (code,), says, parameters=parameters or {})


def upload_to(url: str) -> dict[str, str]:
    return {"upload_url": url}


def race(command: str, state: str, codes: tuple[int, ...], then: str, then_codes: tuple[int, ...]) -> Row:
    return Row(command, state, codes, then=then, then_codes=then_codes)


OTHER = {"job_id": "another"}
SCRIPTS = {"home": "idle", "park": "homed", "calibrate": "idle"}
"""Each with the state that it needs: Klipper moves no axis that is not homed."""
UPLOADS = ("log", "logs")
UNKNOWN = ("make_coffee", "PAUSE", "M112", "print", "__init__", "0")

ROWS: tuple[Row, ...] = (
    # pause
    Row("pause", "printing"),
    Row("pause", "printing", how=TWICE),
    Row("pause", "printing", how=OUTAGE),
    refused("pause", "printing", "job another is not the running one", parameters=OTHER),
    race("pause", "printing", (DONE,), "pause", (409,)),
    race("pause", "printing", (DONE, 409), "cancel", (DONE,)),
    refused("pause", "paused", "cannot pause: the printer is paused"),
    refused("pause", "idle", "no job is running"),
    refused("pause", "calibrating", "no job is running"),
    refused("pause", "halted", "no job is running"),
    # resume
    Row("resume", "paused"),
    Row("resume", "paused", how=TWICE),
    Row("resume", "paused", how=OUTAGE),
    refused("resume", "paused", "job another is not the running one", parameters=OTHER),
    race("resume", "paused", (DONE,), "resume", (409,)),
    race("resume", "paused", (DONE, 409), "cancel", (DONE,)),
    refused("resume", "printing", "cannot resume: the printer is printing"),
    refused("resume", "idle", "no job is running"),
    refused("resume", "calibrating", "no job is running"),
    refused("resume", "halted", "no job is running"),
    # cancel
    Row("cancel", "printing"),
    Row("cancel", "printing", how=TWICE),
    Row("cancel", "printing", how=OUTAGE),
    Row("cancel", "paused"),
    Row("cancel", "calibrating", says="calibrate: canceled"),
    Row("cancel", "calibrating", how=TWICE),
    Row("cancel", "calibrating", how=OUTAGE),
    Row("cancel", "hot", says="the heaters are off"),
    race("cancel", "printing", (DONE,), "cancel", (DONE, 409)),
    race("cancel", "calibrating", (DONE,), "cancel", (DONE, 409)),
    refused("cancel", "printing", "job another is not the running one", parameters=OTHER),
    refused("cancel", "calibrating", "no job is running", parameters=OTHER),
    refused("cancel", "idle", "no job is running"),
    refused("cancel", "halted", "no job is running"),
    # reset
    Row("reset", "idle"),
    Row("reset", "idle", how=TWICE),
    Row("reset", "idle", how=OUTAGE),
    Row("reset", "printing"),
    Row("reset", "paused"),
    Row("reset", "calibrating"),
    Row("reset", "hot"),
    Row("reset", "halted"),
    race("reset", "idle", (DONE,), "reset", (409,)),
    race("reset", "idle", (DONE,), "home", (409,)),
    # home, park, calibrate
    *(
        row
        for name, place in SCRIPTS.items()
        for row in (
            Row(name, place),
            Row(name, place, how=TWICE),
            Row(name, place, how=OUTAGE),
            Row(name, "hot"),
            refused(name, "printing", f"{name}: the printer is busy with print_data"),
            refused(name, "paused", f"{name}: the printer is busy with print_data"),
            refused(name, "calibrating", f"{name}: the printer is busy with calibrate"),
            refused(name, "halted", f"{name}: cannot run a script: the printer is error"),
            race(name, place, (DONE,), "calibrate", (409,)),
            race(name, place, (409,), "cancel", (DONE,)),
            race(name, place, (500,), "reset", (DONE,)),
        )
    ),
    refused("park", "idle", "Must home axis first", 500),
    # log, logs
    *(
        row
        for name in UPLOADS
        for row in (
            Row(name, "idle"),
            Row(name, "idle", how=TWICE),
            Row(name, "idle", how=OUTAGE),
            Row(name, "printing"),
            Row(name, "paused"),
            Row(name, "calibrating"),
            Row(name, "halted"),
            race(name, "idle", (DONE,), "logs", (DONE, 409)),
            refused(name, "idle", "did not answer", 500, upload_to("http://127.0.0.1:1/closed")),
            refused(name, "idle", "not public", 500, upload_to("https://10.0.0.1/inside")),
            refused(name, "idle", "plain http is not allowed", 500, upload_to("http://8.8.8.8/plain")),
        )
    ),
    # dismiss
    Row("dismiss", "idle"),
    Row("dismiss", "idle", how=TWICE),
    Row("dismiss", "idle", how=OUTAGE),
    Row("dismiss", "hot"),
    Row("dismiss", "calibrating"),
    race("dismiss", "idle", (DONE,), "dismiss", (DONE,)),
    refused("dismiss", "printing", "a job is running"),
    refused("dismiss", "paused", "a job is running"),
    refused("dismiss", "halted", "send reset"),
    # anything else
    *(refused(name, "idle", "unknown command", 404) for name in UNKNOWN),
    *(refused("fly", state, "unknown command", 404) for state in ("printing", "paused", "calibrating", "halted")),
    Row("fly", "idle", (404,), how=TWICE),
    Row("fly", "idle", (404,), how=OUTAGE),
    race("fly", "idle", (404,), "swim", (404,)),
)

STATES = ("idle", "homed", "hot", "calibrating", "printing", "paused", "halted")
"""In an order in which the way from one to the next is short."""


class Bench:
    """A printer to which rows are put, one after the other."""

    def __init__(self, made: AgentRig, server: RealFayeServer) -> None:
        self.made = made
        self.server = server
        self._files = {
            name: gcode_file(made.folder, text, f"{name}.gcode") for name, text in (("long", LONG), ("hot", HOT))
        }
        self._job = ""

    def put(self, row: Row) -> dict[str, Any]:
        """Reach the row's state, send its commands, compare what the cloud was told; the first one's terminal
        report."""
        made, state = self.made, self.state()
        self.reach(row.state)
        send = self._send_into_outage if row.how == OUTAGE else self._send
        task_id = send(row)
        then_id = made.command(row.then) if row.then else ""
        body = made.ended(task_id)
        said = (row, state, body)
        assert body.get("error_code", DONE) in row.codes, said
        assert body["data"]["state"] == ("failed" if body.get("error_code") else "completed"), said
        assert row.says in (body.get("error_message") or body["data"].get("message", "")), said
        if row.then:
            then = made.ended(then_id)
            assert then.get("error_code", DONE) in row.then_codes, (row, state, then)
        if row.how == TWICE:
            self._send_again(row, task_id)
        records = made.reports(task_id)
        if 404 not in row.codes:  # that one has no receipt
            check_record(records)
        assert [report["progress"] for report in records].count(1) == 1, records
        return body

    def sent(self) -> int:
        """How many commands the agent has had."""
        return self.made.log().count('"command":')

    # --- how it is sent

    def _send(self, row: Row) -> str:
        return self.made.command(row.command, **row.parameters)

    def _send_into_outage(self, row: Row) -> str:
        """Neither channel nor API answer from the command's arrival until it has ended in the ledger."""
        made = self.made
        task_id = made.command(row.command, **row.parameters)
        made.until("it has arrived", lambda: self._ledger(task_id))
        self.server.pause()
        try:
            made.until("it has ended", lambda: self._ledger(task_id) in ("completed", "failed"))
        finally:
            self.server.resume()
        return task_id

    def _send_again(self, row: Row, task_id: str) -> None:
        """The same command once more, as a channel that delivers twice has it: nothing is done, the last report is told
        again under its key."""
        before = self.state()
        channel = f"/printers/{self.made.printer_id}/command"
        self.server.publish(channel, {"command": row.command, "task_id": task_id, **row.parameters})
        behind = self.made.command("request_settings")  # in order behind it
        self.made.ended(behind)
        assert self.state() == before, row

    def _ledger(self, task_id: str) -> str:
        return str(ask(self.made.socket, TaskRequest(task_id))["state"])

    # --- the printer's state

    def state(self) -> str:
        """The agent's own word."""
        return str(self.made.status()["printer_status"])

    def reach(self, state: str) -> None:
        """Bring the printer into the state, from whichever it is in."""
        if state == "printing" and self.state() == "paused":
            assert self.made.do("resume")["data"]["state"] == "completed"
        elif state in ("printing", "paused") and self.state() == "printing":
            pass
        elif state != self.state() or state == "idle":
            self._rest()
        getattr(self, f"_{state}", lambda: None)()

    def _rest(self) -> None:
        """Ready, with nothing running, cold."""
        made = self.made
        if self.state() == "error":
            assert made.do("reset")["data"]["state"] == "completed"
        elif self.state() in ("printing", "paused", "busy"):
            made.do("cancel")
        made.until("ready", lambda: self.state() == "ready")
        if any(heater["target"] for heater in made.status()["data"]["temperatures"].values()):
            made.do("cool")

    def _homed(self) -> None:
        assert self.made.do("home")["data"]["state"] == "completed"

    def _hot(self) -> None:
        made = self.made
        assert made.ended(made.submit(self._files["hot"])["task_id"])["job_status"] == "completed"
        made.until("hot", lambda: made.status()["data"]["temperatures"]["tool0"]["target"] == 60)

    def _calibrating(self) -> None:
        self.made.command("calibrate")
        self.made.until("it calibrates", lambda: self.state() == "busy")

    def _printing(self) -> None:
        made = self.made
        if self.state() != "printing":
            self._job = str(made.submit(self._files["long"])["job_id"])
            made.until("it prints", lambda: made.status()["data"].get("line", 0) > 2 and self.state() == "printing")

    def _paused(self) -> None:
        if self.state() != "paused":
            self._printing()
            assert self.made.do("pause", job_id=self._job)["data"]["state"] == "completed"

    def _halted(self) -> None:
        ask(self.made.socket, HaltRequest())
        self.made.until("halted", lambda: self.state() == "error")


@contextmanager
def bench(folder: Path, *, dialect: str, probe: int = 0, more: str = "", speed: str = "100") -> Iterator[Bench]:
    """A printer, its agent and its cloud, with the real Faye server in front of it."""
    port = free_port()
    with ExitStack() as stack:
        servers: list[RealFayeServer] = []

        def front(url: str) -> str:
            servers.append(stack.enter_context(RealFayeServer(timeout=5.0, proxy=url, port=port)))
            return f"http://127.0.0.1:{port}"

        broker = ("--publish-to", f"http://127.0.0.1:{port}/faye")
        made = stack.enter_context(
            agent_rig(folder, speed=speed, dialect=dialect, probe=probe, front=front, sandbox=broker, more=more)
        )
        assert servers[0].wait_for("subscribe", channel=f"/printers/{made.printer_id}/command")
        yield Bench(made, servers[0])


class Benches:
    """Benches of printers that can all of it (a Klipper with a probe), one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._now: Bench | None = None
        self._count = 0

    def now(self) -> Bench:
        """The present one."""
        if self._now is not None and self._now.sent() >= COMMANDS_OF_ONE:
            self.close()
        if self._now is None:
            self._count += 1
            folder = self._folder / str(self._count)
            folder.mkdir()
            self._now = self._stack.enter_context(bench(folder, dialect="klipper", probe=24))
        return self._now

    def close(self) -> None:
        """End the present one."""
        self._now = None
        self._stack.close()


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Benches]:
    """The printers of all rows."""
    made = Benches(tmp_path_factory.mktemp("able"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def able(benches: Benches) -> Bench:
    """A printer that can all of it."""
    return benches.now()


@pytest.fixture(scope="module")
def unable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A printer that can little of it: a Marlin without a probe, with an owner's scripts that do not fit it."""
    scripts = '[scripts]\nhome = ["G28", "M9999"]\npark = "off"\n'
    with bench(tmp_path_factory.mktemp("unable"), dialect="marlin", more=scripts) as made:
        yield made


def order(row: Row) -> int:
    return STATES.index(row.state)


RANKED: tuple[Row, ...] = tuple(sorted(ROWS, key=order))


@pytest.mark.parametrize("row", RANKED, ids=str)
def test_a_command_ends_as_the_table_says(able: Bench, row: Row) -> None:
    able.put(row)


def test_the_table_has_at_least_eight_rows_for_each_command() -> None:
    own = ("pause", "resume", "cancel", "reset", *SCRIPTS, *UPLOADS, "dismiss")
    assert {name: count for name in own if (count := sum(row.command == name for row in ROWS)) < 8} == {}
    assert sum(404 in row.codes for row in ROWS) >= 8


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("home", 500, "M9999: the printer does not know this command"),
        ("park", 501, "park: switched off ([scripts] park)"),
        ("calibrate", 500, "G29 V1: the printer does not know this command"),
        ("reset", 500, "reset: nothing was reset: the port has no reset line, and Marlin 2.1.2"),
    ],
)
def test_what_the_printer_cannot_do_fails_with_the_reason(unable: Bench, command: str, code: int, says: str) -> None:
    body = unable.put(Row(command, "idle", (code,), says))
    assert body["error_message"].startswith(says)


def test_the_progress_of_a_calibration_is_told_with_what_the_firmware_says(tmp_path: Path) -> None:
    with bench(tmp_path, dialect="marlin", probe=20, speed="20") as slow:
        task_id = slow.made.command("calibrate")
        slow.made.ended(task_id)
        reports = slow.made.reports(task_id)
    told = [report["data"]["message"] for report in reports if "message" in report["data"]]
    assert any(text.startswith("line 2 of 2: Probing mesh point ") for text in told), told
    assert any(0.5 < report["progress"] < 1 for report in reports), reports


def test_a_canceled_script_says_its_name_and_that_it_was_canceled(able: Bench) -> None:
    able.reach("idle")
    task_id = able.made.command("calibrate")
    able.made.until("it calibrates", lambda: able.state() == "busy")
    assert able.made.do("cancel")["data"]["message"] == "calibrate: canceled"
    body = able.made.ended(task_id)
    assert (body["error_code"], body["error_message"]) == (409, "calibrate: canceled")


def test_a_dismissed_job_leaves_the_heartbeat(able: Bench) -> None:
    able.reach("hot")
    assert able.made.status()["job_id"] == able.made.job_id
    able.put(Row("dismiss", "hot"))
    able.made.until("it has left", lambda: "job_id" not in able.made.status())


def test_the_archive_of_logs_has_all_its_texts_and_no_token(able: Bench) -> None:
    body = able.put(Row("logs", "idle"))
    with tarfile.open(fileobj=io.BytesIO(able.made.download(body["data"]["url"]))) as archive:
        files: dict[str, Callable[[], bytes]] = {
            entry.name.removeprefix("printer-agent-logs/"): file.read
            for entry in archive
            if (file := archive.extractfile(entry)) is not None
        }
        texts = {name: read().decode() for name, read in files.items()}
    assert {"versions.json", "printer.json", "configuration.json", "tasks.jsonl", "log/run.log"} <= set(texts)
    assert any(json.loads(line).get("command") == "logs" for line in texts["log/run.log"].splitlines())
    answers = json.loads(texts["printer.json"])["answers"]
    assert any("FIRMWARE_NAME:Klipper" in text for text in answers["M115"])
    assert any("M503" in text for text in answers["M503"])  # which it does not know
    identity = json.loads((able.made.folder / "state" / "identity.json").read_text())[0]
    assert len(identity["auth_token"]) == 43
    assert not any(identity["auth_token"] in text for text in texts.values())


def test_scripts_and_dismiss_at_the_printer_say_how_far_they_are(able: Bench) -> None:
    able.reach("idle")
    done = able.made.cli("calibrate")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "calibrate: done"), done.stderr
    assert any(line.startswith("calibrate: line 2 of 2: probe at ") for line in done.stdout.splitlines()), done.stdout
    for word in ("home", "park", "dismiss"):
        done = able.made.cli(word)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{word}: done"), done.stderr
