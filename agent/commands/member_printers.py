"""A member's printers, as the server lists them."""

from __future__ import annotations

import argparse
import os
import socket
import time
from typing import Any

from agent.commands.configuration import config_of
from agent.commands.console import emit
from agent.errors import EX_OK, AgentError, UnavailableError
from agent.http.http_client import HttpClient
from agent.server import member
from agent.server.member_table import table


def printers(arguments: argparse.Namespace) -> int:
    """List a member's printers (`GET printers`)."""
    config = config_of(arguments)
    bearer = member.token(config, os.environ)
    http = HttpClient(config.cloud, monotonic=time.monotonic, lookup=socket.getaddrinfo)
    pages = member.pages(config, bearer, http, limit=arguments.limit, offset=arguments.offset, every=arguments.every)
    rows: list[dict[str, Any]] = []
    unreadable = 0
    failure: AgentError | None = None
    try:
        for page in pages:
            known = [printer for printer in page["printers"] if isinstance(printer, dict)]
            rows += known
            unreadable += len(page["printers"]) - len(known)
            if arguments.json:
                emit(page)
    except AgentError as error:
        if not rows:
            raise
        failure = error
    if not arguments.json:
        print(table(rows) if rows else "no printers")
    if failure is not None:
        raise UnavailableError(f"printers from {arguments.offset + len(rows) + unreadable} on are missing: {failure}")
    if unreadable:
        raise UnavailableError(f"{unreadable} of the entries in the server's answer are no printers")
    return EX_OK
