"""Latest-value slot of the driver's telemetry: the link's thread fills it, any thread reads it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container
from typing import TypedDict, Unpack

import msgspec
import structlog

from agent.core.driver import (
    HeatCurve,
    Heater,
    Link,
    Operation,
    Outcome,
    PrinterState,
    Prompt,
    QueryAnswer,
    ScriptProgress,
    Scripts,
    Telemetry,
)
from agent.errors import DataError, NotReadyError
from drivers.gcode.protocol.protocol import Counters

SLOW_MS = 2
"""A latency timer above this many milliseconds is worth a warning."""

_log = structlog.get_logger(part="gcode")


class TelemetryUpdate(TypedDict, total=False):
    """The fields of `Telemetry` that may be replaced, each with its type; `line` and `link` are counted."""

    state: PrinterState
    reason: str
    port: str
    firmware: str
    machine: str
    dialect: str
    heaters: tuple[Heater, ...]
    reports: int
    task_id: str
    waiting: str
    display: str
    prompt: Prompt | None
    answered: int
    last: Operation
    script: ScriptProgress | None
    query: QueryAnswer
    starting: bool
    released: str | None
    reset_error: str


class Slot:
    """One immutable snapshot, replaced as a whole, and the counters beside it that move with every line.

    Two threads change the state: a caller *claims* the next state, so that a second command meets it at once; the
    link's thread says what came of it. The lock is taken for changes only, never for a line."""

    def __init__(self, first_prompt: int = 1) -> None:
        """`first_prompt` is the id of the first prompt: higher than that of any prompt of an agent before this one."""
        self._lock = threading.Lock()
        self._next_prompt = first_prompt
        self._responding = 0  # the prompt whose answer was claimed last
        self._now = Telemetry(state=PrinterState.OFFLINE, reason="not opened yet")
        self._counters = Counters()
        self._latency_timer: int | None = None
        self._warned: set[str] = set()
        self.scripts: Scripts | None = None  # in the place of those that the driver was made with
        self.heat_curve: HeatCurve | None = None  # joins the failure that comes next
        self.facts: dict[str, str] = {}  # join what is recorded of the failure that comes next
        self.wake: Callable[[], None] = _nobody
        self.failed: Callable[[str, dict[str, str]], None] = _unrecorded  # why, and on what; called before `wake`

    def read(self) -> Telemetry:
        """The latest snapshot, with the line and the link's counts of this moment."""
        counters, now = self._counters, self._now
        quality = counters.quality
        link = Link(counters.sent, counters.resent, *quality.percentiles(), quality.starved, self._latency_timer)
        return msgspec.structs.replace(now, line=counters.line, link=link)

    def port_opened(self, port: str, latency_timer: int | None) -> None:
        """Publish the open port; `latency_timer` is what its chip adds, in ms, None when it has no such thing
        (docs/serial.md §17b)."""
        self._latency_timer = latency_timer
        if latency_timer is not None and latency_timer > SLOW_MS and port not in self._warned:
            self._warned.add(port)
            _log.warning("latency timer high", port=port, ms=latency_timer, advice="a udev rule can lower it")
        self.update(port=port)

    def new_counters(self) -> Counters:
        """Counters of a new connection; the line stays, since it tells where a print that failed was."""
        self._counters = Counters(self._counters.line)
        return self._counters

    def new_prompt_id(self) -> int:
        """From the link's thread: an id that no prompt has had."""
        self._next_prompt += 1
        return self._next_prompt - 1

    def reserve_prompt_id(self, prompt_id: int) -> None:
        """From the link's thread: `prompt_id` was given by an agent before this one."""
        self._next_prompt = max(self._next_prompt, prompt_id + 1)

    def claim_answer(self, prompt_id: int, choice: int, post: Callable[[], None]) -> None:
        """From a caller's thread: if the prompt `prompt_id` is open, has that choice, and nobody has answered it,
        `post` the request. Raises NotReadyError, DataError: see `SupportsPrompts.respond`."""
        with self._lock:
            prompt = self._now.prompt
            if self._now.state is PrinterState.RECOVERING:
                raise NotReadyError(f"cannot respond: the printer is {self._now.state.value} ({self._now.reason})")
            if prompt is None:
                raise NotReadyError("the printer asks nothing")
            if prompt.id != prompt_id:
                raise NotReadyError(f"prompt {prompt_id} is not open any more; the printer asks {prompt.id} now")
            if prompt.id in (self._responding, self._now.answered):
                raise NotReadyError(f"prompt {prompt_id} has its answer already")
            if not prompt.choices:
                raise DataError("the printer takes no answer from afar: choose on its display")
            if not 0 <= choice < len(prompt.choices):
                raise DataError(f"choice {choice}: the prompt has 0 to {len(prompt.choices) - 1}")
            post()
            self._responding = prompt_id

    def update(self, **fields: Unpack[TelemetryUpdate]) -> None:
        """From the link's thread: replace fields of the snapshot; `wake` if somebody may wait for what changed."""
        with self._lock:
            before = self._now
            self._now = after = msgspec.structs.replace(before, **fields)
        if _may_be_waited_for(before, after):
            if _failure(before, after):
                failed = after.last.error if after.last is not None and after.last is not before.last else after.reason
                facts, self.facts, self.heat_curve = self.facts, {}, None
                about = {"port": before.port, "firmware": after.firmware, "machine": after.machine}
                self.failed(failed, about | facts)
            self.wake()

    def end(self, task_id: str, outcome: Outcome, state: PrinterState, error: str = "", reason: str = "") -> None:
        """Publish how the operation of `task_id` ended, and the printer's `state` after it."""
        curve, self.heat_curve = self.heat_curve, None
        last = Operation(task_id, outcome, error, curve)
        self.update(state=state, reason=reason, waiting="", starting=False, task_id="", script=None, last=last)

    def begin_recovery(self, task_id: str, line: int, reason: str) -> None:
        """From a caller's thread, before there is a link: the print of `task_id`, at `line` at least, is to be
        recovered."""
        self._counters.line = line
        self.update(state=PrinterState.RECOVERING, task_id=task_id, reason=reason)

    def fail(self, task_id: str, error: str) -> None:
        """Publish that the operation of `task_id` has failed, and that there is no printer."""
        self.end(task_id, Outcome.FAILED, PrinterState.OFFLINE, error, error)

    def refuse(self, task_id: str, state: PrinterState) -> None:
        """Fail an operation that was accepted before the printer was lost; the printer is in `state`."""
        now = self._now
        self.end(task_id, Outcome.FAILED, state, "the printer was lost before it could begin", now.reason)

    def confirm(self, state: PrinterState, nothing_claimed: Callable[[], bool]) -> None:
        """The link's thread has dealt with all requests: its `state` is the truth, unless another was claimed."""
        with self._lock:
            if nothing_claimed():
                self._now = msgspec.structs.replace(self._now, state=state)
        self.wake()

    def claim(
        self,
        allowed: Container[PrinterState],
        what: str,
        post: Callable[[], None],
        *,
        from_line_one: bool = False,
        **fields: Unpack[TelemetryUpdate],
    ) -> None:
        """From a caller's thread: if the state is `allowed`, set `fields` and `post` the request.
        Raises NotReadyError, which says that `what` cannot be done and why."""
        with self._lock:
            now = self._now
            if now.state not in allowed:
                why = f" ({now.reason})" if now.reason else ""
                raise NotReadyError(f"cannot {what}: the printer is {now.state.value}{why}")
            post()
            if from_line_one:
                self._counters.line = 0
            self._now = msgspec.structs.replace(now, **fields)


def _may_be_waited_for(before: Telemetry, after: Telemetry) -> bool:
    """Whether something changed that `Host.wake` tells."""
    return (
        before.state,
        before.released,
        before.reason,
        before.waiting,
        before.prompt,
        before.answered,
        before.last,
        before.query,
    ) != (
        after.state,
        after.released,
        after.reason,
        after.waiting,
        after.prompt,
        after.answered,
        after.last,
        after.query,
    )


def _failure(before: Telemetry, after: Telemetry) -> bool:
    """Whether an operation has just failed, or the printer has just halted."""
    if after.last is not None and after.last is not before.last:
        return after.last.outcome is Outcome.FAILED
    return after.state is PrinterState.ERROR and before.state is not PrinterState.ERROR


def _unrecorded(_reason: str, _about: dict[str, str]) -> None:
    """Nobody records failures before `open`."""


def _nobody() -> None:
    """Nobody waits before `open`."""
