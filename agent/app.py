"""The composition root: the only file that names concrete classes. Threads, signals, shutdown.

main         signals, health, watchdog            subscriber   Faye -> inbox
runner       tasks -> driver                      catch-up     GET printers/jobs after a gap
link         the serial port (the driver's own)   reporter     outbox -> REST, heartbeat
local        the socket, with local-0 … local-3   fetch, logs  short-lived, owned by the runner
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, MutableMapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import structlog

import drivers
from agent import __version__
from agent.core.conditions import Part
from agent.core.driver import Driver, Host, PortKeeper, SupportsEmergencyStop
from agent.errors import UnavailableError
from agent.local.api import LocalApi
from agent.local.socket_server import LocalServer
from agent.local.status_text import summary
from agent.runner import Runner
from agent.runner.activity import Context
from agent.runner.runner_store import RunnerStore
from agent.server.api_client import ApiClient
from agent.server.catch_up import CatchUp
from agent.server.inbox import Inbox
from agent.server.registration import Registrar
from agent.server.reporter import Reporter
from agent.server.server_clock import ServerClock
from agent.server.subscriber import Subscriber
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import Config, need_server
from agent.service.descriptor_store import port_keeper
from agent.service.health import Health, Pulse, watchdog_interval
from agent.service.logs import Ring, append_black_boxes
from agent.service.paths import socket_path, state_dir
from agent.service.reload import Reload, driver_scripts
from agent.service.snapshot import AgentSnapshot
from agent.service.system_clock import SystemClock, boot_id
from agent.state.store import Store
from drivers.settings import DriverSettings, SimulatedSettings

if TYPE_CHECKING:
    from agent.local.status_page import StatusPage

log = structlog.get_logger(part="agent")

EX_SOFTWARE = 70  # a thread ended that should not have: a defect, and systemd starts a new agent
HELLO = 5.0  # seconds that the first registration waits for the printer to say what it is
THREAD_END = 8.0  # seconds that a thread has to end
SLACK = 10.0  # seconds more that systemd is asked for
OPENING = 300.0  # seconds that opening the state may take: a long check of a large file on a slow card
LAST_WORDS = (1.0, 2.0)  # seconds (connect, read) for the reports that go out while the agent stops
HAND_OVER = 1.5  # seconds for all threads to end when the next agent waits for this one's end
LAST_WORD = (0.5, 0.5)  # as LAST_WORDS, then: what is not sent, the next agent sends

Loop = Callable[[threading.Event], None]


class App:
    """The daemon, wired up. Making it opens the state and the socket; `run` starts the threads."""

    def __init__(
        self,
        config: Config,
        environ: MutableMapping[str, str],
        ring: Ring,
        health: Health | None = None,
        reread: Callable[[], Config] | None = None,
    ) -> None:
        """`reread` gives the configuration as it is in the file now, checked as a whole; it raises AgentError."""
        self._clock = SystemClock()
        self._health = health or Health(self._clock)
        self._health.status("opening the state")
        self._health.extend(OPENING)
        self._stop = threading.Event()
        self._wake = threading.Event()  # the main thread's
        self._hangup = False
        self._failed = threading.Event()
        self._handing_over = threading.Event()
        self._stop_hands_over = config.job.stop_hands_over
        port = port_keeper(environ, os.getpid())
        self._wake_runner = threading.Event()
        self._wake_reporter = threading.Event()
        server = need_server(config)
        folder = state_dir(config, environ)
        boxes = folder / "blackbox"
        self._driver = _driver(config, self._clock, boxes)
        self._watch = ConditionTracker()
        self._server_clock = ServerClock(self._clock)
        self._store = Store(folder / "agent.db", self._clock, boot=boot_id(), on_trouble=self._disk)
        self._jobs = _made(folder / "jobs")
        self._board = AgentSnapshot(self._driver)
        pulses = {name: self._pulse(name) for name in ("reporter", "catch-up", "subscriber")}
        clouds = {
            name: ApiClient(config, self._clock, self._server_clock, pulse.beat) for name, pulse in pulses.items()
        }
        self._clouds = tuple(clouds.values())

        self._registrar = registrar = Registrar(
            server=server,
            printer=config.printer,
            store=self._store,
            firmware=self._firmware(config),
            on_token_lost=self._token_lost,
            clock=self._clock,
            conditions=self._watch,
        )
        inbox = Inbox(self._store, self._wake_both, config.job.max_age_s, self._server_clock.now)
        local_api = self._local_api(config, inbox)
        context = self._context(config, port, lambda: append_black_boxes(ring.text(), boxes))
        self._page = self._status_page(config, local_api)
        self._local = LocalServer(socket_path(config, environ), local_api, self._pulse("local"))
        self._runner = Runner(
            context=context,
            snapshot=self._board,
            wake=self._wake_runner,
            pulse=self._pulse("runner"),
            hand_over=self._handing_over.is_set,
        )
        self._reporter = Reporter(
            store=self._store,
            api=clouds["reporter"],
            registrar=registrar,
            snapshot=self._board,
            conditions=self._watch,
            heartbeat=config.reports.heartbeat_s,
            clock=self._clock,
            wake=self._wake_reporter,
            pulse=pulses["reporter"],
        )
        self._catch_up = CatchUp(clouds["catch-up"], registrar, inbox, pulses["catch-up"])
        self._subscriber = Subscriber(
            config=config,
            api=clouds["subscriber"],
            registrar=registrar,
            inbox=inbox,
            catch_up=self._catch_up,
            on_member_added=self._reporter.request_status,
            clock=self._clock,
            pulse=pulses["subscriber"],
        )
        self._reload = Reload(config, reread or (lambda: config), self._driver, self._runner.configure)

    def _local_api(self, config: Config, inbox: Inbox) -> LocalApi:
        return LocalApi(
            config=config,
            jobs=self._jobs,
            store=self._store,
            inbox=inbox,
            snapshot=self._board,
            registrar=self._registrar,
            conditions=self._watch,
            listening=lambda: self._subscriber.listening,
            wake_reporter=self._wake_reporter.set,
            emergency_stop=self._driver.halt if isinstance(self._driver, SupportsEmergencyStop) else None,
        )

    def _context(self, config: Config, port: PortKeeper, logs: Callable[[], bytes]) -> Context:
        return Context(
            config=config,
            store=RunnerStore(self._store),
            driver=self._driver,
            clock=self._clock,
            jobs=self._jobs,
            logs=logs,
            wake_reporter=self._wake_reporter.set,
            host=Host(
                wake=self._wake_runner.set,
                beat=self._health.pulse("link", waiting=True).beat,
                remember=self._store.checkpoints.remember,
                port=port,
            ),
        )

    def run(self) -> int:
        """Serve until a signal or `stop`. The process's exit code."""
        loops: dict[str, Loop] = {
            "runner": self._runner.run,
            "reporter": self._reporter.run,
            "catch-up": self._catch_up.run,
            "subscriber": self._subscriber.run,
            "local": self._local.run,
        }
        if self._page is not None:
            loops["page"] = self._page.run
        ends = {"reporter": threading.Event()}  # the reporter goes last: it has what the others leave to say
        threads = {
            name: threading.Thread(
                target=self._guard, args=(name, loop, ends.get(name, self._stop)), name=name, daemon=True
            )
            for name, loop in loops.items()
        }
        for thread in threads.values():
            thread.start()
        log.info("started", version=__version__)
        self._health.ready()
        interval = watchdog_interval()
        while not self._stop.is_set():
            self._look_after()
            self._health.tick(self._line())
            self._wake.wait(interval)
            self._wake.clear()
            if self._hangup:
                self._hangup = False
                self._health.reloading()
                self._reload.run()
                self._health.ready()
        self._end(threads, ends["reporter"])
        return EX_SOFTWARE if self._failed.is_set() else 0

    def stop(self) -> None:
        """End `run`; any thread, also a signal handler."""
        self._stop.set()
        self._wake.set()

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT end the agent: the print is cancelled, heaters go off. SIGUSR2 ends the agent alone: the
        print is left to the next one ([job] stop_hands_over: SIGTERM too). SIGHUP reads log level and scripts anew.
        Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._hangup = True
            self._wake.set()
            return
        if number == signal.SIGUSR2 or (number == signal.SIGTERM and self._stop_hands_over):
            self._handing_over.set()
        self.stop()

    def _guard(self, name: str, loop: Loop, end: threading.Event) -> None:
        """A loop that ends with a defect ends the process: an agent with a dead thread must not look alive. The print
        is left to the next one."""
        try:
            loop(end)
        except Exception:
            log.exception("defect", thread=name)
            self._failed.set()
            self._handing_over.set()
            self.stop()

    def _end(self, threads: dict[str, threading.Thread], reporter_end: threading.Event) -> None:
        handing_over = self._handing_over.is_set()
        log.info("handing over" if handing_over else "stopping")
        self._health.stopping()
        for cloud in self._clouds:
            cloud.set_timeouts(LAST_WORD if handing_over else LAST_WORDS)
        self._catch_up.request()
        self._subscriber.interrupt()
        self._local.interrupt()
        self._wake_runner.set()
        deadline = self._clock.monotonic() + HAND_OVER

        def wait_for(thread: threading.Thread) -> None:
            if handing_over:
                thread.join(max(deadline - self._clock.monotonic(), 0.0))
            else:
                self._await(thread)

        for name, thread in threads.items():
            if name != "reporter":
                wait_for(thread)
        reporter_end.set()
        self._wake_reporter.set()
        wait_for(threads["reporter"])
        alive = [name for name, thread in threads.items() if thread.is_alive()]
        if alive:
            log.warning("threads did not end in time", threads=", ".join(alive))
        else:
            self._store.close()
        log.info("stopped")

    def _await(self, thread: threading.Thread) -> None:
        """Give a thread THREAD_END seconds to end, and have systemd give them too."""
        self._health.extend(THREAD_END + SLACK)
        thread.join(timeout=THREAD_END)

    def _status_page(self, config: Config, local_api: LocalApi) -> StatusPage | None:
        if not config.local.status_page:
            return None
        from agent.local.status_page import StatusPage  # noqa: PLC0415 late: http.server costs memory, and there is mostly no page

        return StatusPage(
            config.local.status_page,
            local_api.status,
            self._pulse("page"),
        )

    def _look_after(self) -> None:
        """What nobody else does: the clock, the printer's condition, old rows."""
        self._watch.set(Part.CLOCK, self._server_clock.describe_skew())
        self._watch.update_printer(self._board.read().telemetry)
        try:
            self._store.tidy()
        except UnavailableError as error:
            log.debug("not tidied", reason=str(error))

    def _disk(self, reason: str) -> None:
        self._watch.set(Part.DISK, f"the state folder does not take a write: {reason}" if reason else "")

    def _pulse(self, name: str) -> Pulse:
        return self._health.pulse(name)

    def _wake_both(self) -> None:
        self._wake_reporter.set()
        self._wake_runner.set()

    def _token_lost(self) -> None:
        self._subscriber.interrupt()

    def _line(self) -> str:
        return summary(self._board.read(), self._watch.read())

    def _firmware(self, config: Config) -> Callable[[], str]:
        """What to register as: the configured name, else the printer's own answer, for which a start waits a little."""

        def name() -> str:
            if config.printer.firmware != "auto":
                return config.printer.firmware
            end = self._clock.monotonic() + HELLO
            while self._driver.telemetry().state.absent and self._clock.monotonic() < end:
                if self._stop.wait(0.1):
                    break
            return self._driver.telemetry().firmware or f"printer-agent {__version__}"

        return name


def _made(folder: Path) -> Path:
    """The folder, for its owner alone. Raises UnavailableError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be made: {error.strerror}") from None
    return folder


def _driver(config: Config, clock: SystemClock, boxes: Path) -> Driver:
    settings = DriverSettings(
        build_volume=config.printer.build_volume,
        deadman_s=config.job.deadman_s,
        black_box_dir=str(boxes),
        port=config.serial.port,
        baud=config.serial.baud,
        dialect=config.serial.dialect,
        window=config.serial.window,
        scripts=driver_scripts(config),
        simulated=SimulatedSettings(
            speed=config.simulated.speed, dialect=config.simulated.dialect, faults=config.simulated.faults
        ),
    )
    return drivers.create(config.printer.driver, settings, clock=clock)
