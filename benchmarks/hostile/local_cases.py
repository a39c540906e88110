"""Cases of programs on the board: the local socket and the status page."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from benchmarks.hostile.answers import HostileHost
from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage
from tests.support.ports import free_port

REFUSED = 2  # connections in a row that are not taken until an attacker has what can be had

Attack = Callable[[Stage], None]


def prepare(folder: Path, host: HostileHost) -> tuple[str, dict[str, Any]]:
    """A status page."""
    port = free_port()
    return "", {"local": f'status_page = "127.0.0.1:{port}"\n', "page": port}


def unix(stage: Stage) -> socket.socket:
    """A connection to the local socket."""
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(1.0)
    made.connect(str(stage.rig.socket))
    return made


def page(stage: Stage) -> socket.socket:
    """A connection to the page."""
    return socket.create_connection(("127.0.0.1", stage.config["page"]), timeout=1.0)


def hold(connect: Callable[[Stage], socket.socket], count: int, data: bytes) -> Attack:
    """`count` connections at once, or as many as are taken, that send this and no more, and are held."""

    def attack(stage: Stage) -> None:
        with ExitStack() as stack:
            refused = 0
            for _ in range(count):
                if refused > REFUSED or stage.ends.is_set():
                    break
                try:
                    made = stack.enter_context(connect(stage))
                    made.sendall(data)
                except OSError:
                    refused += 1
            stage.under_way.set()
            stage.ends.wait(60.0)

    return attack


def again(connect: Callable[[Stage], socket.socket], data: bytes, *, read: bool = True) -> Attack:
    """One connection after the other, as fast as can be."""

    def attack(stage: Stage) -> None:
        for number in range(100_000):
            if stage.ends.is_set():
                break
            with suppress(OSError), connect(stage) as made:
                made.sendall(data)
                if read:
                    made.recv(65536)
            if number == 100:
                stage.under_way.set()

    return attack


def endless(connect: Callable[[Stage], socket.socket], begin: bytes, chunk: bytes) -> Attack:
    """Requests without end, a new one when it is refused."""

    def attack(stage: Stage) -> None:
        sent = 0
        while not stage.ends.is_set():
            with suppress(OSError), connect(stage) as made:
                made.sendall(begin)
                while not stage.ends.is_set():
                    sent += made.send(chunk)
                    if sent > 20_000_000:
                        stage.under_way.set()
            stage.under_way.set()

    return attack


def asks(head: str, *, refused: bool) -> Attack:
    """One request to the page; whether its body was withheld."""

    def attack(stage: Stage) -> None:
        with page(stage) as made:
            made.sendall(head.replace("PORT", str(stage.config["page"])).encode() + b"\r\n\r\n")
            answer = b""
            with suppress(TimeoutError):
                while more := made.recv(65536):
                    answer += more
        status = answer.split(b" ", 2)[1:2]
        assert (status != [b"200"]) is refused, answer[:300]

    return attack


JSON_TREE = b'{"op":"status","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}\n"
CASES = (
    Case(
        "socket-silent",
        "local",
        "64 silent connections",
        "the oldest go; a cancel at the printer is served",
        hold(unix, 64, b""),
        Control.CANCEL_LOCALLY,
    ),
    Case("socket-half", "local", "64 half requests", "the same", hold(unix, 64, b'{"op":"sta'), Control.CANCEL_LOCALLY),
    Case(
        "socket-half-cloud",
        "local",
        "64 half requests, and a pause from the cloud",
        "the same",
        hold(unix, 64, b'{"op":'),
        Control.PAUSE,
    ),
    Case(
        "socket-long-line",
        "local",
        "lines of 60 kB without end",
        "closed",
        hold(unix, 40, b"x" * 60_000),
        Control.CANCEL_LOCALLY,
    ),
    Case(
        "socket-flood",
        "local",
        "requests one after the other",
        "served beside",
        again(unix, b'{"op":"status"}\n'),
        Control.CANCEL_LOCALLY,
    ),
    Case(
        "socket-gone",
        "local",
        "clients that ask and hang up",
        "served beside",
        again(unix, b'{"op":"status"}\n', read=False),
        Control.CANCEL_LOCALLY,
    ),
    Case(
        "socket-garbage",
        "local",
        "bytes that are no request",
        "refused",
        again(unix, bytes(range(256)) * 8 + b"\n"),
        Control.CANCEL_LOCALLY,
    ),
    Case(
        "socket-deep", "local", "30,000 lists in each other", "refused", again(unix, JSON_TREE), Control.CANCEL_LOCALLY
    ),
    Case(
        "socket-print-silent",
        "local",
        "8 files of 10^12 bytes that never come",
        "one at a time, and it stops nothing",
        hold(unix, 8, b'{"op":"print","name":"x","size":1000000000000}\n'),
        Control.CANCEL_LOCALLY,
    ),
    Case(
        "socket-print-endless",
        "local",
        "a file of 10^12 bytes that comes",
        "refused or bounded by the limit of a file",
        endless(unix, b'{"op":"print","name":"x","size":1000000000000}\n', b"G1 X1\n" * 10_000),
        Control.CANCEL_LOCALLY,
    ),
    Case(
        "socket-print-line",
        "local",
        "a file that is one line of 2 GB",
        "refused",
        endless(unix, b'{"op":"print","name":"x","size":2000000000}\n', b"G" * 65536),
        Control.CANCEL_LOCALLY,
    ),
    Case(
        "socket-halves",
        "local",
        "print with names of escape sequences",
        "refused or made printable",
        again(unix, b'{"op":"print","name":"\\u001b[2J\\u202e","size":3}\nM1\n'),
        Control.CANCEL_LOCALLY,
    ),
    Case("page-silent", "page", "300 silent connections to the page", "bounded", hold(page, 300, b"")),
    Case(
        "page-half", "page", "100 half requests to the page", "bounded", hold(page, 100, b"GET / HTTP/1.1\r\nHost: a")
    ),
    Case(
        "page-head",
        "page",
        "a head without end",
        "closed",
        endless(page, b"GET / HTTP/1.1\r\n", b"A: " + b"b" * 4000 + b"\r\n"),
    ),
    Case("page-line", "page", "a request line without end", "closed", endless(page, b"GET /", b"a" * 65536)),
    Case(
        "page-body",
        "page",
        "a POST without end",
        "closed",
        endless(page, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n", b"x" * 65536),
    ),
    Case(
        "page-flood",
        "page",
        "requests one after the other",
        "served beside",
        again(page, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    ),
    Case(
        "page-metrics",
        "page",
        "metrics one after the other",
        "served beside",
        again(page, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    ),
    Case(
        "page-gone",
        "page",
        "clients that ask and hang up",
        "served beside",
        again(page, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", read=False),
    ),
    Case(
        "page-rebinding",
        "page",
        "another Host (DNS rebinding)",
        "refused",
        asks("GET / HTTP/1.1\r\nHost: evil.example.com:PORT\r\nConnection: close", refused=True),
    ),
    Case(
        "page-own",
        "page",
        "its own Host",
        "answered: the case above can fail",
        asks("GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close", refused=False),
    ),
    Case(
        "page-path",
        "page",
        "a path out of the folder",
        "refused",
        asks("GET /../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close", refused=True),
    ),
    Case(
        "page-post",
        "page",
        "POST",
        "refused",
        asks("POST /cancel HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 0\r\nConnection: close", refused=True),
    ),
)

GROUPS = (Group("local", CASES, prepare),)
