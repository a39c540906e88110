"""The driver interface: what the agent and a printer's driver need from each other, as protocols and plain values.

A driver owns one printer. The agent asks it for one *operation* at a time (a print, or a script such as `home`), and
reads where it is from `Driver.telemetry()`, a latest-value slot. Every method returns at once: nothing here waits for
the printer. When something changed that somebody may wait for, the driver calls the `wake` it was opened with.

    operation   idle ── start_print ──▶ printing ⇄ pausing/paused/resuming ──▶ idle   (telemetry.last says how it ended)
                idle ── run_script ──▶ busy ──▶ idle
                recovering ──▶ printing or paused, as the print was; or failed        (after a restart of the agent)

An operation is known by the id of the task that asked for it, its `task_id`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

TAKE_OVER_S = 30.0
"""Seconds from `Driver.open` until a printer whose print is to be taken over must have answered."""

COMMAND_SIZE = 96
"""Bytes of the firmware's command buffer (Marlin's MAX_CMD_SIZE), its terminating NUL included: a numbered line with
its checksum may have at most COMMAND_SIZE - 1 bytes, or it is truncated and asked for for ever (docs/serial.md §11)."""


NOT_KNOWN = "unknown command: "
"""Before a text in an answer by which the firmware says that it does not know the command."""

REFUSED = "!! "
"""Before a text in an answer by which the firmware says why it has not done the command."""


class PrinterState(StrEnum):
    """What the printer is doing, as the driver sees it."""

    OFFLINE = "offline"  # no port, or no answer yet; `reason` says which
    RECOVERING = "recovering"  # a print of an agent before this one is to be resumed; `reason` says how far that is
    IDLE = "idle"
    BUSY = "busy"  # a script runs
    PRINTING = "printing"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    CANCELLING = "cancelling"
    ERROR = "error"  # halted until `reset`; `reason` is what the firmware said

    @property
    def absent(self) -> bool:
        """Whether the printer has not answered yet."""
        return self in (PrinterState.OFFLINE, PrinterState.RECOVERING)


class Outcome(StrEnum):
    """How an operation ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class Heater(msgspec.Struct, frozen=True):
    """One heater's reading. `name` is `tool0`…, `bed`, `chamber`; degrees Celsius; target 0 is off."""

    name: str
    actual: float
    target: float = 0.0


class HeatCurve(msgspec.Struct, frozen=True):
    """The last minutes of the heater for which the heat monitor has raised an alarm of some `kind`. A point is the time
    in seconds before the end (so negative), the temperature and the target in °C; no target is None."""

    heater: str
    kind: str
    points: tuple[tuple[float, float, float | None], ...]


class Operation(msgspec.Struct, frozen=True):
    """How the operation of a task ended. `error` is for a person; empty unless `outcome` is FAILED. `heat_curve`: with
    a heat alarm, what it was raised for."""

    task_id: str
    outcome: Outcome
    error: str = ""
    heat_curve: HeatCurve | None = None


class Link(msgspec.Struct, frozen=True):
    """The quality of the serial link since it was opened."""

    lines: int = 0  # lines sent, resends included
    resends: int = 0  # lines sent again because they were damaged or lost on the way
    latency_p50_ms: float | None = None  # from a line to its acknowledgement, over the last ones; None: not known
    latency_p99_ms: float | None = None
    starved: int | None = None  # times that the planner ran dry during a print; None: the firmware does not tell
    latency_timer_ms: int | None = None  # what an FTDI chip adds; None for ports without one

    @property
    def resend_rate(self) -> float:
        """Lines damaged or lost on the way, as a share of all, 0 to 1."""
        return self.resends / self.lines if self.lines else 0.0


class Prompt(msgspec.Struct, frozen=True):
    """What the printer asks the person in front of it. `id` is a number that no other prompt of this printer has had;
    `choices` are the answers that can be sent from afar, in their order: none where only its display takes one."""

    id: int
    text: str
    choices: tuple[str, ...] = ()


class ScriptProgress(msgspec.Struct, frozen=True):
    """How far the running script is: of its `total` lines that hold a command `done` are acknowledged. `said` is what
    the firmware said last while it did the next one («Probing mesh point 3/25.»), printable; empty for nothing."""

    done: int
    total: int
    said: str = ""


class QueryAnswer(msgspec.Struct, frozen=True):
    """What a printer answered to the lines of a query: their texts, line by line, without `ok`. Not `complete` where
    something else began before the last line, or the connection was lost."""

    query_id: str
    texts: tuple[tuple[str, ...], ...]
    complete: bool


class Telemetry(msgspec.Struct, frozen=True):
    """The driver's latest-value slot: one immutable snapshot, replaced as a whole."""

    state: PrinterState
    reason: str = ""  # why OFFLINE, RECOVERING or ERROR, or what PAUSED waits for; for a person
    port: str = ""
    firmware: str = ""  # FIRMWARE_NAME of M115
    machine: str = ""  # MACHINE_TYPE of M115
    dialect: str = ""  # the firmware's family, a name of agent.gcode.command_policy; empty when the driver knows none
    heaters: tuple[Heater, ...] = ()
    reports: int = 0  # how often the printer reported them on this connection; 0: the driver does not count that
    task_id: str = ""  # of the running operation, or of the print that is recovered; empty when idle
    line: int = 0  # ordinal of the last file line the firmware acknowledged, of the running print or the last one
    waiting: str = ""  # what a running operation waits for now, e.g. "heating", "the person at the printer"
    display: str = ""  # what the printer has on its display, as far as it tells the host
    prompt: Prompt | None = None  # what it asks now, also while an answer is on its way
    answered: int = 0  # id of the prompt whose answer was written last; 0: none yet
    last: Operation | None = None  # the operation that ended last
    query: QueryAnswer | None = None  # the query that ended last
    link: Link = Link()
    script: ScriptProgress | None = None  # of the running script; None: none runs, or the driver does not tell
    starting: bool = False  # OFFLINE, but it answers: its firmware is starting, which `reason` says
    released: str | None = None  # the port that was let go of, empty where none is known; None: it is the driver's
    reset_error: str = ""  # why nothing was reset by the last `Driver.reset`, known when it is IDLE again; for a person


@runtime_checkable
class LineSource(Protocol):
    """A G-code file as numbered, sendable lines. Ordinal 1 is the first line that has something left when comments
    and blanks are gone; the ordinal is the line number on the wire (ARCHITECTURE.md)."""

    @property
    def total_lines(self) -> int:
        """Sendable lines in all."""

    def lines(self, start: int = 1) -> Iterator[bytes]:
        """The sendable lines from ordinal `start`, stripped, without comments, newline, number or checksum.

        Memory does not grow with the file. Raises OSError when the file cannot be read any more."""


class Scripts(msgspec.Struct, frozen=True):
    """G-code the driver itself needs in the course of a print; from `[scripts]`, never from the network. `?` before a
    line: the firmware need not know its command."""

    pause: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()


class PortKeeper(Protocol):
    """Keeps the open port while no agent runs (systemd's descriptor store), so that the board is not reset."""

    def take(self) -> int | None:
        """Return the descriptor that an agent before this one left; only once, the caller owns it then."""

    def keep(self, fd: int) -> None:
        """Keep a copy of `fd` from now on, in place of what was kept."""

    def drop(self) -> None:
        """Keep nothing any more: the port is gone."""


class NoKeeper:
    """A `PortKeeper` that keeps nothing: the next agent opens the port anew, with HUPCL off."""

    def take(self) -> int | None:
        """Return None."""
        return None

    def keep(self, fd: int) -> None:
        """Do nothing."""

    def drop(self) -> None:
        """Do nothing."""


def _nothing() -> None:
    """Nobody listens."""


def _forgotten(_task_id: str, _memory: bytes) -> None:
    """Nobody writes it down: the print ends with its agent."""


def _task_alone(task_id: str) -> dict[str, str]:
    """The task's id, when nobody knows of a job."""
    return {"task_id": task_id}


class Host(msgspec.Struct, frozen=True):
    """What a driver may ask of the agent it works for, all of it from the driver's own thread. `wake` and `beat` must
    not block."""

    wake: Callable[[], None]
    """After each change of `state`, `reason`, `waiting`, `prompt`, `answered`, `last` or `query` of the telemetry."""
    beat: Callable[[], None] = _nothing
    """I am alive: at least every 5 s as long as the thread does its work."""
    remember: Callable[[str, bytes], None] = _forgotten
    """(task id of the print, memory): what the driver will need to recover the print after a restart; it is committed
    when the call returns, and may take as long as a disk does, so the driver calls it at the beginning of a print and
    around a pause, never per line. Raises UnavailableError: the print continues, it only cannot be recovered."""
    port: PortKeeper = NoKeeper()
    log_keys: Callable[[str], dict[str, str]] = _task_alone
    """(task id) → the keys of a log event that concerns that task: `task_id`, and `job_id` where it is a print's, so
    that one search of the journal gives all of a job. Must not block."""


class Unfinished(msgspec.Struct, frozen=True):
    """A print that an agent before this one began and did not end."""

    task_id: str
    source: LineSource
    preamble: tuple[str, ...]  # as given to `start_print`
    memory: bytes  # what the driver gave to `Host.remember` last
    settings_before: Callable[[int], Iterable[bytes]]
    """Of the lines before an ordinal those that still say something about its modal state, in their order: all that
    are no moves, and the last move that names a feed rate. Quick, whatever the file's size. Raises OSError."""
    line: int = 0  # known to be done, at least: a printer that is before it has begun something else


@runtime_checkable
class Driver(Protocol):
    """One printer. All methods return at once, may be called from one thread (the runner's), and do not block on I/O;
    `telemetry` may be called from any thread."""

    def open(self, host: Host, unfinished: Unfinished | None = None) -> None:
        """Start to look for the printer and to talk to it, on the driver's own thread. Never raises because the
        printer is not there: that is state OFFLINE with a reason, and the driver keeps trying.

        With `unfinished` the print is recovered first: `telemetry().task_id` is its id at once, in state RECOVERING
        until the printer has said where it is, then PRINTING with the very next line, or PAUSED where it was paused. It
        ends FAILED (`last`) when the board was reset, does not say where it is, or is not there within TAKE_OVER_S; the
        heaters go off then as soon as it answers."""

    def close(self, timeout: float = 5.0, *, hand_over: bool = False) -> None:
        """End the driver's thread and let go of the port, within `timeout` seconds. A print that still runs is
        cancelled first (cancel script, heaters off), and what an operation left on is switched off; with `hand_over`
        a print is left as it is, after a whole line, for the next agent to resume, and `last` says nothing of it.
        Idempotent."""

    def telemetry(self) -> Telemetry:
        """Return the latest snapshot."""

    def start_print(self, task_id: str, source: LineSource, preamble: Sequence[str] = ()) -> None:
        """Print `source` from its first line; `preamble` is sent unnumbered before it (speed, flow).
        Ends with `last.task_id == task_id`: COMPLETED after the last move has finished (M400), CANCELLED, or FAILED.
        Raises NotReadyError unless IDLE."""

    def run_script(self, task_id: str, lines: Sequence[str]) -> None:
        """Send `lines` one after the other, then wait for the moves to finish. FAILED with a command that the firmware
        says it does not know, unless `?` stands before the line: then a warning. Telemetry's `script` says how far it
        is, which does not wake.
        Raises NotReadyError unless IDLE."""

    def pause(self) -> None:
        """PRINTING → PAUSING → PAUSED. Raises NotReadyError unless PRINTING."""

    def resume(self) -> None:
        """PAUSED → RESUMING → PRINTING, with the very next line. Raises NotReadyError unless PAUSED."""

    def cancel(self) -> None:
        """End the running print or script: nothing more of it is sent (at most one more line), the cancel script is,
        heaters and fan go off; `last.outcome` is CANCELLED. Raises NotReadyError when nothing runs."""

    def reset(self) -> None:
        """Reboot the controller and say hello again: → OFFLINE → IDLE, or OFFLINE or ERROR with a reason. Where the
        controller was not seen to begin anew, `Telemetry.reset_error` says so, at the latest when it is IDLE.
        A running operation ends FAILED. Raises NotReadyError when there is no port."""


@runtime_checkable
class SupportsEmergencyStop(Protocol):
    """A driver with an emergency stop: an ability that not every `Driver` has."""

    def halt(self) -> None:
        """Emergency stop: motors and heaters off at once, whatever runs → ERROR until `reset`; a running operation ends
        FAILED. Returns at once. Raises NotReadyError when there is no port."""


@runtime_checkable
class SupportsCooling(Protocol):
    """A driver that can switch the heaters of an idle printer off: an ability that not every `Driver` has. Others are
    asked for a script of `M104 S0`, `M140 S0` and their like."""

    def cool(self) -> None:
        """Switch all heaters off, and the fan; the state stays IDLE, and telemetry's targets are 0 when it is done. An
        operation that begins meanwhile takes the place of what is left of it. Returns at once. Raises NotReadyError
        unless IDLE."""


@runtime_checkable
class SupportsQueries(Protocol):
    """A driver that can ask an idle printer something, and set it: an ability that not every `Driver` has."""

    def query(self, query_id: str, lines: Sequence[str]) -> None:
        """Send `lines` one after the other; the state stays IDLE, and `telemetry().query` with this id has what each
        was answered. An operation that begins meanwhile takes the place of what is left of it. A command that the
        firmware does not know, or refuses, ends nothing: its answer has NOT_KNOWN or REFUSED before it. Returns at
        once. Raises NotReadyError unless IDLE, and it may while another query is being answered; DataError for lines
        that cannot be sent."""


@runtime_checkable
class SupportsScriptReload(Protocol):
    """A driver that takes new scripts while it runs: an ability that not every `Driver` has."""

    def use_scripts(self, scripts: Scripts) -> None:
        """Use these from now on, in a print that runs too. Raises DataError for a line that cannot be sent; then the
        old ones stay."""


@runtime_checkable
class SupportsPrompts(Protocol):
    """A driver that hears what the printer asks, and answers it: an ability that not every `Driver` has."""

    def respond(self, prompt_id: int, choice: int) -> None:
        """Answer the prompt `prompt_id`, which telemetry has, with the choice of that number (0 is the first). Returns
        at once; it is written past everything that waits, once: `telemetry().answered` says so, and `prompt` goes when
        the printer has heard it. A prompt that is still open after that gets a new id.
        Raises NotReadyError when another prompt is open, or none, or this one was answered already; DataError when it
        has no such choice, or none that can be sent."""


@runtime_checkable
class SupportsPortRelease(Protocol):
    """A driver that can let go of its port, so that another program may use it: an ability that not every `Driver`
    has."""

    def release_port(self) -> None:
        """Let go of the port, with what the printer heats switched off; → OFFLINE. Returns at once:
        `telemetry().released` says when the port is free. The printer is not looked for until `take_port`; what it was
        identified as is forgotten. Raises NotReadyError when an operation runs, or the driver is not open."""

    def take_port(self) -> None:
        """Look for the printer again, and identify it anew: → IDLE, or OFFLINE or ERROR with a reason. Returns at once.
        Raises NotReadyError unless the port was let go of."""
