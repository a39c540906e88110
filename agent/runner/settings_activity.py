"""settings and request_settings: set an idle printer and ask it at once; what is set is kept for each print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from agent.core.driver import PrinterState, SupportsQueries, Telemetry
from agent.core.report_bodies import Result
from agent.core.settings import JOB_NAME, KNOWN, SAVE, check, known, listed, require_groups
from agent.core.settings_dialects import SAVES, Answers, asks, lines_for, missing, not_taken, read, value_of
from agent.errors import RefusedError, UnavailableError
from agent.runner.activity import Activity, Context, task_keys
from agent.runner.printer_query import PrinterQuery
from agent.runner.running_activities import RunningActivities
from agent.state.store import Task

log = structlog.get_logger(part="runner")


def set_settings(context: Context, running: RunningActivities, task: Task) -> Activity | None:
    """`settings`: check them, then set them on an idle printer; any other gets them before its next print. Raises
    RefusedError."""
    telemetry = context.driver.telemetry()
    wanted, save = _checked(context, task, telemetry.dialect)
    if _is_free(context, running, telemetry):
        return SettingsActivity(context, running, task, wanted, save=save)
    at_once = [name for name in wanted if KNOWN[name].once] + ([SAVE] if save else [])
    if at_once:
        raise RefusedError(409, f"settings: {listed(at_once)}: only while the printer is idle; {_why_later(telemetry)}")
    context.store.update_settings(wanted)
    context.complete(task, result=Result(settings=context.store.settings(), message=_later(telemetry)))
    return None


def request_settings(context: Context, running: RunningActivities, task: Task) -> Activity | None:
    """`request_settings`: what an idle printer tells of its settings, over those that are kept here; of any other the
    kept ones."""
    telemetry = context.driver.telemetry()
    if _is_free(context, running, telemetry) and asks(telemetry.dialect, KNOWN):
        return RequestSettingsActivity(context, running, task)
    message = f"as kept here; the printer, which is {telemetry.state}, was not asked"
    context.complete(task, result=Result(settings=context.store.settings(), message=message))
    return None


class _QueryActivity:
    """A question to the idle printer beside whatever runs."""

    exclusive = False
    outlives = False
    busy = ""

    def __init__(self, context: Context, running: RunningActivities, task: Task) -> None:
        self._context = context
        self._running = running
        self._dialect = context.driver.telemetry().dialect
        self.task = task
        self.ended = False

    def step(self, telemetry: Telemetry) -> None:
        """Ask, and end with the answer; fail when the disk takes nothing."""
        try:
            self._step(telemetry)
        except UnavailableError as error:
            self._fail(503, str(error))

    def hand_over(self) -> None:
        """Never called: no other agent can resume it."""

    def stop(self, reason: str) -> None:
        """Fail it unfinished."""
        self._context.fail(self.task, 500, f"{self.task.command.raw_name}: {reason}")
        self.ended = True

    def _step(self, telemetry: Telemetry) -> None:
        """Continue. Raises UnavailableError from the disk, and when the printer does not answer."""
        raise NotImplementedError

    def _query_of(self, what: str, lines: list[str]) -> PrinterQuery:
        return PrinterQuery(self._context, f"{self.task.command.task_id}/{what}", lines)

    def _complete(self, settings: dict[str, Any], message: str) -> None:
        self._context.complete(self.task, result=Result(settings=settings, message=message))
        self.ended = True

    def _fail(self, code: int, message: str) -> None:
        self._context.fail(self.task, code, f"{self.task.command.raw_name}: {message}")
        self.ended = True


class SettingsActivity(_QueryActivity):
    """settings, on an idle printer. What the firmware has not taken is not kept, and fails the command by name; what
    it does not tell is taken on its word."""

    def __init__(
        self, context: Context, running: RunningActivities, task: Task, wanted: dict[str, Any], *, save: bool
    ) -> None:
        super().__init__(context, running, task)
        self._wanted = wanted
        self._save = save
        lines = [*lines_for(self._dialect, wanted), *asks(self._dialect, wanted)]
        self._query = self._query_of("set", lines)
        self._answers: Answers | None = None

    def _step(self, telemetry: Telemetry) -> None:
        """Set, read back, then write the EEPROM if that is asked for."""
        if self._running.exclusive() is not None and telemetry.state is not PrinterState.IDLE:
            self._yield_to_what_runs(telemetry)
            return
        answers = self._query.step(telemetry)
        if answers is None:
            return
        if self._answers is None:
            self._answers = answers
            if self._save and not self._refused(answers):
                self._query = self._query_of("save", [SAVES[self._dialect]])
                self._query.step(telemetry)
                return
        self._finish(self._answers)

    def _refused(self, answers: Answers) -> dict[str, str]:
        return not_taken(self._dialect, self._wanted, answers)

    def _finish(self, answers: Answers) -> None:
        refused = self._refused(answers)
        taken = {name: value for name, value in self._wanted.items() if name not in refused}
        self._context.store.update_settings(taken)
        if refused:
            log.warning("settings not taken", names=listed(list(refused)), **task_keys(self.task))
            said = "; ".join(f"{name}: {why}" for name, why in refused.items())
            self._fail(500, f"not taken by the printer: {said}" + (f"; set: {listed(list(taken))}" if taken else ""))
            return
        blind = [name for name in taken if name not in read(self._dialect, taken, answers)]
        message = "set" + (" and saved in the printer" if self._save else "")
        message += f"; not told by the printer, so not read back: {listed(blind)}" if blind else ""
        self._complete(self._context.store.settings(), message)

    def _yield_to_what_runs(self, telemetry: Telemetry) -> None:
        """Something else has begun: what is kept is set before the next print."""
        if self._save or any(KNOWN[name].once for name in self._wanted):
            self._fail(409, f"the printer is {telemetry.state} now")
            return
        self._context.store.update_settings(self._wanted)
        self._complete(self._context.store.settings(), _later(telemetry))


class RequestSettingsActivity(_QueryActivity):
    """request_settings, of an idle printer."""

    def __init__(self, context: Context, running: RunningActivities, task: Task) -> None:
        super().__init__(context, running, task)
        self._query = self._query_of("read", asks(self._dialect, KNOWN))

    def _step(self, telemetry: Telemetry) -> None:
        """Ask, then answer with what the printer has told."""
        stored = self._context.store.settings()
        if self._running.exclusive() is not None and telemetry.state is not PrinterState.IDLE:
            self._complete(stored, f"as kept here; the printer is {telemetry.state} now")
            return
        try:
            answers = self._query.step(telemetry)
        except UnavailableError as error:
            self._complete(stored, f"as kept here; {error}")
            return
        if answers is not None:
            told = read(self._dialect, KNOWN, answers)
            live = {name: value_of(self._dialect, name, each) for name, each in told.items()}
            blind = [name for name in stored if name not in live]
            message = "read from the printer" + (f"; as kept here: {listed(blind)}" if blind else "")
            self._complete(known({**stored, **live}), message)


def _checked(context: Context, task: Task, dialect: str) -> tuple[dict[str, Any], bool]:
    """The settings that are asked for, and whether to save. Raises RefusedError (422) for what cannot be, by name."""
    given: Mapping[str, Any] = {name: value for name, value in task.command.settings.items() if name != JOB_NAME}
    if not given:
        raise RefusedError(422, "settings: none were given")
    try:
        unknown = check(given)
        require_groups(given, context.config.job.allow)
    except ValueError as error:
        raise RefusedError(422, str(error)) from None
    if unknown:
        raise RefusedError(422, f"settings: no such setting: {listed(unknown)}")
    lacking = missing(dialect, given) if dialect else []
    if lacking:
        raise RefusedError(422, f"settings: this printer's firmware has not: {listed(lacking)}")
    save = bool(given.get(SAVE))
    if save and dialect not in SAVES:
        raise RefusedError(422, f"settings: {SAVE}: this printer's firmware has no EEPROM")
    return known(given), save


def _is_free(context: Context, running: RunningActivities, telemetry: Telemetry) -> bool:
    """Whether the printer can be asked now."""
    return (
        isinstance(context.driver, SupportsQueries)
        and telemetry.state is PrinterState.IDLE
        and running.exclusive() is None
    )


def _later(telemetry: Telemetry) -> str:
    return f"kept; set before the next print: {_why_later(telemetry)}"


def _why_later(telemetry: Telemetry) -> str:
    idle = telemetry.state is PrinterState.IDLE
    return "another command has the printer" if idle else f"the printer is {telemetry.state} now"
