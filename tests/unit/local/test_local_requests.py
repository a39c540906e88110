"""Requests of the local socket: compatible with the clients that are out there, strict about everything else."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from agent.core.command import Name
from agent.errors import DataError
from agent.local.local_requests import (
    CommandRequest,
    HaltRequest,
    LocalCommand,
    OutboxRequest,
    PrintRequest,
    RegisterRequest,
    Request,
    StatusRequest,
    TaskRequest,
    encode,
    parse,
)

# Lines as the command line's client sent them before requests were structs (recorded from its socket).
RECORDED: list[tuple[bytes, Request]] = [
    (b'{"op":"status"}\n', StatusRequest()),
    (b'{"op":"command","command":"pause"}\n', CommandRequest("pause")),
    (b'{"op":"command","command":"resume"}\n', CommandRequest("resume")),
    (b'{"op":"command","command":"cancel"}\n', CommandRequest("cancel")),
    (b'{"op":"command","command":"reset"}\n', CommandRequest("reset")),
    (b'{"op":"task","task_id":"local-1"}\n', TaskRequest("local-1")),
    (b'{"op":"halt"}\n', HaltRequest()),
    (b'{"op":"register"}\n', RegisterRequest()),
    (b'{"op":"outbox"}\n', OutboxRequest()),
    (b'{"op":"outbox","retry":3}\n', OutboxRequest(retry=3)),
    (b'{"op":"outbox","retry":"all"}\n', OutboxRequest(retry="all")),
    (b'{"op":"outbox","drop":4}\n', OutboxRequest(drop=4)),
    (b'{"op":"outbox","drop":"all"}\n', OutboxRequest(drop="all")),
    (
        b'{"op":"print","name":"vase \xe2\x80\x9c1\xe2\x80\x9d.gcode","size":4}\n',
        PrintRequest(name="vase “1”.gcode", size=4),
    ),
]


@pytest.mark.parametrize(("line", "request_"), RECORDED, ids=[line.decode().strip() for line, _ in RECORDED])
def test_the_recorded_lines_of_older_clients_are_the_same_requests(line: bytes, request_: Request) -> None:
    assert parse(json.loads(line)) == request_


@pytest.mark.parametrize(("line", "request_"), RECORDED, ids=[line.decode().strip() for line, _ in RECORDED])
def test_a_request_is_the_same_bytes_as_before(line: bytes, request_: Request) -> None:
    assert encode(request_) == line


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({}, "expected op to be one of status, command, respond, print, halt, ready, task, register, outbox"),
        ([], "expected op to be one of status, command"),
        (None, "expected op to be one of status, command"),
        ({"op": None}, "expected op to be one of status, command"),
        ({"op": ["status"]}, "expected op to be one of status, command"),
        ({"op": "fly"}, "expected op to be one of status, command"),
        (
            {"op": "command"},
            "expected command to be one of pause, resume, cancel, home, park, calibrate, reset, dismiss",
        ),
        ({"op": "command", "command": "print_data"}, "expected command to be one of pause, resume"),
        ({"op": "command", "command": 7}, "expected command to be one of pause, resume"),
        ({"op": "print"}, "expected size to be a number of bytes"),
        ({"op": "print", "size": True}, "expected size to be a number of bytes"),
        ({"op": "print", "size": 1.5}, "expected size to be a number of bytes"),
        ({"op": "print", "size": -1}, "expected size to be a number of bytes"),
        ({"op": "print", "size": 1, "name": 7}, "expected name to be the name of a file"),
        ({"op": "task"}, "expected task_id to be the id of a task"),
        ({"op": "respond", "choice": -1}, "expected choice to be the number of a choice, or its text"),
        ({"op": "respond", "choice": ""}, "expected choice to be the number of a choice, or its text"),
        ({"op": "respond", "choice": 0, "prompt_id": 0}, "expected prompt_id to be the id of a prompt"),
        ({"op": "task", "task_id": 7}, "expected task_id to be the id of a task"),
        ({"op": "outbox", "retry": 0}, "expected retry to be the id of a refused report, or all"),
        ({"op": "outbox", "drop": "none"}, "expected drop to be the id of a refused report, or all"),
        ({"op": "outbox", "drop": 1 << 63}, "expected drop to be the id of a refused report, or all"),
        ({"op": "outbox", "retyr": 1}, "retyr: no such field; outbox has op, retry, drop"),
        ({"op": "status", "json": True}, "json: no such field; status has op"),
        ({"op": "status", "\x1b[31m": True}, "\\x1b[31m: no such field; status has op"),
        ({"op": "at `$.evil`"}, "expected op to be one of status, command"),
        ({"op": "command", "command": "at `$.evil`"}, "expected command to be one of pause, resume"),
        ({"op": "missing required field `evil`"}, "expected op to be one of status, command"),
        ({"op": "command", "command": "unknown field `evil`"}, "expected command to be one of pause, resume"),
    ],
)
def test_an_error_names_the_field_and_what_was_expected(message: Any, error: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(message)
    assert str(caught.value).startswith(error)


def test_a_local_command_is_a_command_of_the_table() -> None:
    assert {Name(command) for command in get_args(LocalCommand)} < set(Name)
