"""Commands of the command line: one function each, which takes the parsed arguments and returns the exit code.

A command's module is imported when it is called, so that none pays for another: `pause` needs no HTTP library.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import cast

Command = Callable[[argparse.Namespace], int]

FUNCTIONS = {
    "run": "daemon.run",
    "check-config": "daemon.check_config",
    "dry-run": "simulation.dry_run",
    "simulate": "simulation.simulate",
    "replay": "simulation.replay",
    "sandbox": "simulation.sandbox",
    "status": "inspection.status",
    "register": "registration_code.register",
    "outbox": "inspection.outbox",
    "print": "printer_commands.print_file",
    "pause": "printer_commands.pause",
    "resume": "printer_commands.resume",
    "cancel": "printer_commands.cancel",
    "respond": "printer_commands.respond",
    "halt": "printer_commands.halt",
    "ready": "printer_commands.ready",
    "reset": "printer_commands.reset",
    "home": "printer_commands.home",
    "park": "printer_commands.park",
    "calibrate": "printer_commands.calibrate",
    "dismiss": "printer_commands.dismiss",
    "cool": "printer_commands.cool",
    "printers": "member_printers.printers",
    "package": "firmware_package.package",
}
"""Name of a command → module in this room and function in it."""


def load(name: str) -> Command:
    """Import the function of the command `name`."""
    module, _, function = FUNCTIONS[name].partition(".")
    return cast("Command", getattr(import_module(f"agent.commands.{module}"), function))
