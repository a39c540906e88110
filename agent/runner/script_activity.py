"""home, park, calibrate: a configured script. reset: the controller rebooted. dismiss: done at once."""

from __future__ import annotations

from agent.core import script_progress
from agent.core.driver import Outcome, PrinterState, Telemetry
from agent.errors import RefusedError
from agent.gcode.default_scripts import default_scripts
from agent.runner.activity import Context, Deadline
from agent.runner.task_progress import TaskProgress
from agent.service.config import Config
from agent.state.store import Task

RESET_MAY_TAKE = 60.0  # seconds until the controller says hello again
SCRIPT_MAY_TAKE = 3600.0  # seconds; a mesh calibration takes many minutes


class ScriptActivity:
    """home, park or calibrate: its script on the idle printer. Raises RefusedError when it is switched off."""

    exclusive = True
    outlives = False

    def __init__(self, context: Context, task: Task) -> None:
        lines = script_of(context.config, task.command.raw_name, context.driver.telemetry().dialect)
        self._context = context
        self._deadline = Deadline(context.clock, SCRIPT_MAY_TAKE)
        self.task = task
        self.busy = task.command.raw_name
        self.ended = self.canceled = False
        self._progress = TaskProgress(context, task)
        context.heat.begin(task.command.task_id)
        context.driver.run_script(task.command.task_id, lines)

    def step(self, telemetry: Telemetry) -> None:
        """End when the driver reports the end of the script; until then report how far it is."""
        last = telemetry.last
        if last is not None and last.task_id == self.task.command.task_id:
            if last.outcome is Outcome.COMPLETED:
                self._context.complete(self.task)
            elif last.outcome is Outcome.CANCELLED:
                self.canceled = True
                self._context.fail(self.task, 409, f"{self.task.command.raw_name}: canceled")
            else:
                self._context.fail(self.task, 500, last.error or str(last.outcome), heat_curve=last.heat_curve)
            self.ended = True
        elif self._deadline.expired():
            self.stop("not done within an hour")
        elif telemetry.script is not None and telemetry.task_id == self.task.command.task_id:
            script = telemetry.script
            self._progress.update(telemetry, script_progress.fraction(script), script_progress.describe(script))

    def cancel(self) -> None:
        """Stop the script. Raises NotReadyError from the driver."""
        self._context.driver.cancel()

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def stop(self, reason: str) -> None:
        """Fail it unfinished."""
        self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {reason}")
        self.ended = True


def script_of(config: Config, name: str, dialect: str) -> tuple[str, ...]:
    """The script of home, park or calibrate: the owner's, else the dialect's. Raises RefusedError when the owner has
    switched the command off."""
    lines: tuple[str, ...] | str = getattr(config.scripts, name)
    if isinstance(lines, str):
        raise RefusedError(501, f"{name}: switched off ([scripts] {name})")
    scripts: tuple[str, ...] = lines or getattr(default_scripts(dialect), name)
    return scripts


class ResetActivity:
    """reset: the controller's reboot, done when it is idle again and was seen to begin anew."""

    exclusive = True
    outlives = False
    busy = "reset"

    def __init__(self, context: Context, task: Task) -> None:
        self._context = context
        self._deadline = Deadline(context.clock, RESET_MAY_TAKE)
        self.task = task
        self.ended = False
        context.driver.reset()
        context.heat.expect_off()
        self._left = context.driver.telemetry().state.absent  # the driver has left the state that it was in

    def step(self, telemetry: Telemetry) -> None:
        """Complete when the printer is idle again; fail when nothing was reset, and on an error that says why."""
        self._left = self._left or telemetry.state.absent
        if self._left and telemetry.state is PrinterState.IDLE:
            if telemetry.reset_error:
                self.stop(telemetry.reset_error)
            else:
                self._context.complete(self.task)
                self.ended = True
        elif self._deadline.expired() or (self._left and telemetry.state is PrinterState.ERROR):
            self.stop(telemetry.reason or "the printer did not come back")

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def stop(self, reason: str) -> None:
        """Fail it unfinished."""
        self._context.fail(self.task, 500, f"reset: {reason}")
        self.ended = True


def check_dismiss(telemetry: Telemetry) -> None:
    """Check that `dismiss`, which leaves a finished or failed job's screen, can be done. Raises RefusedError: a halted
    printer needs more."""
    if telemetry.state is PrinterState.ERROR:
        raise RefusedError(409, f"dismiss: the printer is halted ({telemetry.reason}); send reset")
