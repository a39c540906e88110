"""Search for the printer: port after port until one of them answers, and again when the printer is lost.

A print that is to be taken over comes first: only its own port is tried, until it is recovered or has failed
(`drivers.gcode.session.takeover`)."""

from __future__ import annotations

import select
from functools import partial

import structlog

from agent.core.clock import Clock
from agent.core.driver import Host, PrinterState, Unfinished
from agent.errors import DataError, PortError
from drivers.gcode.link.conversation import RELEASED, Conversation
from drivers.gcode.link.discovery import lower_latency
from drivers.gcode.link.link_lifecycle import LinkLifecycle
from drivers.gcode.link.mailbox import Mailbox
from drivers.gcode.link.port import Port
from drivers.gcode.link.port_opener import PortOpener
from drivers.gcode.requests import RunScript, SimpleRequest, StartPrint
from drivers.gcode.session.driver_checkpoint import CheckpointWriter, decode
from drivers.gcode.session.port_identity import PortIdentity
from drivers.gcode.session.reset_watch import ResetWatch
from drivers.gcode.session.session import Session
from drivers.gcode.session.session_parts import SessionContext
from drivers.gcode.session.takeover import PendingTakeover
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

_NO_PORT = "no serial port found: looked for /dev/serial/by-id/*, /dev/ttyUSB*, /dev/ttyACM*, /dev/ttyAMA*"
_log = structlog.get_logger(part="gcode")


class PrinterSearch:
    """What the link's thread runs. `remember` stores checkpoints; `unfinished` is a print to take over."""

    def __init__(
        self,
        *,
        settings: DriverSettings,
        slot: Slot,
        timing: Timing,
        clock: Clock,
        opener: PortOpener,
        host: Host,
        mailbox: Mailbox,
        lifecycle: LinkLifecycle,
        unfinished: Unfinished | None,
    ) -> None:
        self._settings = settings
        self._slot = slot
        self._timing = timing
        self._now = clock.monotonic
        self._opener = opener
        self._host = host
        self._mailbox = mailbox
        self._lifecycle = lifecycle
        self._unfinished = unfinished
        self._pending: PendingTakeover | None = None
        self._unsafe = unfinished is not None
        self._resets = ResetWatch()

    def run(self) -> None:
        """Search and talk until a stop is requested."""
        pause = self._timing.retry
        self._read_checkpoint()
        while not self._lifecycle.stopping:
            if self._lifecycle.released:
                self._stay_away()
                continue
            answered = False
            try:
                answered = self._try_all_ports()
            except Exception as error:  # noqa: BLE001 the thread must outlive a defect: say it, and begin anew
                _log.exception("link thread failed")
                self._slot.update(state=self._state_without_printer, reason=f"{type(error).__name__}: {error}")
            self._slot.update(port="", display="")
            pause = self._timing.retry if answered or self._pending else min(pause * 2, self._timing.retry_most)
            self._rest(pause, released=False)
            self._check_takeover()
        self._check_takeover()

    @property
    def _state_without_printer(self) -> PrinterState:
        undecided = self._pending is not None and not self._pending.decided
        return PrinterState.RECOVERING if undecided else PrinterState.OFFLINE

    def _read_checkpoint(self) -> None:
        """With a print to take over: read its checkpoint, or fail it."""
        unfinished = self._unfinished
        if unfinished is None:
            return
        try:
            checkpoint = decode(unfinished.memory)
        except DataError as error:
            self._slot.fail(unfinished.task_id, str(error))
            return
        self._pending = PendingTakeover(unfinished, checkpoint, now=self._now(), patience_s=self._timing.take_over)

    def _check_takeover(self) -> None:
        """Fail a print whose printer is not found in time, or before an ordinary stop."""
        pending, lifecycle = self._pending, self._lifecycle
        if pending is None or (lifecycle.stopping and lifecycle.hand_over):
            return
        if not pending.decided and not lifecycle.stopping and self._now() < pending.deadline:
            return
        self._pending = None
        if not pending.decided:
            reason = self._slot.read().reason
            why = "the agent was stopped before it was found" if lifecycle.stopping else reason
            self._slot.fail(pending.unfinished.task_id, f"the printer cannot be found again: {why}")

    def _try_all_ports(self) -> bool:
        """Try every port and rate once; whether one of them answered (and is lost again now)."""
        reason = _NO_PORT
        pending = self._pending
        for attempt in self._opener.attempts(pending.checkpoint if pending else None):
            if self._lifecycle.stopping or self._lifecycle.released:
                return True
            try:
                port, identity = attempt()
            except PortError as error:
                reason = str(error)
                continue
            leave = False
            try:
                answered, reason, leave = self._talk(port, identity)
            finally:
                self._opener.close(port, leave=leave)
            if answered:
                return True
        self._slot.update(state=self._state_without_printer, reason=reason)
        return False

    def _talk(self, port: Port, identity: PortIdentity) -> tuple[bool, str, bool]:
        """Talk until the connection is of no use any more; whether it ever answered, why it ended, and whether it is
        left as it is for the next agent."""
        self._slot.port_opened(port.device, lower_latency(port.device))
        session = Session(
            SessionContext(
                write=port.write,
                slot=self._slot,
                settings=self._settings,
                timing=self._timing,
                checkpoints=CheckpointWriter(self._host.remember, identity, port.baud, self._host.log_keys),
                on_answer=lambda: self._opener.keep_open(port, identity),
                resets=self._resets,
                unsafe=self._unsafe,
                log_keys=self._host.log_keys,
            )
        )
        conversation = Conversation(
            port=port,
            session=session,
            mailbox=self._mailbox,
            lifecycle=self._lifecycle,
            slot=self._slot,
            now=self._now,
            rest=partial(self._rest, released=False),
        )
        try:
            conversation.run(self._begin)
        except PortError as error:
            self._resets.restarted()  # a board that goes away when it is reset begins anew when it is back
            session.lost(str(error))
        except BaseException:
            session.lost("a defect in the driver; the log tells more")
            raise
        finally:
            self._unsafe = session.operation.unsafe
        why = session.over
        if session.hello.answered:
            _log.info("printer disconnected", port=port.device, baud=port.baud, error=why)
        leave = self._lifecycle.hand_over and not why and session.can_be_handed_over
        return (
            session.hello.answered,
            f"{why} on {port.device} at {port.baud} baud" if why == "no answer" else why,
            leave,
        )

    def _begin(self, session: Session, port: Port, now: float) -> None:
        """Begin the session: with the takeover that is pending, else with a hello."""
        if self._pending is not None and not self._pending.decided:
            session.take_over(self._pending, now)
        else:
            session.open(now, now + self._timing.boot if port.resets else now)

    def _stay_away(self) -> None:
        """Leave the port to another program until it is taken again, or a stop is requested."""
        port = self._opener.printer_port()
        _log.info("port released", port=port)
        self._slot.update(
            released=port, state=PrinterState.OFFLINE, reason=RELEASED, firmware="", machine="", dialect="", heaters=()
        )
        while self._lifecycle.released and not self._lifecycle.stopping:
            self._rest(self._timing.beat, released=True)
        _log.info("port taken again", port=port)
        self._slot.update(released=None, reason="looking for the printer")

    def _rest(self, seconds: float, *, released: bool) -> None:
        """Wait as long as the port is `released` or is not, unless a stop is requested. Requests that come too late for
        a connection fail."""
        mailbox, lifecycle = self._mailbox, self._lifecycle
        poll = select.poll()
        poll.register(mailbox.fd, select.POLLIN)
        end = self._now() + seconds
        while not lifecycle.stopping and lifecycle.released is released and (left := end - (now := self._now())) > 0:
            lifecycle.beat_if_due(now)
            if poll.poll(min(left, self._timing.beat) * 1000 + 1):
                mailbox.drain()
            while mailbox.requests:
                request = mailbox.requests.popleft()
                if isinstance(request, StartPrint | RunScript):
                    self._slot.refuse(request.task_id, PrinterState.OFFLINE)
                elif request is SimpleRequest.RELEASE_PORT:
                    lifecycle.released = True
                elif request is SimpleRequest.TAKE_PORT:
                    lifecycle.released = False
