"""The supervisor's end of $NOTIFY_SOCKET: a real datagram socket that is read late, or never."""

from __future__ import annotations

import array
import select
import socket
import time

FILLER = b"FILLER=1"


class Supervisor:
    """Bound at `address`, a path or an abstract name that begins with `@`. Reads only when it is asked to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._at = "\0" + address[1:] if address.startswith("@") else address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self._at)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def fill(self) -> int:
        """Fill the queue, as long as the kernel lets it be (net.unix.max_dgram_qlen); how many messages fit."""
        count = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.connect(self._at)
            try:
                while True:
                    sender.send(FILLER)
                    count += 1
            except BlockingIOError:
                return count

    def read(self) -> list[tuple[str, list[int]]]:
        """All messages that are there now, without what `fill` put there, each with the descriptors beside it."""
        self.socket.setblocking(False)
        messages: list[tuple[str, list[int]]] = []
        while True:
            fds = array.array("i")
            try:
                text, beside, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(4 * fds.itemsize))
            except BlockingIOError:
                return messages
            for level, kind, data in beside:
                assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
            if text != FILLER:
                messages.append((text.decode(), list(fds)))

    def texts(self) -> list[str]:
        """As `read`, without the descriptors."""
        return [text for text, _ in self.read()]

    def wait(self, line: str, within: float) -> list[str]:
        """Read until one of the messages has the line; all texts until then."""
        end, texts = time.monotonic() + within, list[str]()
        while not any(line in text.split("\n") for text in texts):
            assert select.select([self.socket], [], [], max(end - time.monotonic(), 0.0))[0], f"no {line} in {texts}"
            texts += self.texts()
        return texts
