"""A question to an idle printer: asked when it is free, and again where something else took its place."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.driver import PrinterState, SupportsQueries, Telemetry
from agent.core.settings_dialects import Answers
from agent.errors import NotReadyError, UnavailableError
from agent.runner.activity import Context, Deadline

QUERY_MAY_TAKE = 60.0  # seconds from the first attempt to the answer
AGAIN_S = 0.2  # seconds between two attempts


class PrinterQuery:
    """One question. The driver must support queries."""

    def __init__(self, context: Context, query_id: str, lines: Sequence[str]) -> None:
        self._context = context
        self._base_id = query_id
        self._lines = tuple(lines)
        self._attempts = 0
        self._asked_id = ""
        self._next = Deadline(context.clock, 0.0)
        self._deadline = Deadline(context.clock, QUERY_MAY_TAKE)

    def step(self, telemetry: Telemetry) -> Answers | None:
        """Ask, or look for the answer; None as long as there is none. Raises UnavailableError when it took too long."""
        answer = telemetry.query
        if self._asked_id and answer is not None and answer.query_id == self._asked_id:
            if answer.complete:
                return Answers(self._lines, answer.texts)
            self._asked_id = ""
            self._next = Deadline(self._context.clock, AGAIN_S)
        if self._deadline.expired():
            raise UnavailableError(f"the printer, which is {telemetry.state}, did not answer")
        if not self._asked_id and telemetry.state is PrinterState.IDLE and self._next.expired():
            self._ask()
        return None

    def _ask(self) -> None:
        driver = self._context.driver
        assert isinstance(driver, SupportsQueries)  # noqa: S101 whoever makes this has looked
        self._attempts += 1
        query_id = f"{self._base_id}/{self._attempts}"
        try:
            driver.query(query_id, self._lines)
        except NotReadyError:
            self._next = Deadline(self._context.clock, AGAIN_S)
        else:
            self._asked_id = query_id
