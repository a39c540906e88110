"""A session of the G-code driver without a port and without threads.

Real: `Session` and all below it (protocol, numbering, printing, dialects), the parsing of replies, framing and
checksums. The printer is the test: it gives the replies (`hear`) and looks at what was written (`take`). Time is a
number in the test's hand (`now`, `later`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from agent.core.driver import PrinterState, Scripts, Telemetry
from agent.gcode import framing
from drivers.gcode.protocol.numbering import HOST, NOWHERE
from drivers.gcode.protocol.replies import parse
from drivers.gcode.protocol.steps import RENUMBER
from drivers.gcode.requests import RunScript, StartPrint
from drivers.gcode.session.driver_checkpoint import CheckpointWriter, DriverCheckpoint, Stage, decode
from drivers.gcode.session.port_identity import PortIdentity
from drivers.gcode.session.reset_watch import ResetWatch
from drivers.gcode.session.session import Session
from drivers.gcode.session.session_parts import SessionContext
from drivers.gcode.slot import Slot
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings

MARLIN = "Marlin 2.1.2"


def wire(number: int, code: bytes) -> bytes:
    """A line of the file as `SessionRig` shows it: with its number and checksum, without the newline."""
    return framing.frame(number, code)[:-1]


def log_keys(task_id: str) -> dict[str, str]:
    """As `Host.log_keys`: every task is that of the job `job-TASK`."""
    return {"task_id": task_id, "job_id": f"job-{task_id}"}


class MemorySource:
    """A `LineSource` in memory; from the ordinal `breaks_at` on it cannot be read."""

    def __init__(self, codes: Sequence[bytes], breaks_at: int = 0) -> None:
        self.codes = codes
        self.breaks_at = breaks_at

    @property
    def total_lines(self) -> int:
        """As many as were given."""
        return len(self.codes)

    def lines(self, start: int = 1) -> Iterator[bytes]:
        """The codes from the ordinal `start` on."""
        for number, code in enumerate(self.codes[start - 1 :], start):
            if number == self.breaks_at:
                raise OSError("the card was pulled out")
            yield code


class SessionRig:
    """A session whose printer is the test.

    `written` are the lines since the last `take`: lines of the file as they are on the wire, the host's own without
    number and checksum. Lines that only serve the numbering (an M110 between the spaces, a number too high, the M105
    that proves an M110) are answered here (`numbering_replies`) and not shown. `at` is the number of the last line that
    the printer has. `history` are the same lines and the stages of the checkpoints that were written, in their order.
    """

    def __init__(
        self,
        scripts: Scripts | None = None,
        caps: Sequence[str] = (),
        unsafe: bool = False,
        firmware: str = MARLIN,
        settings: DriverSettings | None = None,
        resets: ResetWatch | None = None,
    ) -> None:
        self.resets = resets or ResetWatch()
        settings = settings or DriverSettings()
        if scripts is not None:
            settings = msgspec.structs.replace(settings, scripts=scripts)
        self.written: list[bytes] = []
        self.history: list[bytes | Stage] = []
        self.checkpoint: DriverCheckpoint | None = None  # the last one
        self.at = 0
        self.slot = Slot()
        self.now = 50.0
        self.session = Session(
            SessionContext(
                write=self.write,
                slot=self.slot,
                settings=settings,
                timing=Timing(),
                checkpoints=CheckpointWriter(self._remember, PortIdentity(""), 0, log_keys),
                on_answer=lambda: None,
                resets=self.resets,
                unsafe=unsafe,
                log_keys=log_keys,
            )
        )
        self.caps = caps
        self.firmware = firmware
        self.temperatures = "T:20.0 /0.0 B:20.0 /0.0"
        self.where = "X:10.00 Y:20.00 Z:3.00 E:4.00 Count X:0"
        self.numbering_replies: list[str] = []  # to lines that only serve the numbering

    @property
    def seen(self) -> Telemetry:
        """The latest telemetry."""
        return self.slot.read()

    # --- the printer's side of the wire

    def write(self, data: bytes) -> None:
        """Take what the session writes."""
        for line in filter(None, data.split(b"\n")):
            asked_for = line == RENUMBER and data.startswith(b"\n")  # by a procedure, not by the numbering
            if asked_for or line[:1] != b"N":
                self.at = 0 if asked_for else self.at
                self._show(line)
                continue
            number, code = framing.verify(line)
            if number == NOWHERE:
                self.numbering_replies += [f"Error:Line Number is not Last Line Number+1, Last Line: {self.at}"]
                self.numbering_replies += [f"Resend: {self.at + 1}", "ok"]
                continue
            self.at = number
            if code == b"M110 N%d" % number:
                self.numbering_replies.append("ok")
            else:
                self._show(line if number < HOST else code)

    def _show(self, line: bytes) -> None:
        self.written.append(line)
        self.history.append(line)

    def _remember(self, _task_id: str, checkpoint: bytes) -> None:
        self.checkpoint = decode(checkpoint)
        self.history.append(self.checkpoint.stage)

    def hear_one(self, line: str) -> None:
        """One line of the printer's, and nothing else."""
        for event in parse(line.encode()):
            self.session.heard(event, self.now)
        self.session.step(self.now)

    def hear(self, *lines: str) -> None:
        """Lines of the printer's, in one read; then the numbering is served."""
        for line in lines:
            for event in parse(line.encode()):
                self.session.heard(event, self.now)
        self.session.step(self.now)
        self.serve_numbering()

    def take(self) -> list[bytes]:
        """What was written since the last `take`."""
        self.serve_numbering()
        written, self.written = self.written, []
        return written

    def later(self, seconds: float) -> None:
        """Let the time pass."""
        self.now += seconds
        self.session.step(self.now)
        self.serve_numbering()

    def serve_numbering(self) -> None:
        """Answer lines that only serve the numbering, with the moments of silence that belong to it."""
        for _ in range(100):
            if self.numbering_replies:
                self.hear_one(self.numbering_replies.pop(0))
            elif self._is_proof():
                assert self.history.pop() == self.written.pop()
                self.hear_one("ok T:nan /0.0")  # no reading
            elif self.session.due(self.now) - self.now <= 0.03:
                self.now = max(self.now, self.session.due(self.now))
                self.session.step(self.now)
            else:
                return

    def _is_proof(self) -> bool:
        """Whether an M105 is in flight that nobody has asked for: it proves that an M110 was done."""
        protocol = self.session.stack.protocol
        head = protocol.in_flight[0] if protocol.in_flight else None
        if head is None or head.code != b"M105" or head.number < 0 or protocol.parts.flight.as_given(head) is not head:
            return False
        return bool(self.written) and self.written[-1] in (head.code, head.wire[:-1])

    def answer(self, code: bytes) -> None:
        """What the printer says to one line."""
        if code == b"M115":
            self.hear(f"FIRMWARE_NAME:{self.firmware} MACHINE_TYPE:Test", *(f"Cap:{c}:1" for c in self.caps), "ok")
        elif code == b"M114":
            self.hear(self.where, "ok")
        elif code == b"M105":
            self.hear(f"ok {self.temperatures}")
        else:
            self.hear("ok")

    def acknowledge(self, rounds: int = 60) -> list[bytes]:
        """Be a printer that takes every line, until nothing comes any more; all that came, without checksums on lines
        that have no number."""
        came: list[bytes] = []
        for _ in range(rounds):
            new = self.take()
            if not new:
                return came
            for line in new:
                code = _unchecked(line)
                came.append(code)
                self.answer(code)
                self.later(0.06)
        return came

    # --- from one state to the next

    def idle(self, *, homed: bool = False) -> SessionRig:
        """Connect, and answer the hello."""
        self.session.open(self.now, self.now)
        self.acknowledge()
        assert self.seen.state is PrinterState.IDLE
        self.take()
        if homed:
            self.script([b"G28"])
        return self

    def script(self, lines: Sequence[bytes]) -> list[bytes]:
        """Run a script to its end; what was sent."""
        self.session.control.run_script(RunScript("s", tuple(lines)), self.now)
        self.session.step(self.now)
        came = self.acknowledge()
        assert self.seen.state is PrinterState.IDLE
        return came

    def print(self, codes: Sequence[bytes], breaks_at: int = 0) -> SessionRig:
        """Start, and answer what comes before the first line of the file, which is in flight then."""
        self.session.control.start_print(StartPrint("p", MemorySource(codes, breaks_at), ()), self.now)
        self.session.step(self.now)
        self.serve_numbering()
        while self.written and not self.written[0].startswith(b"N1 "):
            line = self.take()[0]
            code = line if line == RENUMBER else line.partition(b"*")[0]
            self.answer(code)
            self.later(0.06)
            if code == b"M105":  # proves that the M110 was done
                break
        return self

    def heated(self) -> SessionRig:
        """A hot nozzle and bed, as the printer reports them."""
        self.temperatures = "T:210.0 /210.0 B:60.0 /60.0"
        self.hear(self.temperatures)
        return self

    def pause(self) -> list[bytes]:
        """Pause, and answer everything until it has paused; what was sent after the line that was in flight."""
        self.session.control.pause("")
        self.serve_numbering()
        if self.session.stack.protocol.in_flight and not self.written:
            self.hear("ok")
        self.session.step(self.now)
        came = self.acknowledge()
        assert self.seen.state is PrinterState.PAUSED
        return [line for line in came if line[:1] != b"N"]

    def resume(self) -> list[bytes]:
        """Resume; what is sent up to and with the next line of the file."""
        self.session.control.resume()
        self.session.step(self.now)
        came: list[bytes] = []
        self.serve_numbering()
        while self.written:
            came += map(_unchecked, self.take())
            if came[-1].startswith(b"N"):
                break
            self.answer(came[-1])
            self.later(0.06)
        return came


def _unchecked(line: bytes) -> bytes:
    """Without the checksum, if it has no number."""
    return line if line[:1] == b"N" else line.partition(b"*")[0]
