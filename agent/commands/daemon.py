"""The daemon, and the check of what it would start with."""

from __future__ import annotations

import argparse
import faulthandler
import os

import drivers
from agent.app import App
from agent.commands.configuration import config_of
from agent.commands.console import at_eof, emit
from agent.errors import EX_OK
from agent.service import restart_pause
from agent.service.config import Config, need_server
from agent.service.health import Health
from agent.service.logs import Ring, configure
from agent.service.notify_socket import NotifySocket
from agent.service.paths import runtime_dir
from agent.service.system_clock import SystemClock


def run(arguments: argparse.Namespace) -> int:
    """Run the daemon."""
    faulthandler.enable()  # systemd's watchdog ends us with SIGABRT: where each thread stood goes to the journal
    config = _checked_config(arguments)
    ring = Ring()
    configure(config.logs.level, config.logs.format, ring)
    clock, folder = SystemClock(), runtime_dir(os.environ)
    health = Health(clock, NotifySocket.from_environ(os.environ))
    if folder is not None:
        restart_pause.wait_before_start(folder, clock, health)
    app = App(
        config=config,
        environ=os.environ,
        clock=clock,
        ring=ring,
        health=health,
        reread=lambda: _checked_config(arguments),
    )
    app.handle_signals()
    if arguments.until_eof:
        at_eof(app.stop)
    code = app.run()
    if code == EX_OK and folder is not None:
        restart_pause.clear_starts(folder)
    return code


def check_config(arguments: argparse.Namespace) -> int:
    """Check a configuration, the driver, its own settings and the server included."""
    _checked_config(arguments)
    name = str(arguments.config or "configuration")
    if arguments.json:
        emit({"config": name, "check": "good"})
    else:
        print(f"{name}: good")
    return EX_OK


def _checked_config(arguments: argparse.Namespace) -> Config:
    """Load the configuration and check what the daemon needs of it: a server, and a driver with its own settings."""
    config = config_of(arguments)
    need_server(config)
    drivers.own_settings(drivers.load(config.printer.driver), config.driver)
    return config
