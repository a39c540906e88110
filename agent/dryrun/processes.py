"""The dry run's processes: the same commands that a person can start, spoken to over their standard output."""

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

START = 20.0  # seconds until a part must have said that it is ready
END = 6.0  # seconds that the parts have to end by themselves: a print in progress is cancelled first
LOOK = 0.2  # seconds between two looks whether all parts live


class Part:
    """One process. Its events (JSON, a line each) go into `events`; what it logs goes into `log`.

    It ends when we do, in whatever way: its standard input is a pipe that we hold, and `--until-eof` has it watch that.
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
                start_new_session=True,  # a Ctrl-C is for us: we end the parts in order
                env={key: value for key, value in os.environ.items() if not key.startswith("PRINTER_AGENT_")},
            )
        self._reader = threading.Thread(target=self._read, args=(events,), name=f"{name}-events", daemon=True)
        self._reader.start()

    def check(self) -> None:
        """Raises UnavailableError with its last words when the process has ended."""
        code = self._process.poll()
        if code is not None:
            raise _EndedError(f"the {self.name} ended: {_last_words(self._log)}", code)

    def ask_to_end(self) -> None:
        """SIGTERM; returns at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Wait until `deadline` (monotonic), then kill."""
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
                continue  # not an event: a library's own words
            events.put({"part": self.name, **event})


def _last_words(log: Path) -> str:
    """The last error that a part logged, else its last line."""
    lines = log.read_text(errors="replace").strip().splitlines()
    errors = [line for line in lines if '"level":"error"' in line]
    return (errors or lines or ["without a word"])[-1]


class _EndedError(UnavailableError):
    """A part has ended; with its own exit code where that says what was wrong."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        if code > 0:
            self.exit_code = code


class Parts:
    """All of them. Use as a context manager: leaving it ends them, the agent first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._parts: list[Part] = []

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + END
        for part in reversed(self._parts):
            part.ask_to_end()
            part.end(deadline)

    def start(self, name: str, arguments: list[str]) -> None:
        """Start one more."""
        self._parts.append(Part(name, arguments, self._folder / f"{name}.log", self._events))

    def event(self, within: float) -> dict[str, Any] | None:
        """The next event; None after `within` seconds without one. Raises UnavailableError when a part has ended."""
        deadline = time.monotonic() + within
        while True:
            try:
                return self._events.get(timeout=min(LOOK, max(deadline - time.monotonic(), 0.001)))
            except queue.Empty:
                for part in self._parts:
                    part.check()
                if time.monotonic() >= deadline:
                    return None

    def ready(self, names: set[str]) -> dict[str, dict[str, Any]]:
        """The `ready` event of each named part. Raises UnavailableError when one does not come up."""
        found: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + START
        while names - set(found):
            event = self.event(deadline - time.monotonic())
            if event is None:
                raise AgentError(f"not ready after {START:.0f} s: {', '.join(sorted(names - set(found)))}")
            if event["event"] == "ready":
                found[str(event["part"])] = event
        return found
