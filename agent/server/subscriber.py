"""Subscriber: commands from the Faye channel to the inbox (docs/protocol.md, «Faye»).

Registers first, subscribes to the printer's two channels, and requests a catch-up over HTTP whenever messages may have
been lost. When the token is lost it registers anew and subscribes with the identity it has then.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import msgspec
import structlog

from agent import faye
from agent.core.clock import Clock
from agent.core.command import STOPS
from agent.errors import UnavailableError
from agent.http.http_client import HttpClient
from agent.server.api_client import ApiClient
from agent.server.catch_up import CatchUp
from agent.server.inbox import Inbox
from agent.server.registration import Registrar
from agent.service.config import Config, need_server
from agent.service.health import Pulse
from agent.state.store import Identity

log = structlog.get_logger(part="subscriber")

_STOP = re.compile(rb'\\?"command\\?"\s*:\s*\\?"(?:%b)\\?"' % "|".join(sorted(STOPS)).encode())


def is_urgent(source: bytes) -> bool:
    """Whether a message's text holds a command of STOPS, also within a string: such a one waits behind no other."""
    return _STOP.search(source) is not None


class Subscriber:
    """Listens for commands; the loop of the thread `subscriber`, to which `api` belongs.

    `on_member_added` is called after each registration, and when a member has added the printer.
    """

    def __init__(
        self,
        *,
        config: Config,
        http: HttpClient,
        api: ApiClient,
        registrar: Registrar,
        inbox: Inbox,
        catch_up: CatchUp,
        on_member_added: Callable[[], None],
        clock: Clock,
        pulse: Pulse,
    ) -> None:
        self._config = config
        self._http = http
        self._resolver = http.resolver()  # one for all sessions: a lookup that hangs is not begun again
        self._api = api
        self._registrar = registrar
        self._inbox = inbox
        self._catch_up = catch_up
        self._on_member_added = on_member_added
        self._clock = clock
        self._pulse = pulse
        self.listening = False  # whether a command published now arrives; written by the dispatcher's thread alone
        self._session_end = threading.Event()  # set to end the Faye session: a stop or a lost token

    def run(self, stop: threading.Event) -> None:
        """Listen until `stop` is set and `interrupt` was called."""
        while not stop.is_set():
            identity = self._registrar.register(self._api, stop, self._pulse.beat)
            if identity is None:
                return
            self._session_end.clear()
            if stop.is_set():
                return
            self._on_member_added()
            self._client(identity).run(self._session_end)

    def interrupt(self) -> None:
        """End the Faye session now. Any thread."""
        self._session_end.set()

    def _client(self, identity: Identity) -> faye.FayeClient:
        section, printer = self._config.cloud, f"/printers/{identity.printer_id}"
        ext = self._ext

        return faye.FayeClient(
            f"{need_server(self._config)}{section.faye_path}",
            [
                faye.Subscription(f"{printer}/command", self._on_command, ext, is_urgent),
                faye.Subscription(f"{printer}/users", self._on_member, ext),
            ],
            transport=section.faye_transport,
            tls=self._http.tls,
            response_class=self._http.response_class,
            resolve=self._resolver.resolve,
            clock=self._beat_and_read_clock,
            on_event=self._on_event,
            ext_on=section.faye_ext,
        )

    def _beat_and_read_clock(self) -> float:
        """Monotonic time. The client's loop reads it several times a second, so each reading is a beat of the pulse."""
        self._pulse.beat()
        return self._clock.monotonic()

    def _ext(self) -> dict[str, object]:
        """Extension of a subscribe message, with the token as it is now: it may have changed since the last one."""
        identity = self._registrar.identity()
        return {"authentication_token": identity.auth_token} if identity is not None else {}

    def _on_command(self, message: faye.Message) -> None:
        self._inbox.enqueue(message.data)

    def _on_member(self, message: faye.Message) -> None:
        data = message.data
        if isinstance(data, str):
            try:
                data = msgspec.json.decode(data)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                data = None
        try:
            if self._registrar.handle_member_event(data):
                self._on_member_added()
        except UnavailableError as error:  # the next registration call repeats it
            log.error("member event not written", error=str(error))

    def _on_event(self, event: faye.Event) -> None:
        match event:
            case faye.Connected(new=new):
                self.listening = True
                log.info("command channel connected", new_session=new)
                if new:
                    self._catch_up.request()
            case faye.Gap():
                self._catch_up.request()
            case faye.StateChanged() | faye.Subscribed():
                log.debug("faye state changed", change=str(event))
            case faye.Disconnected() | faye.StoppedByAdvice():
                self.listening = False
                log.warning("command channel disconnected", error=event.reason, wait_s=round(event.retry_in, 1))
            case faye.HandlerFailed(error=error):
                log.error("message handler crashed", exc_info=error)
            case _:
                log.warning("faye problem reported", error=str(event))
