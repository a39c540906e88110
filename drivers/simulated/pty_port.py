"""Serve a simulated firmware on a pseudo-terminal: the serial port of the virtual printer.

The thread `simulator` owns the pty and the firmware; it ends with `stop`. The port survives clients that come and go;
what is sent while nobody is there is lost, as on a real port that is closed. That somebody opened the port is seen
within POLL_S: a client that wants its closing and opening noticed leaves twice that time between them."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import termios
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from agent.errors import PortError
from drivers.simulated.faults import ScheduledFault
from drivers.simulated.options import ResetOnOpen
from drivers.simulated.stable_link import StableLink
from drivers.simulated.virtual_clock import VirtualClock

POLL_S = 0.01
"""Real seconds between two looks for a client while there is none: the kernel does not tell when one opens."""

_READ = 4096
_PENDING = 65536  # bytes kept for a client that does not read; more is lost, as in a real host's buffer
_IDLE_S = 1.0

_log = structlog.get_logger(part="simulator")


class Board(Protocol):
    """What has the serial line: a firmware, or a board with a bootloader before it."""

    @property
    def opening_helps(self) -> bool:
        """See VirtualFirmware."""

    @property
    def unplug(self) -> ScheduledFault | None:
        """See VirtualFirmware."""

    def reset(self, now: float) -> None:
        """See VirtualFirmware."""

    def wake_at(self) -> float:
        """See VirtualFirmware."""

    def receive(self, data: bytes, now: float) -> bytes:
        """See VirtualFirmware."""

    def advance(self, now: float) -> bytes:
        """See VirtualFirmware."""


class PtyPort:
    """One serial port. `path` may be opened by one client at a time, again and again."""

    def __init__(
        self,
        firmware: Board,
        clock: VirtualClock,
        *,
        monotonic: Callable[[], float],
        link: Path | None,
        reset_on_open: ResetOnOpen,
    ) -> None:
        self._firmware = firmware
        self._clock = clock
        self._monotonic = monotonic
        self._link = StableLink(link) if link is not None else None
        self._reset_on_open = reset_on_open
        self._master = -1
        self._name = ""
        self._attached = False  # a client has the port open
        self._replug_at = math.inf  # the real instant at which the cable is put back
        self._pending = bytearray()
        self._wants_room = False  # do we wait until the client has read?
        self._events = select.poll()
        self._wake_pipe = (-1, -1)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def path(self) -> str:
        """The path to open: the link where there is one, else the pty's own name, which changes when it is unplugged
        and put back, or was left locked (TIOCEXCL) by a client that died."""
        return str(self._link.path) if self._link is not None else self._name

    @property
    def alive(self) -> bool:
        """Whether the port is being served."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Create the port and serve it, also again after a `stop`: the board has not noticed. Raises DataError when the
        link's name is taken by something else, PortError when the system gives no pty."""
        if self._thread is not None:
            raise PortError("the virtual port has been started already")
        self._wake_pipe = os.pipe()
        self._stopping.clear()
        try:
            self._plug_in()
        except BaseException:
            self._close_wake_pipe()
            raise
        self._thread = threading.Thread(target=self._serve, name="simulator", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread and remove the port and its link, within `timeout` seconds. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        os.write(self._wake_pipe[1], b"\0")
        thread.join(timeout)
        if thread.is_alive():
            raise PortError(f"the virtual port {self.path} did not stop within {timeout} s")
        self._close_wake_pipe()

    # -- all below runs in the thread `simulator`, but for the first _plug_in

    def _serve(self) -> None:
        try:
            while not self._stopping.is_set():
                if self._attached:
                    self._wait_for_bytes()
                    self._exchange()
                elif self._master >= 0:
                    self._pause(min(POLL_S, self._clock.real_until(self._firmware.wake_at())))
                    self._detect_client()
                    self._exchange()
                elif self._monotonic() >= self._replug_at:
                    self._firmware.reset(self._clock.now())
                    self._plug_in()
                else:
                    self._pause(self._replug_at - self._monotonic())
        finally:
            self._unplug()

    def _pause(self, seconds: float) -> None:
        select.select([self._wake_pipe[0]], [], [], min(_IDLE_S, max(0.0, seconds)))

    def _wait_for_bytes(self) -> None:
        wake = self._firmware.wake_at()
        if wake == math.inf:
            self._events.poll(_IDLE_S * 1000)
        else:
            self._events.poll(min(_IDLE_S, self._clock.real_until(wake)) * 1000)

    def _exchange(self) -> None:
        """Pass what was received to the firmware, and its output to the client."""
        data = b""
        if self._attached:
            try:
                data = os.read(self._master, _READ)
            except BlockingIOError:
                pass
            except OSError:
                self._client_left()
        now = self._clock.now()
        output = self._firmware.receive(data, now) if data else self._firmware.advance(now)
        if output or self._pending:
            self._write(output)
        unplug = self._firmware.unplug
        if unplug is not None:
            wait = unplug.seconds
            self._replug_at = math.inf if wait is None else self._monotonic() + wait
            _log.info("virtual port unplugged", port=self.path, seconds=wait)
            self._unplug()

    def _write(self, output: bytes) -> None:
        if not self._attached:
            return
        if self._pending or not output:
            self._pending += output[: max(0, _PENDING - len(self._pending))]
            output = bytes(self._pending)
            self._pending.clear()
        try:
            done = os.write(self._master, output)
        except BlockingIOError:
            done = 0
        except OSError:
            self._client_left()
            return
        if done < len(output):
            self._pending += output[done : done + _PENDING]
        if bool(self._pending) is not self._wants_room:
            self._wants_room = not self._wants_room
            self._events.modify(self._master, select.POLLIN | (select.POLLOUT if self._wants_room else 0))

    def _detect_client(self) -> None:
        seen = dict(self._events.poll(0)).get(self._master, 0)
        if seen & select.POLLHUP and not seen & select.POLLIN:
            return  # with POLLIN one was here for a moment, and left something to read
        self._attached = True
        always = self._reset_on_open is ResetOnOpen.ALWAYS
        if always or (self._reset_on_open is ResetOnOpen.HALTED and self._firmware.opening_helps):
            self._firmware.reset(self._clock.now())

    def _client_left(self) -> None:
        self._pending.clear()
        self._wants_room = False
        self._events.modify(self._master, select.POLLIN)
        try:
            self._reset_terminal(os.open(self._name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
        except OSError:
            # It left the port locked for others (TIOCEXCL), and no one but root could open it any more.
            self._unplug()
            self._plug_in()
        self._attached = False

    def _reset_terminal(self, slave: int) -> None:
        """Reset the terminal: raw mode, nothing left to read, free for all, closed, as a port that nobody uses. A real
        one is that by its last close; a pty keeps the lock of a client that was killed. TCSANOW, since the others wait
        for the client or eat what was output (docs/serial.md §17a)."""
        try:
            fcntl.ioctl(slave, termios.TIOCNXCL)
            tty.setraw(slave, termios.TCSANOW)
            termios.tcflush(slave, termios.TCIFLUSH)
        finally:
            os.close(slave)

    def _plug_in(self) -> None:
        self._firmware.advance(self._clock.now())  # what was output until now, boot messages too, nobody could hear
        master, slave = self._open_pty()
        os.set_blocking(master, False)
        self._name = os.ttyname(slave)
        self._reset_terminal(slave)
        self._master = master
        self._replug_at = math.inf
        self._wants_room = False
        self._events = select.poll()
        self._events.register(master, select.POLLIN)
        self._events.register(self._wake_pipe[0], select.POLLIN)
        if self._link is not None:
            try:
                self._link.point_to(self._name)
            except BaseException:
                self._unplug()
                raise

    def _open_pty(self) -> tuple[int, int]:
        """Open a pty of another name than the last one had, as a board that is plugged in again may get (docs/serial.md
        §29)."""
        try:
            first = os.openpty()
            if os.ttyname(first[1]) != self._name:
                return first
            try:
                return os.openpty()
            finally:
                for descriptor in first:
                    os.close(descriptor)
        except OSError as error:
            raise PortError(f"no pseudo-terminal to be had: {error.strerror}") from error

    def _unplug(self) -> None:
        if self._link is not None:
            self._link.remove()
        if self._master >= 0:
            os.close(self._master)
        self._master = -1
        self._attached = False
        self._pending.clear()

    def _close_wake_pipe(self) -> None:
        for descriptor in self._wake_pipe:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._wake_pipe = (-1, -1)
