"""The runner's thread: begins new tasks from the ledger, steps each activity, publishes the snapshot. It never waits
for the printer, a file or the network, so a cancel is acted on as soon as it is written down."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import structlog

from agent.core.command import Name
from agent.core.job import JobView
from agent.errors import NotReadyError, RefusedError, UnavailableError
from agent.files.job_file import JobFile, delete_unused
from agent.runner import dispatch
from agent.runner.activity import Context
from agent.runner.running_activities import RunningActivities
from agent.runner.start_gate import start_limits
from agent.runner.startup_recovery import StartupRecovery
from agent.service.config import Config
from agent.service.health import Pulse
from agent.service.snapshot import AgentSnapshot
from agent.state.store import Task

log = structlog.get_logger(part="runner")

BEGUN_AT_ONCE = 10  # tasks that one step begins
LOOKED_AT = 100  # tasks among which they are chosen
TICK = 1.0  # seconds between two steps when nothing wakes the loop


class Runner:
    """Runs the activities; the loop of the thread `runner`.

    `wake` is the event that `context.wake` sets. `hand_over`: whether a print that runs when the loop is to stop is
    left to the next agent; after a defect it always is."""

    def __init__(
        self,
        *,
        context: Context,
        snapshot: AgentSnapshot,
        wake: threading.Event,
        pulse: Pulse,
        hand_over: Callable[[], bool],
    ) -> None:
        self._context = context
        self._snapshot = snapshot
        self._wake = wake
        self._pulse = pulse
        self._hand_over = hand_over
        self._running = RunningActivities()
        self._job: JobView | None = None
        self._last_published: tuple[object, ...] | None = None
        self._recovered = False
        self._bed = ""  # `data.bed`
        self._config = context.config

    def configure(self, config: Config) -> None:
        """Begin commands with this configuration from the next step on; any thread."""
        self._config = config

    def run(self, stop: threading.Event) -> None:
        """Step until `stop` is set; what runs then gets an honest end, or is left to the next agent."""
        hand_over = True
        try:
            while not stop.is_set():
                self._pulse.beat()
                self._wake.clear()
                try:
                    self.step()
                except UnavailableError as error:  # the disk takes no write: what was not written is done again
                    log.warning("runner step incomplete", error=str(error))
                self._wake.wait(TICK)
            hand_over = self._hand_over()
        finally:
            self._shut_down(hand_over=hand_over)

    def step(self) -> None:
        """Begin what has come, step what runs, publish the result. Raises UnavailableError."""
        if self._config is not self._context.config:
            self._context = msgspec.structs.replace(self._context, config=self._config)
        self._context.heat.step(self._context.driver.telemetry(), self._config.job.cool_after_s)
        self._context.store.reports.flush()
        self.recover()
        self._begin_received()
        self._refresh_job()  # before the driver can log anything about it
        telemetry = self._context.driver.telemetry()
        for activity in self._running:
            activity.step(telemetry)
        self._refresh_job()
        self._running.remove_ended()
        self._publish()

    def recover(self) -> None:
        """Resume or end what the agent before this one left: once, before anything else. Raises UnavailableError."""
        if self._recovered:
            return
        recovery = StartupRecovery(self._context)
        self._context.heat.recover(interrupted=recovery.has_script)
        delete_unused(self._context.jobs, recovery.needed_files())
        self._context.kept.tidy(self._config.job.keep_files_mb << 20)
        if not recovery.has_print:
            self._context.driver.open(self._context.host)  # else the driver is opened with the print
        self._running.add(recovery.activities())
        self._recovered = True

    def _begin_received(self) -> None:
        """Begin what has come. A disk that does not take that must not keep a print from being stepped."""
        try:
            tasks = self._running.sort_by_urgency(self._context.store.next_received_tasks(LOOKED_AT))
            if len(tasks) >= BEGUN_AT_ONCE:
                self._wake.set()  # the next step goes on, and looks for what stops the printer again
            for task in tasks[:BEGUN_AT_ONCE]:
                self._begin(task)
        except UnavailableError as error:
            log.warning("new tasks deferred", error=str(error))

    def _begin(self, task: Task) -> None:
        self._context.store.start_task(task)
        try:
            late = start_limits(self._context).objection(task.command, task.age, rebooted=task.rebooted)
            if late:
                raise RefusedError(410, late)
            activity = dispatch.begin(self._context, self._running, task)
        except RefusedError as refusal:
            self._end_refused(task, refusal.code, str(refusal))
        except NotReadyError as error:
            self._end_refused(task, 409, f"{task.command.raw_name}: {error}")
        except UnavailableError as error:  # begun in the ledger, so it needs an end
            self._end_refused(task, 503, f"{task.command.raw_name}: {error}")
        else:
            if activity is not None:
                self._running.add([activity])
            elif task.command.name is Name.DISMISS:
                self._job = None

    def _end_refused(self, task: Task, code: int, reason: str) -> None:
        """End a task that did not begin; the file that came with a local print goes."""
        self._context.fail(task, code, reason)
        if task.command.name is Name.PRINT_DATA:
            JobFile(self._context.jobs, task.command.task_id).remove()

    def _refresh_job(self) -> None:
        running, exclusive = self._running.last_print(), self._running.exclusive()
        if running is not None:
            self._job = running.view
        bed = self._read_bed_state()
        if exclusive is None:
            self._snapshot.publish(self._job, "", bed)
        else:
            self._snapshot.publish(self._job, exclusive.busy, bed, exclusive.task.command.task_id)

    def _publish(self) -> None:
        """Wake the reporter when the snapshot has changed so that the cloud must be told at once."""
        key = self._snapshot.read().change_key()
        if key != self._last_published:
            self._last_published = key
            self._context.wake_reporter()

    def _read_bed_state(self) -> str:
        """`data.bed`, as it was read last; empty where nobody is asked."""
        if self._context.config.job.bed == "free":
            return ""
        try:
            self._bed = self._context.store.bed().reported_state
        except UnavailableError as error:  # a running print goes on
            log.debug("bed state unknown", error=str(error))
        return self._bed

    def _shut_down(self, *, hand_over: bool) -> None:
        for activity in self._running:
            if activity.ended:
                continue
            if hand_over and activity.outlives:
                activity.hand_over()
            else:
                activity.stop("the agent was stopped")
        self._context.driver.close(hand_over=hand_over)
        self._refresh_job()
        self._snapshot.publish(self._job, "", self._bed)
