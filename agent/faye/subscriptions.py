"""Table of subscriptions: which channels are wanted, asked for, confirmed or refused, and what is sent for each.

    channel    event                                       then
    WANTED     sent with a connect, or alone               ASKED
    ASKED      reply: successful                           CONFIRMED
    ASKED      reply: refused                              REFUSED, WANTED again in 60 to 90 s
    ASKED      an error, or resubscribe()                  WANTED (a late reply is not matched)
    CONFIRMED  an error, a new client id, resubscribe()    WANTED
    REFUSED    its time, a new client id, resubscribe()    WANTED

The table also keeps the secrets that were sent, to redact them from a server's texts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .messages import Message, encode

REFUSED_WAIT = 60.0
"""Seconds before a refused subscription is asked for again, at least; half as much again at most."""
MAX_UNKNOWN = 2
"""«Unknown client» answers to one subscribe that lead to a handshake; further ones count as refusals, because some
servers say 401 for a wrong token and would make the client shake hands for ever."""
MIN_SECRET = 4
"""Characters. Shorter strings are not redacted."""
MAX_TEXT = 300
"""Characters of a server's text that are kept."""

ExtSource = Callable[[], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A channel (or a pattern ending in `/*` or `/**`), who handles its messages, and what to prove with.

    `handler` runs on the client's dispatcher thread: commit and return. `ext` gives the `ext` of the subscribe message,
    such as `{"authentication_token": …}`; it is called afresh for each subscribe, on the thread of `run`, and must
    return at once. `urgent` says of a message's source text whether it is handled before all that waits and is not
    urgent; None: no message is."""

    channel: str
    handler: Callable[[Message], None]
    ext: ExtSource | None = None
    urgent: Callable[[bytes], bool] | None = None


class SubscriptionState(StrEnum):
    """State of one subscription."""

    WANTED = "wanted"
    ASKED = "asked"
    CONFIRMED = "confirmed"
    REFUSED = "refused"


@dataclass(slots=True)
class SubscriptionEntry:
    """One subscription's row in the table. `subscribe_id` is the id of the subscribe whose reply is outstanding."""

    subscription: Subscription
    state: SubscriptionState = SubscriptionState.WANTED
    subscribe_id: str = ""
    retry_at: float = 0.0
    unknown_client_answers: int = 0


class SubscriptionTable:
    """The subscriptions of one client. `ext_on_all`: every message carries an ext (some servers want that); what is not
    a subscribe carries the first subscription's."""

    def __init__(self, subscriptions: Sequence[Subscription], *, ext_on_all: bool, rng: Callable[[], float]) -> None:
        self._entries = {entry.channel: SubscriptionEntry(entry) for entry in subscriptions}
        if len(self._entries) != len(subscriptions):
            raise ValueError("a channel is subscribed to twice")
        self._first = subscriptions[0].ext if subscriptions and ext_on_all else None
        self._rng = rng
        self._secrets: deque[str] = deque(maxlen=16)

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, channel: str) -> SubscriptionEntry | None:
        """Return the row of exactly this channel or pattern."""
        return self._entries.get(channel)

    def match(self, channel: str) -> Iterator[str]:
        """Yield the subscriptions that match a message on `channel`: the exact one, `/a/*` and `/a/**`."""
        for pattern in self._entries:
            if pattern == channel or (
                (pattern.endswith("/**") and channel.startswith(pattern[:-2]))
                or (pattern.endswith("/*") and channel.rpartition("/")[0] == pattern[:-2])
            ):
                yield pattern

    def make_subscribes(
        self, now: float, next_id: Callable[[], str]
    ) -> tuple[list[dict[str, object]], list[tuple[str, str, float]]]:
        """Make a subscribe for each wanted channel, one channel a message, without client id; and (channel, problem,
        seconds until asked again) for each whose `ext` failed, which counts as refused."""
        messages: list[dict[str, object]] = []
        failed: list[tuple[str, str, float]] = []
        for channel, entry in self._entries.items():
            if entry.state is SubscriptionState.REFUSED and now >= entry.retry_at:
                entry.state = SubscriptionState.WANTED
            if entry.state is not SubscriptionState.WANTED:
                continue
            entry.subscribe_id = next_id()
            entry.state = SubscriptionState.ASKED
            message: dict[str, object] = {
                "channel": "/meta/subscribe",
                "subscription": channel,
                "id": entry.subscribe_id,
            }
            try:
                self._add_ext(message, entry.subscription.ext or self._first)
            except Exception as error:  # noqa: BLE001 - the owner's callable may raise anything; it is reported
                problem = f"its ext could not be had: {type(error).__name__}"
                failed.append((channel, problem, self.refuse(entry, now)))
            else:
                messages.append(message)
        return messages, failed

    def add_common_ext(self, message: dict[str, object]) -> None:
        """Add the common ext to a message that is not a subscribe, where every message must carry one."""
        try:
            self._add_ext(message, self._first)
        except Exception:  # noqa: BLE001 - reported already, with the subscribe that uses the same callable
            message.pop("ext", None)

    def _add_ext(self, message: dict[str, object], source: ExtSource | None) -> None:
        if source is not None:
            ext = dict(source())
            encode([ext])  # now, where a failure concerns this message alone
            message["ext"] = ext
            for secret in _strings(ext):
                if len(secret) >= MIN_SECRET and secret not in self._secrets:
                    self._secrets.append(secret)

    def confirm(self, entry: SubscriptionEntry) -> None:
        """Record that the server accepted it."""
        entry.state = SubscriptionState.CONFIRMED
        entry.unknown_client_answers = 0

    def refuse(self, entry: SubscriptionEntry, now: float) -> float:
        """Record that the server refused it; returns the seconds until it is asked for again."""
        wait = REFUSED_WAIT * (1.0 + 0.5 * self._rng())
        entry.state = SubscriptionState.REFUSED
        entry.subscribe_id = ""
        entry.retry_at = now + wait
        return wait

    def count_unknown_client(self, entry: SubscriptionEntry) -> bool:
        """Count an «unknown client» answer; False when there were more than MAX_UNKNOWN."""
        entry.unknown_client_answers += 1
        return entry.unknown_client_answers <= MAX_UNKNOWN

    def want_again(self, channels: Iterable[str]) -> None:
        """Want these again, which were asked for and will get no answer."""
        for channel in channels:
            entry = self._entries.get(channel)
            if entry is not None and entry.state is SubscriptionState.ASKED:
                entry.state = SubscriptionState.WANTED
                entry.subscribe_id = ""

    def want_all(self, *, refused: bool = False) -> None:
        """Want every subscription again; with `refused` those that were refused, too."""
        for entry in self._entries.values():
            if refused or entry.state is not SubscriptionState.REFUSED:
                entry.state = SubscriptionState.WANTED
                entry.subscribe_id = ""

    def due(self) -> float | None:
        """Return when the next subscribe is due (monotonic seconds; -inf for at once), None when none is."""
        times = [
            entry.retry_at if entry.state is SubscriptionState.REFUSED else float("-inf")
            for entry in self._entries.values()
            if entry.state in (SubscriptionState.WANTED, SubscriptionState.REFUSED)
        ]
        return min(times, default=None)

    def redact(self, text: object) -> str:
        """Redact a server's text: without the secrets that were sent, at most MAX_TEXT characters, on one line."""
        plain = text if isinstance(text, str) else "no reason given"
        for secret in self._secrets:
            plain = plain.replace(secret, "***")
        return " ".join(plain[: MAX_TEXT * 2].split())[:MAX_TEXT].encode("utf-8", "replace").decode()


def _strings(value: object) -> Iterator[str]:
    """Yield every string value within an ext, whose shape is the owner's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for child in value.values():
            yield from _strings(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _strings(child)
