"""The one thread that owns the port: it searches the printer (`PrinterSearch`) and talks to it (`Conversation`)."""

from __future__ import annotations

import threading

from agent.core.clock import Clock
from agent.core.driver import Host, Unfinished
from drivers.gcode.link.black_box import BlackBox
from drivers.gcode.link.link_lifecycle import LinkLifecycle
from drivers.gcode.link.mailbox import Mailbox
from drivers.gcode.link.port import PortSearch
from drivers.gcode.link.port_opener import PortOpener
from drivers.gcode.link.printer_search import PrinterSearch
from drivers.gcode.requests import Request
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings


class LinkThread:
    """`start` once, `post` from any thread, `stop` once."""

    def __init__(
        self,
        *,
        settings: DriverSettings,
        slot: Slot,
        timing: Timing,
        clock: Clock,
        ports: PortSearch,
        box: BlackBox,
        host: Host,
        unfinished: Unfinished | None,
    ) -> None:
        self._mailbox = Mailbox()
        self._lifecycle = LinkLifecycle(now=clock.monotonic, beat=host.beat, interval_s=timing.beat)
        search = PrinterSearch(
            settings=settings,
            slot=slot,
            timing=timing,
            clock=clock,
            opener=PortOpener(ports, host.port, box),
            host=host,
            mailbox=self._mailbox,
            lifecycle=self._lifecycle,
            unfinished=unfinished,
        )
        self._thread = threading.Thread(target=search.run, name="link", daemon=True)

    def start(self) -> None:
        """Begin to search the printer."""
        self._thread.start()

    def post(self, request: Request) -> None:
        """Put a request into the mailbox. Raises NotReadyError when it is full."""
        self._mailbox.post(request)

    def stop(self, timeout: float, *, hand_over: bool = False) -> None:
        """Cancel what runs, let go of the port and end the thread, within `timeout` seconds; with `hand_over` leave a
        print as it is."""
        self._lifecycle.request_stop(timeout * 0.8, hand_over=hand_over)
        self._mailbox.wake()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._mailbox.close()
