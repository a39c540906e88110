"""Registration of the printer at the server: its identity, the code for a member, a token that was revoked.

The identity belongs to one server; it is kept in the store and read from there, so that a token that changed is seen
by every thread at its next call. A new printer is only requested when the disk takes a write, and one that could not be
saved after all is remembered here: no retry creates another one.
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
from agent.server.retry import retry_forever
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import PrinterSection
from agent.state.identity import Identity, IdentityTable

log = structlog.get_logger(part="registration")

REFUSED_WAIT = 60.0  # seconds between attempts when the server refuses rather than fails
DISK_CHECK_INTERVAL = 3600.0  # seconds between two checks that the disk takes a write
MAX_PRINTER_WAIT = 3600.0  # seconds between two new printers at a server that refuses each token it gave
NOT_ADDED = "nobody has added this printer at the web portal yet; `printer-agent register` shows the code"


class Registrar:
    """Keeps the printer's identity at `server`. Any thread.

    `firmware` gives the name and version to register; `on_token_lost` is called, on the thread whose call failed, when
    the server no longer knows the token.
    """

    def __init__(
        self,
        *,
        server: str,
        printer: PrinterSection,
        identities: IdentityTable,
        firmware: Callable[[], str],
        on_token_lost: Callable[[], None],
        clock: Clock,
        conditions: ConditionTracker,
    ) -> None:
        self._server = server
        self._printer = printer
        self._identities = identities
        self._firmware = firmware
        self._on_token_lost = on_token_lost
        self._clock = clock
        self._conditions = conditions
        self._logged_code = ""  # the code that was logged last
        self._unsaved: Identity | None = None  # given by the server, not yet written to the disk
        self._unconfirmed_printers = 0  # new printers in a row that the server never confirmed
        self._next_printer_at = 0.0  # when the next one may be requested (monotonic)
        self._next_disk_check = -math.inf  # when the disk is to be checked again (monotonic)

    def identity(self) -> Identity | None:
        """This printer's identity; None before the first registration and after the token was lost."""
        return self._unsaved or self._identities.get(self._server)

    def register(self, api: ApiClient, stop: threading.Event, beat: Callable[[], None]) -> Identity | None:
        """Register, which each start begins with; retry until it succeeds or `stop` is set (then None)."""
        try:
            return retry_forever(stop, beat, self._log_retry)(self.register_once, api)
        except UnavailableError:
            return None  # stopped

    def discard_token(self, token: str) -> None:
        """Forget `token`, which the server refused, unless it was replaced in the meantime."""
        known = self.identity()
        if known is not None and known.auth_token == token:
            self._forget()
            self._on_token_lost()

    def handle_member_event(self, event: object) -> bool:
        """Take a message of the registration channel; whether it says that a member has registered this printer.

        Raises UnavailableError when that cannot be saved."""
        if not isinstance(event, dict) or event.get("registration") != "success":
            return False
        known = self.identity()
        if known is not None and not known.registered:
            registered = Identity(
                server=known.server, printer_id=known.printer_id, auth_token=known.auth_token, registered=True
            )
            self._save(registered)
            self._mark_confirmed(registered)
        log.info("printer added by a member", type=str(event.get("type"))[:20])
        return True

    def register_once(self, api: ApiClient) -> Identity:
        """Make one registration call, and save the identity that it confirms.

        Raises UnavailableError: the server or the disk, or no new printer may be requested yet."""
        known = self.identity()
        if known is None:
            self._check_new_printer_allowed()
        try:
            answer = api.register(self._body(), known.auth_token if known else None)
        except TokenError:
            if known is None:
                raise CloudError("registration was refused (401 or 403)", retry_after=REFUSED_WAIT) from None
            self._forget()
            return self.register_once(api)
        except RejectedError as error:
            if known is not None:
                return known  # a server without this call for a known printer: the identity stays
            raise CloudError(str(error), retry_after=REFUSED_WAIT) from None
        identity = self._identity(answer, known)
        if known is None:
            self._unconfirmed_printers += 1
            wait = min(REFUSED_WAIT * 2.0 ** min(self._unconfirmed_printers - 1, 10), MAX_PRINTER_WAIT)
            self._next_printer_at = self._clock.monotonic() + wait
        self._save(identity)
        self._mark_confirmed(identity)
        self._log_identity(identity)
        if known is not None:
            self._unconfirmed_printers = 0
        return identity

    def _check_new_printer_allowed(self) -> None:
        """Raise UnavailableError while no new printer may be requested: the disk could not save it, or the server
        refuses each token that it gave and would get a new printer a second."""
        now = self._clock.monotonic()
        wait = self._next_printer_at - now
        if self._unconfirmed_printers and wait > 0:
            raise CloudError("the server refuses the token that it has just given", retry_after=wait)
        if now >= self._next_disk_check:  # not at each attempt: flash wears out
            self._identities.ensure_writable()
            self._next_disk_check = now + DISK_CHECK_INTERVAL

    def _save(self, identity: Identity) -> None:
        self._unsaved = identity
        self._identities.save(identity)
        self._unsaved = None

    def _forget(self) -> None:
        log.warning("token refused by the server")
        self._conditions.set(Part.TOKEN, "the server no longer knows this printer's token")
        self._unsaved = None
        self._identities.forget(self._server)

    def _mark_confirmed(self, identity: Identity) -> None:
        """Clear the conditions of a server that answered and knows the identity."""
        self._conditions.update_server(None)
        self._conditions.set(Part.TOKEN, "" if identity.registered else NOT_ADDED)

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

    def _log_identity(self, identity: Identity) -> None:
        if identity.registered:
            log.info("registration confirmed", printer_id=identity.printer_id)
        elif identity.registration_code != self._logged_code:
            self._logged_code = identity.registration_code
            log.warning(
                "registration code issued",
                printer_id=identity.printer_id,
                code=identity.registration_code,
                url=identity.registration_url,
            )

    def _log_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, CloudError):
            self._conditions.update_server(error)
        wait = round(state.upcoming_sleep, 1)
        if state.attempt_number == 1 or wait >= REFUSED_WAIT / 2:
            log.warning("registration attempt failed", attempt=state.attempt_number, error=str(error), wait_s=wait)
