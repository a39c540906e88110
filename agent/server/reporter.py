"""Reporter: sends the outbox and the heartbeat to the server.

One loop on one thread: the oldest report of each task, then the status if it changed or is due, then wait for whichever
comes first of a wake-up, a retry that is due and the next heartbeat.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from agent.core import report_bodies
from agent.core.clock import Clock
from agent.core.conditions import Part
from agent.core.report_bodies import SituationData
from agent.errors import CloudError, RejectedError, TokenError, UnavailableError
from agent.server.api_client import ApiClient
from agent.server.registration import Registrar
from agent.server.retry import delay
from agent.service.condition_tracker import ConditionTracker
from agent.service.health import Pulse
from agent.service.snapshot import AgentSnapshot
from agent.state.identity import Identity
from agent.state.outbox import Outbox, Queued

log = structlog.get_logger(part="reporter")

ALL_CALLS = ""  # key of the wait that holds back all: the server gave no answer at all
REPORTS = "//"  # key of the wait that holds back all reports: 429 is meant for the printer, not for one report
STATUS = "/"  # key of the status's own wait; no task_id has a slash
MAX_ATTEMPT = 30  # failures in a row after which the wait no longer grows
OWN_CONDITIONS = (Part.NETWORK, Part.CLOUD, Part.TOKEN)  # conditions of the server itself, which it need not be told
MAX_PAUSE = 15.0  # seconds that the loop waits at most, so that its pulse stays fresh


class Schedule:
    """When the next attempt of each task, and of the status, is due. Holds only what has failed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, tuple[int, float]] = {}

    def is_due(self, key: str) -> bool:
        """Whether an attempt may be made now."""
        return self.wait(key) == 0.0

    def failed(self, key: str, retry_after: float | None) -> float:
        """Note a failure; the seconds until the next attempt, at least the server's `retry_after`."""
        attempt = min(self._due.get(key, (0, 0.0))[0] + 1, MAX_ATTEMPT)
        wait = max(delay(attempt), retry_after or 0.0)
        self._due[key] = (attempt, self._clock.monotonic() + wait)
        return wait

    def succeeded(self, key: str) -> None:
        """Note a success."""
        self._due.pop(key, None)

    def wait(self, key: str) -> float:
        """Seconds until an attempt may be made; 0 when it may be made now."""
        return max(self._due.get(key, (0, 0.0))[1] - self._clock.monotonic(), 0.0)

    def is_failing(self, key: str) -> bool:
        """Whether the last attempt failed."""
        return key in self._due

    def any_failing(self) -> bool:
        """Whether the last attempt of anything failed."""
        return bool(self._due)

    def seconds_to_retry(self) -> float:
        """Seconds until the first retry of a report or the status is due; infinite when nothing has failed."""
        all_reports = self.wait(REPORTS)
        waits = {key: max(self.wait(key), 0.0 if key == STATUS else all_reports) for key in self._due}
        waits.pop(ALL_CALLS, None)
        return min(waits.values(), default=math.inf)


class Reporter:
    """Sends reports and heartbeats; the loop of the thread `reporter`.

    `wake` is set by whoever has put something into the outbox or changed the situation; `heartbeat` is in seconds.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        api: ApiClient,
        registrar: Registrar,
        snapshot: AgentSnapshot,
        conditions: ConditionTracker,
        heartbeat: float,
        clock: Clock,
        wake: threading.Event,
        pulse: Pulse,
    ) -> None:
        self._outbox = outbox
        self._api = api
        self._registrar = registrar
        self._snapshot = snapshot
        self._conditions = conditions
        self._heartbeat = heartbeat
        self._clock = clock
        self._wake = wake
        self._pulse = pulse
        self._schedule = Schedule(clock)
        self._last_status: tuple[object, ...] | None = None  # its key; None when the server may not have it
        self._last_data: SituationData | None = None  # of the heartbeat that the server took last
        self._next_status = 0.0  # when the heartbeat is due (monotonic)
        self._status_requested = threading.Event()  # send the status at once
        self._registered = False
        self._failure: CloudError | RejectedError | None = None  # the error of what still fails
        self._status_refused = False

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; then make one last attempt for what waits."""
        while not stop.is_set():
            self._pulse.beat()
            self._wake.clear()
            self.step()
            self._wake.wait(self.seconds_until_due())
        self._schedule = Schedule(self._clock)
        self.step()

    def step(self) -> None:
        """Send what can be sent now. A disk that does not take a write is a reason to retry, not to end."""
        if not self._schedule.is_due(ALL_CALLS):
            return
        try:
            identity = self._registrar.identity()
            self._registered = identity is not None
            if identity is not None:
                self._send_all(identity)
        except UnavailableError as error:
            self._schedule_retry(ALL_CALLS, error, None)
        else:
            self._schedule.succeeded(ALL_CALLS)
        if not self._schedule.any_failing() and not self._status_refused:
            self._failure = None
        if self._registered:  # before that, the registration sets the condition
            self._conditions.update_server(self._failure)

    def seconds_until_due(self) -> float:
        """Seconds that the loop may wait: until a retry or the heartbeat is due, at most MAX_PAUSE."""
        if not self._registered:
            return MAX_PAUSE
        if self._schedule.is_failing(ALL_CALLS):
            seconds = self._schedule.wait(ALL_CALLS)
        elif self._schedule.is_failing(STATUS):
            seconds = self._schedule.seconds_to_retry()
        else:
            seconds = min(self._schedule.seconds_to_retry(), self._next_status - self._clock.monotonic())
        return max(min(seconds, MAX_PAUSE), 0.01)

    def request_status(self) -> None:
        """Send the status at once, changed or not (a member has just added the printer). Any thread."""
        self._status_requested.set()
        self._wake.set()

    def _send_all(self, identity: Identity) -> None:
        try:
            while self._send_reports(identity):
                pass
            self._send_status(identity)
        except TokenError as error:  # it is replaced or dead: the next pass takes the identity anew
            log.debug("sending stopped without a token", error=str(error))

    def _send_reports(self, identity: Identity) -> bool:
        """Send the oldest report of each task, page by page; whether any left the queue. The status does not wait for
        the end of a long queue: the server would count the printer as offline."""
        any_removed, after = False, 0
        while heads := self._outbox.heads(after):
            for queued in heads:
                any_removed |= self._send(identity, queued)
            after = heads[-1].id
            self._send_status(identity)
        return any_removed

    def _send(self, identity: Identity, queued: Queued) -> bool:
        """Send one report; whether it left the queue. Raises TokenError, and CloudError when there was no answer."""
        if not self._schedule.is_due(REPORTS) or not self._schedule.is_due(queued.task_id):
            return False
        self._pulse.beat()
        refused = None
        try:
            with self._checked(identity):
                self._api.post_report(identity.auth_token, queued.task_id, queued.body, queued.key)
            self._note_answer()
        except RejectedError as error:
            refused = error
        except CloudError as error:
            if error.status is None:
                raise
            key = REPORTS if error.status == 429 else queued.task_id
            self._schedule_retry(key, error, error.retry_after, queued.task_id)
            return False
        return self._remove(queued, refused)

    def _remove(self, queued: Queued, refused: RejectedError | None) -> bool:
        """Remove a report from the queue. If the disk does not take that, it is sent again later, with its key."""
        try:
            if refused is None:
                self._outbox.acknowledge(queued)
            else:
                self._outbox.set_aside(queued, refused.status, refused.answer)
                log.error("report refused by the server", task_id=queued.task_id, kind=queued.kind, error=str(refused))
        except UnavailableError as error:
            self._schedule_retry(queued.task_id, error, None, queued.task_id)
            return False
        self._schedule.succeeded(queued.task_id)
        self._schedule.succeeded(REPORTS)
        return True

    def _send_status(self, identity: Identity) -> None:
        situation = self._snapshot.read()
        self._conditions.update_printer(situation.telemetry)
        self._conditions.update_bed(situation.busy)
        condition = self._conditions.read().first(*OWN_CONDITIONS)
        key = (identity.printer_id, *situation.change_key(), condition)
        now = self._clock.monotonic()
        due = key != self._last_status or now >= self._next_status or self._status_requested.is_set()
        if not due or not self._schedule.is_due(STATUS):
            return
        self._status_requested.clear()
        self._last_status = None
        self._pulse.beat()
        body = situation.body(condition, self._last_data)
        try:
            with self._checked(identity):
                self._api.post_status(identity.auth_token, report_bodies.encode(body))
        except RejectedError as error:  # this one never will be accepted; the next heartbeat is another
            self._note_failure(error, self._heartbeat)
            self._status_refused = True
        except CloudError as error:
            if error.status is None:
                raise
            self._schedule_retry(STATUS, error, error.retry_after)
            return
        else:
            self._note_answer()
            self._status_refused = False
            self._last_data = body.data
        self._schedule.succeeded(STATUS)
        self._last_status, self._next_status = key, now + self._heartbeat

    @contextmanager
    def _checked(self, identity: Identity) -> Iterator[None]:
        """A call with the identity's token. A 401 or 403 while the token holds is an answer to try again after, as
        any that is not the server's own; TokenError then means that it holds no more."""
        try:
            yield
        except TokenError as error:
            if not self._registrar.check_token(self._api, identity.auth_token):
                raise
            raise CloudError(str(error), status=error.status) from None
        self._registrar.note_token_worked(identity.auth_token)

    def _schedule_retry(self, key: str, error: Exception, retry_after: float | None, task_id: str = "") -> None:
        self._note_failure(error, self._schedule.failed(key, retry_after), task_id)

    def _note_failure(self, error: Exception, wait: float, task_id: str = "") -> None:
        log.debug("sending attempt failed", task_id=task_id, error=str(error), wait_s=round(wait, 1))
        if isinstance(error, CloudError | RejectedError):
            self._failure = error

    def _note_answer(self) -> None:
        self._schedule.succeeded(ALL_CALLS)
