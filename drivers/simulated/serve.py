"""Serve a virtual printer on a pty until it is told to stop (`printer-agent simulate`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.errors import EX_OK, DataError, UnavailableError
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
    record: Path | None = None,
    probe_points: int = 0,
    bootloader: bool = False,
) -> int:
    """Serve a virtual printer until `stop` is set; the exit code. Emits `{"event": "ready", "port": …}` once.

    `dialect` is a name of `dialects.py`; `speed` is simulated seconds per real second, infinity for «max»; `record`
    gets each command that is executed; `probe_points` are those of its probe's mesh, 0 for no probe; `bootloader`: a
    board whose flash avrdude can write. Raises DataError for a dialect, speed, fault, link or record that cannot be,
    PortError when there is no pty, UnavailableError when the printer ends by itself."""
    options = Options(
        link=link,
        dialect=dialect,
        speed=speed,
        faults=tuple(faults),
        probe_points=probe_points,
        bootloader=bootloader,
    )
    with recorder(record) as on_line, VirtualPrinter(options, on_line=on_line) as printer:
        emit({"event": "ready", "port": printer.path})
        while not stop.wait(_LOOK_S):
            if not printer.alive:
                raise UnavailableError("the virtual printer has ended by itself; its log says why")
    return EX_OK


@contextmanager
def recorder(path: Path | None) -> Iterator[Callable[[bytes], None] | None]:
    """Record the executed commands in a file, one a line, each at once: the host's monotonic clock in seconds, a blank,
    the command without number and checksum. Raises DataError when the file cannot be made."""
    if path is None:
        yield None
        return
    try:
        file = path.open("wb", buffering=0)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None
    with file:
        yield lambda body: _note(file.write, body)


def _note(write: Callable[[bytes], object], body: bytes) -> None:
    write(b"%.6f %b\n" % (time.monotonic(), body))
