"""Makers of the parts that talk with the cloud, with what a test mostly gives them."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable

from agent.core.clock import Clock
from agent.core.command_age import AgeLimits
from agent.http.http_client import HttpClient
from agent.server.admission import Admission
from agent.server.api_client import ApiClient
from agent.server.inbox import Inbox
from agent.server.registration import Registrar
from agent.server.reporter import Reporter
from agent.server.server_clock import ServerClock
from agent.service.board_id import BoardId
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import CloudSection, Config, PrinterSection
from agent.service.health import Pulse
from agent.service.snapshot import AgentSnapshot
from agent.service.system_clock import SystemClock
from agent.state.store import Store

DEFAULT_PRINTER = PrinterSection()
NO_BOARD: BoardId = {}


def ignore(*_: object) -> None:
    """A callback that does nothing."""


def make_client(section: CloudSection, clock: Clock, beat: Callable[[float], None] = ignore) -> ApiClient:
    """A client of the server in `section`."""
    http = make_http(section, clock)
    return ApiClient(Config(cloud=section), http=http, clock=clock, server_clock=ServerClock(clock), beat=beat)


def make_http(section: CloudSection, clock: Clock) -> HttpClient:
    """The maker of HTTP sessions for the server in `section`, with the machine's own name lookup."""
    return HttpClient(section, monotonic=clock.monotonic, lookup=socket.getaddrinfo)


def make_registrar(
    server: str,
    store: Store,
    *,
    printer: PrinterSection = DEFAULT_PRINTER,
    on_token_lost: Callable[[], None] = ignore,
    clock: Clock | None = None,
    conditions: ConditionTracker | None = None,
    board: BoardId = NO_BOARD,
) -> Registrar:
    """A registrar whose printer calls its firmware `Marlin`."""
    return Registrar(
        server=server,
        printer=printer,
        identities=store.identities,
        firmware=lambda: "Marlin",
        on_token_lost=on_token_lost,
        clock=clock or SystemClock(),
        conditions=conditions or ConditionTracker(),
        board=board,
    )


def make_inbox(
    store: Store,
    wake: Callable[[], None] = ignore,
    *,
    clock: Clock | None = None,
    max_age: float = math.inf,
    start_within: float = math.inf,
    server_now: Callable[[], float | None] = lambda: None,
    running_job: Callable[[], str] = str,
) -> Inbox:
    """An inbox that takes commands of any age."""
    clock = clock or SystemClock()
    return Inbox(
        tasks=store.tasks,
        outbox=store.outbox,
        admission=Admission(clock, running_job),
        clock=clock,
        wake=wake,
        limits=AgeLimits(other=max_age, start=start_within),
        server_now=server_now,
        printer_status=lambda: "ready",
    )


def make_reporter(
    store: Store,
    api: ApiClient,
    registrar: Registrar,
    snapshot: AgentSnapshot,
    *,
    clock: Clock,
    wake: threading.Event,
    heartbeat: float = 15.0,
    conditions: ConditionTracker | None = None,
) -> Reporter:
    """A reporter to be stepped by hand."""
    return Reporter(
        outbox=store.outbox,
        api=api,
        registrar=registrar,
        snapshot=snapshot,
        conditions=conditions or ConditionTracker(),
        heartbeat=heartbeat,
        clock=clock,
        wake=wake,
        pulse=Pulse("reporter", clock),
    )
