"""Opening of ports: which is opened next, and what is kept open for the next agent (`agent.core.driver.PortKeeper`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import structlog

from agent.core.driver import PortKeeper
from agent.errors import PortError
from drivers.gcode.link.black_box import BlackBox
from drivers.gcode.link.port import Port, PortSearch
from drivers.gcode.session.driver_checkpoint import DriverCheckpoint
from drivers.gcode.session.port_identity import PortIdentity

_log = structlog.get_logger(part="gcode")

Attempt = Callable[[], tuple[Port, PortIdentity]]


class PortOpener:
    """Used by the link's thread alone. `box` records what goes over each port."""

    def __init__(self, search: PortSearch, keeper: PortKeeper, box: BlackBox) -> None:
        self._search = search
        self._keeper = keeper
        self._box = box
        self._first = True

    def attempts(self, checkpoint: DriverCheckpoint | None) -> Iterator[Attempt]:
        """Ways to a port, best first; each raises PortError when it leads nowhere. What was left open by the agent
        before this one is the first of all. With a `checkpoint` only the port of that print, at its rate."""
        if self._first:
            self._first = False
            kept = self._keeper.take()
            if kept is not None:
                yield partial(self._adopt, kept)
        search = self._search
        pairs = search.reopen(checkpoint.port, checkpoint.baud) if checkpoint else search.candidates()
        for identity, baud in pairs:
            yield partial(self._open, identity, baud)

    def keep_open(self, port: Port, identity: PortIdentity) -> None:
        """The printer answers there: try it first the next time, and keep it open from now on."""
        self._search.remember(identity, port.baud)
        self._keeper.keep(port.fd)

    def printer_port(self) -> str:
        """See `PortSearch.printer_port`."""
        return self._search.printer_port()

    def close(self, port: Port, *, leave: bool) -> None:
        """Let go of `port`, or `leave` it to the next agent."""
        port.close(leave=leave)
        if not leave:
            self._keeper.drop()

    def _open(self, identity: PortIdentity, baud: int) -> tuple[Port, PortIdentity]:
        return Port(identity.path, baud, self._box), identity

    def _adopt(self, kept: int) -> tuple[Port, PortIdentity]:
        try:
            port = Port.from_descriptor(kept, self._box)
        except PortError as error:
            _log.warning("kept port unusable", error=str(error))
            self._keeper.drop()
            raise
        identity = self._search.identify_kept(port.device)
        if identity is None:
            self.close(port, leave=False)
            raise PortError(f"{port.device} was kept open, and is not the port of the configuration")
        port.device = identity.path
        return port, identity
