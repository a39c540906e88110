"""Lookup of host names with a time limit.

The system's own lookup has no limit that could be set: it runs on a thread, which is abandoned when the time is up, and
of which there is never more than one a resolver.
"""

from __future__ import annotations

import errno
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

Lookup = Callable[..., list[Any]]
"""As socket.getaddrinfo."""


class NameResolver:
    """Looks up host names with a time limit. Any thread; one lookup at a time. `lookup` is socket.getaddrinfo, or takes
    its place."""

    def __init__(self, lookup: Lookup) -> None:
        self._getaddrinfo = lookup
        self._turn = threading.Lock()  # held by whoever looks up
        self._lookup: threading.Thread | None = None

    def resolve(self, host: str, port: int, within: float) -> list[Any]:
        """Addresses of `host`, as socket.getaddrinfo gives them. Raises OSError; TimeoutError after `within` seconds,
        also when the lookup before this one has still no answer then."""
        end = time.monotonic() + within
        if not self._turn.acquire(timeout=within if math.isfinite(within) else -1):
            raise _no_answer()
        try:
            return self._resolve(host, port, end)
        finally:
            self._turn.release()

    def _resolve(self, host: str, port: int, end: float) -> list[Any]:
        self._join(end)
        answer: list[Any] = []

        def look_up() -> None:
            try:
                answer.append(self._getaddrinfo(host, port, 0, socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
                answer.append(error)

        self._lookup = threading.Thread(target=look_up, name="name-server", daemon=True)
        self._lookup.start()
        self._join(end)
        if isinstance(answer[0], UnicodeError):
            raise OSError(f"{host} is no host name")
        if isinstance(answer[0], OSError):
            raise answer[0]
        return list(answer[0])

    def _join(self, end: float) -> None:
        """Wait for the last lookup's end. Raises TimeoutError."""
        if self._lookup is None:
            return
        self._lookup.join(max(end - time.monotonic(), 0.0) if math.isfinite(end) else None)
        if self._lookup.is_alive():
            raise _no_answer()


def _no_answer() -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "the name server does not answer")
