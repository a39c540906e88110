"""Parts that talk with the cloud."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agent import __version__
from agent.core.command_age import AgeLimits
from agent.server.admission import Admission
from agent.server.api_client import ApiClient
from agent.server.catch_up import CatchUp
from agent.server.inbox import Inbox
from agent.server.registration import Registrar
from agent.server.reporter import Reporter
from agent.server.server_clock import ServerClock
from agent.server.subscriber import Subscriber
from agent.service.board_id import read_board_id
from agent.service.config import need_server
from agent.wiring.base_parts import Base

HELLO = 5.0  # seconds that the first registration waits for the printer to say what it is


class ServerParts(msgspec.Struct, frozen=True, kw_only=True):
    """What talks with the cloud."""

    clock: ServerClock
    clients: tuple[ApiClient, ...]
    registrar: Registrar
    inbox: Inbox
    reporter: Reporter
    catch_up: CatchUp
    subscriber: Subscriber


def build_server(base: Base) -> ServerParts:
    """Wire what talks with the cloud: a client each for three threads, over one clock of the server."""
    config, clock = base.config, base.clock
    server_clock = ServerClock(clock)
    pulses = {name: base.health.pulse(name) for name in ("reporter", "catch-up", "subscriber")}
    clients = {
        name: ApiClient(config, http=base.http, clock=clock, server_clock=server_clock, beat=pulse.beat)
        for name, pulse in pulses.items()
    }

    def on_token_lost() -> None:
        subscriber.interrupt()

    def wake_both() -> None:
        base.wake_reporter.set()
        base.wake_runner.set()

    registrar = Registrar(
        server=need_server(config),
        printer=config.printer,
        identities=base.store.identities,
        firmware=_firmware_name(base),
        on_token_lost=on_token_lost,
        clock=clock,
        conditions=base.conditions,
        board=read_board_id(),
    )
    inbox = Inbox(
        tasks=base.store.tasks,
        outbox=base.store.outbox,
        admission=Admission(clock, base.snapshot.running_job),
        clock=clock,
        wake=wake_both,
        limits=AgeLimits(other=config.job.max_age_s, start=config.job.start_within_s),
        server_now=server_clock.now,
        printer_status=base.snapshot.printer_status,
    )
    reporter = Reporter(
        outbox=base.store.outbox,
        api=clients["reporter"],
        registrar=registrar,
        snapshot=base.snapshot,
        conditions=base.conditions,
        heartbeat=config.reports.heartbeat_s,
        clock=clock,
        wake=base.wake_reporter,
        pulse=pulses["reporter"],
    )
    catch_up = CatchUp(clients["catch-up"], registrar, inbox, pulses["catch-up"])
    subscriber = Subscriber(
        config=config,
        http=base.http,
        api=clients["subscriber"],
        registrar=registrar,
        inbox=inbox,
        catch_up=catch_up,
        on_member_added=reporter.request_status,
        clock=clock,
        pulse=pulses["subscriber"],
    )
    return ServerParts(
        clock=server_clock,
        clients=tuple(clients.values()),
        registrar=registrar,
        inbox=inbox,
        reporter=reporter,
        catch_up=catch_up,
        subscriber=subscriber,
    )


def _firmware_name(base: Base) -> Callable[[], str]:
    """The firmware to register with: the configured name, else the printer's own answer, for which it waits HELLO."""
    driver, clock = base.driver, base.clock

    def name() -> str:
        if base.config.printer.firmware != "auto":
            return base.config.printer.firmware
        end = clock.monotonic() + HELLO
        while driver.telemetry().state.absent and clock.monotonic() < end:
            if base.lifecycle.stop.wait(0.1):
                break
        return driver.telemetry().firmware or f"printer-agent {__version__}"

    return name
