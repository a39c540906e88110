"""Plays one vector of vectors.json against the pure protocol, with a clock that moves when a step says so.

Steps:  "start" "stop" "resubscribe"
        {"wait": s}                     the clock moves on, stopping at each time that is due
        {"reply": [messages], "to": c}  the answer to the newest request with a message on channel c (poll if not given)
        {"raw": text, "to": c}          the same, as text; a list of texts and [text, times] is joined
        {"late": [messages]}            messages that answer no request
        {"fail": why, "of": c, "retry_after": s}   the request fails; without "of" the websocket does
        {"heard": c}                    bytes of the answer come in
        {"token": t}                    what the ext callable returns from now on
        {"refuse_handshakes_for": s, "at_most": n}
Checks: {"sent": [channels], "between": [a, b], "lane": l, "has": [fields of each message], "lacks": [fields of none]}
        {"silent": true}  {"delivered": [data]}  {"event": fields}  {"no_event": type}  {"state": s}
        {"aborted": bool}  {"switched": name}  {"closed": bool}

"$/meta/connect" in a message stands for the id of the newest message on that channel ("$/meta/subscribe /a": of that
subscription). Throughout, at most one connect may be outstanding and the token may be nowhere but in `ext`.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from agent.faye.actions import Abort, Closed, Deliver, Emit, Lane, Send, Switch
from agent.faye.bayeux_protocol import BayeuxProtocol
from agent.faye.events import Event
from agent.faye.subscriptions import Subscription

CONNECT = "/meta/connect"


class Player:
    """One protocol, its clock, and what it did."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.now = 0.0
        self.token: str | None = vector.get("token")
        self.jitter = float(vector.get("jitter", 0.5))
        self.websocket = vector.get("transport") == "websocket"
        ext = (lambda: {"authentication_token": self.token}) if self.token else None
        self.protocol = BayeuxProtocol(
            [Subscription(c, lambda _: None, ext) for c in vector.get("subscriptions", ["/a"])],
            rng=lambda: self.jitter,
            transport=vector.get("transport", "long-polling"),
            ext_on_all=vector.get("ext_on") == "all",
        )
        self.sent: list[tuple[float, Send]] = []
        self.checked = 0
        self.delivered: list[object] = []
        self.events: list[Event] = []
        self.aborted = False
        self.switched = ""
        self.closed = False
        self.connects: set[int] = set()  # numbers of the requests whose connect is outstanding
        self.tokens = {self.token} - {None}

    def play(self, step: Any) -> None:
        """One step."""
        if isinstance(step, str):
            action = {
                "start": self.protocol.start,
                "stop": self.protocol.stop,
                "resubscribe": self.protocol.resubscribe,
            }
            action[step](self.now)
            self._take()
            return
        verb = next(iter(step))
        getattr(self, f"_do_{verb}")(**step)
        self._take()

    # ---------------------------------------------------------------- what happens

    def _do_wait(self, wait: float) -> None:
        until = self.now + wait
        for _ in range(10_000):
            due = self.protocol.due()
            if due is None or due > until + 1e-9:
                break
            self.now = max(self.now, due)
            self.protocol.tick(self.now)
            self._take()
        else:
            raise AssertionError("the protocol wants to be called for ever")
        self.now = until
        self.protocol.tick(self.now)

    def _do_reply(self, reply: list[Any], to: str = "") -> None:
        self._receive(json.dumps(reply), to)

    def _do_raw(self, raw: Any, to: str = "") -> None:
        parts = raw if isinstance(raw, list) else [raw]
        self._receive("".join(p if isinstance(p, str) else p[0] * p[1] for p in parts), to)

    def _do_late(self, late: list[Any]) -> None:
        self.protocol.receive(self._filled(json.dumps(late)).encode(), self.now, None if self.websocket else 9999)

    def _do_fail(self, fail: str, of: str = "", retry_after: float = 0.0) -> None:
        number = self._request(of).number if of else None
        self.connects -= {number} if number is not None else self.connects
        self.protocol.failed(number, fail, self.now, retry_after)

    def _do_heard(self, heard: str) -> None:
        self.protocol.heard(self._request(heard).number, self.now)

    def _do_token(self, token: str) -> None:
        self.token = token
        self.tokens.add(token)

    def _do_refuse_handshakes_for(self, refuse_handshakes_for: float, at_most: int) -> None:
        tries = 0
        while self.now <= refuse_handshakes_for:
            self._take()
            tries += len(self.sent) - self.checked
            if len(self.sent) > self.checked:
                self.checked = len(self.sent)
                self._do_reply([{"channel": "/meta/handshake", "id": "$/meta/handshake", "successful": False}])
            due = self.protocol.due()
            assert due is not None
            self.now = max(self.now, due)
            self.protocol.tick(self.now)
        assert 3 <= tries <= at_most

    # ---------------------------------------------------------------- what is expected

    def _do_sent(self, sent: list[str], between: Any = None, lane: str = "", has: Any = (), lacks: Any = ()) -> None:
        assert len(self.sent) > self.checked, f"nothing was sent at {self.now}; expected {sent}"
        at, request = self.sent[self.checked]
        self.checked += 1
        assert list(request.channels) == sent
        if between is not None:
            assert between[0] - 1e-6 <= at <= between[1] + 1e-6, f"sent at {at}"
        assert not lane or request.lane is Lane(lane)
        for message, fields in zip(request.messages, has, strict=False):
            assert {k: message.get(k) for k in fields} == fields
        for message in request.messages:
            assert not set(lacks) & set(message)
            assert isinstance(message["id"], str)
            assert message["id"]

    def _do_silent(self, silent: bool) -> None:
        assert (len(self.sent) == self.checked) is silent, self.sent[self.checked :]

    def _do_delivered(self, delivered: list[object]) -> None:
        assert self.delivered == delivered
        self.delivered = []

    def _do_event(self, event: dict[str, Any]) -> None:
        for index, seen in enumerate(self.events):
            fields = {"type": type(seen).__name__, **asdict(seen)}
            if event.items() <= fields.items():
                del self.events[: index + 1]
                return
        raise AssertionError(f"{event} is not among {self.events}")

    def _do_no_event(self, no_event: str) -> None:
        assert no_event not in [type(event).__name__ for event in self.events]

    def _do_state(self, state: str) -> None:
        assert self.protocol.state == state

    def _do_aborted(self, aborted: bool) -> None:
        assert self.aborted is aborted
        self.aborted = False

    def _do_switched(self, switched: str) -> None:
        assert self.switched == switched

    def _do_closed(self, closed: bool) -> None:
        assert self.closed is closed

    # ---------------------------------------------------------------- helpers

    def _receive(self, text: str, to: str) -> None:
        number = self._request(to).number
        self.connects.discard(number)
        self.protocol.receive(self._filled(text).encode(), self.now, None if self.websocket else number)

    def _request(self, channel: str) -> Send:
        """The newest request with a message on `channel`; the newest on the poll lane when none is named."""
        for _, request in reversed(self.sent):
            if channel in request.channels or (not channel and request.lane is Lane.POLL):
                return request
        raise AssertionError(f"nothing was sent on {channel or 'the poll lane'}")

    def _filled(self, text: str) -> str:
        return re.sub(r'"\$(/meta/\w+)(?: ([^"]+))?"', lambda m: json.dumps(self._id(m[1], m[2])), text)

    def _id(self, channel: str, subscription: str | None) -> str:
        for _, request in reversed(self.sent):
            for message in request.messages:
                if message["channel"] == channel and subscription in (None, message.get("subscription")):
                    return str(message["id"])
        raise AssertionError(f"nothing was sent on {channel}")

    def _take(self) -> None:
        for action in self.protocol.take():
            match action:
                case Send():
                    if CONNECT in action.channels:
                        assert not self.connects, "two connects are outstanding"
                        self.connects.add(action.number)
                    self.sent.append((self.now, action))
                    assert not any(t and t in repr(action) for t in self.tokens)
                case Abort():
                    self.aborted = True
                    self.connects.clear()
                case Switch(name):
                    self.switched = name
                case Deliver(_, message):
                    self.delivered.append(message.message().data)
                case Emit(event):
                    assert not any(t and t in repr(event) for t in self.tokens)
                    self.events.append(event)
                case Closed():
                    self.closed = True
