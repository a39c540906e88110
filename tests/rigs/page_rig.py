"""A served status page and a client for it.

Real: the page's HTTP server and its thread on the loopback, the API behind it, the store with its database file, the
registrar, the clock. Not real: the driver, which is one telemetry for ever.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from agent.core.command import Command, Name
from agent.core.driver import Driver, Heater, Link, PrinterState, Telemetry
from agent.core.job import JobState, JobView
from agent.local.api import LocalApi
from agent.local.status_page import StatusPage
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import Config, PrinterSection
from agent.service.health import Pulse
from agent.service.snapshot import AgentSnapshot
from agent.service.system_clock import SystemClock
from agent.state.store import Identity, Store
from tests.support.cloud_side import make_inbox, make_registrar
from tests.support.store import open_store

SERVER = "https://print.example.com"
CODE, TOKEN = "K7QX-92MD", "t" * 43
NASTY = '<b onclick="x()">vase</b> & "co".gcode'
TELEMETRY = Telemetry(
    state=PrinterState.PRINTING,
    port="/dev/ttyUSB0",
    firmware="Marlin 2.1.2",
    machine="Test <3D>",
    display="Wipe <i>nozzle</i>",
    heaters=(Heater("tool0", 204.96, 210.0), Heater("bed", 60.0)),
    link=Link(lines=1234, resends=5),
)
JOB = JobView("j-1", "t-1", JobState.PRINTING, NASTY, 0.425, 4250, 10000, 17, 40, 4980)


class StillDriver:
    """A driver of which only the telemetry is looked at."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def telemetry(self) -> Telemetry:
        return self._telemetry


class CountingPulse(Pulse):
    """A pulse of which a test can wait for the next beats."""

    def __init__(self) -> None:
        super().__init__("page", SystemClock())
        self._beats = threading.Semaphore(0)

    def beat(self, allow: float = 0.0) -> None:
        super().beat()
        self._beats.release()

    def wait(self, beats: int) -> bool:
        while self._beats.acquire(blocking=False):
            pass
        return all(self._beats.acquire(timeout=10) for _ in range(beats))


class PageRig:
    """A served page."""

    def __init__(
        self,
        status: Callable[[], dict[str, Any]],
        address: str = "127.0.0.1:0",
        deadline: float = 5,
        hosts: tuple[str, ...] = (),
    ) -> None:
        self.pulse = CountingPulse()
        self.page = StatusPage(address, status, self.pulse, deadline, hosts=hosts)
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self.page.run, args=(self.stop,), name="page")

    def __enter__(self) -> PageRig:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        with suppress(ConnectionError):  # it may have looked already
            self.connect().close()  # it looks at `stop` after each client
        self._thread.join(15)
        assert not self._thread.is_alive()

    def ask(self, path: str, method: str = "GET") -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection(self.page.address, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        host, _, port = self.page.address.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=10)

    def say(self, request: bytes) -> bytes:
        """The bytes of the answer to some bytes."""
        with self.connect() as client:
            client.sendall(request)
            return b"".join(iter(lambda: client.recv(65536), b""))


def local_api(folder: Path, telemetry: Telemetry, job: JobView | None = None) -> tuple[LocalApi, Store]:
    """What serves `status` in the agent, with a printer that waits to be added at the cloud."""
    store = open_store(folder / "agent.db", SystemClock())
    url = f"{SERVER}/add?code={CODE}"
    store.identities.save(Identity(SERVER, 77, TOKEN, registration_code=CODE, registration_url=url))
    store.tasks.accept(Command(task_id="t-1", name=Name.PAUSE, raw_name="pause"), b"{}")
    snapshot = AgentSnapshot(cast("Driver", StillDriver(telemetry)))
    snapshot.publish(job, "")
    printer = PrinterSection(name="Left & <right>")
    api = LocalApi(
        config=Config(printer=printer),
        jobs=folder,
        store=store,
        inbox=make_inbox(store),
        snapshot=snapshot,
        registrar=make_registrar(SERVER, store, printer=printer),
        conditions=ConditionTracker(),
        listening=lambda: True,
        wake_reporter=lambda: None,
        wake_runner=lambda: None,
        emergency_stop=None,
    )
    return api, store


@contextmanager
def a_print(folder: Path) -> Iterator[PageRig]:
    """The page of a printer that prints."""
    api, store = local_api(folder, TELEMETRY, JOB)
    with PageRig(api.status) as running:
        yield running
    store.close()


@contextmanager
def no_printer(folder: Path) -> Iterator[PageRig]:
    """The page of a printer that is not there."""
    api, store = local_api(folder, Telemetry(state=PrinterState.OFFLINE, reason="no port <found>"))
    with PageRig(api.status) as running:
        yield running
    store.close()
