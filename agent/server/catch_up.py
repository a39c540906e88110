"""Catch-up over HTTP: `GET printers/jobs` for commands that the channel may have lost (docs/protocol.md, «Faye»)."""

from __future__ import annotations

import threading

import structlog

from agent.errors import CloudError, RejectedError, TokenError, UnavailableError
from agent.server.api_client import ApiClient
from agent.server.inbox import Inbox
from agent.server.registration import Registrar
from agent.server.retry import retry_forever
from agent.service.health import Pulse

log = structlog.get_logger(part="subscriber")

POLL = 1.0  # seconds between two attempts for messages that the disk did not take

MAX_REFUSALS = 5  # 401 and 403 in a row, while the token holds, after which the next session asks again


class CatchUp:
    """Fetches missed commands; the loop of the thread `catch-up`, so that no Faye poll waits for it.

    A server without the call (404) is not asked again until the next start.
    """

    def __init__(self, api: ApiClient, registrar: Registrar, inbox: Inbox, pulse: Pulse) -> None:
        self._api = api
        self._registrar = registrar
        self._inbox = inbox
        self._pulse = pulse
        self._requested = threading.Event()
        self._unsupported = False
        self._refusals = 0  # answers of 401 and 403 in a row, while the token holds

    def request(self) -> None:
        """Fetch soon: messages may have been lost. Any thread; returns at once."""
        self._requested.set()

    def run(self, stop: threading.Event) -> None:
        """Fetch when requested, and retry messages that the disk did not take, until `stop` is set."""
        while not stop.is_set():
            self._pulse.beat()
            self._inbox.retry_pending()
            if self._requested.wait(POLL) and not stop.is_set():
                self._requested.clear()
                self._fetch_missed(stop)

    def _fetch_missed(self, stop: threading.Event) -> None:
        if self._unsupported:
            return
        try:
            self._refusals = 0
            jobs = retry_forever(stop, self._wait_beat)(self._fetch)
            new = sum(self._inbox.accept(job, missed=True) for job in jobs)
        except RejectedError as error:
            self._unsupported = error.status == 404
            log.info("catch-up refused by the server", status=error.status)
        except (CloudError, UnavailableError) as error:
            log.warning("catch-up failed", error=str(error))
        else:
            if new:
                log.warning("missed commands fetched", jobs=new)

    def _fetch(self) -> list[object]:
        identity = self._registrar.identity()
        if identity is None:
            return []  # the session that follows the registration asks again
        try:
            return self._api.jobs(identity.auth_token)
        except TokenError as error:
            if not self._registrar.check_token(self._api, identity.auth_token):
                return []
            self._refusals += 1
            if self._refusals >= MAX_REFUSALS:  # it is not for printers, here: reports are refused for other reasons
                raise RejectedError(str(error), status=error.status) from None
            raise CloudError(str(error), status=error.status) from None

    def _wait_beat(self) -> None:
        """Beat during a wait, in which messages that the disk did not take are not forgotten either."""
        self._pulse.beat()
        self._inbox.retry_pending()
