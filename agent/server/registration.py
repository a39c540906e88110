"""Registration of the printer at the server: its identity, the code for a member, a token that was refused.

The identity belongs to one server; it is kept in the store and read from there, so that a token that changed is seen
by every thread at its next call. A new printer is only requested when the disk takes a write, and one that could not be
saved after all is remembered here: no retry creates another one.

Two things end an identity. One is the server's own word: `registration_code`, asked with the token, answers 401 or 403.
The same answer to any other call, which a proxy or a captive portal may have given, only makes a thread ask that. The
other is the board: an identity that was given to another one is on a copied or moved card. In both cases the old
identity is kept, unused, until the server has given a new one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from tenacity import RetryCallState

from agent.core.clock import Clock
from agent.core.conditions import Part
from agent.errors import CloudError, RejectedError, TokenError, UnavailableError
from agent.server.api_client import ApiClient
from agent.server.current_identity import OTHER_BOARD, UNKNOWN_TOKEN, CurrentIdentity
from agent.server.new_printer_pace import NewPrinterPace
from agent.server.retry import retry_forever
from agent.service.board_id import BoardId
from agent.service.condition_tracker import ConditionTracker
from agent.service.config import PrinterSection
from agent.state.identity import Identity, IdentityTable

log = structlog.get_logger(part="registration")

REFUSED_WAIT = 60.0  # seconds between attempts when the server refuses rather than fails
CHECK_INTERVAL = 60.0  # seconds for which a token that was confirmed is not asked about again
CHECK_RETRY = 10.0  # seconds for which it is not asked about again when that gave no answer
DISK_CHECK_INTERVAL = 3600.0  # seconds between two checks that the disk takes a write
NOT_ADDED = "nobody has added this printer at the web portal yet; `printer-agent register` shows the code"


class Registrar:
    """Keeps the printer's identity at `server`. Any thread.

    `firmware` gives the name and version to register; `on_token_lost` is called, on the thread whose call failed, when
    the server no longer knows the token. `board` identifies this board.
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
        board: BoardId,
    ) -> None:
        self._current = CurrentIdentity(
            server=server,
            identities=identities,
            board=board,
            keep_on_other_board=printer.other_board == "keep",
        )
        self._printer = printer
        self._firmware = firmware
        self._on_token_lost = on_token_lost
        self._clock = clock
        self._conditions = conditions
        self._pace = NewPrinterPace(clock)
        self._calling = threading.Lock()  # held during a call: two at once could make two printers
        self._logged_code = ""  # the code that was logged last
        self._logged_board = False  # whether it was logged that the identity is another board's
        self._problem = ""  # why there is no identity, for a person
        self._next_disk_check = -math.inf  # when the disk is to be checked again (monotonic)
        self._next_token_check = -math.inf  # when a refused token is to be asked about again (monotonic)

    def identity(self) -> Identity | None:
        """This printer's identity; None before the first registration, while the server does not know its token, and on
        a board that it was not given to."""
        return self._current.usable()

    def problem(self) -> str:
        """Why there is no identity, for a person; empty while nothing is known."""
        text = "; ".join(reason for reason in (self._current.why_unusable(), self._problem) if reason)
        stored = self._current.stored()
        return text.replace(stored.auth_token, "[token]") if stored is not None else text

    def register(self, api: ApiClient, stop: threading.Event, beat: Callable[[], None]) -> Identity | None:
        """Register, which each start begins with; retry until it succeeds or `stop` is set (then None)."""
        try:
            return retry_forever(stop, beat, self._log_retry)(self.register_once, api)
        except UnavailableError:
            return None  # stopped

    def check_token(self, api: ApiClient, token: str) -> bool:
        """Whether `token` still holds, after a call with it was answered 401 or 403: `registration_code` is asked with
        it, at most once in CHECK_INTERVAL. False when it is dead or was replaced. On the thread of `api`."""
        identity = self.identity()
        if identity is None or identity.auth_token != token:
            return False
        if self._clock.monotonic() < self._next_token_check or not self._calling.acquire(blocking=False):
            return True
        try:
            self._confirm(api, identity)
        except TokenError:
            self._refuse(identity)
        except (UnavailableError, RejectedError) as error:
            self._next_token_check = self._clock.monotonic() + CHECK_RETRY
            log.warning("token check failed", error=str(error))
            return True
        else:
            self._next_token_check = self._clock.monotonic() + CHECK_INTERVAL
            log.warning("call refused while the token holds", printer_id=identity.printer_id)
            return True
        finally:
            self._calling.release()
        self._on_token_lost()
        return False

    def note_token_worked(self, token: str) -> None:
        """Note that the server took a call with `token`: when it is lost one day, a new printer waits only shortly."""
        if not self._pace.waiting_for_proof:
            return  # the usual case costs no look at the store
        identity = self.identity()
        if identity is not None and identity.auth_token == token:
            self._pace.token_worked()

    def handle_member_event(self, event: object) -> bool:
        """Take a message of the registration channel; whether it says that a member has registered this printer.

        Raises UnavailableError when that cannot be saved."""
        if not isinstance(event, dict) or event.get("registration") != "success":
            return False
        known = self.identity()
        if known is not None and not known.registered:
            registered = msgspec.structs.replace(
                known, registered=True, registration_code="", registration_url="", replaces=""
            )
            self._current.save(registered)
            self._mark_confirmed(registered)
        log.info("printer added by a member", type=str(event.get("type"))[:20])
        return True

    def register_once(self, api: ApiClient) -> Identity:
        """Make one registration call, and save the identity that it confirms; a second one without the token when the
        server does not know it.

        Raises UnavailableError: the server or the disk, or no new printer may be requested yet."""
        if not self._calling.acquire(blocking=False):
            raise CloudError("registration: another call is under way")
        try:
            self._log_other_board()
            known = self.identity()
            if known is not None:
                try:
                    return self._confirm(api, known)
                except TokenError:
                    self._refuse(known)
                except RejectedError:
                    return known  # a server without this call for a known printer: the identity stays
            return self._request_printer(api)
        finally:
            self._calling.release()

    def _confirm(self, api: ApiClient, known: Identity) -> Identity:
        """Ask with the token, and save what the server says. Raises TokenError, RejectedError, UnavailableError."""
        identity = self._current.of_answer(api.register(self._body(), known.auth_token), known)
        self._current.save(identity)
        self._pace.token_worked()
        return self._accept(identity)

    def _request_printer(self, api: ApiClient) -> Identity:
        """Ask without a token for a new printer. Raises UnavailableError."""
        self._check_new_printer_allowed()
        try:
            answer = api.register(self._body(), None)
        except TokenError as error:
            # Who refuses a call without a token too has not said anything of the token: the next attempt has it again.
            self._current.pardon()
            raise CloudError(
                f"registration was refused ({error.status})", status=error.status, retry_after=REFUSED_WAIT
            ) from None
        except RejectedError as error:
            raise CloudError(str(error), status=error.status, retry_after=REFUSED_WAIT) from None
        self._pace.requested()
        identity = self._current.of_answer(answer, None)
        self._current.save(identity)
        return self._accept(identity)

    def _accept(self, identity: Identity) -> Identity:
        self._current.pardon()
        self._problem = ""
        self._mark_confirmed(identity)
        self._log_identity(identity)
        return identity

    def _log_other_board(self) -> None:
        stored, source = self._current.stored(), self._current.other_board()
        if stored is None or not source or self._logged_board:
            return
        self._logged_board = True
        if self._printer.other_board == "keep":
            log.warning("identity kept on another board", printer_id=stored.printer_id, source=source)
        else:
            log.warning("identity of another board not used", printer_id=stored.printer_id, source=source)
            self._conditions.set(Part.TOKEN, f"{OTHER_BOARD}: this one registers as a new printer")

    def _check_new_printer_allowed(self) -> None:
        """Raise UnavailableError while no new printer may be requested: the disk could not save it, or the server
        refuses each token that it gave and would get a new printer a second."""
        self._pace.check()
        now = self._clock.monotonic()
        if now >= self._next_disk_check:  # not at each attempt: flash wears out
            self._current.ensure_writable()
            self._next_disk_check = now + DISK_CHECK_INTERVAL

    def _refuse(self, identity: Identity) -> None:
        """`registration_code` refused the token: it is used no more. It stays on the disk until there is a new one."""
        log.warning("token refused by the server", printer_id=identity.printer_id)
        self._current.refuse(identity.auth_token)
        self._conditions.set(Part.TOKEN, UNKNOWN_TOKEN)

    def _mark_confirmed(self, identity: Identity) -> None:
        """Clear the conditions of a server that answered and knows the identity."""
        self._conditions.update_server(None)
        self._conditions.set(Part.TOKEN, "" if identity.registered else NOT_ADDED)

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
                replaces=identity.replaces,
            )

    def _log_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        self._problem = str(error)
        if isinstance(error, CloudError):
            self._conditions.update_server(error)
        wait = round(state.upcoming_sleep, 1)
        if state.attempt_number == 1 or wait >= REFUSED_WAIT / 2:
            log.warning("registration attempt failed", attempt=state.attempt_number, error=str(error), wait_s=wait)
