"""The composition root: the only file that names concrete classes. `build_…` wire the parts, `App` runs them.

main         signals, health, watchdog            subscriber   Faye -> inbox
runner       tasks -> driver                      catch-up     GET printers/jobs after a gap
link         the serial port (the driver's own)   reporter     outbox -> REST, heartbeat
local        the socket, with its workers   fetch, logs  short-lived, owned by the runner
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

import drivers
from agent import __version__
from agent.core.clock import Clock
from agent.core.conditions import Part
from agent.core.driver import Driver, Host, PortKeeper, SupportsEmergencyStop
from agent.errors import UnavailableError
from agent.http.http_client import HttpClient
from agent.local.api import LocalApi
from agent.local.socket_server import LocalServer
from agent.local.status_text import summary
from agent.runner import Runner
from agent.runner.activity import Context
from agent.runner.heat_control import HeatControl
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
from agent.service.health import Health, watchdog_interval
from agent.service.lifecycle import Lifecycle
from agent.service.logs import Ring, append_black_boxes, report_suppressed
from agent.service.loop_threads import Loop, LoopThreads
from agent.service.paths import socket_path, state_dir
from agent.service.reload import Reload, driver_scripts
from agent.service.snapshot import AgentSnapshot
from agent.service.system_clock import boot_id
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
LAST_DESCRIPTOR = 0.5  # seconds that systemd has at the end to take a message about a port that is still to be kept
HAND_OVER = 1.5  # seconds for all threads to end when the next agent waits for this one's end
LAST_WORD = (0.5, 0.5)  # as LAST_WORDS, then: what is not sent, the next agent sends


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What all threads share."""

    config: Config
    clock: Clock
    health: Health
    lifecycle: Lifecycle
    conditions: ConditionTracker
    http: HttpClient
    driver: Driver
    store: Store
    snapshot: AgentSnapshot
    jobs: Path  # the folder for files to print
    black_boxes: Path  # the folder for what the driver records
    wake_runner: threading.Event
    wake_reporter: threading.Event


class ServerParts(msgspec.Struct, frozen=True, kw_only=True):
    """What talks with the cloud."""

    clock: ServerClock
    clients: tuple[ApiClient, ...]
    registrar: Registrar
    inbox: Inbox
    reporter: Reporter
    catch_up: CatchUp
    subscriber: Subscriber


class LocalParts(msgspec.Struct, frozen=True, kw_only=True):
    """What talks with the person at the printer."""

    server: LocalServer
    page: StatusPage | None


class App:
    """The daemon. Making it opens the state and the socket; `run` starts the threads."""

    def __init__(
        self,
        *,
        config: Config,
        environ: MutableMapping[str, str],
        clock: Clock,
        ring: Ring,
        health: Health,
        reread: Callable[[], Config],
    ) -> None:
        """`reread` gives the configuration as it is in the file now, checked as a whole; it raises AgentError."""
        port = port_keeper(environ, os.getpid(), health.notify)  # before anything else is opened
        self.base = base = build_base(config, environ, clock, health)
        self.server = server = build_server(base)
        self._local = local = build_local(base, server, environ)
        runner = build_runner(base, port, ring)
        self._reload = Reload(config, reread, base.driver, runner.configure)
        loops: dict[str, Loop] = {
            "runner": runner.run,
            "reporter": server.reporter.run,
            "catch-up": server.catch_up.run,
            "subscriber": server.subscriber.run,
            "local": local.server.run,
        }
        if local.page is not None:
            loops["page"] = local.page.run
        self._threads = LoopThreads(loops, base.lifecycle, last="reporter")

    def run(self) -> int:
        """Serve until a signal or `stop`. The process's exit code."""
        base = self.base
        self._threads.start()
        log.info("agent started", version=__version__)
        base.health.ready()
        interval = watchdog_interval()
        while not base.lifecycle.stop.is_set():
            self._maintain()
            base.health.tick(summary(base.snapshot.read(), base.conditions.read()))
            base.lifecycle.wait(interval)
            if base.lifecycle.take_reload():
                base.health.reloading()
                self._reload.run()
                base.health.ready()
        self._shut_down()
        return EX_SOFTWARE if base.lifecycle.has_failed() else 0

    def stop(self) -> None:
        """End `run`; any thread."""
        self.base.lifecycle.request_stop()

    def handle_signals(self) -> None:
        """See Lifecycle. Main thread only."""
        self.base.lifecycle.handle_signals()

    def _maintain(self) -> None:
        """Update the conditions that no thread watches, and tidy the store."""
        base = self.base
        report_suppressed()
        base.conditions.set(Part.CLOCK, self.server.clock.describe_skew())
        base.conditions.update_printer(base.snapshot.read().telemetry)
        try:
            base.store.tidy()
        except UnavailableError as error:
            log.debug("store not tidied", error=str(error))

    def _shut_down(self) -> None:
        """End all threads, the reporter last, and close the store."""
        base, server = self.base, self.server
        handing_over = base.lifecycle.is_handing_over()
        if handing_over:
            log.info("agent handing over")
        else:
            log.info("agent stopping")
        base.health.stopping()
        for client in server.clients:
            client.set_timeouts(LAST_WORD if handing_over else LAST_WORDS)
        server.catch_up.request()
        server.subscriber.interrupt()
        self._local.server.interrupt()
        base.wake_runner.set()
        join = self._join_by_deadline() if handing_over else self._join_with_patience
        self._threads.join_others(join)
        self._threads.end_last(join, base.wake_reporter.set)
        alive = self._threads.alive()
        if alive:
            log.warning("threads still alive", threads=", ".join(alive))
        else:
            base.store.close()
        base.health.notify.close(store_within=LAST_DESCRIPTOR)
        log.info("agent stopped")

    def _join_by_deadline(self) -> Callable[[threading.Thread], None]:
        """Give all threads together HAND_OVER seconds from now."""
        clock = self.base.clock
        deadline = clock.monotonic() + HAND_OVER
        return lambda thread: thread.join(max(deadline - clock.monotonic(), 0.0))

    def _join_with_patience(self, thread: threading.Thread) -> None:
        """Give a thread THREAD_END seconds, and have systemd give them too."""
        self.base.health.extend(THREAD_END + SLACK)
        thread.join(timeout=THREAD_END)


def build_base(config: Config, environ: MutableMapping[str, str], clock: Clock, health: Health) -> Base:
    """Open the state and make the driver. Raises AgentError."""
    need_server(config)
    health.status("opening the state")
    health.extend(OPENING)
    folder = state_dir(config, environ)
    black_boxes = folder / "blackbox"
    conditions = ConditionTracker()
    driver = build_driver(config, clock, black_boxes)

    def on_disk_trouble(reason: str) -> None:
        conditions.set(Part.DISK, f"the state folder does not take a write: {reason}" if reason else "")

    store = Store(folder / "agent.db", clock, boot=boot_id(), on_trouble=on_disk_trouble)
    return Base(
        config=config,
        clock=clock,
        health=health,
        lifecycle=Lifecycle(stop_hands_over=config.job.stop_hands_over),
        conditions=conditions,
        http=HttpClient(config.cloud, monotonic=clock.monotonic, lookup=socket.getaddrinfo),
        driver=driver,
        store=store,
        snapshot=AgentSnapshot(driver),
        jobs=_make_folder(folder / "jobs"),
        black_boxes=black_boxes,
        wake_runner=threading.Event(),
        wake_reporter=threading.Event(),
    )


def build_driver(config: Config, clock: Clock, black_boxes: Path) -> Driver:
    """Make the configured driver. Raises ConfigError."""
    settings = DriverSettings(
        build_volume=config.printer.build_volume,
        deadman_s=config.job.deadman_s,
        black_box_dir=str(black_boxes),
        port=config.serial.port,
        baud=config.serial.baud,
        dialect=config.serial.dialect,
        window=config.serial.window,
        scripts=driver_scripts(config),
        simulated=SimulatedSettings(
            speed=config.simulated.speed, dialect=config.simulated.dialect, faults=config.simulated.faults
        ),
        own=config.driver,
    )
    return drivers.create(config.printer.driver, settings, clock=clock)


def build_server(base: Base) -> ServerParts:
    """Wire what talks with the cloud: a client each for three threads, over one clock of the server."""
    config, clock = base.config, base.clock
    server_clock = ServerClock(clock)
    pulses = {name: base.health.pulse(name) for name in ("reporter", "catch-up", "subscriber")}
    clients = {
        name: ApiClient(config, http=base.http, clock=clock, server_clock=server_clock, beat=pulse.beat)
        for name, pulse in pulses.items()
    }

    def on_token_lost() -> None:
        subscriber.interrupt()

    def wake_both() -> None:
        base.wake_reporter.set()
        base.wake_runner.set()

    registrar = Registrar(
        server=need_server(config),
        printer=config.printer,
        identities=base.store.identities,
        firmware=_firmware_name(base),
        on_token_lost=on_token_lost,
        clock=clock,
        conditions=base.conditions,
    )
    inbox = Inbox(
        tasks=base.store.tasks,
        outbox=base.store.outbox,
        clock=clock,
        wake=wake_both,
        max_age=config.job.max_age_s,
        server_now=server_clock.now,
    )
    reporter = Reporter(
        outbox=base.store.outbox,
        api=clients["reporter"],
        registrar=registrar,
        snapshot=base.snapshot,
        conditions=base.conditions,
        heartbeat=config.reports.heartbeat_s,
        clock=clock,
        wake=base.wake_reporter,
        pulse=pulses["reporter"],
    )
    catch_up = CatchUp(clients["catch-up"], registrar, inbox, pulses["catch-up"])
    subscriber = Subscriber(
        config=config,
        http=base.http,
        api=clients["subscriber"],
        registrar=registrar,
        inbox=inbox,
        catch_up=catch_up,
        on_member_added=reporter.request_status,
        clock=clock,
        pulse=pulses["subscriber"],
    )
    return ServerParts(
        clock=server_clock,
        clients=tuple(clients.values()),
        registrar=registrar,
        inbox=inbox,
        reporter=reporter,
        catch_up=catch_up,
        subscriber=subscriber,
    )


def build_local(base: Base, server: ServerParts, environ: MutableMapping[str, str]) -> LocalParts:
    """Wire the socket and the status page. Raises UnavailableError when another agent serves the socket."""
    config, driver = base.config, base.driver
    api = LocalApi(
        config=config,
        jobs=base.jobs,
        store=base.store,
        inbox=server.inbox,
        snapshot=base.snapshot,
        registrar=server.registrar,
        conditions=base.conditions,
        listening=lambda: server.subscriber.listening,
        wake_reporter=base.wake_reporter.set,
        emergency_stop=driver.halt if isinstance(driver, SupportsEmergencyStop) else None,
    )
    page = None
    if config.local.status_page:
        from agent.local.status_page import StatusPage  # noqa: PLC0415 late: http.server costs memory, and there is mostly no page

        page = StatusPage(
            config.local.status_page, api.status, base.health.pulse("page"), hosts=config.local.page_hosts
        )
    return LocalParts(
        server=LocalServer(socket_path(config, environ), api, base.health.pulse("local")),
        page=page,
    )


def build_runner(base: Base, port: PortKeeper, ring: Ring) -> Runner:
    """Wire the runner and what the driver may ask of its host."""
    store = RunnerStore(base.store)
    context = Context(
        config=base.config,
        http=base.http,
        store=store,
        driver=base.driver,
        clock=base.clock,
        jobs=base.jobs,
        logs=lambda: append_black_boxes(ring.text(), base.black_boxes),
        wake_reporter=base.wake_reporter.set,
        heat=HeatControl(
            driver=base.driver, store=store, clock=base.clock, say=partial(base.conditions.set, Part.HEAT)
        ),
        host=Host(
            wake=base.wake_runner.set,
            beat=base.health.pulse("link", waiting=True).beat,
            remember=base.store.checkpoints.remember,
            port=port,
        ),
    )
    return Runner(
        context=context,
        snapshot=base.snapshot,
        wake=base.wake_runner,
        pulse=base.health.pulse("runner"),
        hand_over=base.lifecycle.is_handing_over,
    )


def _firmware_name(base: Base) -> Callable[[], str]:
    """The firmware to register with: the configured name, else the printer's own answer, for which it waits HELLO."""
    driver, clock = base.driver, base.clock

    def name() -> str:
        if base.config.printer.firmware != "auto":
            return base.config.printer.firmware
        end = clock.monotonic() + HELLO
        while driver.telemetry().state.absent and clock.monotonic() < end:
            if base.lifecycle.stop.wait(0.1):
                break
        return driver.telemetry().firmware or f"printer-agent {__version__}"

    return name


def _make_folder(folder: Path) -> Path:
    """Make the folder, for its owner alone. Raises UnavailableError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be made: {error.strerror}") from None
    return folder
