"""Which port is opened next, and what is kept open for the agent after this one (`agent.core.driver.PortKeeper`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import structlog

from agent.core.driver import PortKeeper
from agent.errors import PortError
from drivers.gcode.link.black_box import BlackBox
from drivers.gcode.link.discovery import Found
from drivers.gcode.link.port import Port, PortSearch
from drivers.gcode.session.driver_checkpoint import DriverCheckpoint

_log = structlog.get_logger(part="gcode")

Attempt = Callable[[], tuple[Port, Found]]


class PortOpener:
    """Used by the link's thread alone."""

    def __init__(self, search: PortSearch, keeper: PortKeeper, box: BlackBox | None) -> None:
        self._search = search
        self._keeper = keeper
        self._box = box
        self._first = True

    def attempts(self, memory: DriverCheckpoint | None) -> Iterator[Attempt]:
        """Ways to a port, best first; each raises PortError when it leads nowhere. What was left open by the agent
        before this one is the first of all. With `memory` only the port of that print, at its rate."""
        if self._first:
            self._first = False
            left = self._keeper.take()
            if left is not None:
                yield partial(self._taken, left)
        pairs = self._search.reopen(memory.found, memory.baud) if memory else self._search.candidates()
        for found, baud in pairs:
            yield partial(self._opened, found, baud)

    def answered(self, port: Port, found: Found) -> None:
        """The printer is there: remembered, and kept open from now on."""
        self._search.answered(found, port.baud)
        self._keeper.keep(port.fd)

    def close(self, port: Port, *, leave: bool) -> None:
        """Let go of `port`, or `leave` it to the next agent."""
        port.close(leave=leave)
        if not leave:
            self._keeper.drop()

    def _opened(self, found: Found, baud: int) -> tuple[Port, Found]:
        return Port(found.path, baud, self._box), found

    def _taken(self, left: int) -> tuple[Port, Found]:
        try:
            port = Port.taken(left, self._box)
        except PortError as error:
            _log.warning("what was kept open is of no use", reason=str(error))
            self._keeper.drop()
            raise
        found = self._search.kept(port.device)
        if found is None:
            self.close(port, leave=False)
            raise PortError(f"{port.device} was kept open, and is not the port of the configuration")
        port.device = found.path
        return port, found
