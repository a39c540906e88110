"""Who this printer is at the server: registration, the code for the person, a dead token.

The identity belongs to one server; it is kept in the store and read from there, so that a token that changed is seen
by every thread at its next call. A new printer is only asked for when the disk takes a write, and one that could not be
kept after all is remembered here: no retry makes another one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import structlog
from tenacity import RetryCallState

from agent.core.clock import Clock
from agent.core.conditions import Part
from agent.errors import CloudError, RejectedError, TokenError, UnavailableError
from agent.server.api_client import ApiClient, Registration
from agent.server.retry import for_ever
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import PrinterSection
from agent.service.system_clock import SystemClock
from agent.state.store import Identity, Store

log = structlog.get_logger(part="registration")

SLOWLY = 60.0  # seconds between tries when the server refuses rather than fails
LOOK_AGAIN = 3600.0  # seconds for which a disk that took a write is trusted
SLOWEST = 3600.0  # seconds between two new printers at a server that refuses each token it gave
NOT_ADDED = "nobody has added this printer at the web portal yet; `printer-agent register` shows the code"


class Registrar:
    """Keeps the identity at `server` true. `firmware` gives what the printer calls its firmware; `on_lost` is called,
    on the thread that found out, when the token turned out to be dead."""

    def __init__(
        self,
        server: str,
        printer: PrinterSection,
        store: Store,
        firmware: Callable[[], str],
        on_lost: Callable[[], None],
        clock: Clock | None = None,
        watch: ConditionTracker | None = None,
    ) -> None:
        self._server = server
        self._printer = printer
        self._store = store
        self._firmware = firmware
        self._on_lost = on_lost
        self._clock = clock or SystemClock()
        self._watch = watch or ConditionTracker()
        self._said = ""  # the code that was shown last
        self._unsaved: Identity | None = None  # the server gave it, the disk did not take it yet
        self._born = 0  # new printers in a row of which none was ever confirmed
        self._not_before = 0.0  # when the next one may be asked for
        self._look_again = -math.inf  # when the disk is to be looked at again

    def identity(self) -> Identity | None:
        """Who we are; None before the first registration and after the token died."""
        return self._unsaved or self._store.identities.get(self._server)

    def register(self, cloud: ApiClient, stop: threading.Event, alive: Callable[[], None]) -> Identity | None:
        """Make the call that each start begins with; try until it works or `stop` is set (then None)."""
        try:
            return for_ever(stop, alive, self._say)(self._attempt, cloud)
        except UnavailableError:
            return None  # told to stop

    def refused(self, token: str) -> None:
        """The server refused `token` on some call: forget it, unless it was replaced in the meantime."""
        known = self.identity()
        if known is not None and known.auth_token == token:
            self._forget()
            self._on_lost()

    def joined(self, event: object) -> bool:
        """A message of the registration channel. True when a member has registered this printer."""
        if not isinstance(event, dict) or event.get("registration") != "success":
            return False
        known = self.identity()
        if known is not None and not known.registered:
            done = Identity(
                server=known.server, printer_id=known.printer_id, auth_token=known.auth_token, registered=True
            )
            self._keep(done)
            self._confirmed(done)
        log.info("a member has registered this printer", type=str(event.get("type"))[:20])
        return True

    def _attempt(self, cloud: ApiClient) -> Identity:
        known = self.identity()
        if known is None:
            self._may_be_born()
        try:
            answer = cloud.register(self._body(), known.auth_token if known else None)
        except TokenError:
            if known is None:
                raise CloudError("registration was refused (401 or 403)", retry_after=SLOWLY) from None
            self._forget()
            return self._attempt(cloud)
        except RejectedError as error:
            if known is not None:
                return known  # a server that has no such call for a known printer: go on as who we are
            raise CloudError(str(error), retry_after=SLOWLY) from None
        identity = self._identity(answer, known)
        if known is None:
            self._born += 1
            self._not_before = self._clock.monotonic() + min(SLOWLY * 2.0 ** min(self._born - 1, 10), SLOWEST)
        self._keep(identity)
        self._confirmed(identity)
        self._tell(identity)
        if known is not None:
            self._born = 0
        return identity

    def _may_be_born(self) -> None:
        """Raises UnavailableError while no new printer may be asked for: the disk could not keep it, or the server
        refuses each token that it gave and would get a new printer a second."""
        now = self._clock.monotonic()
        wait = self._not_before - now
        if self._born and wait > 0:
            raise CloudError("the server refuses the token that it has just given", retry_after=wait)
        if now >= self._look_again:  # not at each try: flash wears out
            self._store.identities.ensure_writable()
            self._look_again = now + LOOK_AGAIN

    def _keep(self, identity: Identity) -> None:
        self._unsaved = identity
        self._store.identities.save(identity)
        self._unsaved = None

    def _forget(self) -> None:
        log.warning("the server no longer knows this printer's token; registering anew")
        self._watch.set(Part.TOKEN, "the server no longer knows this printer's token")
        self._unsaved = None
        self._store.identities.forget(self._server)

    def _confirmed(self, identity: Identity) -> None:
        """The server answered, and knows us."""
        self._watch.server(None)
        self._watch.set(Part.TOKEN, "" if identity.registered else NOT_ADDED)

    def _identity(self, answer: Registration, known: Identity | None) -> Identity:
        registered = bool(answer.registered)
        return Identity(
            server=self._server,
            printer_id=answer.printer_id,
            auth_token=answer.auth_token or (known.auth_token if known else ""),
            registered=registered,
            registration_code="" if registered else answer.registration_code or "",
            registration_url="" if registered else answer.registration_url or "",
        )

    def _body(self) -> dict[str, Any]:
        body = {"firmware": self._firmware(), "type_id": self._printer.type_id}
        if self._printer.serial_number:
            body["serial_number"] = self._printer.serial_number
        return body

    def _tell(self, identity: Identity) -> None:
        if identity.registered:
            log.info("registered", printer_id=identity.printer_id)
        elif identity.registration_code != self._said:
            self._said = identity.registration_code
            log.warning(
                "add this printer with the code at the web portal",
                printer_id=identity.printer_id,
                code=identity.registration_code,
                url=identity.registration_url,
            )

    def _say(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, CloudError):
            self._watch.server(error)
        wait = round(state.upcoming_sleep, 1)
        if state.attempt_number == 1 or wait >= SLOWLY / 2:
            log.warning("registration did not work yet", reason=str(error), again_in_s=wait)
