"""Cases of a Faye server gone wrong: each answer to a long-polling request is this one."""

from __future__ import annotations

import json
from collections.abc import Callable

from benchmarks.hostile.answers import JSON, OK, bomb, endless, gzipped, raw, reset, silent, whole
from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage
from tests.support.hostile_front import Answer


def instead(answer: Callable[[Stage], Answer], channel: bytes = b"/meta/") -> Callable[[Stage], None]:
    """Answer so where the server would answer a Faye request; control is measured after the first of them."""

    def attack(stage: Stage) -> None:
        stage.front.instead(lambda path, body: path.startswith("/faye") and channel in body, answer(stage))
        for look in range(1500):
            if stage.front.answered or stage.ends.wait(0.01):
                break
            if look % 100 == 50:
                stage.rig.command("request_settings")  # ends a held connect
        stage.ends.wait(0.5)
        stage.under_way.set()
        stage.ends.wait(60.0)

    return attack


def advice(**fields: object) -> Callable[[Stage], Answer]:
    """A connect that succeeds and advises this."""
    body = json.dumps([{"channel": "/meta/connect", "successful": False, "error": "402::x", "advice": fields}])
    return lambda _: whole(body.encode())


HEAD = OK + JSON
FAYE_ANSWERS: dict[str, tuple[str, Callable[[Stage], Answer]]] = {
    "endless-body": ("a body without end", lambda s: endless(s.ends, HEAD + b"\r\n[", b"{}," * 20_000)),
    "endless-head": ("a head without end", lambda s: endless(s.ends, HEAD, b"X-A: " + b"b" * 4000 + b"\r\n")),
    "endless-100": (
        "interim answers without end",
        lambda s: endless(s.ends, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
    ),
    "endless-chunk": (
        "a chunk's size without end",
        lambda s: endless(s.ends, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    ),
    "drip": ("a byte each tenth of a second", lambda s: endless(s.ends, HEAD + b"\r\n", b" ", every=0.1)),
    "silent": ("nothing", lambda s: silent(s.ends)),
    "reset": ("RST", lambda _: reset),
    "bomb": ("200 MB as 1 MB of gzip", lambda _: gzipped(bomb(b"["))),
    "html": ("a page of HTML", lambda _: whole(b"<html>" + b"<p>" * 100_000, head=b"Content-Type: text/html\r\n")),
    "brackets": ("2 MB of [", lambda _: whole(b"[" * 2_000_000)),
    "commas": ("a list of 700,000 empty messages", lambda _: whole(b"[" + b"{}," * 700_000 + b"{}]")),
    "redirect": (
        "a redirect whose body has no end",
        lambda s: endless(s.ends, b"HTTP/1.1 302 Found\r\nLocation: /faye\r\n\r\n", b"x" * 65536),
    ),
    "cookies": (
        "a thousand cookies",
        lambda _: whole(b"[]", head=JSON + b"".join(b"Set-Cookie: c%d=%b\r\n" % (n, b"v" * 40) for n in range(900))),
    ),
    "unknown-client": (
        "«unknown client», always",
        lambda _: whole(b'[{"channel":"/meta/connect","successful":false,"error":"402:x:Unknown client"}]'),
    ),
    "client-id": (
        "a clientId of 200 kB",
        lambda _: whole(
            b'[{"channel":"/meta/handshake","successful":true,"version":"1.0","supportedConnectionTypes":["long-polling"],'
            b'"clientId":"%b"}]' % (b"c" * 200_000)
        ),
    ),
    "advice-none": ("advice: never again", advice(reconnect="none")),
    "advice-times": (
        "advice: intervals that cannot be",
        advice(reconnect="retry", interval=-1e300, timeout="x" * 1000),
    ),
    "later": ("503, in 10^9 seconds", lambda _: whole(b"", status="503 No", head=b"Retry-After: 1000000000\r\n")),
    "status-line": ("no HTTP", lambda _: raw(b"SSH-2.0-OpenSSH_9.6\r\n" * 1000)),
}
SERVER = tuple(
    Case(
        f"faye-{name}",
        "server",
        f"Faye: {what}",
        "given up; the print goes on",
        instead(answer),
        Control.CANCEL_LOCALLY,
    )
    for name, (what, answer) in FAYE_ANSWERS.items()
)

GROUPS = (Group("faye", SERVER),)
