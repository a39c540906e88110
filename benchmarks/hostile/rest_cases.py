"""Cases of a REST server gone wrong: each answer to the agent's heartbeat and reports is this one."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.hostile.answers import JSON, OK, bomb, endless, gzipped, raw, reset, silent, whole
from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage
from tests.support.hostile_front import Answer

CHUNKED = OK + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
NASTY = b"\\u001b]0;owned\\u0007\\u001b[2J\\u202e\\u009b31m"

ANSWERS: dict[str, tuple[str, Callable[[Stage], Answer]]] = {
    "endless-body": ("a body without end", lambda s: endless(s.ends, OK + JSON + b"\r\n", b"x" * 65536)),
    "endless-chunks": ("chunks without end", lambda s: endless(s.ends, CHUNKED, b"5\r\nxxxxx\r\n" * 5000)),
    "endless-head": ("a head without end", lambda s: endless(s.ends, OK, b"X-A: " + b"b" * 4000 + b"\r\n")),
    "endless-line": ("one header without end", lambda s: endless(s.ends, OK + b"X-A: ", b"b" * 65536)),
    "endless-100": ("interim answers without end", lambda s: endless(s.ends, b"", b"HTTP/1.1 102 P\r\n\r\n" * 500)),
    "endless-trailers": ("trailers without end", lambda s: endless(s.ends, CHUNKED + b"0\r\n", b"T: t\r\n" * 5000)),
    "chunk-ext": ("a chunk's extension without end", lambda s: endless(s.ends, CHUNKED + b"5;", b"e" * 65536)),
    "chunk-size": ("a chunk of 10^18 bytes", lambda _: raw(CHUNKED + b"DE0B6B3A7640000\r\n" + b"x" * 100_000)),
    "drip": ("a byte each tenth of a second", lambda s: endless(s.ends, OK + JSON + b"\r\n", b" ", every=0.1)),
    "head-drip": ("a head that drips", lambda s: endless(s.ends, OK, b"X", every=0.1)),
    "silent": ("nothing", lambda s: silent(s.ends)),
    "reset": ("RST", lambda _: reset),
    "bomb": ("200 MB as 1 MB of gzip", lambda _: gzipped(bomb(b'{"a":"'))),
    "bomb-in-bomb": ("gzip within gzip", lambda _: gzipped(bomb(), JSON + b"Content-Encoding: gzip\r\n")),
    "redirect": (
        "a redirect whose body has no end",
        lambda s: endless(s.ends, b"HTTP/1.1 307 T\r\nLocation: /v1/print\r\n\r\n", b"x" * 65536),
    ),
    "redirect-away": (
        "a redirect to a private address",
        lambda _: whole(b"", status="302 Found", head=b"Location: http://169.254.169.254/latest/meta-data\r\n"),
    ),
    "deep": ("100,000 lists in each other", lambda _: whole(b"[" * 100_000 + b"]" * 100_000)),
    "tree": ("900 kB of {}", lambda _: whole(b'{"jobs":[%b{}]}' % (b"{}," * 300_000))),
    "length-more": (
        "a length that is never reached",
        lambda s: endless(s.ends, OK + b"Content-Length: 999999999999\r\n\r\n", b" " * 1000, every=0.2),
    ),
    "length-wrong": (
        "lengths that cannot be",
        lambda _: raw(OK + b"Content-Length: -5\r\nContent-Length: 7\r\n\r\n{}"),
    ),
    "status-line": ("no HTTP", lambda _: raw(b"\x00\x01\x02 220 ftp\r\n" * 1000)),
    "cookies": (
        "a thousand cookies",
        lambda _: whole(b"{}", head=b"".join(b"Set-Cookie: c%d=%b\r\n" % (n, b"v" * 40) for n in range(900))),
    ),
    "later": ("429, in 10^12 seconds", lambda _: whole(b"", status="429 L", head=b"Retry-After: 1000000000000\r\n")),
    "date": ("a Date of the year 9999", lambda _: whole(b"{}", head=b"Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n")),
    "escapes": (
        "escape sequences in the error",
        lambda _: whole(b'{"error":{"message":"%b"}}' % (NASTY * 20), status="422 \x1b[31mNo"),
    ),
    "long-error": (
        "an error of 900 kB",
        lambda _: whole(b'{"error":{"message":"%b"}}' % (b"e" * 900_000), status="400 Bad"),
    ),
}


def instead(answer: Callable[[Stage], Answer]) -> Callable[[Stage], None]:
    """Answer so to all of REST; control is measured after some of these answers have begun."""

    def attack(stage: Stage) -> None:
        stage.front.instead(lambda path, _: path.startswith("/v1/"), answer(stage))
        for _ in range(200):
            if stage.front.answered > 1 or stage.ends.wait(0.01):
                break
        stage.under_way.set()
        stage.ends.wait(60.0)
        stage.told.append(lambda: _printable(stage))

    return attack


def _printable(stage: Stage) -> None:
    """No escape sequence reached the log."""
    assert not set(stage.rig.log()) & set("\x1b\x07\x9b\u202e"), "the log has characters that a terminal obeys"


CASES = tuple(
    Case(f"rest-{name}", "server", f"REST: {what}", "given up; the print goes on", instead(answer), Control.CANCEL)
    for name, (what, answer) in ANSWERS.items()
)

GROUPS = (Group("rest", CASES),)
