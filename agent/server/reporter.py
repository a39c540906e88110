"""The outbox -> the cloud, and the heartbeat.

One loop on one thread: the oldest report of each task, then the status if it changed or is due, then wait for whichever
comes first of a wake-up, a retry that is due and the next heartbeat.
"""

from __future__ import annotations

import math
import threading

import structlog

from agent.core import report
from agent.core.clock import Clock
from agent.core.conditions import Part
from agent.errors import CloudError, RejectedError, TokenError, UnavailableError
from agent.server.api_client import ApiClient
from agent.server.registration import Registrar
from agent.server.retry import delay
from agent.service.condition_tracker import ConditionTracker
from agent.service.health import Pulse
from agent.service.snapshot import AgentSnapshot
from agent.state.store import Identity, Queued, Store

log = structlog.get_logger(part="reporter")

EVERYTHING = ""  # the key of the wait that holds back all: the server gave no answer at all
REPORTS = "//"  # the key of the wait that holds back all reports: «too many requests» is said to the printer
STATUS = "/"  # the key of the status's own wait; no task_id has a slash
MANY = 30  # failures in a row after which the wait no longer grows
CLOUD_KNOWS = (Part.NETWORK, Part.CLOUD, Part.TOKEN)  # what need not be told to the one who has it
NO_LONGER = 15.0  # seconds the loop waits at most, so that its pulse is seen


class Schedule:
    """When each task's next try is due. Grows with what waits and forgets what was taken."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, tuple[int, float]] = {}

    def is_due(self, key: str) -> bool:
        """Whether a try may be made now."""
        return self.wait(key) == 0.0

    def failed(self, key: str, asked: float | None) -> float:
        """Note a failure; the seconds until the next try, at least what the server asked for."""
        attempt = min(self._due.get(key, (0, 0.0))[0] + 1, MANY)
        wait = max(delay(attempt), asked or 0.0)
        self._due[key] = (attempt, self._clock.monotonic() + wait)
        return wait

    def worked(self, key: str) -> None:
        """Note a success."""
        self._due.pop(key, None)

    def wait(self, key: str) -> float:
        """Seconds until a try may be made; 0 when it may be made now."""
        return max(self._due.get(key, (0, 0.0))[1] - self._clock.monotonic(), 0.0)

    def is_failing(self, key: str) -> bool:
        """Whether the last try failed."""
        return key in self._due

    def anything_fails(self) -> bool:
        """Whether the last try of anything failed."""
        return bool(self._due)

    def soonest(self) -> float:
        """Seconds until the first retry of a report or the status is due; infinite when all is well."""
        all_reports = self.wait(REPORTS)
        waits = {key: max(self.wait(key), 0.0 if key == STATUS else all_reports) for key in self._due}
        waits.pop(EVERYTHING, None)
        return min(waits.values(), default=math.inf)


class Reporter:
    """The loop. `wake` is set by whoever has put something into the outbox or changed the situation."""

    def __init__(
        self,
        store: Store,
        cloud: ApiClient,
        registrar: Registrar,
        board: AgentSnapshot,
        heartbeat: float,
        clock: Clock,
        wake: threading.Event,
        pulse: Pulse,
        watch: ConditionTracker | None = None,
    ) -> None:
        self._store = store
        self._watch = watch or ConditionTracker()
        self._cloud = cloud
        self._registrar = registrar
        self._board = board
        self._heartbeat = heartbeat
        self._clock = clock
        self._wake = wake
        self._pulse = pulse
        self._schedule = Schedule(clock)
        self._told: tuple[object, ...] | None = None
        self._next_status = 0.0  # when the heartbeat is due
        self._asked = threading.Event()  # somebody wants the status said at once
        self._registered = False
        self._problem: CloudError | RejectedError | None = None  # what still fails met this
        self._status_refused = False

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then one last try for what waits."""
        while not stop.is_set():
            self._pulse.beat()
            self._wake.clear()
            self.step()
            self._wake.wait(self._pause())
        self._schedule = Schedule(self._clock)
        self.step()

    def step(self) -> None:
        """Send what can be sent now. A disk that does not take a write is a reason to try again, not to end."""
        if not self._schedule.is_due(EVERYTHING):
            return
        try:
            identity = self._registrar.identity()
            self._registered = identity is not None
            if identity is not None:
                self._send_all(identity)
        except UnavailableError as error:
            self._trouble(EVERYTHING, error, None)
        else:
            self._schedule.worked(EVERYTHING)
        if not self._schedule.anything_fails() and not self._status_refused:
            self._problem = None
        if self._registered:  # before, the registration has the say
            self._watch.server(self._problem)

    def announce(self) -> None:
        """Say the status at once, changed or not (a member has just registered the printer)."""
        self._asked.set()
        self._wake.set()

    def _send_all(self, identity: Identity) -> None:
        try:
            while self._send_reports(identity):
                pass
            self._send_status(identity)
        except TokenError:
            self._registrar.refused(identity.auth_token)

    def _send_reports(self, identity: Identity) -> bool:
        """The oldest report of each task, page by page; whether any left the queue. The status does not wait for the
        end of a long queue: the server would think the printer gone."""
        gone, after = False, 0
        while heads := self._store.outbox.heads(after):
            for queued in heads:
                gone |= self._send(identity, queued)
            after = heads[-1].id
            self._send_status(identity)
        return gone

    def _send(self, identity: Identity, queued: Queued) -> bool:
        """Whether the report left the queue. Raises TokenError, and CloudError when the server gave no answer."""
        if not self._schedule.is_due(REPORTS) or not self._schedule.is_due(queued.task_id):
            return False
        self._pulse.beat()
        refused = None
        try:
            self._cloud.post_report(identity.auth_token, queued.task_id, queued.body, queued.key)
            self._well()
        except RejectedError as error:
            refused = error
        except CloudError as error:
            if error.status is None:
                raise
            self._trouble(REPORTS if error.status == 429 else queued.task_id, error, error.retry_after)
            return False
        return self._settle(queued, refused)

    def _settle(self, queued: Queued, refused: RejectedError | None) -> bool:
        """Take a report out of the queue. On a disk that does not take that, it is sent again later, with its key."""
        try:
            if refused is None:
                self._store.outbox.acknowledge(queued)
            else:
                self._store.outbox.set_aside(queued, refused.status, refused.answer)
                log.error(
                    "report refused for good, kept aside", task_id=queued.task_id, kind=queued.kind, reason=str(refused)
                )
        except UnavailableError as error:
            self._trouble(queued.task_id, error, None)
            return False
        self._schedule.worked(queued.task_id)
        self._schedule.worked(REPORTS)
        return True

    def _send_status(self, identity: Identity) -> None:
        situation = self._board.read()
        self._watch.printer(situation.telemetry)
        trouble = self._watch.read().first(*CLOUD_KNOWS)
        key = (identity.printer_id, *situation.key(), trouble)
        now = self._clock.monotonic()
        wanted = key != self._told or now >= self._next_status or self._asked.is_set()
        if not wanted or not self._schedule.is_due(STATUS):
            return
        self._asked.clear()
        self._told = None  # until it is
        self._pulse.beat()
        try:
            self._cloud.post_status(identity.auth_token, report.encode(situation.body(trouble)))
        except RejectedError as error:  # this one can never be taken; the next heartbeat is another
            self._problem_is(error, self._heartbeat)
            self._status_refused = True
        except CloudError as error:
            if error.status is None:
                raise
            self._trouble(STATUS, error, error.retry_after)
            return
        else:
            self._well()
            self._status_refused = False
        self._schedule.worked(STATUS)
        self._told, self._next_status = key, now + self._heartbeat

    def _trouble(self, key: str, error: Exception, asked: float | None) -> None:
        self._problem_is(error, self._schedule.failed(key, asked))

    def _problem_is(self, error: Exception, wait: float) -> None:
        log.debug("not taken", reason=str(error), again_in_s=round(wait, 1))
        if isinstance(error, CloudError | RejectedError):
            self._problem = error

    def _well(self) -> None:
        self._schedule.worked(EVERYTHING)

    def _pause(self) -> float:
        """Seconds until there is something to do unless somebody wakes the loop."""
        if not self._registered:
            return NO_LONGER
        if self._schedule.is_failing(EVERYTHING):
            soon = self._schedule.wait(EVERYTHING)
        elif self._schedule.is_failing(STATUS):
            soon = self._schedule.soonest()
        else:
            soon = min(self._schedule.soonest(), self._next_status - self._clock.monotonic())
        return max(min(soon, NO_LONGER), 0.01)
