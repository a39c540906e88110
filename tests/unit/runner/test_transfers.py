"""`logs`: where they may go, and what of the answer is told."""

from __future__ import annotations

import gzip
import random
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from agent.core.command import Name
from agent.runner.transfers import UPLOAD_MAY_TAKE
from agent.state.store import Store
from tests.rigs.runner_rig import RunnerRig
from tests.rigs.server_rig import Flood, Reply, ScriptedServer, answer, trickling

SECRET = "s3cret-of-the-inside"


def upload(desk: RunnerRig, url: str) -> dict[str, Any]:
    """The terminal report of `logs`."""
    task_id = desk.task(Name.LOGS, url=url)
    desk.runner.step()
    assert desk.woken.wait(20)
    desk.runner.step()
    return desk.end(task_id)


def test_logs_go_to_the_url_and_the_answers_url_comes_back(desk: RunnerRig, server: ScriptedServer) -> None:
    server.script("/l?sig=1", answer({"url": f"{server.url}/kept/1"}))
    end = upload(desk, f"{server.url}/l?sig=1")
    assert end["data"]["url"] == f"{server.url}/kept/1"
    (asked,) = server.asked()
    assert (asked.method, asked.headers["Content-Type"]) == ("PUT", "application/gzip")
    assert gzip.decompress(asked.body) == b"a line of the log\n"
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
def test_what_is_no_url_in_the_answer_is_not_told(desk: RunnerRig, server: ScriptedServer, told: object) -> None:
    server.usual = answer({"url": told})
    end = upload(desk, f"{server.url}/l?sig=1")
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
def test_a_failure_tells_the_status_alone(desk: RunnerRig, server: ScriptedServer, reply: Reply) -> None:
    server.usual = reply
    end = upload(desk, f"{server.url}/l?{SECRET}")
    assert end["error_code"] == 500
    assert SECRET not in str(end)
    assert len(server.asked()) == 1


def test_the_body_of_a_redirect_is_not_read(desk: RunnerRig) -> None:
    flood = Flood(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536)
    try:
        assert "answered 302" in upload(desk, f"{flood.url}/l")["error_message"]
    finally:
        flood.close()
    assert flood.sent < 16 << 20


def test_a_netrc_of_this_machine_is_not_sent(
    desk: RunnerRig, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password pa55\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    upload(desk, f"{server.url}/l")
    assert "Authorization" not in server.asked()[0].headers


def test_the_password_in_the_url_is_used_and_not_told(desk: RunnerRig, server: ScriptedServer) -> None:
    end = upload(desk, server.url.replace("//", f"//me:{SECRET}@") + "/l")
    assert end["data"]["url"] == f"{server.url}/l"
    assert server.asked()[0].headers["Authorization"].startswith("Basic ")
    assert SECRET not in str(end)


@pytest.mark.parametrize("url", ["http://logs.example/x", "http://8.8.8.8/x"])
def test_logs_do_not_go_over_plain_http(desk: RunnerRig, url: str) -> None:
    assert "plain http is not allowed" in upload(desk, url)["error_message"]


@pytest.mark.parametrize("allow", [True, False])
def test_an_address_inside_is_only_used_when_the_owner_says_so(
    tmp_path: Path, store: Store, server: ScriptedServer, allow: bool
) -> None:
    """The configured server is not on loopback here."""
    more = ['cloud.allow_addresses=["127.0.0.0/8"]'] if allow else []
    desk = RunnerRig(tmp_path, store, "cloud.server=https://203.0.113.1", *more)
    end = upload(desk, f"{server.url}/l")
    assert len(server.asked()) == allow
    assert ("error_code" not in end) is allow
    assert allow or "not public" in end["error_message"]


def test_a_dripping_server_does_not_hold_the_thread(desk: RunnerRig) -> None:
    with trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x") as url:
        task_id = desk.task(Name.LOGS, url=f"{url}/l")
        desk.runner.step()
        for _ in range(40):
            if desk.woken.wait(0.1):
                break
            desk.clock.advance(UPLOAD_MAY_TAKE / 10)
        desk.runner.step()
        assert "did not answer" in desk.end(task_id)["error_message"]


def test_a_server_that_takes_the_logs_slowly_does_not_hold_the_thread(desk: RunnerRig) -> None:
    desk.logs = random.Random(1).randbytes(24 << 20)  # more than the sockets between them take
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take_slowly() -> None:
            client, _ = server.accept()
            with client:
                while not end.wait(0.05) and client.recv(32768):
                    pass

        taker = threading.Thread(target=take_slowly, name="slow-taker")
        taker.start()
        task_id = desk.task(Name.LOGS, url=f"http://127.0.0.1:{server.getsockname()[1]}/l")
        desk.runner.step()
        for _ in range(60):
            if desk.woken.wait(0.2):
                break
            desk.clock.advance(UPLOAD_MAY_TAKE / 10)
        end.set()
        taker.join(5)
    desk.runner.step()
    assert "the logs were not taken within 300 s" in desk.end(task_id)["error_message"]


def test_an_endless_answer_to_an_upload_is_not_read(desk: RunnerRig) -> None:
    flood = Flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
    try:
        assert upload(desk, f"{flood.url}/l")["data"]["url"] == f"{flood.url}/l"
    finally:
        flood.close()
    assert flood.sent < 16 << 20
