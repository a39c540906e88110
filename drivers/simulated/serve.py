"""`printer-agent simulate`: a virtual printer on a pty until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.errors import EX_OK, UnavailableError
from drivers.simulated.options import Options
from drivers.simulated.printer import VirtualPrinter

_LOOK_S = 1.0


def serve(
    *,
    link: Path | None,
    dialect: str,
    speed: float,
    faults: Sequence[str],
    emit: Callable[[dict[str, object]], None],
    stop: threading.Event,
) -> int:
    """Serve a virtual printer until `stop` is set; the exit code. Emits `{"event": "ready", "port": …}` once.

    `dialect` is a name of `dialects.py`; `speed` is simulated seconds per real second, infinity for «max». Raises
    DataError for a dialect, speed, fault or link that cannot be, PortError when there is no pty, UnavailableError when
    the printer ends by itself."""
    with VirtualPrinter(Options(link=link, dialect=dialect, speed=speed, faults=tuple(faults))) as printer:
        emit({"event": "ready", "port": printer.path})
        while not stop.wait(_LOOK_S):
            if not printer.alive:
                raise UnavailableError("the virtual printer has ended by itself; its log says why")
    return EX_OK
