"""Faye -> inbox. Registers first, subscribes to the printer's two channels, and catches up over HTTP whenever messages
may have been lost (docs/protocol.md, «Faye»). When the token dies it registers anew and subscribes as whoever it is
then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import structlog

from agent import faye
from agent.core.clock import Clock
from agent.errors import CloudError, RejectedError, TokenError, UnavailableError
from agent.server.api_client import ApiClient
from agent.server.inbox import Inbox
from agent.server.registration import Registrar
from agent.server.retry import for_ever
from agent.service.config import Config, need_server
from agent.service.health import Pulse
from agent.state.store import Identity

log = structlog.get_logger(part="subscriber")


class Subscriber:
    """The loop. `cloud` and `catch_up_cloud` are used by one thread each; `announce` is called when a member joined."""

    def __init__(
        self,
        config: Config,
        cloud: ApiClient,
        registrar: Registrar,
        inbox: Inbox,
        catch_up: CatchUp,
        announce: Callable[[], None],
        clock: Clock,
        pulse: Pulse,
    ) -> None:
        self._config = config
        self._cloud = cloud
        self._registrar = registrar
        self._inbox = inbox
        self._catch_up = catch_up
        self._announce = announce
        self._clock = clock
        self._pulse = pulse
        self.listening = False  # a command that is published now arrives; written by the dispatcher's thread alone
        self._session = threading.Event()  # set: the Faye session ends, because of a stop or a dead token

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set and `interrupt` was called."""
        while not stop.is_set():
            identity = self._registrar.register(self._cloud, stop, self._pulse.beat)
            if identity is None:
                return
            self._session.clear()
            if stop.is_set():
                return
            self._announce()
            self._client(identity).run(self._session)

    def interrupt(self) -> None:
        """End the Faye session now; any thread."""
        self._session.set()

    def _client(self, identity: Identity) -> faye.FayeClient:
        cloud, printer = self._config.cloud, f"/printers/{identity.printer_id}"
        ext = self._ext

        return faye.FayeClient(
            f"{need_server(self._config)}{cloud.faye_path}",
            [
                faye.Subscription(f"{printer}/command", self._on_command, ext),
                faye.Subscription(f"{printer}/users", self._on_member, ext),
            ],
            transport=cloud.faye_transport,
            ca_file=cloud.ca_file,
            clock=self._now,
            on_event=self._on_event,
            ext_on=cloud.faye_ext,
        )

    def _now(self) -> float:
        """The client's loop reads the clock at each turn, several times a second: a sign of life."""
        self._pulse.beat()
        return self._clock.monotonic()

    def _ext(self) -> dict[str, object]:
        """Read afresh at each subscribe: the token may have changed."""
        identity = self._registrar.identity()
        return {"authentication_token": identity.auth_token} if identity is not None else {}

    def _on_command(self, message: faye.Message) -> None:
        self._inbox.offer(message.data)

    def _on_member(self, message: faye.Message) -> None:
        data = message.data
        if isinstance(data, str):
            try:
                data = msgspec.json.decode(data)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                data = None
        try:
            if self._registrar.joined(data):
                self._announce()
        except UnavailableError as error:  # the next registration call says it again
            log.error("not written down that a member has registered this printer", reason=str(error))

    def _on_event(self, event: faye.Event) -> None:
        match event:
            case faye.Connected(new=new):
                self.listening = True
                log.info("listening for commands", new_session=new)
                if new:
                    self._catch_up.ask()
            case faye.Gap():
                self._catch_up.ask()
            case faye.StateChanged() | faye.Subscribed():
                log.debug("faye", change=str(event))
            case faye.Disconnected() | faye.StoppedByAdvice():
                self.listening = False
                log.warning("not listening for commands", reason=event.reason, again_in_s=round(event.retry_in, 1))
            case faye.HandlerFailed(error=error):
                log.error("a message could not be handled", exc_info=error)
            case _:
                log.warning("faye", problem=str(event))


class CatchUp:
    """`GET printers/jobs` on a thread of its own, so that no poll waits for it. A server without the call (404) is not
    asked again until the next start."""

    def __init__(self, cloud: ApiClient, registrar: Registrar, inbox: Inbox, pulse: Pulse) -> None:
        self._cloud = cloud
        self._registrar = registrar
        self._inbox = inbox
        self._pulse = pulse
        self._asked = threading.Event()
        self._absent = False

    def ask(self) -> None:
        """Messages may have been lost; any thread, returns at once."""
        self._asked.set()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set."""
        while not stop.is_set():
            self._pulse.beat()
            self._inbox.flush()
            if self._asked.wait(1.0) and not stop.is_set():
                self._asked.clear()
                self._look(stop)

    def _look(self, stop: threading.Event) -> None:
        if self._absent:
            return
        try:
            jobs = for_ever(stop, self._pulse.beat)(self._fetch)
            found = sum(self._inbox.take(job) for job in jobs)
        except RejectedError as error:
            self._absent = error.status == 404
            log.info("this server cannot be asked for missed jobs", status=error.status)
        except TokenError:
            identity = self._registrar.identity()
            if identity is not None:
                self._registrar.refused(identity.auth_token)
        except (CloudError, UnavailableError) as error:
            log.warning("not caught up", reason=str(error))
        else:
            if found:
                log.warning("found jobs that the channel had lost", jobs=found)

    def _fetch(self) -> list[object]:
        identity = self._registrar.identity()
        return self._cloud.jobs(identity.auth_token) if identity is not None else []
