"""firmware_upgrade: the package fetched and checked, the port let go of, the owner's command run and watched, the
printer identified again.

    FETCHING ──▶ RELEASING ──▶ INSTALLING ──▶ IDENTIFYING ──▶ completed, or failed
        └── cancel, stop: failed ──┘    └── neither interrupts it: a stop waits, a cancel is refused (409)

What the sender sent wrongly ends with 422, what could not be fetched with 502, what the command or the printer did with
500 (docs/firmware.md)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from math import inf
from typing import TypeVar

import structlog

from agent.core.driver import PrinterState, SupportsPortRelease, Telemetry
from agent.core.printer_status import INSTALLING
from agent.core.report_bodies import FirmwareChange, Result
from agent.errors import AgentError, NotReadyError, RefusedError, UnavailableError
from agent.files.firmware_manifest import Manifest
from agent.runner.activity import Context, Deadline
from agent.runner.install_command import InstallCommand, ended, needs_port
from agent.runner.package_fetch import PackageFetch
from agent.runner.task_progress import TaskProgress
from agent.runner.worker import Worker
from agent.service.child_process import GRACE, REAP
from agent.state.firmware_table import Installation
from agent.state.store import Task

RELEASE_MAY_TAKE = 15.0  # seconds until the driver has let go of the port
FETCHED, INSTALLED = 0.1, 0.95  # the task's progress when the package is here, when the command has ended
CANCEL_SOON = 2.0  # seconds that a stop gives a fetch to end
END_OF_CHILD = GRACE + REAP + 2.0  # seconds from the command's time limit until it has ended, at the latest


class UpgradePhase(Enum):
    """What an upgrade is doing."""

    FETCHING = "fetching"
    RELEASING = "releasing the port"
    INSTALLING = "installing"
    IDENTIFYING = "identifying"


_P = UpgradePhase
T = TypeVar("T")

log = structlog.get_logger(part="runner")


class FirmwareUpgrade:
    """One upgrade. `canceled`: its end came of a cancel."""

    exclusive = True
    outlives = False

    def __init__(self, context: Context, task: Task, interrupted: Installation | None = None) -> None:
        """`interrupted` is what an agent before this one has begun, and not ended: the printer is identified, and the
        task ends with what is known. Raises RefusedError when no command is configured, or the driver cannot give it
        what it needs."""
        settings = context.config.firmware_upgrade
        if not interrupted and not settings.command:
            raise RefusedError(501, "firmware_upgrade: not configured ([firmware_upgrade] command)")
        self._driver = context.driver if isinstance(context.driver, SupportsPortRelease) else None
        if not interrupted and self._driver is None and needs_port(settings.command):
            raise RefusedError(501, "firmware_upgrade: this printer's driver cannot let go of its port")
        self._context = context
        self._settings = settings
        self._progress = TaskProgress(context, task)
        self._package = PackageFetch(context, task.command)
        self.task = task
        self.ended = self.canceled = False
        self._cancel_requested = self._release_requested = False
        self._old_firmware = context.driver.telemetry().firmware
        self._manifest: Manifest | None = None
        self._fetching: Worker[Manifest] | None = None
        self._command: InstallCommand | None = None
        self._installing: Worker[Installation] | None = None
        self._installation = _after_interruption(interrupted) if interrupted else None
        self._phase = _P.FETCHING
        self._deadline = Deadline(context.clock, inf)
        if interrupted:
            self._enter(_P.IDENTIFYING, self._settings.answer_within_s)
        else:
            self._fetching = self._work(self._package.run)

    @property
    def busy(self) -> str:
        """See Activity."""
        return self.task.command.raw_name if self._phase is _P.FETCHING else INSTALLING

    @property
    def installing(self) -> bool:
        """Whether the install command runs: nothing may touch the printer, or stop the command."""
        return self._phase is _P.INSTALLING

    def step(self, telemetry: Telemetry) -> None:
        """See Activity. Raises UnavailableError when the disk does not take what must be written; then nothing has
        changed."""
        if self._phase is _P.FETCHING:
            self._step_fetch(telemetry)
        elif self._phase is _P.RELEASING:
            self._step_release(telemetry)
        elif self._phase is _P.INSTALLING:
            self._step_installation(telemetry)
        else:
            self._step_identification(telemetry)

    def cancel(self) -> None:
        """Request the end, before anything is installed. Raises RefusedError from then on."""
        if self._phase in (_P.INSTALLING, _P.IDENTIFYING):
            raise RefusedError(409, "cancel: the firmware is being installed, which nothing interrupts")
        self._cancel_requested = True
        if self._fetching is not None:
            self._fetching.cancel()

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def stop(self, reason: str) -> None:
        """Fail what has not begun to install. A command that runs is waited for: its own time limit is the stop's."""
        if self._phase is _P.INSTALLING and self._installing is not None:
            self._installing.join(self._settings.timeout_s + END_OF_CHILD)
            try:
                self._collect()
            except UnavailableError as error:  # the next agent says that nobody knows
                log.warning("end of installation not written", task_id=self.task.command.task_id, error=str(error))
                self._phase = _P.IDENTIFYING
            self._context.inhibitor.release()
        if self._phase is _P.IDENTIFYING:
            self._end(f"{reason} before the printer was identified again", "")
            return
        if self._fetching is not None:
            self._fetching.end(timeout=CANCEL_SOON)
        self._fail(500, reason)

    # --- the phases

    def _step_fetch(self, telemetry: Telemetry) -> None:
        worker = self._fetching
        if worker is None or not worker.done:
            self._progress.update(telemetry, 0.0, "fetching the package")
            return
        if self._cancel_requested:
            self._cancelled()
            return
        try:
            self._manifest = worker.result()
        except RefusedError as refusal:
            self._fail(refusal.code, str(refusal))
        except AgentError as error:
            self._fail(500, str(error))
        else:
            self._old_firmware = telemetry.firmware
            self._enter(_P.RELEASING, RELEASE_MAY_TAKE)
            self._step_release(telemetry)

    def _step_release(self, telemetry: Telemetry) -> None:
        """Ask for the port until it is free, then begin to install."""
        if self._cancel_requested:
            self._take_port()
            self._cancelled()
        elif self._driver is None:
            self._install("")
        elif telemetry.released is not None:
            if telemetry.released or not needs_port(self._settings.command):
                self._install(telemetry.released)
            else:
                self._take_port()
                self._fail(500, "it is not known which port is the printer's ([serial] port)")
        elif self._deadline.expired():
            self._take_port()
            self._fail(500, f"the port is not free: {telemetry.reason or telemetry.state}")
        else:
            self._release_port()

    def _install(self, port: str) -> None:
        """Run the command, unless a stop has begun."""
        limit = self._settings.timeout_s + END_OF_CHILD
        if self._manifest is None or not self._context.inhibitor.hold("the firmware is being installed", limit):
            return
        begun = Installation(
            task_id=self.task.command.task_id,
            model=self._package.model,
            old_version=self._context.store.installed_firmware(self._package.model),
            new_version=self._manifest.version,
            old_firmware=self._old_firmware,
        )
        try:
            self._context.store.begin_installation(begun)
        except BaseException:
            self._context.inhibitor.release()
            raise
        self._installation = begun
        clock = self._context.clock
        self._command = InstallCommand(self._settings, begun, port=port, package=self._package.path, clock=clock)
        self._installing = self._work(self._command.run)
        self._enter(_P.INSTALLING, inf)

    def _step_installation(self, telemetry: Telemetry) -> None:
        if self._command is not None:
            fraction, text = self._command.progress
            self._progress.update(telemetry, FETCHED + (INSTALLED - FETCHED) * fraction, text)
        if self._installing is not None and self._installing.done:
            self._collect()
            self._take_port()
            self._context.heat.expect_off()

    def _collect(self) -> None:
        """Write down how the command ended. Raises UnavailableError."""
        if self._installing is None or self._installation is None:
            raise AssertionError("the command was run")
        try:
            done = self._installing.result()
        except AgentError as error:  # a defect, or a command that did not end: nobody knows how far it came
            done = ended(self._installation, installed=None, error=str(error))
        self._installation = done
        self._context.store.end_installation(done)
        self._package.remove()
        self._context.inhibitor.release()
        self._enter(_P.IDENTIFYING, self._settings.answer_within_s)

    def _step_identification(self, telemetry: Telemetry) -> None:
        """End when the printer has answered, or has not in time."""
        self._progress.update(telemetry, INSTALLED, "waiting for the printer's answer")
        if telemetry.state is PrinterState.IDLE:
            self._end("", telemetry.firmware)
        elif telemetry.state is PrinterState.ERROR or self._deadline.expired():
            answer = "is halted" if telemetry.state is PrinterState.ERROR else "does not answer"
            self._end(f"the printer {answer}: {telemetry.reason or telemetry.state}", telemetry.firmware)

    # --- the end

    def _end(self, trouble: str, firmware: str) -> None:
        """End the task with what is known: of the installation, and of the printer (`trouble`: it is not ready)."""
        done = self._installation
        if done is None:
            raise AssertionError("there was an installation")
        change = FirmwareChange(
            old_version=done.old_version,
            new_version=done.new_version,
            installed=done.installed,
            old_firmware=done.old_firmware,
            new_firmware=firmware,
        )
        message = f"version {done.new_version} installed"
        if done.installed and not trouble:
            self._context.complete(self.task, result=Result(message=message, firmware=change))
        else:
            parts = [message if done.installed else done.error, *([trouble] if trouble else [])]
            self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {'; '.join(parts)}", firmware=change)
        self.ended = True

    def _cancelled(self) -> None:
        self.canceled = True
        self._fail(409, "canceled")

    def _fail(self, code: int, message: str) -> None:
        """Fail it before anything was installed."""
        self._package.remove()
        self._context.fail(self.task, code, f"{self.task.command.raw_name}: {message}")
        self.ended = True

    # --- inside

    def _enter(self, phase: UpgradePhase, seconds: float) -> None:
        self._phase = phase
        self._deadline = Deadline(self._context.clock, seconds)

    def _release_port(self) -> None:
        if self._driver is not None and not self._release_requested:
            try:
                self._driver.release_port()
            except NotReadyError:  # the printer is busy, with a cooling for example; asked for again until the deadline
                return
            self._release_requested = True

    def _take_port(self) -> None:
        if self._driver is not None:
            try:
                self._driver.take_port()
            except NotReadyError:  # it was not let go of
                return

    def _work(self, work: Callable[[Callable[[], bool]], T]) -> Worker[T]:
        command = self.task.command
        return Worker(command.raw_name[:15], work, self._context.wake, command.task_id)


def _after_interruption(begun: Installation) -> Installation:
    """What is known of an installation whose agent has ended while its command ran, or after that."""
    if begun.ended:
        return begun
    old = f" in place of {begun.old_version}" if begun.old_version else ""
    why = f"the agent ended while version {begun.new_version} was being installed{old}: nobody knows how far it came"
    return ended(begun, installed=None, error=why)
