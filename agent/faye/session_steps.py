"""The steps of the state machine, and the messages that they send. Which step is taken when: protocol.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from .actions import Abort, Action, Closed, Emit, Lane, Send, Switch
from .advice import Advice
from .backoff import Backoff
from .events import Connected, Disconnected, Event, Gap, Refused, StateChanged, StoppedByAdvice, TransportChanged
from .pending_replies import CONNECT, DISCONNECT, HANDSHAKE, SUBSCRIBE, PendingReplies
from .subscriptions import Entry, Subscription, SubscriptionTable

GRACE = 10.0
"""Seconds beyond advice.timeout after which a connect without a reply is dead (docs/faye.md §13)."""
SHORT_WAIT = 20.0
"""Seconds within which a handshake or a lone subscribe is answered."""
DISCONNECT_WAIT = 1.0
"""Seconds that the reply to a disconnect is waited for."""
STOP_WAIT = 300.0
"""Seconds of silence after «none», at least; half as much again at most."""
STOP_LEAST = 60.0
"""Seconds of silence after «none» even if a new token is announced."""
FORGOTTEN_WAIT = 0.25
"""Seconds between «unknown client» and the handshake, at least; three times as much at most."""
CLOSED_WAIT = 0.1
"""Seconds between a working websocket's end and the next connect, at least; three times as much at most."""
SOON_EVERY = 5.0
"""Seconds within which only one such try is that quick: a server that does so all the time meets the back-off."""
MAX_SOCKET_FAILURES = 3
"""Failures of the websocket in a row before long-polling takes over."""

LONG_POLLING = "long-polling"
WEBSOCKET = "websocket"


class State(StrEnum):
    """Where the session stands; the table in protocol.py says how it moves."""

    UNCONNECTED = "unconnected"
    HANDSHAKING = "handshaking"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BACKING_OFF = "backing-off"
    STOPPED_BY_ADVICE = "stopped-by-advice"
    CLOSING = "closing"
    CLOSED = "closed"


LIVE = (State.CONNECTING, State.CONNECTED)
IDLE = (State.UNCONNECTED, State.BACKING_OFF, State.STOPPED_BY_ADVICE)


class Session:
    """One session after another with one server; no decision of its own. The parts are public to the protocol."""

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        *,
        rng: Callable[[], float],
        transport: str = LONG_POLLING,
        ext_on_all: bool = False,
    ) -> None:
        self.book = SubscriptionTable(subscriptions, ext_on_all=ext_on_all, rng=rng)
        self.ledger = PendingReplies()
        self.advice = Advice()
        self.backoff = Backoff(rng)
        self.send_backoff = Backoff(rng)
        self.state = State.UNCONNECTED
        self.client_id = ""
        self.at = 0.0  # when the state's next step is due, monotonic seconds
        self.subscribe_at = float("-inf")  # no lone subscribe before this
        self._rng = rng
        self._transport = transport
        self._new = True  # the client id has not been announced yet
        self._gap = ""  # why messages may have been lost since the last successful connect
        self._stopped_at = 0.0
        self._soon_at: dict[str, float] = {}
        self._socket_failures = 0
        self._actions: list[Action] = []

    def take(self) -> list[Action]:
        """The actions since the last call, in order."""
        actions, self._actions = self._actions, []
        return actions

    def do(self, action: Action) -> None:
        """One more action."""
        self._actions.append(action)

    def emit(self, event: Event) -> None:
        """Tell the owner."""
        self.do(Emit(event))

    # ------------------------------------------------------------------ messages

    def handshake(self, now: float) -> None:
        """→ HANDSHAKING: a handshake, alone in its request."""
        self._move(State.HANDSHAKING)
        message = self._message(HANDSHAKE)
        message["version"] = "1.0"
        types = [LONG_POLLING, WEBSOCKET] if self._transport == WEBSOCKET else [LONG_POLLING]
        message["supportedConnectionTypes"] = types
        self._send(Lane.POLL, [message], now, now + SHORT_WAIT)

    def connect(self, now: float) -> None:
        """A connect; the first one, and every one after an error, asks for an answer at once and brings the subscribes.

        A websocket is bound to the session by the connect alone, so there it comes first (docs/faye.md §10)."""
        connect = self._message(CONNECT)
        connect["connectionType"] = self._transport
        batch = [connect]
        if self.state is State.CONNECTING:
            connect["advice"] = {"timeout": 0}
            subscribes = self._subscribes(now)
            batch = [connect, *subscribes] if self._transport == WEBSOCKET else [*subscribes, connect]
        self._send(Lane.POLL, batch, now, now + self.advice.timeout + GRACE)

    def subscribe_if_due(self, now: float) -> None:
        """Subscribes without a connect, while one is held; one request at a time."""
        if self.ledger.waits_for(SUBSCRIBE) or now < self.subscribe_at:
            return
        due = self.book.due()
        if due is not None and due <= now and (batch := self._subscribes(now)):
            self._send(Lane.SEND, batch, now, now + SHORT_WAIT)

    def _subscribes(self, now: float) -> list[dict[str, object]]:
        messages, failed = self.book.ask(now, self.ledger.next_id)
        for channel, problem, wait in failed:
            self.emit(Refused(channel, problem, wait))
        for message in messages:
            message["clientId"] = self.client_id
        return messages

    def _message(self, channel: str) -> dict[str, object]:
        message: dict[str, object] = {"channel": channel, "id": self.ledger.next_id()}
        if channel != HANDSHAKE:
            message["clientId"] = self.client_id
        self.book.add_common_ext(message)
        return message

    def _send(self, lane: Lane, messages: Sequence[dict[str, object]], now: float, deadline: float) -> None:
        self.do(Send(self.ledger.enter(messages, now, deadline), lane, tuple(messages), deadline))

    # ------------------------------------------------------------------ steps

    def open(self, client_id: str, offered: object, now: float) -> None:
        """HANDSHAKING → CONNECTING with a new client id; `offered` are the server's connection types."""
        if self._transport == WEBSOCKET and isinstance(offered, list) and WEBSOCKET not in offered:
            self._switch("the server does not offer websockets")
        self.client_id = client_id
        self._new = True
        self.book.unsettle(refused=True)
        self.subscribe_at = float("-inf")
        self.at = now + self.advice.interval
        self._move(State.CONNECTING)

    def connected(self, at: float) -> None:
        """CONNECTING, CONNECTED → CONNECTED: a connect succeeded; the next one is due at `at`."""
        self.backoff.reset()
        self._socket_failures = 0
        first = self.state is State.CONNECTING
        self.at = at
        self._move(State.CONNECTED)
        if first:
            self.emit(Connected(self.client_id, self._new))
            if not self._new:
                self.emit(Gap(self._gap))
            self._new = False

    def back_off(
        self, reason: str, now: float, *, least: float = 0.0, wait: float | None = None, fault: bool = False
    ) -> None:
        """→ BACKING_OFF: wait, then connect with the client id there is, or shake hands when there is none.

        `least` (seconds) is the server's wish, `wait` (seconds) stands in for the back-off's own. `fault`: the
        connection is to blame, not an answer on it."""
        if fault or len(self.ledger):
            self._abort(reason)
        if fault and self._transport == WEBSOCKET:
            self._socket_failures += 1
            if self._socket_failures >= MAX_SOCKET_FAILURES:
                self._switch(reason)
        self._gap = reason
        self.book.unsettle()
        wait = max(self.backoff.next() if wait is None else wait, self.advice.interval, least)
        self.at = now + wait
        self._move(State.BACKING_OFF)
        self.emit(Disconnected(reason, wait))

    def closed(self, reason: str, now: float, *, least: float) -> None:
        """→ BACKING_OFF: the websocket is gone. One that worked is made again soon: npm faye closes it without a word
        when it forgets a client."""
        soon = self.state is State.CONNECTED
        self.back_off(
            reason, now, least=least, wait=self._soon("closed", CLOSED_WAIT, now) if soon else None, fault=True
        )

    def forgotten(self, reason: str, now: float) -> None:
        """→ BACKING_OFF: the server answers, but knows the client id no more, as after a restart of it. A handshake
        follows soon, whatever the back-off has grown to, when that id had worked and this was not so a moment ago."""
        self.client_id = ""
        self.back_off(reason, now, wait=None if self._new else self._soon("forgotten", FORGOTTEN_WAIT, now))

    def _soon(self, cause: str, least: float, now: float) -> float | None:
        """A short wait, once every SOON_EVERY seconds for a cause; else None."""
        if now - self._soon_at.get(cause, float("-inf")) < SOON_EVERY:
            return None
        self._soon_at[cause] = now
        return least * (1.0 + 2.0 * self._rng())

    def resume(self, now: float) -> None:
        """BACKING_OFF, … → CONNECTING or HANDSHAKING: the wait is over."""
        if self.client_id:
            self.at = now
            self._move(State.CONNECTING)
        else:
            self.handshake(now)

    def halt(self, reason: str, now: float) -> None:
        """→ STOPPED_BY_ADVICE: the server said «none». Silence, and one more try in minutes."""
        self._abort(reason)
        self.client_id = ""
        wait = STOP_WAIT * (1.0 + 0.5 * self._rng())
        self._stopped_at = now
        self.at = now + wait
        self._move(State.STOPPED_BY_ADVICE)
        self.emit(StoppedByAdvice(reason, wait))

    def hurry(self, now: float) -> None:
        """STOPPED_BY_ADVICE: something changed, so the next try may come sooner."""
        self.at = min(self.at, max(now, self._stopped_at + STOP_LEAST))

    def refuse(self, entry: Entry, error: str, now: float) -> None:
        """A subscription was refused."""
        self.emit(Refused(entry.subscription.channel, error, self.book.refuse(entry, now)))

    def say_goodbye(self, now: float) -> None:
        """→ CLOSING: a disconnect."""
        self._move(State.CLOSING)
        self._send(Lane.SEND, [self._message(DISCONNECT)], now, now + DISCONNECT_WAIT)

    def close(self) -> None:
        """→ CLOSED."""
        self._abort("closed")
        self.client_id = ""
        self._move(State.CLOSED)
        self.do(Closed())

    def _abort(self, reason: str) -> None:
        self.ledger.clear()
        self.do(Abort(reason))

    def _switch(self, reason: str) -> None:
        self._transport = LONG_POLLING
        self.do(Switch(LONG_POLLING))
        self.emit(TransportChanged(LONG_POLLING, reason))

    def _move(self, state: State) -> None:
        if state is not self.state:
            self.emit(StateChanged(self.state, state))
            self.state = state
