"""The agent's long-lived threads: one named thread for each loop, and their end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import structlog

from agent.service.lifecycle import Lifecycle

log = structlog.get_logger(part="agent")

Loop = Callable[[threading.Event], None]


class LoopThreads:
    """Runs each loop on a thread of its name until the lifecycle's stop; `last` is ended by itself, after the others:
    the reporter has what they leave to report."""

    def __init__(self, loops: Mapping[str, Loop], lifecycle: Lifecycle, *, last: str) -> None:
        self._lifecycle = lifecycle
        self._end_of_last = threading.Event()
        self._last = last
        self._threads = {
            name: threading.Thread(
                target=self._run,
                args=(name, loop, self._end_of_last if name == last else lifecycle.stop),
                name=name,
                daemon=True,
            )
            for name, loop in loops.items()
        }

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads.values():
            thread.start()

    def join_others(self, join: Callable[[threading.Thread], None]) -> None:
        """Wait for all threads but the last one; the stop was requested before."""
        for name, thread in self._threads.items():
            if name != self._last:
                join(thread)

    def end_last(self, join: Callable[[threading.Thread], None], wake: Callable[[], None]) -> None:
        """End the last thread and wait for it."""
        self._end_of_last.set()
        wake()
        join(self._threads[self._last])

    def alive(self) -> list[str]:
        """Names of the threads that have not ended."""
        return [name for name, thread in self._threads.items() if thread.is_alive()]

    def _run(self, name: str, loop: Loop, end: threading.Event) -> None:
        """A loop that crashes ends the process: an agent with a dead thread must not look alive."""
        try:
            loop(end)
        except Exception:
            log.exception("thread crashed", thread=name)
            self._lifecycle.fail()
