"""The driver's thread, which alone owns the connection: what is sent in which order."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from agent.core.clock import Clock
from agent.core.driver import Heater, Host, LineSource, Link, Outcome, PrinterState, Scripts
from agent.errors import NotReadyError, PortError

from .connection import Connection
from .settings import TcpSettings
from .slot import Interrupt, Slot

S = PrinterState
TICK_S = 0.02
"""Seconds between two looks at what the runner wants: the longest that a pause or an emergency stop goes unnoticed."""
RETRY_S = 0.5
"""Seconds from one try to connect to the next."""
HELLO_S = 1.0
"""Seconds from one M115 to the next until the printer answers: a board that boots takes several."""
END_S = 0.4
"""Seconds that each line of the end of a print may take when the driver is closed."""
HEATERS_OFF = (b"M104 S0", b"M140 S0", b"M107")
HEATER = re.compile(rb"\b([TBC])(\d*):(-?\d+(?:\.\d+)?) ?/ ?(-?\d+(?:\.\d+)?)")
HALTED = re.compile(rb"error:.*(?:halted|kill)", re.IGNORECASE)


@dataclass(frozen=True)
class Print:
    """A print that is to be started."""

    source: LineSource
    preamble: Sequence[str]


@dataclass(frozen=True)
class Script:
    """A script that is to be run."""

    lines: Sequence[str]


class InterruptedByRunnerError(Exception):
    """The runner wants something at once."""

    def __init__(self, interrupt: Interrupt) -> None:
        super().__init__(interrupt.name)
        self.interrupt = interrupt


class HaltedError(Exception):
    """The printer does nothing any more until it is reset."""


class Worker:
    """Connects, talks and connects again until it is told to close. `job` is set by `TcpDriver`, one at a time."""

    def __init__(self, slot: Slot, scripts: Scripts, own: TcpSettings, clock: Clock) -> None:
        self._slot = slot
        self._scripts = scripts
        self._own = own
        self._clock = clock
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._host = Host(lambda: None)
        self._heaters_unknown = False
        self._unanswered = 0
        self._sent = 0
        self._polled_at = float("-inf")
        self.job: Print | Script | None = None

    def start(self, host: Host, *, heaters_unknown: bool) -> None:
        """Start the thread; once. With `heaters_unknown` they go off as soon as the printer answers."""
        if self._thread is None:
            self._host = host
            self._heaters_unknown = heaters_unknown
            self._thread = threading.Thread(target=self._run, name="tcp-printer", daemon=True)
            self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait for the thread to end. It is told by `Slot.interrupt`."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._host.beat()
            try:
                with self._connected() as connection:
                    self._serve(connection)
            except (PortError, HaltedError, TimeoutError) as error:
                self._lost(str(error))
            except InterruptedByRunnerError:
                pass  # done; the connection is closed now
            self._stopped.wait(RETRY_S)  # a bridge needs a moment to see that
        self._slot.change(state=S.OFFLINE, reason="closed", port="")

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        own = self._own
        connection = Connection(own.host, own.tcp_port, own.connect_timeout_s)
        self._unanswered = 0
        try:
            yield connection
        finally:
            connection.close()

    def _lost(self, reason: str) -> None:
        """→ OFFLINE: the connection is gone, or there is none yet; what ran has failed."""
        now = self._slot.read()
        if now.state is not S.OFFLINE:
            self._slot.end(S.OFFLINE, Outcome.FAILED, reason, reason)
        elif now.reason != reason:
            self._slot.change(reason=reason)

    # ------------------------------------------------------------------ one connection

    def _serve(self, connection: Connection) -> None:
        """Talk until the connection breaks (PortError) or the runner interrupts."""
        try:
            self._hello(connection)
            self._operate(connection)
        except HaltedError as error:
            self._slot.end(S.ERROR, Outcome.FAILED, str(error), str(error))
            self._wait_for_reset(connection)
        except InterruptedByRunnerError as caught:
            self._obey(connection, caught.interrupt)
            raise

    def _hello(self, connection: Connection) -> None:
        """Ask who is there until it answers, then for the temperatures: → IDLE."""
        while True:
            self._check_interrupt()
            try:
                about = self._exchange(connection, b"M115", HELLO_S)
                break
            except TimeoutError:
                self._unanswered = 0
        while connection.read(5 * TICK_S) is not None:
            pass  # a second answer, or the rest of a banner
        self._unanswered = 0
        self._poll(connection)
        firmware = re.search(rb"FIRMWARE_NAME:(.*?)(?: [A-Z_]+:|$)", b" ".join(about))
        port = f"tcp://{self._own.host}:{self._own.tcp_port}"
        self._slot.note(port=port, firmware=firmware[1].decode(errors="replace") if firmware else "unknown")
        if self._heaters_unknown:
            self._send(connection, HEATERS_OFF)
            self._heaters_unknown = False
        self.job = None  # of the connection before
        self._slot.change(state=S.IDLE, reason="")

    def _operate(self, connection: Connection) -> None:
        """Run one job after the other."""
        while True:
            job, self.job = self.job, None
            if job is None:
                self._idle(connection)
                continue
            try:
                if isinstance(job, Print):
                    self._print(connection, job)
                else:
                    self._send(connection, [line.encode() for line in job.lines])
                self._exchange(connection, b"M400")  # an `ok` is no end of a move
            except OSError as error:
                self._send(connection, HEATERS_OFF)
                self._slot.end(S.IDLE, Outcome.FAILED, f"the file cannot be read: {error.strerror or error}")
                continue
            if self._slot.read().state is S.CANCELLING:
                self._cancel(connection)
            else:
                self._slot.end(S.IDLE, Outcome.COMPLETED)

    def _idle(self, connection: Connection) -> None:
        self._check_interrupt()
        line = connection.read(TICK_S)
        if line is not None:
            self._hear(line)
        if self._clock.monotonic() - self._polled_at >= self._own.poll_s:
            self._poll(connection)

    def _print(self, connection: Connection, job: Print) -> None:
        """Send the file, line by line; → PAUSED and back on the way. Ends early when it is cancelled."""
        self._send(connection, [line.encode() for line in job.preamble])
        for ordinal, code in enumerate(job.source.lines(), 1):
            if re.match(rb"M[01]\b", code):
                self._pause_for_person(connection, code)
            else:
                self._exchange(connection, code)
            self._slot.note(line=ordinal, link=Link(lines=self._sent))
            if self._slot.read().state is S.PAUSING:
                self._pause(connection)
            if self._slot.read().state is S.CANCELLING:
                return
            if self._clock.monotonic() - self._polled_at >= self._own.poll_s:
                self._poll(connection)

    def _pause_for_person(self, connection: Connection, code: bytes) -> None:
        """M0 or M1 in the file: the printer must not get it, the person at the printer resumes."""
        try:
            self._slot.move([S.PRINTING], S.PAUSING, reason=f"the file asks for it: {code.decode(errors='replace')}")
        except NotReadyError:
            return  # it is being paused or cancelled already
        self._pause(connection)

    def _pause(self, connection: Connection) -> None:
        """PAUSING → PAUSED, and wait; → PRINTING again after a resume."""
        self._exchange(connection, b"M400")
        self._send(connection, [line.encode() for line in self._scripts.pause])
        try:
            self._slot.move([S.PAUSING], S.PAUSED)
            while self._slot.read().state is S.PAUSED:
                self._idle(connection)
            if self._slot.read().state is S.RESUMING:
                self._send(connection, [line.encode() for line in self._scripts.resume])
                self._slot.move([S.RESUMING], S.PRINTING)
        except NotReadyError:
            return  # cancelled meanwhile

    def _cancel(self, connection: Connection, limit: float | None = None) -> None:
        """The cancel script, heaters and fan off: → IDLE."""
        self._send(connection, [line.encode() for line in self._scripts.cancel], limit)
        self._send(connection, HEATERS_OFF, limit)
        self._slot.end(S.IDLE, Outcome.CANCELLED)

    # ------------------------------------------------------------------ what cannot wait

    def _check_interrupt(self) -> None:
        if self._slot.interrupt is not None:
            raise InterruptedByRunnerError(self._slot.interrupt)

    def _obey(self, connection: Connection, interrupt: Interrupt) -> None:
        """Do what the runner wants, after which the connection is closed."""
        self._slot.interrupt = None
        match interrupt:
            case Interrupt.HALT:
                connection.write(b"M112")
                self._slot.end(S.ERROR, Outcome.FAILED, "emergency stop", "emergency stop")
                self._wait_for_reset(connection)
            case Interrupt.RESET:
                self._reset(connection)
            case Interrupt.CLOSE if self._slot.read().task_id:
                self._cancel(connection, END_S)
            case Interrupt.CLOSE:
                self._send(connection, HEATERS_OFF, END_S)
            case Interrupt.HAND_OVER:
                pass

    def _reset(self, connection: Connection) -> None:
        if self._own.reset_command:
            connection.write(self._own.reset_command.encode())
        self._slot.end(S.OFFLINE, Outcome.FAILED, "reset", "resetting")

    def _wait_for_reset(self, connection: Connection) -> None:
        """ERROR: nothing is sent until the runner wants a reset or the end."""
        while self._slot.interrupt not in (Interrupt.RESET, Interrupt.CLOSE, Interrupt.HAND_OVER):
            self._host.beat()
            connection.read(TICK_S)
        interrupt, self._slot.interrupt = self._slot.interrupt, None
        if interrupt is Interrupt.RESET:
            self._reset(connection)
        raise InterruptedByRunnerError(interrupt)

    # ------------------------------------------------------------------ lines

    def _send(self, connection: Connection, lines: Sequence[bytes], limit: float | None = None) -> None:
        """Send each line that has something left without its comment, and wait for its `ok`."""
        for line in lines:
            code = line.split(b";")[0].strip().removeprefix(b"?").lstrip()
            if code:
                self._exchange(connection, code, limit)

    def _poll(self, connection: Connection) -> None:
        self._exchange(connection, b"M105")
        self._polled_at = self._clock.monotonic()

    def _exchange(self, connection: Connection, code: bytes, limit: float | None = None) -> list[bytes]:
        """Send one line and wait for its `ok`; what was heard until then.

        Without a `limit` an interrupt ends the wait, and silence for `answer_timeout_s` is a PortError; with one,
        nothing but the answer does, and TimeoutError is raised after `limit` seconds."""
        connection.write(code)
        self._sent += 1
        self._unanswered += 1
        heard: list[bytes] = []
        since = self._clock.monotonic()
        while self._unanswered:
            line = connection.read(TICK_S)
            self._host.beat()
            now = self._clock.monotonic()
            if line is not None:
                heard.append(line)
                self._hear(line)
                if line.startswith(b"ok"):
                    self._unanswered -= 1
                if limit is None:
                    since = now
            elif now - since > (self._own.answer_timeout_s if limit is None else limit):
                silence = f"no answer to {code.decode(errors='replace')} in {now - since:.0f} s"
                raise PortError(silence) if limit is None else TimeoutError(silence)
            if limit is None:
                self._check_interrupt()
        return heard

    def _hear(self, line: bytes) -> None:
        """Read temperatures, a restart and a halt off any line."""
        if line == b"start" and self._slot.read().state is not S.OFFLINE:
            raise PortError("the printer restarted: its position is lost")
        if HALTED.match(line):
            raise HaltedError(line.decode(errors="replace"))
        if b"T:" in line or b"T0:" in line:
            self._slot.note(heaters=tuple(_heater(*match) for match in HEATER.findall(line)))


def _heater(letter: bytes, number: bytes, actual: bytes, target: bytes) -> Heater:
    name = {b"T": f"tool{number.decode() or 0}", b"B": "bed", b"C": "chamber"}[letter]
    return Heater(name, float(actual), float(target))
