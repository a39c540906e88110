"""Parts that talk with the person at the printer."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

import msgspec

from agent.core.driver import SupportsEmergencyStop
from agent.local.api import LocalApi
from agent.local.socket_server import LocalServer
from agent.service.paths import socket_path
from agent.wiring.base_parts import Base
from agent.wiring.server_parts import ServerParts

if TYPE_CHECKING:
    from agent.local.status_page import StatusPage


class LocalParts(msgspec.Struct, frozen=True, kw_only=True):
    """What talks with the person at the printer."""

    server: LocalServer
    page: StatusPage | None


def build_local(base: Base, server: ServerParts, environ: MutableMapping[str, str]) -> LocalParts:
    """Wire the socket and the status page. Raises UnavailableError when another agent serves the socket."""
    config, driver = base.config, base.driver
    api = LocalApi(
        config=config,
        jobs=base.jobs,
        store=base.store,
        inbox=server.inbox,
        snapshot=base.snapshot,
        registrar=server.registrar,
        conditions=base.conditions,
        listening=lambda: server.subscriber.listening,
        wake_reporter=base.wake_reporter.set,
        wake_runner=base.wake_runner.set,
        emergency_stop=driver.halt if isinstance(driver, SupportsEmergencyStop) else None,
    )
    page = None
    if config.local.status_page:
        from agent.local.status_page import StatusPage  # noqa: PLC0415 late: http.server costs memory, and there is mostly no page

        page = StatusPage(
            config.local.status_page, api.status, base.health.pulse("page"), hosts=config.local.page_hosts
        )
    return LocalParts(
        server=LocalServer(socket_path(config, environ), api, base.health.pulse("local")),
        page=page,
    )
