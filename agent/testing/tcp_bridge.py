"""A serial-to-network bridge such as ser2net, to test a driver of a network printer against the simulated printer."""

from __future__ import annotations

import os
import select
import socket
import termios
import threading
import tty
from collections.abc import Callable
from contextlib import suppress

LOOK_S = 0.05


class TcpBridge:
    """Serves one TCP connection after the other on loopback, each with the serial port opened anew. `device` gives the
    port's path. `tcp_port` is known at once; until `start` a connection to it is refused."""

    def __init__(self, device: Callable[[], str]) -> None:
        self._device = device
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.tcp_port: int = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="tcp-bridge")

    def start(self) -> None:
        """Listen, and serve on a thread of its own."""
        self._listener.listen()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the sockets."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if select.select([self._listener], [], [], LOOK_S)[0]:
                client, _ = self._listener.accept()
                with client, suppress(OSError):
                    self._pump(client)

    def _pump(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        device = os.open(self._device(), os.O_RDWR | os.O_NOCTTY)
        try:
            tty.setraw(device, termios.TCSANOW)
            while not self._stop.is_set():
                ready = select.select([client.fileno(), device], [], [], LOOK_S)[0]
                if client.fileno() in ready:
                    data = client.recv(4096)
                    if not data:
                        return
                    os.write(device, data)
                if device in ready:
                    client.sendall(os.read(device, 4096))
        finally:
            os.close(device)
