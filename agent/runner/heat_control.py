"""Control of heat that nobody needs: what a print or script left on is switched off after a while, and said.

    an operation begins        recorded on the disk, so that a next agent knows
    it left heaters on         off after `[job] cool_after_s`, again every AGAIN_S until the printer reports them off
    the agent before had       off as soon as the printer answers
    a reset, cool or cancel    off at once, whoever has set them
    a person set them          said, and left alone: it may be a preheat, or a print from the printer's own card

Nothing here waits for the cloud, the ledger or a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf

import structlog

from agent.core.clock import Clock
from agent.core.driver import Driver, Heater, PrinterState, SupportsCooling, Telemetry
from agent.core.left_heat import LeftHeat, targets
from agent.errors import NotReadyError, UnavailableError
from agent.runner.runner_store import RunnerStore

SETTLE_S = 5.0
"""Seconds after an operation's end until a report counts as newer, with a driver that does not count them."""
AGAIN_S = 10.0
"""Seconds between two attempts to switch heaters off."""
ATTEMPTS_SAID = 3
"""Attempts after which it is said that the heaters do not go off."""
SCRIPT_ID = "cool"
"""The operation's id where a driver without `SupportsCooling` is asked for a script."""

_S = PrinterState
log = structlog.get_logger(part="heat")


class HeatControl:
    """The runner's thread alone. `say` is told the condition, for a person; empty for none."""

    def __init__(
        self,
        *,
        driver: Driver,
        store: RunnerStore,
        clock: Clock,
        say: Callable[[str], None],
        settle_s: float = SETTLE_S,
    ) -> None:
        self._driver = driver
        self._store = store
        self._clock = clock
        self._say = say
        self._left = LeftHeat(left=False)
        self._settle_s = settle_s
        self._idle_since: float | None = None  # since when nothing runs; None: something does, or that was not seen yet
        self._reports = -1  # the driver's count of reports when it was idle first; -1: it is not idle
        self._recorded = False
        self._task_id = ""  # of the operation that ran last
        self._at_once = False  # what is on goes off without a wait
        self._attempts = 0
        self._next_attempt = -inf
        self._hot_since = inf  # of heat that a person has set
        self._last_on: Mapping[str, float] = {}

    def recover(self, *, interrupted: bool) -> None:
        """Read what the agent before this one left; `interrupted`: a script of it has no end. Raises
        UnavailableError."""
        self._task_id = self._store.heat_left_by()
        self._recorded = bool(self._task_id)
        if self._recorded or interrupted:
            self._left.left = self._at_once = True

    def begin(self, task_id: str) -> None:
        """Record that the operation of `task_id` begins, before it does. Raises UnavailableError."""
        self._store.begin_heat(task_id)
        self._recorded, self._task_id = True, task_id
        self._at_once = False
        self._run()

    def cool(self) -> None:
        """Switch off whatever is on, now and until the printer reports it off. Raises NotReadyError unless the printer
        is idle."""
        self._switch_off(self._driver.telemetry().heaters)
        self._left.left = self._at_once = True

    def expect_off(self) -> None:
        """Have whatever is on switched off when the printer is idle again: after a reset."""
        self._left.left = self._at_once = True
        self._next_attempt = -inf

    def step(self, telemetry: Telemetry, cool_after_s: float) -> None:
        """Look at the printer: switch off what is due, and say what is on. Never raises."""
        if telemetry.state is _S.IDLE:
            self._step_idle(telemetry, cool_after_s, self._clock.monotonic())
            return
        self._reports = -1
        if telemetry.state.absent:
            on = _described(self._last_on)
            self._say(f"was hot when it was last heard of: {on}" if on and self._left.left else "")
        else:
            if telemetry.state is not _S.ERROR and telemetry.task_id != SCRIPT_ID:
                self._run()
                self._attempts, self._at_once = 0, False
            self._hot_since, self._last_on = inf, {}
            self._say("")

    # --- inside

    def _run(self) -> None:
        self._left.run()
        self._idle_since, self._reports = None, -1

    def _is_new(self, telemetry: Telemetry, now: float) -> bool:
        """Whether the heaters were reported since the printer is idle."""
        since = self._idle_since if self._idle_since is not None else now
        if self._reports < 0:
            self._idle_since, self._reports = since, telemetry.reports
            return False
        return telemetry.reports != self._reports if telemetry.reports else now - since >= self._settle_s

    def _step_idle(self, telemetry: Telemetry, cool_after_s: float, now: float) -> None:
        heaters = telemetry.heaters
        on, was_left, new = targets(heaters), self._left.left, self._is_new(telemetry, now)
        self._last_on = on
        if new:
            self._left.idle(heaters)
        if was_left and not self._left.left:
            self._note_end(on)
        if self._recorded and not self._left.left:
            self._clear_record()
        if not self._left.left:
            self._say(self._of_a_person(on, cool_after_s, now))
            return
        due = self._at_once or self._idle_since is None or now >= self._idle_since + cool_after_s
        if due and (on or (self._at_once and not heaters)) and now >= self._next_attempt:
            self._attempt(heaters)
        self._say(self._of_ours(on, cool_after_s) if new or self._at_once else "")

    def _attempt(self, heaters: Iterable[Heater]) -> None:
        try:
            self._switch_off(heaters)
        except NotReadyError as error:
            log.debug("heaters not switched off yet", error=str(error))

    def _switch_off(self, heaters: Iterable[Heater]) -> None:
        """Raises NotReadyError."""
        if isinstance(self._driver, SupportsCooling):
            self._driver.cool()
        else:
            self._driver.run_script(SCRIPT_ID, script_off(heaters))
        self._attempts += 1
        self._next_attempt = self._clock.monotonic() + AGAIN_S
        on = _described(targets(heaters))
        log.warning("heaters switched off", task_id=self._task_id, heaters=on, attempt=self._attempts)

    def _note_end(self, on: Mapping[str, float]) -> None:
        if on:
            log.info("heaters set at the printer", heaters=_described(on))
        elif self._attempts:
            log.info("heaters reported off", attempt=self._attempts)
        self._attempts, self._at_once, self._next_attempt = 0, False, -inf

    def _clear_record(self) -> None:
        try:
            self._store.clear_heat()
        except UnavailableError as error:  # the next step tries again
            log.debug("heat record not deleted", error=str(error))
        else:
            self._recorded = False

    def _of_ours(self, on: Mapping[str, float], cool_after_s: float) -> str:
        if not on:
            return ""
        if self._attempts >= ATTEMPTS_SAID:
            return f"hot, nobody needs it, and it does not go off: {_described(on)}; switch the printer off"
        when = "now" if self._at_once else f"{cool_after_s:g} s after the end of what ran"
        return f"hot, nobody needs it: {_described(on)}; switched off {when}"

    def _of_a_person(self, on: Mapping[str, float], cool_after_s: float, now: float) -> str:
        self._hot_since = min(self._hot_since, now) if on else inf
        if now < self._hot_since + cool_after_s:
            return ""
        return f"hot, nothing runs: {_described(on)}, set at the printer; `printer-agent cool` switches it off"


def script_off(heaters: Iterable[Heater]) -> list[str]:
    """G-code that switches the heaters off, for a driver without `SupportsCooling`; what is not there may be
    unknown."""
    tools = sorted({0} | {int(h.name[4:]) for h in heaters if h.name.startswith("tool") and h.name[4:].isdecimal()})
    nozzles = [f"M104 T{tool} S0" for tool in tools] if len(tools) > 1 else ["M104 S0"]
    return [*nozzles, "?M140 S0", "?M141 S0", "?M107"]


def _described(on: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {target:.0f} °C" for name, target in on.items())
