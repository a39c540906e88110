"""Catch-up at a server that refuses `GET printers/jobs`: the printer stays who it is, and the server its peace."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.task import TaskState
from agent.server import retry
from agent.server.catch_up import MAX_REFUSALS, CatchUp
from agent.service.config import CloudSection
from agent.service.health import Pulse
from agent.state.store import Identity
from agent.testing import FakeClock
from tests.rigs.server_rig import PATIENCE, TOKEN, Reply, ScriptedServer, answer, scripted
from tests.support.cloud_side import make_client, make_inbox, make_registrar
from tests.support.store import open_store

JOBS, CODE = "/v1/print/printers/jobs", "/v1/print/printers/registration_code"


class Rig:
    """A catch-up whose loop runs until `end`."""

    def __init__(self, server: ScriptedServer, path: Path) -> None:
        self.server = server
        self.lost: list[bool] = []
        self.missed: list[str] = []
        self.store = open_store(path, FakeClock())
        self.store.identities.save(Identity(server.url, 7, TOKEN, registered=True))
        self.api = make_client(CloudSection(server=server.url, read_timeout_s=5.0), FakeClock())
        self.registrar = make_registrar(
            server.url, self.store, on_token_lost=lambda: self.lost.append(True), clock=FakeClock()
        )
        self.catch_up = CatchUp(self.api, self.registrar, make_inbox(self.store), Pulse("catch-up", FakeClock()))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.catch_up.run, args=(self._stop,), name="catch-up")
        self._thread.start()

    def end(self) -> None:
        """No more fetches. Idempotent."""
        if self._stop.is_set():
            return
        self._stop.set()
        self.catch_up.request()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.missed = [task.command.task_id for state in TaskState for task in self.store.tasks.in_state(state)]
        self.api.close()
        self.store.close()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(retry.ServerWait, "__call__", lambda self, state: 0.001)
    with scripted() as server:
        server.script(CODE, answer({"printer_id": 7, "registered": True}))
        made = Rig(server, tmp_path / "agent.db")
        yield made
        made.end()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_while_the_token_holds_is_given_up_until_the_next_session(rig: Rig, status: int) -> None:
    rig.server.script(JOBS, Reply(status))
    rig.catch_up.request()
    rig.server.until(MAX_REFUSALS, JOBS)
    rig.server.script(JOBS, answer([]))
    rig.catch_up.request()
    rig.server.until(MAX_REFUSALS + 1, JOBS)
    assert len(rig.server.asked(JOBS)) == MAX_REFUSALS + 1
    assert len(rig.server.asked(CODE)) == 1, "the token is asked about once a minute"
    assert rig.lost == []


def test_a_stray_refusal_is_tried_again(rig: Rig) -> None:
    rig.server.script(JOBS, Reply(403), answer([{"command": "home", "task_id": "t1"}]))
    rig.catch_up.request()
    rig.server.until(2, JOBS)
    rig.end()
    assert rig.lost == []
    assert rig.missed == ["t1"]


def test_a_dead_token_ends_the_catch_up(rig: Rig) -> None:
    rig.server.script(JOBS, Reply(401))
    rig.server.script(CODE, Reply(401))
    rig.catch_up.request()
    rig.server.until(1, CODE)
    rig.end()
    assert rig.lost == [True]
    assert len(rig.server.asked(JOBS)) == 1
