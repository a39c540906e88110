"""The Bayeux 1.0 client protocol without I/O: replies, failures and the time go in, actions come out.

It has no clock, no thread and no socket. Whoever drives it calls `receive`, `failed`, `heard` and `tick` with the time
(monotonic seconds), performs what `take` returns, and calls `tick` again at `due` at the latest.

    state              event                                   then                 what is done
    UNCONNECTED        start                                   HANDSHAKING          send the handshake, alone
    HANDSHAKING        reply: successful                       CONNECTING           subscribes + connect with timeout 0
    HANDSHAKING        refused, failed, no reply in time       BACKING_OFF          next: handshake
    CONNECTING         connect: successful                     CONNECTED            back-off reset; Connected, Gap
    CONNECTED          connect: successful                     CONNECTED            next connect after `interval`
    CONNECTING, -ED    connect: refused, «retry»               BACKING_OFF          next: connect, same client id
    CONNECTING, -ED    refused: 401, 402, 403 or «handshake»   BACKING_OFF          next: handshake; soon if it worked
    CONNECTING, -ED    connect failed, or nothing heard        BACKING_OFF          drop connections; next: connect
    CONNECTING, -ED    subscribe: 401                          BACKING_OFF          the same
    CONNECTING, -ED    subscribe: no reply in time             BACKING_OFF          next: handshake
    CONNECTING, -ED    subscribe: refused                      the same             Refused; again after 60 s or more
    BACKING_OFF        its time comes                          HANDSHAKING or CONNECTING
    all of the above   a reply of ours advises «none»          STOPPED_BY_ADVICE    drop everything; silence, minutes
    STOPPED_BY_ADVICE  its time comes                          HANDSHAKING
    CONNECTING, -ED    stop                                    CLOSING              send the disconnect
    any other          stop                                    CLOSED
    CLOSING            reply, failure, or no reply in time     CLOSED

A reply is ours when a message of ours with its id *and* its channel is outstanding. Advice is read from such replies
only: whoever may publish may write `advice`, `id` and `successful` into an event (docs/faye.md). At most one connect is
outstanding at any time; before another is sent, its connection is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .actions import Action, Deliver
from .advice import Reconnect
from .events import Dropped, Subscribed
from .messages import Received, Wire, decode
from .pending_replies import CONNECT, DISCONNECT, HANDSHAKE, SUBSCRIBE, PendingReply
from .session_steps import GRACE, IDLE, LIVE, LONG_POLLING, SessionState, SessionSteps
from .subscriptions import Subscription

HARD_WAIT = 900.0
"""Seconds after which a reply that is still arriving is given up."""
EMPTY_PAUSE = 1.0
"""Seconds from one connect to the next when the server answers at once without messages; not more than its own
`timeout`, because a session dies after two of those."""
MAX_RETRIES = 3
"""Refused connects in a row that advise «retry» before a handshake is made all the same."""
MAX_CLIENT_ID = 1024
"""Characters."""


class BayeuxProtocol:
    """Client side of the Bayeux protocol with one server. Not thread-safe. `rng` gives numbers in [0, 1)."""

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        *,
        rng: Callable[[], float],
        transport: str = LONG_POLLING,
        ext_on_all: bool = False,
    ) -> None:
        self._session = SessionSteps(subscriptions, rng=rng, transport=transport, ext_on_all=ext_on_all)
        self._refused_connects = 0
        self._had_events = False  # the batch that is being read holds published messages

    @property
    def state(self) -> SessionState:
        """State of the session."""
        return self._session.state

    @property
    def client_id(self) -> str:
        """The session's client id, given by the server; "" when there is none."""
        return self._session.client_id

    @property
    def outstanding(self) -> int:
        """Number of our messages whose reply is outstanding."""
        return len(self._session.pending)

    def take(self) -> list[Action]:
        """Return the actions since the last call, in order, and clear them."""
        return self._session.take()

    # ------------------------------------------------------------------ inputs of the owner and the transport

    def start(self, now: float) -> None:
        """Start: the handshake is due."""
        self._session.next_step_at = now
        self.tick(now)

    def stop(self, now: float) -> None:
        """Send a disconnect, if there is a session, and wait DISCONNECT_WAIT for the answer."""
        if self.state in LIVE:
            self._session.disconnect(now)
        elif self.state not in (SessionState.CLOSING, SessionState.CLOSED):
            self._session.close()

    def resubscribe(self, now: float) -> None:
        """Subscribe to everything again, now, because what the `ext` callables return has changed."""
        self._session.subscriptions.want_all(refused=True)
        self._session.subscribe_at = float("-inf")
        if self.state is SessionState.STOPPED_BY_ADVICE:
            self._session.retry_sooner(now)
        self.tick(now)

    def receive(self, body: bytes, now: float, number: int | None = None) -> None:
        """Process a reply's body. `number` is that of the Send it answers in full; None for a websocket's frame."""
        session = self._session
        try:
            batch = decode(body)
        except ValueError as error:
            if number is None:
                session.emit(Dropped(1, str(error)))
            else:
                self.failed(number, str(error), now)
            return
        meta = [message.channel.startswith("/meta/") for message in batch.messages]
        self._had_events = not all(meta)
        unwanted = 0
        for message, is_meta in zip(batch.messages, meta, strict=True):
            if is_meta:
                self._handle_reply(message.wire(), now)
            else:
                unwanted += not self._deliver(message)
        if unwanted:
            session.emit(Dropped(unwanted, "without data, or on a channel that is not subscribed to"))
        if batch.rejected:
            session.emit(Dropped(batch.rejected, "not a Bayeux message, too large, or nested too deeply"))
        if number is not None:
            self._unanswered(number, now)
        self.tick(now)

    def failed(self, number: int | None, reason: str, now: float, retry_after: float = 0.0) -> None:
        """Process a failure: request `number` got no usable reply; None: the websocket is gone and all that was on it.

        A request that is no longer outstanding is ignored. `retry_after` (seconds) is the server's wish."""
        session = self._session
        lost = session.pending.of_request(number)
        if not lost and not (number is None and self.state in LIVE):
            return
        session.pending.drop(lost)
        channels = {pending.channel for pending in lost}
        if self.state is SessionState.CLOSING:
            if DISCONNECT in channels or number is None:
                session.close()
        elif channels == {SUBSCRIBE} and number is not None:  # alone; the connect that is held may be well
            session.subscriptions.want_again(pending.subscription for pending in lost)
            session.subscribe_at = now + max(session.send_backoff.next(), retry_after)
        elif number is None:
            session.websocket_closed(reason, now, least=retry_after)
        else:
            session.back_off(reason, now, least=retry_after, fault=True)
        self.tick(now)

    def heard(self, number: int | None, now: float) -> None:
        """Put off a deadline, because bytes of the reply to `number` came in: a large reply over a slow line is no dead
        connection."""
        self._session.pending.extend_deadline(number, now + GRACE, HARD_WAIT)

    def tick(self, now: float) -> None:
        """Perform the steps that are due at `now`: expired replies, retries, connects, subscribes."""
        session = self._session
        self._expire(now)
        if self.state in IDLE and now >= session.next_step_at:
            session.resume(now)
        if self.state in LIVE and now >= session.next_step_at and not session.pending.waits_for(CONNECT):
            session.connect(now)
        if self.state is SessionState.CONNECTED:
            session.subscribe_if_due(now)

    def due(self) -> float | None:
        """Return when `tick` is due next (monotonic seconds), None when only a reply or the owner changes the state."""
        session = self._session
        times = session.pending.deadlines()
        if self.state in IDLE or (self.state in LIVE and not session.pending.waits_for(CONNECT)):
            times.append(session.next_step_at)
        if self.state is SessionState.CONNECTED and not session.pending.waits_for(SUBSCRIBE):
            wanted = session.subscriptions.due()
            if wanted is not None:
                times.append(max(wanted, session.subscribe_at))
        return min(times, default=None)

    # ------------------------------------------------------------------ messages received

    def _deliver(self, message: Received) -> bool:
        """Deliver a published message to its subscriptions; False when there is none."""
        if not message.has_data:
            return False
        patterns = list(self._session.subscriptions.match(message.channel))
        for pattern in patterns:
            self._session.add(Deliver(pattern, message))
        return bool(patterns)

    def _handle_reply(self, message: Wire, now: float) -> None:
        """Process a message on a /meta/ channel; ignored unless its id and channel match an outstanding one."""
        session = self._session
        pending = session.pending.match(message)
        if pending is None:
            return
        if self.state is SessionState.CLOSING:
            if pending.channel == DISCONNECT:
                session.close()
            return
        session.advice = session.advice.updated(message.get("advice"))
        successful = message.get("successful") is True
        error = "" if successful else session.subscriptions.redact(message.get("error"))
        if session.advice.reconnect is Reconnect.NONE:
            session.stop_by_advice(error or "advised in a successful reply", now)
        elif pending.channel == HANDSHAKE:
            self._on_handshake(message, successful, error, now)
        elif pending.channel == CONNECT:
            self._on_connect(successful, error, pending, now)
        else:
            self._on_subscribe(successful, error, pending, now)

    def _on_handshake(self, message: Wire, successful: bool, error: str, now: float) -> None:
        client_id = message.get("clientId")
        if not successful:
            self._session.back_off(f"handshake refused: {error}", now)
        elif not isinstance(client_id, str) or not 0 < len(client_id) <= MAX_CLIENT_ID:
            self._session.back_off("handshake answered without a usable clientId", now)
        else:
            self._refused_connects = 0
            self._session.begin(client_id, message.get("supportedConnectionTypes"), now)

    def _on_connect(self, successful: bool, error: str, pending: PendingReply, now: float) -> None:
        session = self._session
        advised = session.advice.reconnect
        if successful and advised is not Reconnect.HANDSHAKE:
            self._refused_connects = 0
            at = now + session.advice.interval
            if self.state is SessionState.CONNECTED and not self._had_events:
                at = max(at, pending.sent_at + min(EMPTY_PAUSE, session.advice.timeout))
            session.connected(at)
            return
        self._refused_connects += 1
        reason = "the server advised a new handshake" if successful else f"connect refused: {error}"
        unknown = advised is Reconnect.UNSPECIFIED and _is_unknown_client(error, "401", "402", "403")
        if not successful and (advised is Reconnect.HANDSHAKE or unknown):
            session.client_forgotten(reason, now)
            return
        if advised is Reconnect.HANDSHAKE or self._refused_connects > MAX_RETRIES:
            session.client_id = ""
        session.back_off(reason, now)

    def _on_subscribe(self, successful: bool, error: str, pending: PendingReply, now: float) -> None:
        session = self._session
        entry = session.subscriptions.entry(pending.subscription)
        if entry is None or entry.subscribe_id != pending.identity:
            return  # asked anew since, with another ext
        if successful:
            session.subscriptions.confirm(entry)
            session.send_backoff.reset()
            session.emit(Subscribed(pending.subscription))
            return
        advised = session.advice.reconnect is Reconnect.HANDSHAKE
        if (advised or _is_unknown_client(error, "401", "402")) and session.subscriptions.count_unknown_client(entry):
            session.client_forgotten(f"subscribe refused: {error}", now)
        else:
            session.refuse(entry, error, now)

    def _unanswered(self, number: int, now: float) -> None:
        """Fail what the reply to `number`, which is complete, did not answer."""
        left = self._session.pending.of_request(number)
        if not left:
            return
        reason = f"no answer to {left[0].channel} in the reply"
        if self.state in LIVE and {pending.channel for pending in left} == {SUBSCRIBE}:
            self._session.client_id = ""
            self._session.back_off(reason, now)
        else:
            self.failed(number, reason, now)

    def _expire(self, now: float) -> None:
        """Back off when a reply is overdue: the connection is dead, whatever TCP says (docs/faye.md §13)."""
        late = self._session.pending.overdue(now)
        if not late:
            return
        if self.state is SessionState.CLOSING:
            self._session.close()
            return
        if {pending.channel for pending in late} == {SUBSCRIBE}:
            self._session.client_id = ""
        self._session.back_off(f"no answer to {late[0].channel} in time", now, fault=True)


def _is_unknown_client(error: str, *codes: str) -> bool:
    """Return whether an error (`401:<id>:Unknown client`) means that the server does not know the client id."""
    return error[:3] in codes or "unknown client" in error.lower()
