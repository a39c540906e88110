"""The agent's way to its end: what signals and threads request of the main thread."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Lifecycle:
    """Requests to the main thread. Any thread, also a signal handler."""

    def __init__(self, *, stop_hands_over: bool) -> None:
        """`stop_hands_over`: SIGTERM leaves a running print to the next agent, as SIGUSR2 always does."""
        self.stop = threading.Event()
        self._stop_hands_over = stop_hands_over
        self._wake = threading.Event()
        self._handing_over = threading.Event()
        self._failed = threading.Event()
        self._reload_requested = False

    def request_stop(self) -> None:
        """End the agent."""
        self.stop.set()
        self._wake.set()

    def request_hand_over(self) -> None:
        """End the agent alone: the print is left to the next one."""
        self._handing_over.set()
        self.request_stop()

    def request_reload(self) -> None:
        """Have the configuration read anew."""
        self._reload_requested = True
        self._wake.set()

    def fail(self) -> None:
        """End the agent because a thread of it crashed; the print is left to the next one."""
        self._failed.set()
        self.request_hand_over()

    def is_handing_over(self) -> bool:
        """Whether a running print is left to the next agent."""
        return self._handing_over.is_set()

    def has_failed(self) -> bool:
        """Whether a thread crashed."""
        return self._failed.is_set()

    def wait(self, seconds: float) -> None:
        """Wait for a request, at most `seconds`. The main thread's."""
        self._wake.wait(seconds)
        self._wake.clear()

    def take_reload(self) -> bool:
        """Whether a reload was requested since the last call. The main thread's."""
        requested, self._reload_requested = self._reload_requested, False
        return requested

    def handle_signals(self) -> None:
        """SIGTERM and SIGINT end the agent: the print is cancelled, heaters go off. SIGUSR2 ends the agent alone: the
        print is left to the next one ([job] stop_hands_over: SIGTERM too). SIGHUP reads log level and scripts anew.
        Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.request_reload()
        elif number == signal.SIGUSR2 or (number == signal.SIGTERM and self._stop_hands_over):
            self.request_hand_over()
        else:
            self.request_stop()
