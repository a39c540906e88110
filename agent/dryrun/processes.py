"""Child processes of the dry run: the commands that a person can start, their events read from standard output."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import AgentError, UnavailableError

START_S = 20.0  # seconds until a process must have emitted `ready`
END_S = 6.0  # seconds that the processes have to end by themselves: a print in progress is cancelled first
POLL_S = 0.2  # seconds between two checks that all processes are alive


class ChildProcess:
    """One `printer-agent` process. Its events (JSON, a line each) go into `events`, its log into the file `log`.

    It ends when this process does, in whatever way: its standard input is a pipe that this one holds, and `--until-eof`
    has it watch that.
    """

    def __init__(self, name: str, arguments: list[str], log: Path, events: queue.Queue[dict[str, Any]]) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 ourselves
                [sys.executable, "-m", "agent.cli", *arguments, "--until-eof"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,  # a Ctrl-C is for this process, which ends the others in order
                env={key: value for key, value in os.environ.items() if not key.startswith("PRINTER_AGENT_")},
            )
        self._reader = threading.Thread(target=self._read, args=(events,), name=f"{name}-events", daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raise UnavailableError with the last error logged when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise _EndedError(f"the {self.name} ended: {_last_error(self._log)}", code)

    def terminate(self) -> None:
        """Send SIGTERM; returns at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Wait for the end until `deadline` (monotonic seconds), then kill."""
        try:
            self._process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(1.0)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _read(self, events: queue.Queue[dict[str, Any]]) -> None:
        stdout = self._process.stdout
        if stdout is None:
            return
        for line in stdout:
            try:
                event = msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.MsgspecError, UnicodeError):
                continue  # not an event: a library's own output
            events.put({"part": self.name, **event})


def _last_error(log: Path) -> str:
    """Return the last error that a process logged, else its last line."""
    lines = log.read_text(errors="replace").strip().splitlines()
    errors = [line for line in lines if '"level":"error"' in line]
    return (errors or lines or ["nothing logged"])[-1]


class _EndedError(UnavailableError):
    """A child process has ended; with its own exit code where it gave one."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        if code > 0:
            self.exit_code = code


class ChildProcesses:
    """All child processes. A context manager: leaving it ends them, the agent first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._processes: list[ChildProcess] = []

    def __enter__(self) -> ChildProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + END_S
        for process in reversed(self._processes):
            process.terminate()
            process.end(deadline)

    def start(self, name: str, arguments: list[str]) -> None:
        """Start a process."""
        self._processes.append(ChildProcess(name, arguments, self._folder / f"{name}.log", self._events))

    def event(self, within: float) -> dict[str, Any] | None:
        """Return the next event; None after `within` seconds without one. Raises UnavailableError when a process has
        ended."""
        deadline = time.monotonic() + within
        while True:
            try:
                return self._events.get(timeout=min(POLL_S, max(deadline - time.monotonic(), 0.001)))
            except queue.Empty:
                for process in self._processes:
                    process.check()
                if time.monotonic() >= deadline:
                    return None

    def ready(self, names: set[str]) -> dict[str, dict[str, Any]]:
        """Return the `ready` event of each named process. Raises UnavailableError when one has ended, AgentError when
        one is not ready within START_S."""
        ready: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + START_S
        while names - set(ready):
            event = self.event(deadline - time.monotonic())
            if event is None:
                raise AgentError(f"not ready after {START_S:.0f} s: {', '.join(sorted(names - set(ready)))}")
            if event["event"] == "ready":
                ready[str(event["part"])] = event
        return ready
