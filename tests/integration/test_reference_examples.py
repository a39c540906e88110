"""The examples of the API's public reference, replayed byte for byte: as the server receives and gives them, and as the
printer's and the member's side send and read them (docs/protocol.md «Reports on a command», «The member's side»)."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.core.command import Command, Name, parse
from agent.sandbox.records_file import RecordsFile
from tests.rigs.cloud_rig import LIMIT_S, RunningCloud
from tests.rigs.server_rig import Reply, ReporterRig, ScriptedServer, scripted

DATA = Path(__file__).parents[1] / "data" / "reference"
REPORT = (DATA / "report.json").read_bytes()
PRINTERS = (DATA / "printers.json").read_bytes()

PRINTER_TOKEN = "_LyEDQH3npJG6FwqTAoG4EIQYfunFkI3fuJ_PZB3PC0"
TASK = "6ace3ef1-2fa0-4231-8288-0c64d7481e08"
MEMBER, MEMBER_TOKEN = "FPEJMQHAG3NXE", "tjTVHUJYG2F66EkYZaql2mpjhOzV"
TYPE = "7FAF097F-DB2E-45DC-9395-A30210E789AA"


def compact(text: bytes) -> bytes:
    """Without the blanks between the values: the rest byte for byte, the keys in their order."""
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()


def when(day: int) -> float:
    return datetime(2015, 3, day, 12, 22, 54, tzinfo=UTC).timestamp()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[RunningCloud]:
    """The local cloud with the member, the printers and the task of the examples in its records."""
    records = RecordsFile(tmp_path)
    printer = (
        "INSERT INTO printers (printer_id, token_hash, firmware, type_id, serial_number)"
        " VALUES (?, ?, '1.1.1.1', ?, '')"
    )
    owner = (
        "INSERT INTO owners (printer_id, member_id, name, registered_at, is_primary, is_printer_scoped, is_job_scoped)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
    )
    token = hashlib.sha256(PRINTER_TOKEN.encode()).hexdigest()
    records.change(
        ("INSERT INTO members VALUES (?, ?)", (MEMBER, MEMBER_TOKEN)),
        ("INSERT INTO members VALUES (?, ?)", ("FRIEND", "of-a-friend")),
        (printer, (1469, token, TYPE)),
        (printer, (1500, "other", TYPE)),
        (owner, (1469, MEMBER, "my new printer", when(27), True, True, True)),
        (owner, (1500, "FRIEND", "mine", when(1), True, True, True)),
        (owner, (1500, MEMBER, "my friend's printer", when(31), False, False, True)),
        ("INSERT INTO tasks VALUES (?, 1469, ?)", (TASK, b'{"command":"fly"}')),
    )
    records.close()
    with RunningCloud(tmp_path) as made:
        yield made


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted() as made:
        yield made


def ask(cloud: RunningCloud, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes]:
    """One request with these headers and this body; status and body of the answer."""
    connection = http.client.HTTPConnection(cloud.url.removeprefix("http://"), timeout=LIMIT_S)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_local_cloud_takes_the_report_of_the_page(cloud: RunningCloud) -> None:
    headers = {"Content-Type": "application/json", "X-Printer-Auth-Token": PRINTER_TOKEN}
    path = f"/v1/print/printers/command/{TASK}"
    assert ask(cloud, "POST", path, headers, REPORT) == (204, b"")
    (stored,) = cloud.seen("report")
    assert stored["body"] == json.loads(REPORT)
    status, last = ask(cloud, "GET", path, {"Authorization": f"Bearer {MEMBER_TOKEN}"})
    assert status == 200
    told = json.loads(last)
    assert {key: told[key] for key in json.loads(REPORT)} == json.loads(REPORT)


@pytest.mark.parametrize(
    ("path", "token", "body", "status"),
    [
        (TASK, PRINTER_TOKEN, REPORT[:-1], 400),
        (TASK, PRINTER_TOKEN[:-1] + "1", REPORT, 401),
        (TASK, "", REPORT, 401),
        ("00000000-2fa0-4231-8288-0c64d7481e08", PRINTER_TOKEN, REPORT, 404),
        (TASK, PRINTER_TOKEN, REPORT.replace(b'"progress": 0.5', b'"progress": 5'), 422),
        (TASK, PRINTER_TOKEN, REPORT.replace(b"lorem ipsum", b"l" * 5000), 422),
    ],
)
def test_the_local_cloud_answers_as_the_page_says(
    cloud: RunningCloud, path: str, token: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": "application/json", **({"X-Printer-Auth-Token": token} if token else {})}
    found, answer = ask(cloud, "POST", f"/v1/print/printers/command/{path}", headers, body)
    assert found == status
    assert json.loads(answer)["error"]["message"]


def test_the_printer_s_side_sends_the_report_of_the_page_and_takes_its_answer(
    server: ScriptedServer, tmp_path: Path
) -> None:
    path = f"/v1/print/printers/command/{TASK}"
    server.script(path, Reply(204))
    rig = ReporterRig(server, tmp_path / "agent.db")
    rig.know(PRINTER_TOKEN)
    rig.store.tasks.accept(Command(TASK, Name.PAUSE, "pause"), REPORT)
    rig.reporter.step()
    (asked,) = server.asked(path)
    assert (asked.method, asked.body) == ("POST", REPORT)
    assert asked.headers["X-Printer-Auth-Token"] == PRINTER_TOKEN
    assert asked.headers["Content-Type"] == "application/json"
    assert rig.store.outbox.pending_count() == 0
    rig.cloud.close()
    rig.store.close()


def test_the_local_cloud_gives_the_printers_of_the_page(cloud: RunningCloud) -> None:
    headers = {"Authorization": f"Bearer {MEMBER_TOKEN}"}
    assert ask(cloud, "GET", "/v1/print/printers?limit=10", headers) == (200, compact(PRINTERS))


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        ("printers?limit=ten", MEMBER_TOKEN, 400),
        ("printers?limit=10", "another", 401),
        ("printer?limit=10", MEMBER_TOKEN, 404),
        ("printers?limit=0", MEMBER_TOKEN, 422),
    ],
)
def test_the_local_cloud_refuses_as_the_page_says(cloud: RunningCloud, path: str, token: str, status: int) -> None:
    found, answer = ask(cloud, "GET", f"/v1/print/{path}", {"Authorization": f"Bearer {token}"})
    assert found == status
    assert json.loads(answer)["error"]["message"]


def test_the_member_s_side_asks_for_the_printers_and_reads_the_page(server: ScriptedServer) -> None:
    path = "/ps/v1/print/printers?limit=10&offset=0"  # what the page's `_link` has for its request
    server.script(path, Reply(200, PRINTERS))
    options = [f"member.server={server.url}", "member.api_base=/ps/v1", f"cloud.server={server.url}"]
    words = [word for option in options for word in ("--set", option)]
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli", "printers", "--json", "--limit", "10", *words],
        env={"PRINTER_AGENT_MEMBER_TOKEN": MEMBER_TOKEN},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert compact(done.stdout) == compact(PRINTERS)
    (asked,) = server.asked()
    assert (asked.method, asked.path) == ("GET", path)
    assert asked.headers["Authorization"] == f"Bearer {MEMBER_TOKEN}"


@pytest.mark.parametrize("job_id", [json.loads(REPORT)["job_id"], json.loads(REPORT)["data"]["job_id"]])
def test_both_job_ids_of_the_page_can_be_commanded(job_id: object) -> None:
    """The reference documents a UUID, and sends `121333sdsd` and the number 123."""
    found = parse({"command": "pause", "task_id": TASK, "job_id": job_id})
    assert isinstance(found, Command)
    assert found.job_id == str(job_id)
