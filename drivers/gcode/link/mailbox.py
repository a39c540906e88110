"""Mailbox of the link's thread: requests from any thread, and a descriptor that `poll` can wait for."""

from __future__ import annotations

import os
from collections import deque

from agent.errors import NotReadyError
from drivers.gcode.requests import Request

CAPACITY = 16


class Mailbox:
    """`requests` is emptied by the link's thread alone, which waits for `fd` to become readable."""

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()
        self.fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def post(self, request: Request) -> None:
        """Add a request and wake the thread. Raises NotReadyError when the mailbox is full."""
        if len(self.requests) >= CAPACITY:
            raise NotReadyError("too many requests at once")
        self.requests.append(request)
        self.wake()

    def wake(self) -> None:
        """Wake the thread."""
        try:
            os.write(self._write_fd, b"!")
        except BlockingIOError:
            return  # full of wake-ups already

    def drain(self) -> None:
        """Take the wake-ups away; the requests stay."""
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close the descriptors, when the thread has ended."""
        os.close(self.fd)
        os.close(self._write_fd)
