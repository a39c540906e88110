"""A print that is under way ends as it should whatever befalls the channel, and the channel works again afterwards.

The agent reaches everything, Faye and the API, through a TCP proxy and the real Faye server (npm `faye`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.faye_support import RealFayeServer, TcpProxy
from tests.rigs.agent_rig import AgentRig, agent_rig
from tests.support.ports import free_port
from tests.support.prints import check_record

TIMEOUT = 0.5
"""Seconds that the server holds a connect; what is silent for ten more is dead to the client."""
AGAIN = '"event":"command channel connected"'
SECONDS = 2.0
"""How long the print takes."""


class Bench:
    """The rig, and what stands between the agent and its cloud."""

    def __init__(self, made: AgentRig, server: RealFayeServer, proxy: TcpProxy, files: Path) -> None:
        self.rig = made
        self.server = server
        self.proxy = proxy
        self.channel = f"/printers/{made.printer_id}/command"
        self._files = files
        self._jobs: list[dict[str, Any]] = []

    def begin(self, seconds: float = SECONDS) -> dict[str, Any]:
        """Submit a print that takes about so long; the job."""
        path = self._files / f"{len(self._jobs)}.gcode"
        moves = [f"G1 X{10 + 15 * (n % 2)} Y{10 + n * 0.01:.2f} F1800" for n in range(int(seconds * 60))]  # 0.5 s each
        path.write_text("\n".join(["G28", *moves, ""]))
        self._jobs.append(self.rig.submit(path))
        return self._jobs[-1]

    def begun(self, seconds: float = SECONDS) -> dict[str, Any]:
        """The same, and wait until the printer is at it."""
        job = self.begin(seconds)
        self.rig.job_is(job["job_id"], "printing")
        return job

    def listened(self) -> int:
        """How often the client has come back."""
        return self.rig.log().count(AGAIN)

    def back(self, since: int) -> None:
        """Wait until it has come back once more."""
        self.rig.until("the client is back", lambda: self.listened() > since)

    def completed(self, *jobs: dict[str, Any]) -> None:
        """Every job ends completed, with one terminal report; then a command comes over the channel."""
        for job in jobs:
            body = self.rig.ended(job["task_id"])
            assert (body["job_status"], body["data"]["state"]) == ("completed", "completed"), body
        assert self.rig.do("home")["data"]["state"] == "completed"
        for job in jobs:
            check_record([report["body"] for report in self.rig.member.reports(job["task_id"])])


@contextmanager
def set_up(folder: Path, prepare: Callable[[TcpProxy], None] = lambda _: None) -> Iterator[Bench]:
    """Everything up, the printer registered. `prepare` has the proxy before the agent does."""
    server = RealFayeServer(timeout=TIMEOUT, port=free_port())
    with TcpProxy() as proxy:
        prepare(proxy)

        def front(url: str) -> str:
            server.proxy = url
            server.start()
            proxy.target = ("127.0.0.1", server.port)
            return proxy.url

        try:
            with agent_rig(folder, speed="30", front=front, sandbox=("--publish-to", server.url)) as made:
                yield Bench(made, server, proxy, folder)
        finally:
            server.stop()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One set-up for the faults that leave it whole."""
    with set_up(tmp_path_factory.mktemp("faults")) as made:
        yield made


def test_a_killed_and_restarted_server(bench: Bench) -> None:
    """A job that was submitted while it was down is found afterwards."""
    job, before = bench.begun(), bench.listened()
    bench.server.kill()
    bench.rig.until("the agent has noticed", lambda: not bench.rig.status()["listening"])
    bench.server.start()
    bench.back(before)
    bench.completed(job)


def test_all_clients_forgotten(bench: Bench) -> None:
    """«401 Unknown client» while printing."""
    job, before = bench.begun(), bench.listened()
    bench.server.destroy_clients()
    bench.back(before)
    bench.completed(job)


def test_a_server_that_stands_still(bench: Bench) -> None:
    """SIGSTOP: its sockets are open, and nothing comes. The print ends meanwhile, the reports follow."""
    job, before, asked = bench.begun(), bench.listened(), bench.proxy.count("POST /faye")
    bench.server.pause()
    try:
        bench.rig.until("the client gives the connection up", lambda: "/meta/connect in time" in bench.rig.log())
        bench.rig.until("and asks anew", lambda: bench.proxy.count("POST /faye") > asked)
    finally:
        bench.server.resume()
    bench.back(before)
    bench.completed(job)


def test_half_open_connections(bench: Bench) -> None:
    """What was connected is swallowed, in both directions; TCP does not tell."""
    job, before, told = bench.begun(), bench.listened(), bench.rig.log().count("/meta/connect in time")
    assert bench.proxy.swallow("/faye") >= 1
    bench.back(before)
    assert bench.rig.log().count("/meta/connect in time") == told + 1
    bench.completed(job)


def test_replies_cut_in_the_middle(bench: Bench) -> None:
    """Of Faye and of the API, several in a row."""
    job, before = bench.begun(), bench.listened()
    bench.proxy.cut("/v1/print/printers/command", 2)
    bench.proxy.cut("/faye", 2)
    bench.rig.until("two replies were cut", lambda: not bench.proxy.cuts_left("/faye"))
    bench.back(before)
    bench.completed(job)


def test_a_server_that_is_not_available_for_a_while(bench: Bench) -> None:
    """503 to everything, Faye and the API, for two tries at least."""
    job, before, asked = bench.begun(), bench.listened(), bench.proxy.count("POST /faye")
    bench.proxy.answer("/", 503)
    try:
        bench.rig.until("two tries", lambda: bench.proxy.count("POST /faye") >= asked + 2)
    finally:
        bench.proxy.answer("/", 0)
    bench.back(before)
    bench.completed(job)


def test_hostile_events_on_the_printers_channel(bench: Bench) -> None:
    """Whoever may publish there may write what he likes; the session and the print go on."""
    job, before = bench.begun(), bench.listened()
    deep: object = "x"
    for _ in range(500):
        deep = [deep]
    unknown = str(uuid.uuid4())
    raws: list[dict[str, object]] = [
        {"advice": {"reconnect": "none"}},
        {"advice": {"reconnect": "handshake", "interval": -1, "timeout": 2**60}},
        {"successful": False, "error": "401:x:Unknown client", "ext": {"authentication_token": "x"}},
        {"successful": True, "clientId": "x", "subscription": bench.channel},
    ]
    raws += [{"id": str(n)} for n in range(1, 40)]  # those of our own messages are among them
    datas: list[object] = [
        {"command": "cancel", "task_id": str(uuid.uuid4()), "job_id": "another"},
        {"command": "self_destruct", "task_id": unknown},
        {"command": "home", "task_id": 2**60},
        {"command": ["home"], "task_id": str(uuid.uuid4())},
        {"command": "home"},
        {"command": "home", "task_id": "../../../etc/passwd\n"},
        {"command": "\ud800", "task_id": str(uuid.uuid4()), "settings": 2**60},
        {"command": "print_data", "task_id": str(uuid.uuid4()), "file_url": "file:///etc/passwd"},
        {"command": "junk", "task_id": str(uuid.uuid4()), "more": "abcdefghij" * 500_000},
        deep,
        "{",
        "",
        None,
        [],
        2**60,
    ]
    for raw in raws:
        bench.server.publish(bench.channel, {"command": "home"}, raw)
    for data in datas:
        bench.server.publish(bench.channel, data)
    bench.rig.until("the unknown command is looked at", lambda: unknown in bench.rig.log())
    bench.completed(job)
    assert bench.listened() == before  # the same session all the time


def test_a_job_that_was_submitted_while_the_server_was_down_is_found(bench: Bench) -> None:
    """The channel brings nothing that was published before; `GET printers/jobs` does."""
    before, found = bench.listened(), bench.rig.log().count('"jobs":1')
    bench.server.kill()
    job = bench.begin(0.5)
    bench.server.start()
    bench.back(before)
    bench.completed(job)
    assert bench.rig.log().count('"jobs":1') == found + 1


def test_a_server_without_the_list_of_jobs_is_asked_once(tmp_path: Path) -> None:
    """404 means that it has no such call; nobody asks again after a new session."""
    with set_up(tmp_path, lambda proxy: proxy.answer("/v1/print/printers/jobs", 404)) as bench:
        bench.server.destroy_clients()
        bench.back(1)
        bench.completed(bench.begun(0.5))
        assert bench.proxy.count("GET /v1/print/printers/jobs") == 1
