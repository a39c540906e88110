"""A growing pause before a start that follows several failures in a row.

systemd starts a new agent at once, because a print may be going on; RestartSteps= for a growing pause came with systemd
254. So the agent keeps a note of its starts in the runtime folder, which outlives a restart but not a stop or a reboot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from agent.core.clock import Clock
from agent.service.health import Health

log = structlog.get_logger(part="agent")

NOTE = "starts.json"
SOON = 60.0  # seconds: an agent that ended sooner has failed, whatever it was
AT_ONCE = 2  # restarts in a row without a pause
LONGEST = 120.0  # seconds
SLACK = 30.0  # seconds that systemd gives the start itself


class Starts(msgspec.Struct, frozen=True):
    """The note: when the last start began (monotonic, seconds), and how many in a row followed a failure."""

    began: float
    failed: int = 0


def pause(failed: int) -> float:
    """Seconds to wait before the start that follows so many failures in a row."""
    return 0.0 if failed <= AT_ONCE else min(2.0 ** min(failed - AT_ONCE, 10), LONGEST)


def note(folder: Path, clock: Clock) -> Starts:
    """Write down that a start begins now. What was written, with the failures before it."""
    file, now = folder / NOTE, clock.monotonic()
    try:
        last = msgspec.json.decode(file.read_bytes(), type=Starts)
    except (OSError, msgspec.MsgspecError):
        last = Starts(began=now - SOON)
    failed = last.failed + 1 if now - last.began < SOON else 0
    made = Starts(began=now + pause(failed), failed=failed)
    try:
        file.write_bytes(msgspec.json.encode(made))
    except OSError as error:
        log.warning("no note of this start could be kept", reason=error.strerror)
    return made


def wait(folder: Path, clock: Clock, health: Health, sleep: Callable[[float], None] = time.sleep) -> None:
    """Before a start: not at once when the last ones have failed. systemd is told why, and to wait too."""
    failed = note(folder, clock).failed
    seconds = pause(failed)
    if seconds > 0:
        health.extend(seconds + SLACK)
        health.status(f"waiting {seconds:.0f} s, because {failed} starts in a row have failed")
        sleep(seconds)


def forget(folder: Path) -> None:
    """The agent ends as it should: the next start is the first one."""
    (folder / NOTE).unlink(missing_ok=True)
