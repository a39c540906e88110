"""respond: an answer to what the printer asks, given to the driver at once and once.

It completes when the driver has written the answer and the printer has closed the prompt, or RESPONSE_S have passed
since. Never given again: neither by this agent, nor by the next one, which reports that it ended while this ran.
"""

from __future__ import annotations

from msgspec import UnsetType

from agent.core.driver import Prompt, SupportsPrompts, Telemetry
from agent.core.report_bodies import Result
from agent.errors import DataError, RefusedError
from agent.runner.activity import Context, Deadline
from agent.state.store import Task

RESPONSE_S = 30.0
"""Seconds that a printer may take to close its prompt after the answer: it moves or heats first."""


class RespondActivity:
    """Raises RefusedError, and NotReadyError from the driver."""

    exclusive = False
    busy = ""
    outlives = False

    def __init__(self, context: Context, task: Task) -> None:
        driver, command = context.driver, task.command
        if not isinstance(driver, SupportsPrompts):
            raise RefusedError(409, f"{command.raw_name}: this printer's driver hears no questions")
        prompt = driver.telemetry().prompt
        if prompt is None:
            raise RefusedError(409, f"{command.raw_name}: the printer asks nothing")
        self._prompt_id = prompt.id if isinstance(command.prompt_id, UnsetType) else command.prompt_id
        if self._prompt_id != prompt.id:
            raise RefusedError(
                409, f"{command.raw_name}: prompt {self._prompt_id} is not open any more; the printer asks {prompt.id}"
            )
        self._context = context
        self._sent = False
        self.task = task
        self.ended = False
        try:
            driver.respond(prompt.id, number_of(command.choice, prompt))
        except DataError as error:
            raise RefusedError(422, f"{command.raw_name}: {error}") from None
        self._deadline = Deadline(context.clock, RESPONSE_S)

    def step(self, telemetry: Telemetry) -> None:
        """Complete when the printer has closed the prompt."""
        self._sent = self._sent or telemetry.answered == self._prompt_id
        closed = telemetry.prompt is None or telemetry.prompt.id != self._prompt_id
        expired = self._deadline.expired()
        if self._sent and (closed or expired):
            self._complete("" if closed else "the answer was sent; the printer still asks")
        elif closed:
            self._fail("the printer had closed the prompt before the answer was sent")
        elif expired:
            self._fail("the answer could not be sent in time")

    def stop(self, reason: str) -> None:
        """Fail: the agent goes down, or complete what is sent."""
        if self._sent:
            self._complete("the answer was sent; the printer still asks")
        else:
            self._fail(reason)

    def hand_over(self) -> None:
        """Nothing to leave: it is never given again."""

    def _complete(self, message: str) -> None:
        self._context.complete(self.task, None, Result(message=message) if message else None)
        self.ended = True

    def _fail(self, message: str) -> None:
        self._context.fail(self.task, 409, f"{self.task.command.raw_name}: {message}")
        self.ended = True


def number_of(choice: int | str | UnsetType, prompt: Prompt) -> int:
    """The number of a choice that is given by number or by text, its letters in any case. Raises DataError for a text
    that is none of them, or more than one."""
    if isinstance(choice, int):
        return choice
    text = "" if isinstance(choice, UnsetType) else choice.strip().casefold()
    found = [number for number, label in enumerate(prompt.choices) if label.casefold() == text]
    if len(found) == 1:
        return found[0]
    if not found and text.isascii() and text.isdigit():
        return int(text)
    known = ", ".join(f"{number} {label}" for number, label in enumerate(prompt.choices))
    raise DataError(f"choice {text!r}: expected one of: {known}" if known else "choose on the printer's display")
