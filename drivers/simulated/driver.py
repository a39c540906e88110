"""Driver `simulated`: the G-code driver on a virtual printer of its own, for a trial without hardware."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent.core.clock import Clock
from agent.core.driver import Host, LineSource, Scripts, Telemetry, Unfinished
from agent.errors import ConfigError, DataError
from drivers.gcode.driver import GcodeDriver
from drivers.gcode.timing import Timing
from drivers.settings import DriverSettings
from drivers.simulated.options import Options
from drivers.simulated.printer import VirtualPrinter

BAUD = 115200  # a pty has none; this spares the search


class SimulatedDriver:
    """See `agent.core.driver.Driver`; `[simulated]` says what the printer is, how fast, and what goes wrong."""

    def __init__(
        self,
        settings: DriverSettings,
        *,
        clock: Clock,
        timing: Timing | None = None,
        on_line: Callable[[bytes], None] | None = None,
    ) -> None:
        """Raises ConfigError for a dialect or fault that does not exist, and what GcodeDriver raises."""
        self._folder = Path(tempfile.mkdtemp(prefix="simulated-printer-"))
        link = self._folder / "port"  # the pty's name changes when it is unplugged; this one stays
        wanted = settings.simulated
        try:
            options = Options(speed=wanted.speed, dialect=wanted.dialect, faults=wanted.faults, link=link)
            self._printer = VirtualPrinter(options, on_line=on_line)
            port = msgspec.structs.replace(settings, port=str(link), baud=BAUD)
            self._driver = GcodeDriver(port, clock=clock, timing=timing)
        except DataError as error:
            self._folder.rmdir()
            raise ConfigError(f"[simulated] {error}") from error

    def open(self, host: Host, unfinished: Unfinished | None = None) -> None:
        """See `Driver.open`."""
        self._printer.start()
        self._driver.open(host, unfinished)

    def close(self, timeout: float = 5.0, *, hand_over: bool = False) -> None:
        """See `Driver.close`."""
        self._driver.close(timeout, hand_over=hand_over)
        self._printer.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def telemetry(self) -> Telemetry:
        """See `Driver.telemetry`."""
        return self._driver.telemetry()

    def start_print(self, task_id: str, source: LineSource, preamble: Sequence[str] = ()) -> None:
        """See `Driver.start_print`."""
        self._driver.start_print(task_id, source, preamble)

    def run_script(self, task_id: str, lines: Sequence[str]) -> None:
        """See `Driver.run_script`."""
        self._driver.run_script(task_id, lines)

    def pause(self) -> None:
        """See `Driver.pause`."""
        self._driver.pause()

    def resume(self) -> None:
        """See `Driver.resume`."""
        self._driver.resume()

    def cancel(self) -> None:
        """See `Driver.cancel`."""
        self._driver.cancel()

    def reset(self) -> None:
        """See `Driver.reset`."""
        self._driver.reset()

    def halt(self) -> None:
        """See `agent.core.driver.SupportsEmergencyStop`."""
        self._driver.halt()

    def cool(self) -> None:
        """See `agent.core.driver.SupportsCooling`."""
        self._driver.cool()

    def release_port(self) -> None:
        """See `agent.core.driver.SupportsPortRelease`."""
        self._driver.release_port()

    def take_port(self) -> None:
        """See `agent.core.driver.SupportsPortRelease`."""
        self._driver.take_port()

    def query(self, query_id: str, lines: Sequence[str]) -> None:
        """See `agent.core.driver.SupportsQueries`."""
        self._driver.query(query_id, lines)

    def respond(self, prompt_id: int, choice: int) -> None:
        """See `agent.core.driver.SupportsPrompts`."""
        self._driver.respond(prompt_id, choice)

    def use_scripts(self, scripts: Scripts) -> None:
        """See `agent.core.driver.SupportsScriptReload`."""
        self._driver.use_scripts(scripts)
