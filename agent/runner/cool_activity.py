"""cool, and cancel of an idle printer that is hot: heaters off, done when the printer reports them off."""

from __future__ import annotations

from agent.core.driver import PrinterState, Telemetry
from agent.core.left_heat import targets
from agent.core.report_bodies import Result
from agent.errors import RefusedError
from agent.runner.activity import Context, Deadline
from agent.state.store import Task

COOL_MAY_TAKE = 30.0  # seconds until the printer has reported its heaters off

_S = PrinterState


class CoolActivity:
    """One command that switches the heaters off. Raises RefusedError while something runs that needs them,
    NotReadyError from the driver."""

    exclusive = False
    busy = ""
    outlives = False

    def __init__(self, context: Context, task: Task) -> None:
        telemetry = context.driver.telemetry()
        if telemetry.task_id:
            raise RefusedError(409, f"{task.command.raw_name}: the printer is {telemetry.state}; cancel ends that")
        self._context = context
        self._deadline = Deadline(context.clock, COOL_MAY_TAKE)
        self.task = task
        self.ended = False
        context.heat.cool()

    def step(self, telemetry: Telemetry) -> None:
        """Complete when every heater is off; fail when that takes too long, or something else began."""
        if telemetry.state is _S.IDLE and not targets(telemetry.heaters):
            self._context.complete(self.task, result=Result(message="the heaters are off"))
            self.ended = True
        elif telemetry.state is _S.PRINTING:
            self.stop("a print has begun meanwhile")
        elif self._deadline.expired():
            self.stop("the printer has not reported its heaters off")

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def stop(self, reason: str) -> None:
        """Fail it unfinished."""
        self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {reason}")
        self.ended = True


def is_idle_and_hot(telemetry: Telemetry) -> bool:
    """Whether nothing runs and a heater is on."""
    return telemetry.state is _S.IDLE and bool(targets(telemetry.heaters))
