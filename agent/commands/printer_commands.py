"""Commands to the printer, through the running agent's socket."""

from __future__ import annotations

import argparse

from msgspec import UNSET

from agent.commands.configuration import socket_of
from agent.commands.console import emit
from agent.core.bed import HINT, BedState
from agent.core.command import choice_of
from agent.core.printable import printable
from agent.errors import EX_OK, DataError
from agent.local import socket_client
from agent.local.local_requests import HaltRequest, LocalCommand, ReadyRequest, RespondRequest, StatusRequest


def print_file(arguments: argparse.Namespace) -> int:
    """Print a file; returns when the print has begun, or waits for the bed."""
    started = socket_client.print_file(socket_of(arguments), arguments.file)
    state = "accepted" if started.waits_for_bed else "printing"
    if arguments.json:
        emit({"print": state, "job_id": started.job_id, "waits_for_bed": started.waits_for_bed})
        return EX_OK
    print(printable(f"{state}: {started.job_id}"))
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


def respond(arguments: argparse.Namespace) -> int:
    """Answer what the printer asks."""
    prompt_id = UNSET if arguments.prompt is None else arguments.prompt
    try:
        request = RespondRequest(choice=choice_of(arguments.choice), prompt_id=prompt_id)
    except ValueError as error:
        raise DataError(str(error)) from None
    path = socket_of(arguments)
    socket_client.wait_for_task(path, str(socket_client.ask(path, request)["task_id"]))
    return _done(arguments, "respond")


def halt(arguments: argparse.Namespace) -> int:
    """Stop motors and heaters at once (emergency stop)."""
    socket_client.ask(socket_of(arguments), HaltRequest())
    text = "halted: motors and heaters are off; `printer-agent reset` brings the printer back"
    return _done(arguments, "halt", text)


def ready(arguments: argparse.Namespace) -> int:
    """Confirm that the bed is clear: the last print's part is off it."""
    was_clear = socket_client.ask(socket_of(arguments), ReadyRequest())["bed"] == BedState.CLEAR
    text = "ready: the bed was known to be clear already" if was_clear else "ready: the bed is clear"
    return _done(arguments, "ready", text)


def reset(arguments: argparse.Namespace) -> int:
    """Reboot the printer's controller."""
    return _send_command(arguments, "reset")


def home(arguments: argparse.Namespace) -> int:
    """Home the idle printer."""
    return _run_script(arguments, "home")


def park(arguments: argparse.Namespace) -> int:
    """Park the idle printer's head."""
    return _run_script(arguments, "park")


def calibrate(arguments: argparse.Namespace) -> int:
    """Calibrate the idle printer."""
    return _run_script(arguments, "calibrate")


def dismiss(arguments: argparse.Namespace) -> int:
    """Leave the screen of a job that has ended; the bed is clear."""
    return _send_command(arguments, "dismiss")


def cool(arguments: argparse.Namespace) -> int:
    """Switch the heaters off while nothing runs."""
    socket_client.run_command(socket_of(arguments), "cool")
    status = socket_client.ask(socket_of(arguments), StatusRequest())["status"]
    heaters = status.get("data", {}).get("temperatures", {})
    if arguments.json:
        emit({"cool": "done", "temperatures": heaters})
    else:
        still = ", ".join(f"{name} {heater['actual']:.0f} °C" for name, heater in heaters.items())
        print(printable(f"cool: the heaters are off{f' ({still} now)' if still else ''}"))
    return EX_OK


def _run_script(arguments: argparse.Namespace, name: LocalCommand) -> int:
    def show(text: str) -> None:
        if arguments.json:
            emit({name: "running", "progress": text})
        else:
            print(printable(f"{name}: {text}"), flush=True)

    socket_client.run_script(socket_of(arguments), name, show)
    return _done(arguments, name)


def _send_command(arguments: argparse.Namespace, name: LocalCommand) -> int:
    socket_client.run_command(socket_of(arguments), name)
    return _done(arguments, name)


def _done(arguments: argparse.Namespace, name: str, text: str = "") -> int:
    if arguments.json:
        emit({name: "done"})
    else:
        print(text or f"{name}: done")
    return EX_OK
