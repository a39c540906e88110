"""The owner's install command: its arguments, its environment, and what its end says of the installation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from agent.core.clock import Clock
from agent.core.install_progress import InstallProgress
from agent.errors import UnavailableError
from agent.service import child_process
from agent.service.child_process import ChildEnd, Ended
from agent.service.config_schema import FirmwareUpgradeSection
from agent.state.firmware_table import Installation

PORT, PACKAGE = "{port}", "{package}"

log = structlog.get_logger(part="runner")


def needs_port(command: Sequence[str]) -> bool:
    """Whether the command is to be told the printer's port."""
    return any(PORT in word for word in command)


def arguments(command: Sequence[str], *, port: str, package: str) -> list[str]:
    """The program and its arguments, without a shell: `{port}` and `{package}` are replaced wherever they stand in a
    word; the package's path is the last one where no word has it."""
    words = [word.replace(PACKAGE, package).replace(PORT, port) for word in command]
    return words if any(PACKAGE in word for word in command) else [*words, package]


class InstallCommand:
    """One run of it, on its worker's thread. `progress` is replaced as a whole and may be read by any thread."""

    def __init__(
        self, settings: FirmwareUpgradeSection, installation: Installation, *, port: str, package: Path, clock: Clock
    ) -> None:
        self._settings = settings
        self._installation = installation
        self._port = port
        self._package = str(package)
        self._clock = clock
        self._reader = InstallProgress()
        self.progress = (0.0, self._reader.text)

    def run(self, _cancelled: Callable[[], bool]) -> Installation:
        """Run it to its end, or to its time limit: it is not cancelled, because half a firmware is worse than a late
        one. The installation with its end."""
        begun = self._installation
        log.info("firmware installation started", task_id=begun.task_id, version=begun.new_version, port=self._port)
        program = self._settings.command[0]
        try:
            done = child_process.run(
                arguments(self._settings.command, port=self._port, package=self._package),
                clock=self._clock,
                timeout_s=self._settings.timeout_s,
                cancelled=lambda: False,
                environ=self._environ(),
                watch=self._watch,
            )
        except UnavailableError as error:
            log.warning("firmware installation not started", task_id=begun.task_id, error=str(error))
            return ended(begun, installed=False, error=str(error))
        log.info(
            "firmware installation ended",
            task_id=begun.task_id,
            outcome=done.end.value,
            exit_code=done.code,
            printed=done.printed,
            output=done.last_words,
        )
        return self._judge(done, program)

    def _environ(self) -> dict[str, str]:
        begun = self._installation
        return {
            "PRINTER_AGENT_PACKAGE": self._package,
            "PRINTER_AGENT_MODEL": begun.model,
            "PRINTER_AGENT_VERSION": begun.new_version,
            "PRINTER_AGENT_INSTALLED": begun.old_version,
            "PRINTER_AGENT_PORT": self._port,
        }

    def _watch(self, output: bytes) -> None:
        self._reader.feed(output)
        self.progress = (self._reader.fraction, self._reader.text)

    def _judge(self, done: Ended, program: str) -> Installation:
        """What the command's end says: its exit code is its word, a command that was killed has none."""
        last_words = f": {done.last_words}" if done.last_words else ""
        if done.end is ChildEnd.TIMED_OUT:
            why = f"{program}: killed, not done in {self._settings.timeout_s:g} s{last_words}"
            return ended(self._installation, installed=None, error=why)
        if done.code < 0:
            why = f"{program}: killed by signal {-done.code}{last_words}"
            return ended(self._installation, installed=None, error=why)
        if done.code != 0:
            why = f"{program}: exit code {done.code}{last_words}"
            return ended(self._installation, installed=False, error=why)
        return ended(self._installation, installed=True, error="")


def ended(begun: Installation, *, installed: bool | None, error: str) -> Installation:
    """The installation with its end."""
    return Installation(
        task_id=begun.task_id,
        model=begun.model,
        old_version=begun.old_version,
        new_version=begun.new_version,
        old_firmware=begun.old_firmware,
        ended=True,
        installed=installed,
        error=error,
    )
