"""What the running agent is doing, as a person or a script wants to read it."""

from __future__ import annotations

import argparse

from agent.commands.configuration import socket_of
from agent.commands.console import emit
from agent.core.printable import printable
from agent.errors import EX_OK
from agent.local.local_requests import OutboxRequest, StatusRequest
from agent.local.socket_client import ask
from agent.local.status_text import status_lines


def status(arguments: argparse.Namespace) -> int:
    """Show what the running agent is doing."""
    answer = ask(socket_of(arguments), StatusRequest())["status"]
    if arguments.json:
        emit(answer)
    else:
        print("\n".join(status_lines(answer)))
    return EX_OK


def outbox(arguments: argparse.Namespace) -> int:
    """List the reports that wait and those that the server refused; retry or drop the refused ones."""
    for action, text in (("retry", "queued once more"), ("drop", "thrown away")):
        which = getattr(arguments, action)
        if which is not None:
            done = ask(socket_of(arguments), OutboxRequest(**{action: which}))["done"]
            if arguments.json:
                emit({action: which, "done": done})
            else:
                print(f"{done} {text}")
            return EX_OK
    rows = ask(socket_of(arguments), OutboxRequest())["outbox"]
    for row in rows:
        if arguments.json:
            emit(row)
        elif row["waiting"]:
            print(printable(f"waits    {row['task_id']}  {row['kind']}"))
        else:
            refused = f"refused  {row['task_id']}  {row['kind']}  {row['status']} {row['answer']}  (id {row['id']})"
            print(printable(refused))
    if not rows and not arguments.json:
        print("nothing waits")
    return EX_OK
