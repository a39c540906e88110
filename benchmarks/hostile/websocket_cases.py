"""Cases of a Faye server over a websocket, and of publishers behind the real Faye server (npm `faye`)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.hostile.answers import HostileHost, endless
from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.messages import tree
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage
from benchmarks.hostile.websocket_faye import PING, TEXT, WebsocketFaye
from benchmarks.prerequisites import missing_faye
from tests.integration.faye_support import RealFayeServer
from tests.support.ports import free_port

FIN = 0x80
LOCALLY = Control.CANCEL_LOCALLY


def prepare(folder: Path, host: HostileHost) -> tuple[str, dict[str, Any]]:
    """An agent that uses the websocket, and the server for it."""
    server = WebsocketFaye()

    def before(stage: Stage) -> None:
        stage.front.take_over(lambda path: path.startswith("/faye"), server.answer)

        def register() -> None:
            while not stage.rig.printer_id or not server.channels:
                time.sleep(0.05)
            while not stage.ends.wait(0.3):  # until the stage goes, or the first case ends
                server.publish(
                    {"registration": "success", "type": "primary", "printer_id": stage.rig.printer_id, "member_id": 1},
                    channel="/users",
                )

        threading.Thread(target=register, name="portal", daemon=True).start()

    return "", {
        "cloud": 'faye_transport = "websocket"\n',
        "websocket": server,
        "before": before,
        "send": server.publish,
    }


def server_of(stage: Stage) -> WebsocketFaye:
    """The group's server."""
    server: WebsocketFaye = stage.config["websocket"]
    server.wait_for_client(stage.ends)
    return server


def frames(*payloads: bytes, times: int = 1, first: int = FIN | TEXT, **how: int) -> Callable[[Stage], None]:
    """These frames; in a payload CHANNEL is the channel."""

    def attack(stage: Stage) -> None:
        server = server_of(stage)
        for _ in range(times):
            for payload in payloads:
                if stage.ends.is_set():
                    return
                server.frame(payload.replace(b"CHANNEL", server.channel()), first, **how)
        stage.ends.wait(0.3)

    return attack


def data(value: bytes) -> bytes:
    """A frame's text with one message."""
    return b'[{"channel":"CHANNEL","data":%b}]' % value


def endless_fragments(stage: Stage) -> None:
    """A message in pieces that never ends."""
    server = server_of(stage)
    server.frame(b"[", TEXT)
    for number in range(3000):
        if stage.ends.is_set():
            return
        server.frame(b"x" * 10_000, 0)
        if number == 500:
            stage.under_way.set()


def many(stage: Stage) -> None:
    """20,000 messages in 20 frames."""
    server = server_of(stage)
    for batch in range(20):
        channel = server.channel().decode()
        server.frame(
            b"[%b]"
            % b",".join(
                f'{{"channel":"{channel}","data":{{"command":"home","task_id":"m{batch}-{n}"}}}}'.encode()
                for n in range(1000)
            )
        )


def handshake(stage: Stage) -> None:
    """An answer to the upgrade whose head has no end."""
    stage.front.instead(
        lambda path, _: path.startswith("/faye"),
        endless(stage.ends, b"HTTP/1.1 101 S\r\n", b"X: " + b"y" * 4000 + b"\r\n"),
    )
    server_of(stage).raw(b"\x88\x00")
    stage.ends.wait(2.0)
    stage.under_way.set()
    stage.ends.wait(20.0)


WEBSOCKET = (
    Case("ws-braces", "publisher", "frames of 1 MB of {}", "skipped undecoded", frames(data(tree(1)), times=4)),
    Case("ws-many", "publisher", "20,000 messages", "dropped beyond the rate", many),
    Case(
        "ws-deep", "publisher", "lists in each other", "skipped", frames(data(b"[" * 50_000 + b"]" * 50_000), times=3)
    ),
    Case(
        "ws-pings",
        "server",
        "20,000 pings",
        "answered, and bounded",
        frames(b"p" * 100, times=20_000, first=FIN | PING),
    ),
    Case(
        "ws-big",
        "server",
        "a frame of 5 MB",
        "the connection is made anew",
        frames(data(b'"%b"' % (b"x" * 5_000_000))),
        LOCALLY,
    ),
    Case("ws-huge", "server", "a frame of 10^18 bytes", "the same", frames(b"x" * 1_000_000, length=10**18), LOCALLY),
    Case("ws-fragments", "server", "fragments without end", "the same", endless_fragments, LOCALLY),
    Case("ws-utf-8", "server", "text that is no UTF-8", "the same", frames(b"[\xff\xfe]"), LOCALLY),
    Case("ws-masked", "server", "masked frames", "the same", frames(b"0123[]", mask=0x80), LOCALLY),
    Case("ws-bits", "server", "reserved bits and opcodes", "the same", frames(b"[]", first=0xF7), LOCALLY),
    Case(
        "ws-bytes",
        "server",
        "bytes by no protocol",
        "the same",
        lambda s: server_of(s).raw(bytes(range(256)) * 4000),
        LOCALLY,
    ),
    Case("ws-close", "server", "closed again and again", "waits longer each time", frames(b"", first=0x88), LOCALLY),
    Case(
        "ws-unterminated",
        "server",
        "a string without end",
        "split in linear time",
        frames(b'[{"channel":"CHANNEL","data":"' + b'\\"' * 200_000, times=3),
        LOCALLY,
    ),
    Case("ws-handshake", "server", "a handshake's answer without end", "given up", handshake, LOCALLY),
)


def prepare_real(folder: Path, host: HostileHost) -> tuple[str, dict[str, Any]]:
    """The sandbox publishes over npm's Faye server."""
    port = free_port()
    return "", {"sandbox": ("--publish-to", f"http://127.0.0.1:{port}/faye"), "faye-port": port}


def behind(stack: ExitStack, url: str, known: dict[str, Any]) -> str:
    """npm's server before the sandbox."""
    server = RealFayeServer(timeout=5.0, proxy=url, port=known["faye-port"])
    known["faye"] = stack.enter_context(server)
    return f"http://127.0.0.1:{known['faye-port']}"


def published(*messages: object, times: int = 1) -> Callable[[Stage], None]:
    """Publish these through the real server."""

    def attack(stage: Stage) -> None:
        server: RealFayeServer = stage.config["faye"]
        channel = f"/printers/{stage.rig.printer_id}/command"
        for number in range(times):
            if stage.ends.is_set():
                return
            for message in messages:
                if isinstance(message, dict) and times > 1:
                    message = {**message, "task_id": f"f{number}"}  # noqa: PLW2901
                server.publish(channel, message)
        stage.ends.wait(1.0)

    return attack


REAL = (
    Case(
        "faye-real-braces",
        "publisher",
        "3 and 6 MB of {} through npm's faye",
        "skipped undecoded",
        published({"command": "x", "x": [{}] * 1_000_000}, {"command": "x", "x": [{}] * 2_000_000}),
        LOCALLY,
    ),
    Case(
        "faye-real-settings",
        "publisher",
        "1,000 settings of 2 kB through npm's faye",
        "dropped beyond the rate",
        published({"command": "settings", "settings": {"x": "y" * 2000}}, times=1000),
    ),
    Case(
        "faye-real-tasks",
        "publisher",
        "1,000 tasks through npm's faye",
        "dropped beyond the rate",
        published({"command": "home"}, times=1000),
    ),
    Case(
        "faye-real-pauses",
        "publisher",
        "1,000 pauses of another job through npm's faye",
        "dropped beyond the rate",
        published({"command": "pause", "job_id": "another"}, times=1000),
        Control.PAUSE,
    ),
)

GROUPS = (
    Group("websocket", WEBSOCKET, prepare),
    Group("faye-real", REAL, prepare_real, behind, missing_faye),
)
