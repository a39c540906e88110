"""The local cloud's server process: `printer-agent sandbox` and the dry run call `serve`.

Threads: the caller's runs the socket loop; waitress has `THREADS` workers, of which held polls take at most `MAX_HELD`.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import structlog
from bottle import Bottle, request
from waitress import create_server, wasyncore

from agent.errors import EX_OK, ConfigError, UnavailableError
from agent.sandbox.access import PrinterAccess
from agent.sandbox.accounts import Accounts
from agent.sandbox.api_context import ApiContext, Event
from agent.sandbox.broker import Broker
from agent.sandbox.faye_http import FayeEndpoint
from agent.sandbox.file_hosting import MAX_FILE_BYTES, FileHosting
from agent.sandbox.member_api import MemberApi
from agent.sandbox.printer_api import PrinterApi
from agent.sandbox.publisher import ExternalPublisher
from agent.sandbox.rate_limit import RateLimit
from agent.sandbox.records_file import RecordsFile
from agent.sandbox.rights_api import RightsApi
from agent.sandbox.task_records import TaskRecords
from agent.sandbox.web import endpoint, error_answer, header

THREADS = 64
MAX_HELD = 48

_LOOK_S = 0.1
"""Seconds between two looks at `stop`."""
_DRAIN_S = 0.5
"""Seconds that requests under way have to end after `stop`."""

_log = structlog.get_logger(part="sandbox")


def serve(
    *,
    listen: str,
    state: Path,
    emit: Callable[[Event], None],
    stop: threading.Event,
    publish_to: str = "",
    poll_timeout: float = 25.0,
    api_base: str = "/v1",
    members: int = 1,
    rate_limit: tuple[int, float] | None = None,
) -> int:
    """Run the local cloud until `stop` is set, then end within a second; returns EX_OK.

    `listen` is `HOST:PORT`, port 0 picks one. `state` is the folder of all that is kept. `emit` gets a dictionary
    for each event, never two at once: `ready` (url, member_token) first, then `registration_code`, `registered`,
    `command`, `report`, `status` as they happen. With `publish_to`, the URL of an external Faye endpoint, commands are
    published there. `poll_timeout` is how long a connect is held, in seconds. `api_base` is the path before `/print`.
    `members` is how many members there are, each with a token in `ready`. `rate_limit` is (calls, seconds) of the REST
    API for each token.

    Raises ConfigError (a bad address) and UnavailableError (the address or the state folder is taken).
    """
    with ExitStack() as cleanup:
        listener = cleanup.enter_context(_listener(listen))
        records = RecordsFile(state)
        cleanup.callback(records.close)
        accounts = Accounts(records)
        broker = Broker(PrinterAccess(accounts.token_fits), lambda: secrets.token_hex(16), timeout=poll_timeout)
        faye = FayeEndpoint(broker, time.monotonic, max_held=MAX_HELD)
        external = ExternalPublisher(publish_to) if publish_to else None
        if external is not None:
            cleanup.callback(external.close)
        context = ApiContext(
            accounts=accounts,
            tasks=TaskRecords(records),
            publisher=external or faye,
            emit=_Emitter(emit).emit,
            wall=time.time,
            base=api_base,
        )
        app = _application(context, faye, state)
        if rate_limit is not None:
            app.add_hook("before_request", _limiter(RateLimit(*rate_limit, time.monotonic), f"{api_base}/print/"))
        # It would warn of each request that finds no idle worker for a moment, the very first one among them.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        sockets: dict[int, Any] = {}
        server = create_server(
            app,
            map=sockets,
            sockets=[listener],
            threads=THREADS,
            connection_limit=500,
            max_request_body_size=MAX_FILE_BYTES + 1,
            channel_request_lookahead=1,  # or a client that went away while its poll is held goes unnoticed
            asyncore_use_poll=True,
            ident=None,
        )
        cleanup.callback(_end, server, sockets, faye)
        known = accounts.first_members(members)
        tokens = [{"member_id": member_id, "member_token": token} for member_id, token in known]
        context.emit({"event": "ready", "url": _url(listener), "member_token": known[0][1], "members": tokens})
        while not stop.is_set():
            wasyncore.loop(timeout=_LOOK_S, use_poll=True, map=sockets, count=1)
    return EX_OK


class _Emitter:
    """Passes events to the caller one at a time, and none any more once they cannot be written."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._lock = threading.Lock()
        self._broken = False

    def emit(self, event: Event) -> None:
        with self._lock:
            if self._broken:
                return
            try:
                self._emit(event)
            except OSError as error:
                self._broken = True
                _log.warning("event output closed", error=str(error))


def _application(context: ApiContext, faye: FayeEndpoint, folder: Path) -> Bottle:
    app = Bottle()
    app.default_error_handler = _plain_error
    app.route("/", "GET", lambda: _HOME.format(base=context.base))
    app.route(["/faye", "/faye/", "/faye/<kind>"], "POST", endpoint(faye.handle))
    PrinterApi(context).install(app)
    MemberApi(context).install(app)
    RightsApi(context).install(app)
    FileHosting(context, folder).install(app)
    return app


def _limiter(limit: RateLimit, path: str) -> Callable[[], None]:
    """A hook that answers 429 to a caller, known by its token or else its address, beyond the limit."""

    def check() -> None:
        if request.path.startswith(path):
            caller = header("X-Printer-Auth-Token") or header("Authorization") or str(request.remote_addr)
            wait = limit.seconds_to_wait(caller)
            if wait > 0:
                refusal = error_answer(429, "the rate limit is exceeded")
                refusal.set_header("Retry-After", str(math.ceil(wait)))
                raise refusal

    return check


_HOME = """<!doctype html><title>printer-agent sandbox</title><h1>The local cloud is here</h1>
<p>To register a printer, send <code>POST {base}/print/printers/register</code> with the member token and
<code>{{"printer_name": …, "registration_code": …}}</code>.</p>
"""


def _plain_error(error: Any) -> bytes:
    """Make the JSON body of an error that the framework raised: no such path, wrong method, a fault of ours."""
    known = {
        404: "no such path",
        405: "this path does not take this method",
        500: "a fault in the sandbox; see its log",
    }
    made = error_answer(error.status_code, known.get(error.status_code, "the request cannot be answered"))
    error.content_type = made.content_type
    body: bytes = made.body
    return body


def _listener(listen: str) -> socket.socket:
    host, colon, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isdecimal() and port.isascii() and int(port) <= 65535):
        raise ConfigError(f"the sandbox's address {listen!r} is not HOST:PORT, for example 127.0.0.1:8080")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"the sandbox's host {host!r} has no address: {error}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()  # now, not later: only this finds a port that somebody else listens on
    except OSError as error:
        listener.close()
        raise UnavailableError(f"the sandbox cannot listen on {listen}: {error.strerror}") from error
    if not ipaddress.ip_address(str(listener.getsockname()[0]).partition("%")[0]).is_loopback:
        _log.warning("sandbox exposed to the network", listen=listen)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised here, not bound
    host = wildcard.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _end(server: Any, sockets: dict[int, Any], faye: FayeEndpoint) -> None:
    """Answer held polls, let requests under way end for a moment, then close every connection and thread."""
    faye.close()
    deadline = time.monotonic() + _DRAIN_S
    while any(getattr(each, "requests", None) for each in list(sockets.values())) and time.monotonic() < deadline:
        wasyncore.loop(timeout=0.02, use_poll=True, map=sockets, count=1)
    server.task_dispatcher.shutdown(timeout=0.2)
    wasyncore.loop(timeout=0, use_poll=True, map=sockets, count=1)
    wasyncore.close_all(sockets)
