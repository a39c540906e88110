"""Exchanges of the pure Faye protocol with a faulty server."""

from __future__ import annotations

import json
import random
from typing import Any

from agent.faye.actions import Abort, Closed, Emit, Send
from agent.faye.bayeux_protocol import BayeuxProtocol
from agent.faye.session_steps import SessionState
from agent.faye.subscriptions import Subscription

TOKEN = "sesame-sesame-17"
CHANNELS = ("/a", "/b/*", "/c/**")
META = ("/meta/handshake", "/meta/connect", "/meta/subscribe", "/meta/disconnect")
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1e308,
    -1e308,
    10**400,
    "",
    "none",
    "\ud800",
    [],
    {},
    [[]],
    {"": None},
)
ERRORS = ("401:x:Unknown client", "402::missing", "403::forbidden", "500:TOKEN:echo", "unknown client", "", "405")
RECONNECT = ("retry", "handshake", "none", "sideways", None, 7)
STEPS_PER_WAIT = 500
MAX_ACTIONS = 200


class Fuzzer:
    """One protocol and its faulty server. `choose` decides everything."""

    def __init__(self, choose: random.Random) -> None:
        self._choose = choose
        self.now = 0.0
        self._open: list[Send] = []
        self._connects: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        """Start a new client, at the same clock."""
        choose = self._choose
        self.websocket = choose.random() < 0.4
        self.protocol = self._new_protocol()
        self._open = []
        self._connects = set()
        self._told = False  # the server knows the token, and may echo it
        self.closed = False
        self.protocol.start(self.now)
        self.check()

    def _new_protocol(self) -> BayeuxProtocol:
        def ext() -> dict[str, object]:
            if self._choose.random() < 0.02:
                raise KeyError(TOKEN)
            return {"authentication_token": TOKEN}

        return BayeuxProtocol(
            [Subscription(channel, lambda _: None, ext) for channel in CHANNELS],
            rng=self._choose.random,
            transport="websocket" if self.websocket else "long-polling",
            ext_on_all=self._choose.random() < 0.2,
        )

    def exchange(self) -> None:
        """Make one exchange and check the invariants."""
        pick = self._choose.random()
        if pick < 0.55:
            self._reply()
        elif pick < 0.65:
            number = None if self.websocket else self._choose.choice([s.number for s in self._open] or [0])
            self._settled(number)
            self.protocol.failed(number, "reset", self.now, self._choose.choice((0.0, 30.0)))
        elif pick < 0.7:
            self.protocol.heard(self._choose.choice((None, 1, self._open[-1].number if self._open else 0)), self.now)
        elif pick < 0.72:
            self.protocol.resubscribe(self.now)
        elif pick < 0.725:
            self.protocol.stop(self.now)
        else:
            self._wait(self._choose.choice((0.0, 0.1, 1.0, 10.0, 70.0, 400.0)))
        self.check()

    def check(self) -> None:
        """Check the invariants."""
        actions = self.protocol.take()
        assert len(actions) < MAX_ACTIONS, f"{len(actions)} actions at once"
        for action in actions:
            match action:
                case Send():
                    self._on_send(action)
                case Abort():
                    self._connects.clear()
                    self._open.clear()
                case Emit(event):
                    assert TOKEN not in repr(event)
                case Closed():
                    self.closed = True
        assert self.protocol.outstanding <= len(CHANNELS) * 2 + 2
        if self.closed:
            assert self.protocol.state is SessionState.CLOSED
            assert self.protocol.due() is None
            self._begin()
        else:
            assert self.protocol.due() is not None, f"nothing is due in {self.protocol.state}"

    def _on_send(self, request: Send) -> None:
        assert not self.closed
        assert TOKEN not in repr(request)
        self._told = self._told or TOKEN in json.dumps(request.messages)
        if "/meta/connect" in request.channels:
            assert not self._connects, "two connects are outstanding"
            self._connects.add(request.number)
        self._open = [*self._open[-4:], request]

    def _settled(self, number: int | None) -> None:
        self._connects = set() if number is None else self._connects - {number}

    def _wait(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(STEPS_PER_WAIT):
            due = self.protocol.due()
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self.protocol.tick(self.now)
            self.check()
        else:
            raise AssertionError("the protocol never rests")
        self.now = until
        self.protocol.tick(self.now)

    def _reply(self) -> None:
        choose = self._choose
        request = choose.choice(self._open) if self._open else None
        messages: list[Any] = [self._answer(m) for m in request.messages if choose.random() < 0.9] if request else []
        for _ in range(choose.choice((0, 0, 0, 1, 3))):
            messages.insert(choose.randrange(len(messages) + 1), self._stray())
        body = json.dumps(messages).encode()
        if choose.random() < 0.08:
            body = self._mutilated(body)
        number = None if self.websocket else request.number if request else choose.choice((0, 9999))
        if number is not None or any(isinstance(m, dict) and m.get("channel") == "/meta/connect" for m in messages):
            self._settled(number)
        self.protocol.receive(body, self.now, number)

    def _answer(self, message: Any) -> dict[str, Any]:
        """Build a reply to our message: mostly a sensible one."""
        choose = self._choose
        reply: dict[str, Any] = {"channel": message["channel"], "id": message["id"], "successful": True}
        if message["channel"] == "/meta/handshake":
            reply["clientId"] = f"c{choose.randrange(1000)}"
        if "subscription" in message:
            reply["subscription"] = message["subscription"]
        if choose.random() < 0.3:
            reply.update(successful=False, error=choose.choice(ERRORS).replace("TOKEN", TOKEN if self._told else "x"))
        if choose.random() < 0.4:
            reply["advice"] = {
                "reconnect": choose.choice(RECONNECT),
                "interval": choose.choice((0, 0, 100, 5000, *ODD)),
                "timeout": choose.choice((60000, 25000, *ODD)),
            }
        if choose.random() < 0.1:
            reply[choose.choice([*reply, "clientId", "advice", "error"])] = choose.choice(ODD)
        return reply

    def _stray(self) -> Any:
        """Build an event, a reply to somebody else, or rubbish."""
        choose = self._choose
        if choose.random() < 0.2:
            return choose.choice(ODD)
        return {
            "channel": choose.choice(("/a", "/b/x", "/c/d/e", "/other", *META, *ODD)),
            "data": choose.choice(ODD),
            "id": choose.choice(("1", str(choose.randrange(200)), *ODD)),
            "successful": choose.choice((True, False, *ODD)),
            "advice": {"reconnect": "none", "interval": 10**12},
        }

    def _mutilated(self, body: bytes) -> bytes:
        choose = self._choose
        at = choose.randrange(len(body) + 1)
        deep = b"[" * 3000 + b"]" * 3000
        return choose.choice(
            (body[:at], body[:at] + b"\xff\x00" + body[at:], deep, b"", b"[" + deep + b"]", b"null", b"9" * 5000)
        )
