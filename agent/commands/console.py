"""Standard output and input of a command: events as lines of JSON, and when to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from agent.core.printable import printable_json


def emit(event: dict[str, Any]) -> None:
    """Print an event as one line of JSON, and flush."""
    sys.stdout.write(printable_json(msgspec.json.encode(event).decode()) + "\n")
    sys.stdout.flush()


def stop_event(*, until_eof: bool) -> threading.Event:
    """Make an event that SIGTERM, SIGINT or, with `until_eof`, the end of standard input sets."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if until_eof:
        at_eof(stop.set)
    return stop


def at_eof(stop: Callable[[], None]) -> None:
    """Call `stop` when the parent process closes our standard input, which its end does as well."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        stop()

    threading.Thread(target=watch, name="until-eof", daemon=True).start()
