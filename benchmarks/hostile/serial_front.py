"""A cable between the virtual printer and the agent; lines of a printer gone mad are put between the real ones."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

ENOUGH = 4096  # bytes that wait for the agent; nothing is added beyond it
POLL_MS = 100


class SerialFront:
    """`link` is the port for the agent; what it writes goes to the printer's port `board`, unchanged. Use as a context
    manager."""

    def __init__(self, board: Path, link: Path) -> None:
        self._board_path, self._link = board, link
        self._lock = threading.Lock()
        self._flood: Iterator[bytes] | None = None
        self._stop = threading.Event()
        self.added = 0  # bytes put between the printer's own

    def __enter__(self) -> SerialFront:
        self._board = os.open(self._board_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._board)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._slave))
        self._thread = threading.Thread(target=self._run, name="serial-front", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5.0)
        for descriptor in (self._board, self._master, self._slave):
            os.close(descriptor)
        self._link.unlink(missing_ok=True)

    def flood(self, chunks: Iterator[bytes]) -> None:
        """Put these chunks between the printer's lines, as fast as the agent reads, until they end or `relent`."""
        with self._lock:
            self.added = 0
            self._flood = chunks

    def flooding(self) -> bool:
        """Whether there is more to put."""
        with self._lock:
            return self._flood is not None

    def relent(self) -> None:
        """Nothing more is put between."""
        with self._lock:
            self._flood = None

    def _run(self) -> None:
        to_agent, to_board = bytearray(), bytearray()
        poll = select.poll()
        while not self._stop.is_set():
            self._fill(to_agent)
            poll.register(self._master, select.POLLIN | (select.POLLOUT if to_agent else 0))
            poll.register(self._board, select.POLLIN | (select.POLLOUT if to_board else 0))
            events = dict(poll.poll(POLL_MS))
            if events.get(self._board, 0) & select.POLLHUP:
                return  # the printer has ended
            _move(events, self._board, self._master, to_agent)
            _move(events, self._master, self._board, to_board)

    def _fill(self, to_agent: bytearray) -> None:
        """Add a chunk where a line of the printer has ended."""
        with self._lock:
            if self._flood is None or len(to_agent) > ENOUGH or (to_agent and to_agent[-1:] != b"\n"):
                return
            chunk = next(self._flood, None)
            if chunk is None:
                self._flood = None
                return
            to_agent += chunk
            self.added += len(chunk)


def _move(events: dict[int, int], source: int, target: int, waiting: bytearray) -> None:
    """Read what `source` has, write what `target` takes."""
    try:
        if events.get(source, 0) & select.POLLIN:
            waiting += os.read(source, ENOUGH)
        if waiting:
            del waiting[: os.write(target, waiting)]
    except BlockingIOError:
        return
    except OSError:  # nobody has it open at the moment
        time.sleep(0.01)
