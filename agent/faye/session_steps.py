"""Steps of the Bayeux session's state machine, and the messages that they send. `bayeux_protocol.py` has the table of
which step is taken when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from .actions import Abort, Action, Closed, Emit, Lane, Send, Switch
from .advice import Advice
from .backoff import Backoff
from .events import Connected, Disconnected, Event, Gap, Refused, StateChanged, StoppedByAdvice, TransportChanged
from .pending_replies import CONNECT, DISCONNECT, HANDSHAKE, SUBSCRIBE, PendingReplies
from .subscriptions import Subscription, SubscriptionEntry, SubscriptionTable

GRACE = 10.0
"""Seconds beyond advice.timeout after which a connect without a reply is dead (docs/faye.md §13)."""
SHORT_WAIT = 20.0
"""Seconds within which a handshake or a lone subscribe is answered."""
DISCONNECT_WAIT = 1.0
"""Seconds to wait for the reply to a disconnect."""
STOP_WAIT = 300.0
"""Seconds of silence after «none», at least; half as much again at most."""
STOP_LEAST = 60.0
"""Seconds of silence after «none» even if a new token is announced."""
FORGOTTEN_WAIT = 0.25
"""Seconds between «unknown client» and the handshake, at least; three times as much at most."""
CLOSED_WAIT = 0.1
"""Seconds between a working websocket's end and the next connect, at least; three times as much at most."""
QUICK_RETRY_EVERY = 5.0
"""Seconds within which only one such try is that quick; a server that does so all the time gets the back-off."""
MAX_SOCKET_FAILURES = 3
"""Failures of the websocket in a row before long-polling takes over."""

LONG_POLLING = "long-polling"
WEBSOCKET = "websocket"


class SessionState(StrEnum):
    """State of the session; the table in `bayeux_protocol.py` has its transitions."""

    UNCONNECTED = "unconnected"
    HANDSHAKING = "handshaking"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BACKING_OFF = "backing-off"
    STOPPED_BY_ADVICE = "stopped-by-advice"
    CLOSING = "closing"
    CLOSED = "closed"


LIVE = (SessionState.CONNECTING, SessionState.CONNECTED)
IDLE = (SessionState.UNCONNECTED, SessionState.BACKING_OFF, SessionState.STOPPED_BY_ADVICE)


class SessionSteps:
    """Steps of one session after another with one server; BayeuxProtocol decides which. `subscriptions` and `pending`
    are open to it."""

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        *,
        rng: Callable[[], float],
        transport: str = LONG_POLLING,
        ext_on_all: bool = False,
    ) -> None:
        self.subscriptions = SubscriptionTable(subscriptions, ext_on_all=ext_on_all, rng=rng)
        self.pending = PendingReplies()
        self.advice = Advice()
        self.backoff = Backoff(rng)
        self.send_backoff = Backoff(rng)
        self.state = SessionState.UNCONNECTED
        self.client_id = ""
        self.next_step_at = 0.0  # when the state's next step is due, monotonic seconds
        self.subscribe_at = float("-inf")  # no lone subscribe before this
        self._rng = rng
        self._transport = transport
        self._client_id_is_new = True  # the client id has not been announced yet
        self._gap_reason = ""  # why messages may have been lost since the last successful connect
        self._stopped_at = 0.0
        self._quick_retry_at: dict[str, float] = {}
        self._socket_failures = 0
        self._actions: list[Action] = []

    def take(self) -> list[Action]:
        """Return the actions since the last call, in order, and clear them."""
        actions, self._actions = self._actions, []
        return actions

    def add(self, action: Action) -> None:
        """Append an action."""
        self._actions.append(action)

    def emit(self, event: Event) -> None:
        """Append an event for the owner."""
        self.add(Emit(event))

    # ------------------------------------------------------------------ messages

    def handshake(self, now: float) -> None:
        """→ HANDSHAKING: send a handshake, alone in its request."""
        self._move(SessionState.HANDSHAKING)
        message = self._message(HANDSHAKE)
        message["version"] = "1.0"
        types = [LONG_POLLING, WEBSOCKET] if self._transport == WEBSOCKET else [LONG_POLLING]
        message["supportedConnectionTypes"] = types
        self._send(Lane.POLL, [message], now, now + SHORT_WAIT)

    def connect(self, now: float) -> None:
        """Send a connect; the first one, and every one after an error, asks for an answer at once and has the
        subscribes in its request.

        A websocket is bound to the session by the connect alone, so there it comes first (docs/faye.md §10)."""
        connect = self._message(CONNECT)
        connect["connectionType"] = self._transport
        batch = [connect]
        if self.state is SessionState.CONNECTING:
            connect["advice"] = {"timeout": 0}
            subscribes = self._subscribes(now)
            batch = [connect, *subscribes] if self._transport == WEBSOCKET else [*subscribes, connect]
        self._send(Lane.POLL, batch, now, now + self.advice.timeout + GRACE)

    def subscribe_if_due(self, now: float) -> None:
        """Send the subscribes that are due without a connect, while one is held; one request at a time."""
        if self.pending.waits_for(SUBSCRIBE) or now < self.subscribe_at:
            return
        due = self.subscriptions.due()
        if due is not None and due <= now and (batch := self._subscribes(now)):
            self._send(Lane.SEND, batch, now, now + SHORT_WAIT)

    def _subscribes(self, now: float) -> list[dict[str, object]]:
        messages, failed = self.subscriptions.make_subscribes(now, self.pending.next_id)
        for channel, problem, wait in failed:
            self.emit(Refused(channel, problem, wait))
        for message in messages:
            message["clientId"] = self.client_id
        return messages

    def _message(self, channel: str) -> dict[str, object]:
        message: dict[str, object] = {"channel": channel, "id": self.pending.next_id()}
        if channel != HANDSHAKE:
            message["clientId"] = self.client_id
        self.subscriptions.add_common_ext(message)
        return message

    def _send(self, lane: Lane, messages: Sequence[dict[str, object]], now: float, deadline: float) -> None:
        self.add(Send(self.pending.expect(messages, now, deadline), lane, tuple(messages), deadline))

    # ------------------------------------------------------------------ steps

    def begin(self, client_id: str, offered: object, now: float) -> None:
        """HANDSHAKING → CONNECTING with a new client id; `offered` are the server's connection types."""
        if self._transport == WEBSOCKET and isinstance(offered, list) and WEBSOCKET not in offered:
            self._switch("the server does not offer websockets")
        self.client_id = client_id
        self._client_id_is_new = True
        self.subscriptions.want_all(refused=True)
        self.subscribe_at = float("-inf")
        self.next_step_at = now + self.advice.interval
        self._move(SessionState.CONNECTING)

    def connected(self, at: float) -> None:
        """CONNECTING, CONNECTED → CONNECTED after a connect that succeeded; the next one is due at `at`."""
        self.backoff.reset()
        self._socket_failures = 0
        first = self.state is SessionState.CONNECTING
        self.next_step_at = at
        self._move(SessionState.CONNECTED)
        if first:
            self.emit(Connected(self.client_id, self._client_id_is_new))
            if not self._client_id_is_new:
                self.emit(Gap(self._gap_reason))
            self._client_id_is_new = False

    def back_off(
        self, reason: str, now: float, *, least: float = 0.0, wait: float | None = None, fault: bool = False
    ) -> None:
        """→ BACKING_OFF: wait, then connect with the client id there is, or shake hands when there is none.

        `least` (seconds) is the server's wish, `wait` (seconds) stands in for the back-off's own. `fault`: the
        connection is to blame, not an answer on it."""
        if fault or len(self.pending):
            self._abort(reason)
        if fault and self._transport == WEBSOCKET:
            self._socket_failures += 1
            if self._socket_failures >= MAX_SOCKET_FAILURES:
                self._switch(reason)
        self._gap_reason = reason
        self.subscriptions.want_all()
        wait = max(self.backoff.next() if wait is None else wait, self.advice.interval, least)
        self.next_step_at = now + wait
        self._move(SessionState.BACKING_OFF)
        self.emit(Disconnected(reason, wait))

    def websocket_closed(self, reason: str, now: float, *, least: float) -> None:
        """→ BACKING_OFF because the websocket is gone. One that worked is opened again soon: npm faye closes it without
        a message when it forgets a client."""
        soon = self.state is SessionState.CONNECTED
        self.back_off(
            reason,
            now,
            least=least,
            wait=self._quick_retry_wait("closed", CLOSED_WAIT, now) if soon else None,
            fault=True,
        )

    def client_forgotten(self, reason: str, now: float) -> None:
        """→ BACKING_OFF because the server answers but does not know the client id any more, as after its restart. The
        handshake follows soon, whatever the back-off has grown to, if that id had worked and no such handshake was made
        in the last QUICK_RETRY_EVERY seconds."""
        self.client_id = ""
        self.back_off(
            reason,
            now,
            wait=None if self._client_id_is_new else self._quick_retry_wait("forgotten", FORGOTTEN_WAIT, now),
        )

    def _quick_retry_wait(self, cause: str, least: float, now: float) -> float | None:
        """Return a short wait in seconds, once every QUICK_RETRY_EVERY seconds for a cause; else None."""
        if now - self._quick_retry_at.get(cause, float("-inf")) < QUICK_RETRY_EVERY:
            return None
        self._quick_retry_at[cause] = now
        return least * (1.0 + 2.0 * self._rng())

    def resume(self, now: float) -> None:
        """BACKING_OFF, … → CONNECTING or HANDSHAKING, because the wait is over."""
        if self.client_id:
            self.next_step_at = now
            self._move(SessionState.CONNECTING)
        else:
            self.handshake(now)

    def stop_by_advice(self, reason: str, now: float) -> None:
        """→ STOPPED_BY_ADVICE because the server advised «none»: silence, and one more try in minutes."""
        self._abort(reason)
        self.client_id = ""
        wait = STOP_WAIT * (1.0 + 0.5 * self._rng())
        self._stopped_at = now
        self.next_step_at = now + wait
        self._move(SessionState.STOPPED_BY_ADVICE)
        self.emit(StoppedByAdvice(reason, wait))

    def retry_sooner(self, now: float) -> None:
        """STOPPED_BY_ADVICE: bring the next try forward, to STOP_LEAST after the advice at the earliest."""
        self.next_step_at = min(self.next_step_at, max(now, self._stopped_at + STOP_LEAST))

    def refuse(self, entry: SubscriptionEntry, error: str, now: float) -> None:
        """Record that a subscription was refused, and emit Refused."""
        self.emit(Refused(entry.subscription.channel, error, self.subscriptions.refuse(entry, now)))

    def disconnect(self, now: float) -> None:
        """→ CLOSING: send a disconnect."""
        self._move(SessionState.CLOSING)
        self._send(Lane.SEND, [self._message(DISCONNECT)], now, now + DISCONNECT_WAIT)

    def close(self) -> None:
        """→ CLOSED: drop every connection."""
        self._abort("closed")
        self.client_id = ""
        self._move(SessionState.CLOSED)
        self.add(Closed())

    def _abort(self, reason: str) -> None:
        self.pending.clear()
        self.add(Abort(reason))

    def _switch(self, reason: str) -> None:
        self._transport = LONG_POLLING
        self.add(Switch(LONG_POLLING))
        self.emit(TransportChanged(LONG_POLLING, reason))

    def _move(self, state: SessionState) -> None:
        if state is not self.state:
            self.emit(StateChanged(self.state, state))
            self.state = state
