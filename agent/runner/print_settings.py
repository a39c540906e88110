"""Settings of one print: the printer's own, with those of the job over them, which end with the job.

    what a job before this one had changed, and the defaults  <  the stored ones  <  the job's

Before the first line an idle printer is asked what a setting of the job is now, so that the next print can put it back;
then all are set, and read back where the firmware tells them. A print that wants nothing but the defaults asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from agent.core.driver import SupportsQueries, Telemetry
from agent.core.settings import ALWAYS, KNOWN, SAVE, check, kept, known, listed, require_groups
from agent.core.settings_dialects import Answers, asks, lines_for, missing, not_taken, read, value_of, ways
from agent.errors import RefusedError, UnavailableError
from agent.runner.activity import Context, task_keys
from agent.runner.printer_query import PrinterQuery
from agent.state.store import Task

log = structlog.get_logger(part="print")


class PrintSettings:
    """`preamble` are the lines that go before the print's first one, `message` says what was not done, for a person:
    both are whole when `step` says so."""

    def __init__(self, context: Context, task: Task) -> None:
        """Raises RefusedError (422) for settings that cannot be."""
        self.preamble: list[str] = []
        self._context = context
        self._task = task
        self._notes: list[str] = []
        self._own = self._checked(task.command.settings)
        self._dialect = ""
        self._base: dict[str, Any] = {}  # what each setting is without this job
        self._stored: dict[str, Any] = {}
        self._wanted: dict[str, Any] = {}
        self._before: dict[str, Any] | None = None  # what this job changes, and what it was; None: not known yet
        self._query: PrinterQuery | None = None
        self._begun = self._ready = False

    @property
    def message(self) -> str:
        """What was not done, for a person; empty when all was."""
        return "; ".join(self._notes)

    def step(self, telemetry: Telemetry) -> bool:
        """Continue with a printer that is idle; whether the print may begin. Raises RefusedError (503) when the printer
        does not answer, UnavailableError from the disk."""
        if not self._begun:
            self._begin(telemetry.dialect)
        while not self._ready:
            answers = None
            if self._query is not None:
                answers = self._answers(self._query, telemetry)
                if answers is None:
                    return False
            if self._before is None:
                self._note_before(answers)
            else:
                self._finish(answers)
        return True

    # --- inside

    def _checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        try:
            unknown = check(settings)
            require_groups(settings, self._context.config.job.allow)
        except ValueError as error:
            raise RefusedError(422, str(error)) from None
        if unknown:
            self._notes.append(f"settings without a meaning here: {listed(unknown)}")
        own = kept(settings)
        once = [name for name in (*known(settings), *([SAVE] if SAVE in settings else [])) if name not in own]
        if once:
            self._notes.append(f"not for a job, only for the settings command: {listed(once)}")
        return own

    def _begin(self, dialect: str) -> None:
        """Find what is wanted, and ask what the job's own settings are now, where that is not known."""
        self._dialect, self._begun = dialect, True
        self._stored = kept(self._context.store.settings())
        defaults = {name: KNOWN[name].default for name in ALWAYS}
        self._base = {**defaults, **self._context.store.overridden_settings(), **self._stored}
        lacking = missing(dialect, {**self._stored, **self._own})
        if lacking:
            self._notes.append(f"settings that this printer's firmware has not: {listed(lacking)}")
        self._own = {name: value for name, value in self._own.items() if name in ways(dialect)}
        for name in self._own:
            if KNOWN[name].default is not None:
                self._base.setdefault(name, KNOWN[name].default)
        unknown = [name for name in self._own if name not in self._base]
        lines = asks(dialect, unknown)
        if lines and isinstance(self._context.driver, SupportsQueries):
            self._query = PrinterQuery(self._context, f"{self._task.command.task_id}/before", lines)

    @staticmethod
    def _answers(query: PrinterQuery, telemetry: Telemetry) -> Answers | None:
        try:
            return query.step(telemetry)
        except UnavailableError as error:
            raise RefusedError(503, f"settings: {error}") from None

    def _note_before(self, answers: Answers | None) -> None:
        """Now it is known what the job's settings were; set them, where that is worth a question."""
        if answers is not None:
            told = read(self._dialect, self._own, answers)
            now = {name: value_of(self._dialect, name, each) for name, each in told.items()}
            self._base = {**now, **self._base}
        blind = [name for name in self._own if name not in self._base]
        own = {name: value for name, value in self._own.items() if name in self._base}
        overridden = self._context.store.overridden_settings()
        before = {name: self._base[name] for name in own if name not in (*self._stored, *ALWAYS)}
        if before.keys() - overridden.keys():  # whatever becomes of this print, the next one puts them back
            self._context.store.replace_overridden_settings({**overridden, **before})
        if blind:
            self._notes.append(f"not set, as the printer does not tell what to put back after the job: {listed(blind)}")
        self._before, self._query = before, None
        self._wanted = known({**self._base, **own})
        self.preamble = lines_for(self._dialect, self._wanted)
        plain = {name: KNOWN[name].default for name in ALWAYS}
        if self._wanted != plain and isinstance(self._context.driver, SupportsQueries):
            lines = [*self.preamble, *asks(self._dialect, self._wanted)]
            self._query = PrinterQuery(self._context, f"{self._task.command.task_id}/set", lines)

    def _finish(self, answers: Answers | None) -> None:
        assert self._before is not None  # noqa: S101 `step` has seen to it
        if self._before != self._context.store.overridden_settings():
            self._context.store.replace_overridden_settings(self._before)
        self._ready = True
        refused = not_taken(self._dialect, self._wanted, answers) if answers is not None else {}
        if refused:
            self._notes += [f"not taken by the printer: {name}: {why}" for name, why in refused.items()]
            taken = {name: value for name, value in self._wanted.items() if name not in refused}
            self.preamble = lines_for(self._dialect, taken)
            log.warning("settings not taken before a print", names=listed(list(refused)), **task_keys(self._task))
