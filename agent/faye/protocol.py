"""The Bayeux 1.0 client protocol without I/O: replies, failures and the time go in, actions come out.

It has no clock, no thread and no socket. Whoever drives it calls `receive`, `failed`, `heard` and `tick` with the time
(monotonic seconds), carries out what `take` returns, and comes back at `due` at the latest.

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

A reply is ours when a message of ours with its id *and* its channel is waited for. Advice is read from such replies
only: whoever may publish may write `advice`, `id` and `successful` into an event (docs/faye.md). At most one connect is
waited for at any time; before another is sent, its connection is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .actions import Action, Deliver
from .advice import Reconnect
from .events import Dropped, Subscribed
from .messages import Message, Wire, decode
from .pending_replies import CONNECT, DISCONNECT, HANDSHAKE, SUBSCRIBE, Pending
from .session_steps import GRACE, IDLE, LIVE, LONG_POLLING, Session, State
from .subscriptions import Subscription

HARD_WAIT = 900.0
"""Seconds after which a reply that still trickles in is given up."""
EMPTY_PAUSE = 1.0
"""Seconds from one connect to the next when the server answers at once and has nothing to say; not more than its own
`timeout`, because a session dies after two of those."""
MAX_RETRIES = 3
"""Refused connects in a row that advise «retry» before a handshake is made all the same."""
MAX_CLIENT_ID = 1024
"""Characters."""


class Protocol:
    """The client's side of one Bayeux server. Not thread-safe. `rng` gives numbers in [0, 1)."""

    def __init__(
        self,
        subscriptions: Sequence[Subscription],
        *,
        rng: Callable[[], float],
        transport: str = LONG_POLLING,
        ext_on_all: bool = False,
    ) -> None:
        self._session = Session(subscriptions, rng=rng, transport=transport, ext_on_all=ext_on_all)
        self._refused_connects = 0
        self._had_events = False  # the batch that is being read holds published messages

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._session.state

    @property
    def client_id(self) -> str:
        """The server's name for this session; "" when there is none."""
        return self._session.client_id

    @property
    def outstanding(self) -> int:
        """Messages of ours that are waited for."""
        return len(self._session.ledger)

    def take(self) -> list[Action]:
        """The actions since the last call, in order."""
        return self._session.take()

    # ------------------------------------------------------------------ what the owner and the transport say

    def start(self, now: float) -> None:
        """Begin."""
        self._session.at = now
        self.tick(now)

    def stop(self, now: float) -> None:
        """Say goodbye, if there is a session, and wait a little for the answer."""
        if self.state in LIVE:
            self._session.say_goodbye(now)
        elif self.state not in (State.CLOSING, State.CLOSED):
            self._session.close()

    def resubscribe(self, now: float) -> None:
        """What the `ext` callables return has changed: subscribe to everything again, now."""
        self._session.book.unsettle(refused=True)
        self._session.subscribe_at = float("-inf")
        if self.state is State.STOPPED_BY_ADVICE:
            self._session.hurry(now)
        self.tick(now)

    def receive(self, body: bytes, now: float, number: int | None = None) -> None:
        """A reply's body. `number` is that of the Send it answers in full; None for a websocket's frame."""
        session = self._session
        try:
            batch = decode(body)
        except ValueError as error:
            if number is None:
                session.emit(Dropped(1, str(error)))
            else:
                self.failed(number, str(error), now)
            return
        meta = [str(message["channel"]).startswith("/meta/") for message in batch.messages]
        self._had_events = not all(meta)
        unwanted = 0
        for message, is_meta in zip(batch.messages, meta, strict=True):
            if is_meta:
                self._reply(message, now)
            else:
                unwanted += not self._event(message, len(body) // len(meta))
        if unwanted:
            session.emit(Dropped(unwanted, "without data, or on a channel that is not subscribed to"))
        if batch.rejected:
            session.emit(Dropped(batch.rejected, "not a Bayeux message, or nested too deeply"))
        if number is not None:
            self._unanswered(number, now)
        self.tick(now)

    def failed(self, number: int | None, reason: str, now: float, retry_after: float = 0.0) -> None:
        """The request `number` got no usable reply; None: the websocket is gone and all that was on it.

        A request that is no longer waited for is nobody's concern. `retry_after` (seconds) is the server's wish."""
        session = self._session
        lost = session.ledger.of_request(number)
        if not lost and not (number is None and self.state in LIVE):
            return
        session.ledger.forget(lost)
        channels = {pending.channel for pending in lost}
        if self.state is State.CLOSING:
            if DISCONNECT in channels or number is None:
                session.close()
        elif channels == {SUBSCRIBE} and number is not None:  # alone; the connect that is held may be well
            session.book.want_again(pending.subscription for pending in lost)
            session.subscribe_at = now + max(session.send_backoff.next(), retry_after)
        elif number is None:
            session.closed(reason, now, least=retry_after)
        else:
            session.back_off(reason, now, least=retry_after, fault=True)
        self.tick(now)

    def heard(self, number: int | None, now: float) -> None:
        """Bytes of the reply to `number` came in: a large reply over a slow line is not a dead connection."""
        self._session.ledger.extend(number, now + GRACE, HARD_WAIT)

    def tick(self, now: float) -> None:
        """Do what the time asks for."""
        session = self._session
        self._expire(now)
        if self.state in IDLE and now >= session.at:
            session.resume(now)
        if self.state in LIVE and now >= session.at and not session.ledger.waits_for(CONNECT):
            session.connect(now)
        if self.state is State.CONNECTED:
            session.subscribe_if_due(now)

    def due(self) -> float | None:
        """When `tick` must be called next (monotonic seconds), None when only a reply or the owner changes a thing."""
        session = self._session
        times = session.ledger.deadlines()
        if self.state in IDLE or (self.state in LIVE and not session.ledger.waits_for(CONNECT)):
            times.append(session.at)
        if self.state is State.CONNECTED and not session.ledger.waits_for(SUBSCRIBE):
            wanted = session.book.due()
            if wanted is not None:
                times.append(max(wanted, session.subscribe_at))
        return min(times, default=None)

    # ------------------------------------------------------------------ what comes in

    def _event(self, message: Wire, size: int) -> bool:
        """Deliver a published message; False when nobody asked for it."""
        channel = str(message["channel"])
        if "data" not in message:
            return False
        identity = message.get("id")
        text = identity if isinstance(identity, str) else "" if identity is None else repr(identity)
        delivery = Message(channel, message["data"], text, message)
        patterns = list(self._session.book.match(channel))
        for pattern in patterns:
            self._session.do(Deliver(pattern, delivery, size))
        return bool(patterns)

    def _reply(self, message: Wire, now: float) -> None:
        """A message on a /meta/ channel: ours, if its id and its channel are waited for."""
        session = self._session
        pending = session.ledger.settle(message)
        if pending is None:
            return
        if self.state is State.CLOSING:
            if pending.channel == DISCONNECT:
                session.close()
            return
        session.advice = session.advice.updated(message.get("advice"))
        successful = message.get("successful") is True
        error = "" if successful else session.book.redact(message.get("error"))
        if session.advice.reconnect is Reconnect.NONE:
            session.halt(error or "advised in a successful reply", now)
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
            self._session.open(client_id, message.get("supportedConnectionTypes"), now)

    def _on_connect(self, successful: bool, error: str, pending: Pending, now: float) -> None:
        session = self._session
        advised = session.advice.reconnect
        if successful and advised is not Reconnect.HANDSHAKE:
            self._refused_connects = 0
            at = now + session.advice.interval
            if self.state is State.CONNECTED and not self._had_events:
                at = max(at, pending.sent_at + min(EMPTY_PAUSE, session.advice.timeout))
            session.connected(at)
            return
        self._refused_connects += 1
        reason = "the server advised a new handshake" if successful else f"connect refused: {error}"
        unknown = advised is Reconnect.UNSAID and _says_unknown(error, "401", "402", "403")
        if not successful and (advised is Reconnect.HANDSHAKE or unknown):
            session.forgotten(reason, now)
            return
        if advised is Reconnect.HANDSHAKE or self._refused_connects > MAX_RETRIES:
            session.client_id = ""
        session.back_off(reason, now)

    def _on_subscribe(self, successful: bool, error: str, pending: Pending, now: float) -> None:
        session = self._session
        entry = session.book.entry(pending.subscription)
        if entry is None or entry.asked != pending.identity:
            return  # asked anew since, with another ext
        if successful:
            session.book.confirm(entry)
            session.send_backoff.reset()
            session.emit(Subscribed(pending.subscription))
            return
        advised = session.advice.reconnect is Reconnect.HANDSHAKE
        if (advised or _says_unknown(error, "401", "402")) and session.book.unknown(entry):
            session.forgotten(f"subscribe refused: {error}", now)
        else:
            session.refuse(entry, error, now)

    def _unanswered(self, number: int, now: float) -> None:
        """The reply to `number` is complete: what it did not answer will never be answered."""
        left = self._session.ledger.of_request(number)
        if not left:
            return
        reason = f"no answer to {left[0].channel} in the reply"
        if self.state in LIVE and {pending.channel for pending in left} == {SUBSCRIBE}:
            self._session.client_id = ""
            self._session.back_off(reason, now)
        else:
            self.failed(number, reason, now)

    def _expire(self, now: float) -> None:
        """Nothing was heard for too long: the connection is dead, whatever TCP says."""
        late = self._session.ledger.late(now)
        if not late:
            return
        if self.state is State.CLOSING:
            self._session.close()
            return
        if {pending.channel for pending in late} == {SUBSCRIBE}:
            self._session.client_id = ""
        self._session.back_off(f"no answer to {late[0].channel} in time", now, fault=True)


def _says_unknown(error: str, *codes: str) -> bool:
    """Whether an error (`401:<id>:Unknown client`) means that the server does not know the client id."""
    return error[:3] in codes or "unknown client" in error.lower()
