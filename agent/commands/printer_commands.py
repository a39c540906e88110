"""Commands to the printer, through the running agent's socket."""

from __future__ import annotations

import argparse

from agent.commands.configuration import socket_of
from agent.core.bed import HINT, BedState
from agent.core.printable import printable
from agent.errors import EX_OK
from agent.local import socket_client
from agent.local.local_requests import HaltRequest, LocalCommand, ReadyRequest


def print_file(arguments: argparse.Namespace) -> int:
    """Print a file; returns when the print has begun, or waits for the bed."""
    started = socket_client.print_file(socket_of(arguments), arguments.file)
    print(printable(f"{'accepted' if started.waits_for_bed else 'printing'}: {started.job_id}"))
    if started.waits_for_bed:
        print(f"waits until the bed is clear: {HINT}")
    return EX_OK


def pause(arguments: argparse.Namespace) -> int:
    """Pause the print."""
    return _send_command(arguments, "pause")


def resume(arguments: argparse.Namespace) -> int:
    """Resume the print."""
    return _send_command(arguments, "resume")


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel the print."""
    return _send_command(arguments, "cancel")


def halt(arguments: argparse.Namespace) -> int:
    """Stop motors and heaters at once (emergency stop)."""
    socket_client.ask(socket_of(arguments), HaltRequest())
    print("halted: motors and heaters are off; `printer-agent reset` brings the printer back")
    return EX_OK


def ready(arguments: argparse.Namespace) -> int:
    """Confirm that the bed is clear: the last print's part is off it."""
    was_clear = socket_client.ask(socket_of(arguments), ReadyRequest())["bed"] == BedState.CLEAR
    print("ready: the bed was known to be clear already" if was_clear else "ready: the bed is clear")
    return EX_OK


def reset(arguments: argparse.Namespace) -> int:
    """Reboot the printer's controller."""
    return _send_command(arguments, "reset")


def _send_command(arguments: argparse.Namespace, name: LocalCommand) -> int:
    socket_client.run_command(socket_of(arguments), name)
    print(f"{name}: done")
    return EX_OK
