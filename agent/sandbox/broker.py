"""Bayeux 1.0 broker without I/O, threads or clock: messages in, replies and held polls out.

    result = broker.receive(messages, now)      # replies that are ready; perhaps a poll
    answer = broker.answer(result.poll, now)    # None: still held; else the rest of the reply

    a poll is   held ──▶ answered   something came, its deadline passed, a newer connect of the same client
                                    superseded it, its client disconnected, or the broker closed
                held ──▶ abandoned  its connection is gone; the client's queue stays for the next connect

Times are seconds of any one monotonic clock. Delivery is at most once, as with the real server (docs/faye.md). Not
thread-safe: the caller holds a lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agent.sandbox import channels
from agent.sandbox.access import Access
from agent.sandbox.bayeux import (
    CONNECTION_TYPE,
    VERSION,
    Message,
    refusal,
    subscription,
    success,
    wanted_timeout,
)

CROWDED_INTERVAL_MS = 2000
"""Least time between connects that are not held because too many are: milliseconds, as Bayeux wants it."""


@dataclass(eq=False)
class Poll:
    """A held connect, which waits for something to deliver. `deadline` is on the broker's clock."""

    client_id: str
    reply: Message
    deadline: float


@dataclass
class BatchResult:
    """Result of one batch of messages: the replies that are ready, and the connect that may be held."""

    replies: list[Message] = field(default_factory=list)
    poll: Poll | None = None


@dataclass(eq=False)
class _Client:
    last_seen: float
    patterns: set[str] = field(default_factory=set)
    queue: deque[Message] = field(default_factory=deque)
    poll: Poll | None = None


class Broker:
    """Broker of the Faye endpoint. `timeout` is how long a connect is held, in seconds; a session ends 2 × `timeout`
    after its last connect.

    At most `max_queue` events wait for a client: the oldest give way, counted in `dropped`. At most `max_clients`
    sessions live at once."""

    def __init__(
        self,
        access: Access,
        new_id: Callable[[], str],
        *,
        timeout: float = 25.0,
        max_queue: int = 1000,
        max_clients: int = 1000,
    ) -> None:
        self._access = access
        self._new_id = new_id
        self._timeout = timeout
        self._max_queue = max_queue
        self._max_clients = max_clients
        self._clients: dict[str, _Client] = {}
        self._closed = False
        self.dropped = 0
        self._handlers: dict[str, Callable[[Message, BatchResult, float], None]] = {
            "/meta/handshake": self._handshake,
            "/meta/subscribe": self._subscribe,
            "/meta/unsubscribe": self._unsubscribe,
            "/meta/disconnect": self._disconnect,
        }

    @property
    def clients(self) -> int:
        """Number of living sessions, as of the last call."""
        return len(self._clients)

    def receive(self, messages: Iterable[Mapping[str, object]], now: float, *, hold: bool = True) -> BatchResult:
        """Process one batch of messages. With `hold` False a connect is answered at once, with an interval that slows
        it down."""
        self._expire(now)
        result = BatchResult()
        for raw in messages:
            message = dict(raw)
            channel = message.get("channel")
            if not isinstance(channel, str) or not channel:
                result.replies.append(refusal(message, "402:channel:Missing required parameter"))
            elif channel == "/meta/connect":
                self._connect(message, result, now, hold=hold)
            elif channel in self._handlers:
                self._handlers[channel](message, result, now)
            else:
                self._publish(message, channel, result)
        return result

    def answer(self, poll: Poll, now: float) -> list[Message] | None:
        """Return the connect's reply and then its events, as the real server orders them; None while it is held."""
        client = self._clients.get(poll.client_id)
        if client is None:
            return [poll.reply | {"advice": {"reconnect": "none"}}]  # it disconnected while it waited
        if client.poll is not poll:
            return [poll.reply]
        if not client.queue and not self._closed and now < poll.deadline:
            return None
        events = list(client.queue)
        client.queue.clear()
        self.abandon(poll, now)
        return [poll.reply, *events]

    def abandon(self, poll: Poll, now: float) -> None:
        """Drop `poll`, whose connection is gone. The session lives on until it expires."""
        client = self._clients.get(poll.client_id)
        if client is not None and client.poll is poll:
            client.poll = None
            client.last_seen = now

    def publish(self, channel: str, data: object, now: float, message_id: str = "") -> int:
        """Queue an event of the cloud itself for every session subscribed to `channel`; returns how many there were."""
        self._expire(now)
        return self._deliver({"channel": channel, "data": data, "id": message_id or self._new_id()})

    def close(self) -> None:
        """Answer every held poll now, and hold no more."""
        self._closed = True

    def _advice(self, interval_ms: int = 0) -> Message:
        return {"reconnect": "retry", "interval": interval_ms, "timeout": round(self._timeout * 1000)}

    def _expire(self, now: float) -> None:
        dead = [
            client_id
            for client_id, client in self._clients.items()
            if client.poll is None and now - client.last_seen > 2 * self._timeout
        ]
        for client_id in dead:
            del self._clients[client_id]

    def _session(self, message: Message, result: BatchResult) -> tuple[str, _Client] | None:
        client_id = message.get("clientId")
        if not isinstance(client_id, str) or not client_id:
            result.replies.append(refusal(message, "402:clientId:Missing required parameter"))
            return None
        client = self._clients.get(client_id)
        if client is None:
            unknown = refusal(message, f"401:{client_id[:64]}:Unknown client")
            result.replies.append(unknown | {"advice": {"reconnect": "handshake", "interval": 0}})
            return None
        return client_id, client

    def _handshake(self, message: Message, result: BatchResult, now: float) -> None:
        never: Message = {"advice": {"reconnect": "none"}, "version": VERSION}
        offered = message.get("supportedConnectionTypes")
        version = message.get("version")
        if not isinstance(version, str) or not isinstance(offered, list):
            missing = "version" if not isinstance(version, str) else "supportedConnectionTypes"
            result.replies.append(refusal(message, f"402:{missing}:Missing required parameter") | never)
        elif version.split(".")[0] != VERSION.split(".", maxsplit=1)[0]:
            result.replies.append(refusal(message, f"300:{version[:16]}:Version mismatch") | never)
        elif CONNECTION_TYPE not in offered:
            result.replies.append(refusal(message, "301::Connection types not supported") | never)
        elif len(self._clients) >= self._max_clients:
            busy = {"advice": {"reconnect": "handshake", "interval": 5000}}
            result.replies.append(refusal(message, "503::Too many clients") | busy)
        else:
            client_id = self._new_id()
            self._clients[client_id] = _Client(last_seen=now)
            types: Message = {"version": VERSION, "supportedConnectionTypes": [CONNECTION_TYPE]}
            result.replies.append(success(message, client_id) | types | {"advice": self._advice()})

    def _connect(self, message: Message, result: BatchResult, now: float, *, hold: bool) -> None:
        session = self._session(message, result)
        if session is None:
            return
        client_id, client = session
        kind = message.get("connectionType")
        if kind != CONNECTION_TYPE:
            error = "301::Connection types not supported" if kind else "402:connectionType:Missing required parameter"
            result.replies.append(refusal(message, error))
            return
        if result.poll is not None:  # two connects in one batch: only the last can wait
            result.replies.append(result.poll.reply)
            self.abandon(result.poll, now)
        reply = success(message, client_id) | {"advice": self._advice(0 if hold else CROWDED_INTERVAL_MS)}
        wanted = wanted_timeout(message, self._timeout) if hold else 0.0
        client.last_seen = now
        client.poll = result.poll = Poll(client_id, reply, now + wanted)

    def _subscribe(self, message: Message, result: BatchResult, _now: float) -> None:
        session = self._session(message, result)
        if session is None:
            return
        names = subscription(message)
        error = self._subscription_error(names, message)
        echo: Message = {"subscription": message.get("subscription")}
        if error:
            result.replies.append(refusal(message, error) | echo)
            return
        session[1].patterns.update(names)
        result.replies.append(success(message, session[0]) | echo)

    def _subscription_error(self, names: list[str], message: Message) -> str:
        if not names:
            return "402:subscription:Missing required parameter"
        ext = message.get("ext")
        for name in names:
            if not channels.is_subscription(name):
                return f"405:{name[:64]}:Invalid channel"
            if channels.is_meta(name) or channels.is_service(name):
                return f"403:{name}:Forbidden channel"
            if not self._access.may_subscribe(name, ext if isinstance(ext, dict) else {}):
                return f"403:{name}:Forbidden channel without its authentication_token"
        return ""

    def _unsubscribe(self, message: Message, result: BatchResult, _now: float) -> None:
        session = self._session(message, result)
        if session is None:
            return
        names = subscription(message)
        echo: Message = {"subscription": message.get("subscription")}
        if not names:
            result.replies.append(refusal(message, "402:subscription:Missing required parameter") | echo)
            return
        session[1].patterns.difference_update(names)
        result.replies.append(success(message, session[0]) | echo)

    def _disconnect(self, message: Message, result: BatchResult, _now: float) -> None:
        session = self._session(message, result)
        if session is not None:
            del self._clients[session[0]]
            result.replies.append(success(message, session[0]))

    def _publish(self, message: Message, channel: str, result: BatchResult) -> None:
        if self._session(message, result) is None:
            return
        if not channels.is_channel(channel):
            result.replies.append(refusal(message, f"405:{channel[:64]}:Invalid channel"))
        elif channels.is_meta(channel) or not self._access.may_publish(channel):
            result.replies.append(refusal(message, f"403:{channel}:Forbidden channel"))
        elif "data" not in message:
            result.replies.append(refusal(message, "402:data:Missing required parameter"))
        else:
            if not channels.is_service(channel):
                own = message.get("id")
                kept = own if isinstance(own, str) and 0 < len(own) <= 64 else self._new_id()
                self._deliver({"channel": channel, "data": message["data"], "id": kept})
            result.replies.append(success(message, ""))

    def _deliver(self, event: Message) -> int:
        heard_by = channels.matching(str(event["channel"]))
        count = 0
        for client in self._clients.values():
            if client.patterns.isdisjoint(heard_by):
                continue
            count += 1
            if len(client.queue) >= self._max_queue:
                client.queue.popleft()
                self.dropped += 1
            client.queue.append(event)
        return count
