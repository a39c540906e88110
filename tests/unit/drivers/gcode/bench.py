"""A session like `Desk`'s whose printer is of any firmware, has heaters that are as warm as they are told to be, and
knows where it is."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.core.driver import PrinterState, Scripts
from drivers.gcode.protocol.steps import RENUMBER
from drivers.gcode.requests import RunScript, StartPrint
from drivers.gcode.session.session import Session
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings
from tests.unit.drivers.gcode.test_session import Desk, Lines

MARLIN = "Marlin 2.1.2"


class Bench(Desk):
    """`idle(homed=…)` says hello; `print` starts and answers all that comes before the first line of the file."""

    def __init__(
        self,
        scripts: Scripts | None = None,
        caps: Sequence[str] = (),
        unsafe: bool = False,
        firmware: str = MARLIN,
        settings: DriverSettings | None = None,
    ) -> None:
        super().__init__(scripts, caps, unsafe)
        settings = settings or DriverSettings()
        if scripts is not None:
            settings = msgspec.structs.replace(settings, scripts=scripts)
        self.session = Session(self.write, self.slot, settings, Timing(), unsafe=unsafe)
        self.firmware = firmware
        self.temperatures = "T:20.0 /0.0 B:20.0 /0.0"
        self.where = "X:10.00 Y:20.00 Z:3.00 E:4.00 Count X:0"

    def acknowledge(self, rounds: int = 60) -> list[bytes]:
        """As Desk's; what was written comes without checksums on lines that have no number."""
        came: list[bytes] = []
        for _ in range(rounds):
            new = self.take()
            if not new:
                return came
            for line in new:
                code = line if line[:1] == b"N" else line.partition(b"*")[0]
                came.append(code)
                self.answer(code)
                self.later(0.06)
        return came

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

    def idle(self, *, homed: bool = False) -> Bench:
        super().idle()
        if homed:
            self.script([b"G28"])
        return self

    def script(self, lines: Sequence[bytes]) -> list[bytes]:
        """Run a script to its end; what was sent."""
        self.session.run_script(RunScript("s", tuple(lines)), self.now)
        self.session.step(self.now)
        came = self.acknowledge()
        assert self.seen.state is PrinterState.IDLE
        return came

    def print(self, codes: Sequence[bytes], breaks_at: int = 0) -> Bench:
        self.session.start_print(StartPrint("p", Lines(codes, breaks_at), ()), self.now)
        self.session.step(self.now)
        self.attend()
        while self.written and not self.written[0].startswith(b"N1 "):
            line = self.take()[0]
            self.answer(line if line == RENUMBER else line.partition(b"*")[0])
            self.later(0.06)
        return self

    def heated(self) -> Bench:
        """A hot nozzle and bed, as the printer reports them."""
        self.temperatures = "T:210.0 /210.0 B:60.0 /60.0"
        self.hear(self.temperatures)
        return self

    def pause(self) -> list[bytes]:
        """Pause, and answer everything until it has paused; what was sent after the line that was in flight."""
        self.session.pause("")
        self.attend()
        if self.session.protocol.in_flight and not self.written:
            self.hear("ok")
        self.session.step(self.now)
        came = self.acknowledge()
        assert self.seen.state is PrinterState.PAUSED
        return [line for line in came if line[:1] != b"N"]

    def resume(self) -> list[bytes]:
        """Resume; what is sent up to and with the next line of the file."""
        self.session.resume()
        self.session.step(self.now)
        came: list[bytes] = []
        self.attend()
        while self.written:
            came += (line if line[:1] == b"N" else line.partition(b"*")[0] for line in self.take())
            if came[-1].startswith(b"N"):
                break
            self.answer(came[-1])
            self.later(0.06)
        return came
