"""A member's printers, as the server lists them."""

from __future__ import annotations

import argparse
import os
import socket
import time

from agent.commands.configuration import config_of
from agent.commands.console import emit
from agent.errors import EX_OK
from agent.http.http_client import HttpClient
from agent.server import member


def printers(arguments: argparse.Namespace) -> int:
    """List a member's printers (`GET printers`)."""
    config = config_of(arguments)
    bearer = member.token(config, os.environ)
    http = HttpClient(config.cloud, monotonic=time.monotonic, lookup=socket.getaddrinfo)
    pages = member.pages(config, bearer, http, limit=arguments.limit, offset=arguments.offset, every=arguments.every)
    if arguments.json:
        for page in pages:
            emit(page)
    else:
        print(member.table([printer for page in pages for printer in page["printers"]]))
    return EX_OK
