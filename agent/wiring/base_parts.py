"""Parts that all threads share: the state, the driver, the process's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import MutableMapping
from pathlib import Path

import msgspec

import drivers
from agent.core.clock import Clock
from agent.core.conditions import Part
from agent.core.driver import Driver
from agent.errors import UnavailableError
from agent.http.http_client import HttpClient
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import Config, need_server
from agent.service.health import Health
from agent.service.lifecycle import Lifecycle
from agent.service.paths import state_dir
from agent.service.reload import driver_scripts
from agent.service.snapshot import AgentSnapshot
from agent.service.stop_inhibitor import StopInhibitor
from agent.service.system_clock import boot_id
from agent.state.store import Store
from agent.wiring.heat_watch import watch_settings
from drivers.settings import DriverSettings, SimulatedSettings

OPENING = 300.0  # seconds that opening the state may take: a long check of a large file on a slow card


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What all threads share."""

    config: Config
    clock: Clock
    health: Health
    lifecycle: Lifecycle
    inhibitor: StopInhibitor
    conditions: ConditionTracker
    http: HttpClient
    driver: Driver
    store: Store
    snapshot: AgentSnapshot
    jobs: Path  # the folder for files to print
    kept: Path  # the folder for those that were printed lately
    black_boxes: Path  # the folder for what the driver records
    runs: Path  # the folder for the logs of this run and the last
    wake_runner: threading.Event
    wake_reporter: threading.Event


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
        inhibitor=StopInhibitor(clock),
        conditions=conditions,
        http=HttpClient(config.cloud, monotonic=clock.monotonic, lookup=socket.getaddrinfo),
        driver=driver,
        store=store,
        snapshot=AgentSnapshot(driver),
        jobs=_make_folder(folder / "jobs"),
        kept=_make_folder(folder / "kept"),
        black_boxes=black_boxes,
        runs=folder / "log",
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
        watch=watch_settings(config),
        own=config.driver,
    )
    return drivers.create(config.printer.driver, settings, clock=clock)


def _make_folder(folder: Path) -> Path:
    """Make the folder, for its owner alone. Raises UnavailableError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"{folder}: cannot be made: {error.strerror}") from None
    return folder
