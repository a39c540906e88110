"""A copied card at the real local cloud: the copy, on another board, is another printer before it hears a command.

Real: the local cloud, the registrar, the subscriber and its Faye client, the store and the copy of its folder. Not
real: the boards' identifiers.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.core.task import TaskState
from agent.server.catch_up import CatchUp
from agent.server.registration import Registrar
from agent.server.subscriber import Subscriber
from agent.service.board_id import BoardId
from agent.service.config import CloudSection, Config
from agent.service.health import Pulse
from agent.service.system_clock import SystemClock
from agent.state.store import Store
from tests.rigs.cloud_rig import RunningCloud
from tests.support.cloud_side import ignore, make_client, make_http, make_inbox, make_registrar
from tests.support.store import open_store

PATIENCE = 10.0
OWN, OTHER = {"cpuinfo": "aaaa", "machine-id": "cccc"}, {"cpuinfo": "bbbb", "machine-id": "cccc"}


class Board:
    """The agent's side towards the cloud, on one board with one card."""

    def __init__(self, cloud: RunningCloud, card: Path, board: BoardId) -> None:
        clock = SystemClock()
        section = CloudSection(server=cloud.url)
        self.store: Store = open_store(card / "agent.db", clock)
        self.registrar: Registrar = make_registrar(cloud.url, self.store, board=board)
        self._api = make_client(section, clock)
        inbox = make_inbox(self.store)
        self.subscriber = Subscriber(
            config=Config(cloud=section),
            http=make_http(section, clock),
            api=self._api,
            registrar=self.registrar,
            inbox=inbox,
            catch_up=CatchUp(self._api, self.registrar, inbox, Pulse("catch-up", clock)),
            on_member_added=ignore,
            clock=clock,
            pulse=Pulse("subscriber", clock),
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.subscriber.run, args=(self._stop,), name="subscriber")
        self._thread.start()

    def heard(self) -> list[str]:
        """The task_ids in the ledger."""
        return [task.command.task_id for task in self.store.tasks.in_state(TaskState.RECEIVED)]

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self.subscriber.interrupt()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._api.close()
        self.store.close()


@contextmanager
def running(cloud: RunningCloud, card: Path, board: BoardId) -> Iterator[Board]:
    """A board that listens."""
    made = Board(cloud, card, board)
    try:
        until(lambda: made.subscriber.listening)
        yield made
    finally:
        made.close()


def until(holds: object) -> None:
    """Wait until `holds()`."""
    end = time.monotonic() + PATIENCE
    while not (callable(holds) and holds()):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_copy_hears_no_command_of_the_original(tmp_path: Path) -> None:
    card, copy = tmp_path / "card", tmp_path / "copy"
    with RunningCloud(tmp_path / "cloud") as cloud:
        with running(cloud, card, OWN) as original:
            first = original.registrar.identity()
            assert first is not None
            cloud.member.register("mine", first.registration_code)
            until(lambda: (original.registrar.identity() or first).registered)
        shutil.copytree(card, copy)
        with running(cloud, card, OWN) as original, running(cloud, copy, OTHER) as clone:
            assert (original.registrar.identity() or first).auth_token == first.auth_token, "left alone"
            second = clone.registrar.identity()
            assert second is not None
            assert second.printer_id != first.printer_id
            assert second.replaces.startswith(f"printer {first.printer_id}: ")
            cloud.member.register("the copy", second.registration_code)
            task = cloud.member.command(first.printer_id, "home")
            other = cloud.member.command(second.printer_id, "home")
            until(lambda: original.heard() == [task])
            until(lambda: clone.heard() == [other])
