"""Child process with bounds: a process group of its own, a small environment, a time limit, the tail of its output.

The child has nothing of ours but what it is given: standard input is empty, no other descriptor is inherited (not the
serial port's, not those of systemd's descriptor store), and its environment holds no setting and no credential of the
agent. When it has ended, and when it is killed, the whole of its group is killed: nothing that it started goes on.
A process that leaves the group (setsid) is out of reach here; in the service, systemd ends it with the agent.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum

import msgspec

from agent.core.clock import Clock
from agent.core.printable import printable
from agent.errors import UnavailableError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "LANG": "C.UTF-8"}
"""What every child gets; see `run` for what is added."""

TAIL = 4096  # bytes of the output that are kept
BLOCK = 65536  # bytes that are read at once
BLOCKS = 64  # reads between two looks at the limits
LOOK = 0.05  # seconds between two looks at a silent child
GRACE = 0.5  # seconds from SIGTERM to SIGKILL
REAP = 2.0  # seconds for a killed process to be gone; one that hangs in the kernel is left behind
SHORT = 300  # characters of the output in a message


class ChildEnd(Enum):
    """How a child came to its end."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"


class Ended(msgspec.Struct, frozen=True):
    """The end of a child. `code` is its exit code, negative for a signal's number; `printed` counts all bytes of its
    output and errors, of which `tail` has the last."""

    end: ChildEnd
    code: int
    printed: int
    tail: bytes

    @property
    def last_words(self) -> str:
        """The last lines of the output, short and printable; empty without any."""
        text = self.tail.decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()][-3:]
        return printable(" / ".join(lines))[-SHORT:]


def ignore(_output: bytes) -> None:
    """Look at nothing that a child prints."""


def run(
    argv: Sequence[str],
    *,
    clock: Clock,
    timeout_s: float,
    cancelled: Callable[[], bool],
    environ: Mapping[str, str],
    watch: Callable[[bytes], None],
) -> Ended:
    """Run a program, without a shell, until it exits, `timeout_s` are over or `cancelled()` is true; its output and
    errors are one stream. `environ` is added to ENVIRONMENT. `watch` is called with what was printed since its last
    call, with the last TAIL bytes if that is more. Raises UnavailableError when it cannot be started."""
    deadline = clock.monotonic() + timeout_s
    try:
        process = subprocess.Popen(  # noqa: S603 no shell; the caller's program
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, **environ},
            close_fds=True,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
        raise UnavailableError(f"{argv[0]}: {getattr(error, 'strerror', None) or error}") from None
    if process.stdout is None:
        raise AssertionError("the output is a pipe")
    with process.stdout as pipe:
        output = _Output(pipe.fileno(), watch)
        try:
            end = _wait(process.pid, output, lambda: clock.monotonic() >= deadline, cancelled)
        finally:  # also for a defect of ours: it must not go on alone
            _kill_group(process.pid, output)
            output.read()
            with suppress(subprocess.TimeoutExpired):
                process.wait(REAP)
    code = process.returncode if process.returncode is not None else -signal.SIGKILL
    return Ended(end=end, code=code, printed=output.printed, tail=bytes(output.tail))


class _Output:
    """The reading end of the child's output: what was printed is counted, and its end is kept."""

    def __init__(self, descriptor: int, watch: Callable[[bytes], None]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._watch = watch
        self.open = True
        self.printed = 0
        self.tail = bytearray()

    def wait(self, seconds: float) -> None:
        """Wait until there is something to read, `seconds` at most; the whole time once the child has closed it."""
        if self.open:
            select.select([self._descriptor], [], [], seconds)
        else:
            time.sleep(seconds)

    def read(self) -> None:
        """Read what is there, BLOCKS times at most."""
        printed = self.printed
        for _ in range(BLOCKS):
            if not self.open:
                break
            try:
                block = os.read(self._descriptor, BLOCK)
            except BlockingIOError:
                break
            self.open = bool(block)
            self.printed += len(block)
            self.tail += block
            del self.tail[:-TAIL]
        new = min(self.printed - printed, len(self.tail))
        if new:
            self._watch(bytes(self.tail[-new:]))


def _wait(pid: int, output: _Output, expired: Callable[[], bool], cancelled: Callable[[], bool]) -> ChildEnd:
    """Wait for the child's end, reading its output meanwhile."""
    while True:
        exited = _has_exited(pid)
        output.read()
        if exited:
            return ChildEnd.EXITED
        if cancelled():
            return ChildEnd.CANCELLED
        if expired():
            return ChildEnd.TIMED_OUT
        output.wait(LOOK)


def _has_exited(pid: int) -> bool:
    """Whether the child has ended. It is not reaped: until it is, its number, and so its group's, is nobody else's."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(pid: int, output: _Output) -> None:
    """End the child's group, which is still its own: SIGTERM, and after GRACE, or at once when the child itself has
    ended, SIGKILL."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)
        for _ in range(round(GRACE / LOOK)):
            if _has_exited(pid):
                break
            output.read()
            time.sleep(LOOK)
        os.killpg(pid, signal.SIGKILL)
