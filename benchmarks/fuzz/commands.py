"""Messages of the command channel (agent/core/command.py): never an exception, and a command keeps what it promises."""

from __future__ import annotations

import json
import random
import re
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec

from agent.core.command import (
    KEPT_SETTINGS,
    MAX_JOB_ID,
    MAX_URL,
    Command,
    Rejection,
    parse,
    without_payload,
)
from benchmarks.fuzz.mutator import JSON, Mutator
from benchmarks.fuzz.target import pure, require_text

EXAMPLES = (
    b'{"task_id":"123","command":"print_data","file_url":"https://a.example/f?k=1","job_id":"j-1","job_name":"vase.gcode",'
    b'"file_sha256":"' + b"a" * 64 + b'","sent_at":"2026-01-02T03:04:05Z","settings":{"speed":100,"flow":95}}',
    b'{"command_token":"t.1~x","command":"pause","timestamp":1767323045123}',
    b'{"task_id":"7","command":"settings","Settings":{"Settings":{"fan_speed":50,"x":[1,{"y":null}]}}}',
    b'{"task_id":"8","command":"settings","settings":"{\\"speed\\":110}"}',
    b'"{\\"task_id\\":\\"9\\",\\"command\\":\\"cancel\\",\\"job_id\\":77}"',
    b'{"task_id":"10","command":"firmware_upgrade","package_url":"http://[::1]:80/a","package_md5":"'
    + b"0" * 32
    + b'"}',
    b'{"task_id":"11","command":"logs","upload_url":"https://u:p@a.example:8443/b#c","sent_at":1767323045}',
)
TOKENS = (
    *JSON,
    *(
        b'"task_id":',
        b'"command":',
        b'"file_url":',
        b'"settings":',
        b'"Settings":',
        b"..",
        b"/",
        b"%2e",
        b"\\u0000",
        b"\\n",
    ),
    *(
        b'"https://a\\u0000b"',
        b'"http://[::"',
        b'"http://a:99999/"',
        b'"file:///etc/passwd"',
        b'"sent_at":"9999-12-31T23:59:59-23:59"',
    ),
    *(b'"0001-01-01"', b'"2026-W01-1"', b'{"' + b"k" * 300 + b'":1}'),
)
REASON_LIMIT = 600


def _check(data: bytes, _choose: random.Random) -> None:
    """Judge one message as bytes, as a string, and as the object that the Faye client decodes."""
    messages: list[object] = [data, data.decode("utf-8", "replace"), data.decode("utf-8", "surrogateescape")]
    with suppress(ValueError, RecursionError):
        messages.append(json.loads(data.decode("utf-8", "replace")))
    for message in messages:
        found = parse(message)
        if isinstance(found, Command):
            _require_command(found)
        else:
            _require_rejection(found)


def _require_rejection(found: Rejection) -> None:
    require_text(found.reason, REASON_LIMIT)
    require_text(found.raw_name, 100)
    assert found.reason
    assert found.code in (400, 422)
    assert not found.task_id or _is_segment(found.task_id)


def _require_command(command: Command) -> None:
    assert _is_segment(command.task_id)
    require_text(command.raw_name, 100)
    require_text(command.job_id, MAX_JOB_ID)
    require_text(command.job_name, 200)
    require_text(command.url, MAX_URL)
    assert not command.url or urlsplit(command.url).scheme in ("http", "https")
    assert not command.spooled, "nothing from outside names a file of ours"
    assert command.sent_at is None or -1e11 < command.sent_at < 1e12
    assert not command.digest or re.fullmatch(r"(sha-256=[0-9a-f]{64}|md5=[0-9a-f]{32})", command.digest)
    settings = msgspec.json.encode(command.settings)
    assert len(settings) <= KEPT_SETTINGS
    kept = msgspec.json.decode(msgspec.json.encode(command), type=Command)
    assert _finite(kept) == _finite(command), "the ledger gives another command back"
    assert not without_payload(command).settings


def _finite(command: Command) -> Command:
    """As the ledger keeps it: JSON has no infinite numbers."""
    settings: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(command.settings))
    return msgspec.structs.replace(command, settings=settings)


def _is_segment(task_id: str) -> bool:
    """Whether it can be one segment of a URL's path as it is."""
    return re.fullmatch(r"[A-Za-z0-9._~-]{1,128}", task_id) is not None and task_id not in (".", "..")


TARGET = pure("commands", 200_000, Mutator(EXAMPLES, TOKENS), _check)
