"""Driver for printers that speak G-code over a serial port, as `agent.core.driver.Driver`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from agent.core.clock import Clock
from agent.core.driver import Host, LineSource, PrinterState, Scripts, Telemetry, Unfinished
from agent.errors import ConfigError, NotReadyError
from agent.gcode.words import host_line, script_line
from drivers.gcode.link.black_box import BlackBox, Recorder
from drivers.gcode.link.conversation import RELEASED
from drivers.gcode.link.link_thread import LinkThread
from drivers.gcode.link.port import PortSearch
from drivers.gcode.printing.dialects import by_name
from drivers.gcode.protocol.window import MOST
from drivers.gcode.requests import Query, Request, Respond, RunScript, SimpleRequest, StartPrint
from drivers.gcode.session.operation_state import RUNNING
from drivers.gcode.slot import Slot, TelemetryUpdate
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

_S = PrinterState

QUERY_MAY_TAKE = 10.0
"""Seconds after which a further question is taken although the one before it has no answer: a port that was lost."""


class GcodeDriver:
    """Each call checks the state, claims the next one and leaves a request for the link's thread."""

    def __init__(
        self, settings: DriverSettings, *, clock: Clock, timing: Timing | None = None, search: PortSearch | None = None
    ) -> None:
        """`search` says where to look for the printer, by default at the computer's own ports; `timing` is for tests.
        Raises ConfigError for a dialect or window that does not exist, DataError for a script line that cannot be
        sent."""
        by_name(settings.dialect)
        if settings.window != "auto" and not 1 <= settings.window <= MOST:
            raise ConfigError(f"[serial] window: {settings.window}; expected auto, or 1 to {MOST} lines in flight")
        _check(settings.scripts)
        self._settings = settings
        self._clock = clock
        self._timing = timing or Timing()
        self._search = search or PortSearch(settings)
        self._slot = Slot(first_prompt=int(clock.wall()))
        self._link: LinkThread | None = None
        self._query_id = ""  # of the last question…
        self._query_until = float("-inf")  # …and when its answer is not waited for any more

    def open(self, host: Host, unfinished: Unfinished | None = None) -> None:
        """See `Driver.open`."""
        if self._link is None:
            self._slot.wake = host.wake
            if unfinished is None:
                self._slot.update(reason="looking for the printer")
            else:
                self._slot.begin_recovery(unfinished.task_id, unfinished.line, "finding out where the printer is")
            box = BlackBox(self._clock.monotonic)
            if self._settings.black_box_dir:
                self._slot.failed = Recorder(box, Path(self._settings.black_box_dir), self._clock).write
            self._link = LinkThread(
                settings=self._settings,
                slot=self._slot,
                timing=self._timing,
                clock=self._clock,
                ports=self._search,
                box=box,
                host=host,
                unfinished=unfinished,
            )
            self._link.start()

    def close(self, timeout: float = 5.0, *, hand_over: bool = False) -> None:
        """See `Driver.close`."""
        link, self._link = self._link, None
        if link is not None:
            link.stop(timeout, hand_over=hand_over)
            self._slot.update(state=_S.OFFLINE, reason="closed", port="")

    def telemetry(self) -> Telemetry:
        """See `Driver.telemetry`."""
        return self._slot.read()

    def start_print(self, task_id: str, source: LineSource, preamble: Sequence[str] = ()) -> None:
        """See `Driver.start_print`. Raises DataError for a preamble that cannot be sent."""
        request = StartPrint(task_id, source, _cleaned(preamble))
        self._claim((_S.IDLE,), "print", request, state=_S.PRINTING, task_id=task_id, reason="")

    def run_script(self, task_id: str, lines: Sequence[str]) -> None:
        """See `Driver.run_script`. Raises DataError for lines that cannot be sent."""
        request = RunScript(task_id, _script(lines))
        self._claim((_S.IDLE,), "run a script", request, state=_S.BUSY, task_id=task_id, reason="")

    def pause(self) -> None:
        """See `Driver.pause`."""
        self._claim((_S.PRINTING,), "pause", SimpleRequest.PAUSE, state=_S.PAUSING)

    def resume(self) -> None:
        """See `Driver.resume`."""
        self._claim((_S.PAUSED,), "resume", SimpleRequest.RESUME, state=_S.RESUMING)

    def cancel(self) -> None:
        """See `Driver.cancel`."""
        self._claim(RUNNING, "cancel", SimpleRequest.CANCEL, state=_S.CANCELLING)

    def reset(self) -> None:
        """See `Driver.reset`."""
        allowed = list(_S) if self._slot.read().port else []
        self._claim(
            allowed, "reset", SimpleRequest.RESET, state=_S.OFFLINE, reason="the printer is being reset", reset_error=""
        )

    def halt(self) -> None:
        """See `agent.core.driver.SupportsEmergencyStop`."""
        allowed = list(_S) if self._slot.read().port else []
        self._claim(allowed, "halt", SimpleRequest.HALT)

    def cool(self) -> None:
        """See `agent.core.driver.SupportsCooling`."""
        self._claim((_S.IDLE,), "cool", SimpleRequest.COOL)

    def release_port(self) -> None:
        """See `agent.core.driver.SupportsPortRelease`."""
        allowed = (_S.IDLE, _S.OFFLINE, _S.ERROR)
        self._claim(allowed, "let go of the port", SimpleRequest.RELEASE_PORT, state=_S.OFFLINE, reason=RELEASED)

    def take_port(self) -> None:
        """See `agent.core.driver.SupportsPortRelease`."""
        allowed = (_S.OFFLINE,) if self._slot.read().released is not None else ()
        self._claim(allowed, "take the port", SimpleRequest.TAKE_PORT)

    def query(self, query_id: str, lines: Sequence[str]) -> None:
        """See `agent.core.driver.SupportsQueries`. Raises NotReadyError while another question is being answered: the
        telemetry has room for one answer."""
        answer, now = self._slot.read().query, self._clock.monotonic()
        if now < self._query_until and (answer is None or answer.query_id != self._query_id):
            raise NotReadyError("cannot query: another question is being answered")
        self._claim((_S.IDLE,), "query", Query(query_id, _cleaned(lines)))
        self._query_id, self._query_until = query_id, now + QUERY_MAY_TAKE

    def respond(self, prompt_id: int, choice: int) -> None:
        """See `agent.core.driver.SupportsPrompts`."""
        link = self._link
        if link is None:
            raise NotReadyError("cannot respond: the driver is closed")
        self._slot.claim_answer(prompt_id, choice, lambda: link.post(Respond(prompt_id, choice)))

    def use_scripts(self, scripts: Scripts) -> None:
        """See `agent.core.driver.SupportsScriptReload`."""
        _check(scripts)
        self._slot.scripts = scripts

    def _claim(
        self, allowed: Sequence[PrinterState], what: str, request: Request, **fields: Unpack[TelemetryUpdate]
    ) -> None:
        link = self._link

        def post() -> None:
            if link is not None:
                link.post(request)

        self._slot.claim(
            allowed if link is not None else (),
            what,
            post,
            from_line_one=isinstance(request, StartPrint),
            **fields,
        )


def _check(scripts: Scripts) -> None:
    for line in (*scripts.pause, *scripts.resume, *scripts.cancel):
        script_line(line)


def _script(lines: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(code for line in lines if (code := script_line(line)))


def _cleaned(lines: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(code for line in lines if (code := host_line(line)))
