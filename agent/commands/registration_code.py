"""`printer-agent register`: the code that adds the printer to the web portal, until somebody has added it."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from agent.commands.configuration import socket_of
from agent.commands.console import emit
from agent.commands.qr_code import qr_lines
from agent.core.printable import printable
from agent.errors import EX_OK, UnavailableError
from agent.local.local_requests import RegisterRequest
from agent.local.socket_client import ask
from agent.local.status_text import registration_lines

TERMINAL_WAIT = 900.0  # seconds that a person at a terminal is waited for
POLL = 1.0  # seconds between two looks


def register(arguments: argparse.Namespace) -> int:
    """Show the registration code that a member types into the web portal; wait until that was done, on a terminal or
    as long as `--wait` says. Raises UnavailableError when nobody has done it by then."""
    path, terminal = socket_of(arguments), sys.stdout.isatty() and not arguments.json
    wait = arguments.wait if arguments.wait is not None else (TERMINAL_WAIT if terminal else 0.0)
    end = time.monotonic() + wait
    shown: dict[str, Any] | None = None
    while True:
        answer = ask(path, RegisterRequest())["registration"]
        if answer != shown:
            shown = answer
            _show(answer, json=arguments.json, terminal=terminal)
        if answer.get("registered") or wait == 0:
            return EX_OK
        left = end - time.monotonic()
        if left <= 0:
            raise UnavailableError(f"nobody has added the printer within {wait:.0f} s; the code stays good")
        time.sleep(min(POLL, left))


def _show(registration: Mapping[str, Any], *, json: bool, terminal: bool) -> None:
    if json:
        emit(dict(registration))
        return
    lines = registration_lines(registration)
    if terminal:
        lines += qr_lines(scan_text(registration), columns=shutil.get_terminal_size().columns)
        if not registration.get("registered"):
            lines.append("waits until it is added; Ctrl-C ends this, and nothing else")
    print("\n".join(lines), flush=True)


def scan_text(registration: Mapping[str, Any]) -> str:
    """What a telephone gets from the QR code: the portal's address with the code as `registration_code`, or the code
    alone where the server gave no web address; empty when there is nothing to add."""
    code, url = registration.get("code") or "", registration.get("url") or ""
    if registration.get("registered") or not code:
        return ""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and printable(url) == url
    except ValueError:
        usable = False
    if not usable:
        return str(code)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("registration_code", str(code))]
    return urlunsplit(parts._replace(query=urlencode(query)))
