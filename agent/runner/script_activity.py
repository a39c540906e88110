"""home, park, calibrate: a configured script. reset: the controller rebooted. settings and dismiss: done at once."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core import settings
from agent.core.driver import Outcome, PrinterState, Telemetry
from agent.errors import RefusedError
from agent.runner.activity import Context, Limit
from agent.state.store import Task

RESET_MAY_TAKE = 60.0  # seconds until the controller says hello again
SCRIPT_MAY_TAKE = 3600.0  # seconds; a mesh calibration takes many minutes


class ScriptActivity:
    """home, park or calibrate: its script on the idle printer. Raises RefusedError when there is no script."""

    exclusive = True
    outlives = False

    def __init__(self, context: Context, task: Task) -> None:
        lines: Sequence[str] = getattr(context.config.scripts, task.command.said)
        if not lines:
            said = task.command.said
            raise RefusedError(501, f"{said}: no script is configured ([scripts] {said})")
        self._context = context
        self._limit = Limit(context.clock, SCRIPT_MAY_TAKE)
        self.task = task
        self.busy = task.command.said
        self.ended = False
        context.driver.run_script(task.command.task_id, lines)

    def step(self, telemetry: Telemetry) -> None:
        """Ended when the driver says so."""
        last = telemetry.last
        if last is not None and last.task_id == self.task.command.task_id:
            if last.outcome is Outcome.COMPLETED:
                self._context.complete(self.task)
            else:
                self._context.fail(self.task, 500, last.error or str(last.outcome))
            self.ended = True
        elif self._limit.over():
            self.stop("not done within an hour")

    def cancel(self) -> None:
        """Stop the script. Raises NotReadyError from the driver."""
        self._context.driver.cancel()

    def hand_over(self) -> None:
        """Nobody can go on with it."""

    def stop(self, reason: str) -> None:
        """End it unfinished."""
        self._context.fail(self.task, 500, f"{self.task.command.said}: {reason}")
        self.ended = True


class ResetActivity:
    """The controller's reboot: done when it is idle again."""

    exclusive = True
    outlives = False
    busy = "reset"

    def __init__(self, context: Context, task: Task) -> None:
        self._context = context
        self._limit = Limit(context.clock, RESET_MAY_TAKE)
        self._left = False  # the driver has left the state that it was in
        self.task = task
        self.ended = False
        context.driver.reset()

    def step(self, telemetry: Telemetry) -> None:
        """Back to ready, or to an error that says why."""
        self._left = self._left or telemetry.state in (PrinterState.OFFLINE, PrinterState.RECOVERING)
        if self._left and telemetry.state is PrinterState.IDLE:
            self._context.complete(self.task)
            self.ended = True
        elif self._limit.over() or (self._left and telemetry.state is PrinterState.ERROR):
            self.stop(telemetry.reason or "the printer did not come back")

    def hand_over(self) -> None:
        """Nobody can go on with it."""

    def stop(self, reason: str) -> None:
        """End it unfinished."""
        self._context.fail(self.task, 500, f"reset: {reason}")
        self.ended = True


def keep_settings(context: Context, task: Task) -> None:
    """`settings`: check them, keep them; they go before each print. Raises RefusedError."""
    wanted = task.command.settings
    if not wanted:
        raise RefusedError(422, "settings: none were given")
    try:
        unknown = settings.check(wanted)
    except ValueError as error:
        raise RefusedError(422, str(error)) from None
    context.store.keep_settings(wanted)
    message = "applied from the next print on"
    if unknown:
        message += f"; kept, but without a meaning here: {', '.join(unknown)}"
    context.complete(task, extra={"settings": context.store.settings(), "message": message})


def request_settings(context: Context, task: Task) -> None:
    """`request_settings`: what is kept."""
    context.complete(task, extra={"settings": context.store.settings()})


def check_dismiss(telemetry: Telemetry) -> None:
    """`dismiss` leaves a finished or failed job's screen; a halted printer needs more. Raises RefusedError."""
    if telemetry.state is PrinterState.ERROR:
        raise RefusedError(409, f"dismiss: the printer is halted ({telemetry.reason}); send reset")
