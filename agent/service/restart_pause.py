"""Restart pause: a growing wait before a start that follows several failures in a row.

systemd starts a new agent at once, because a print may be going on; RestartSteps= for a growing pause came with systemd
254. So the agent records its starts in the runtime folder, which outlives a restart but not a stop or a reboot.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from agent.core.clock import Clock
from agent.service.health import TICK, Health

log = structlog.get_logger(part="agent")

STARTS_FILE = "starts.json"
MIN_RUN = 60.0  # seconds: an agent that ended sooner counts as failed, whatever the reason
FREE_RESTARTS = 2  # restarts in a row without a pause
MAX_PAUSE = 120.0  # seconds
SLACK = 30.0  # seconds more for the start itself, of which systemd is told


class Starts(msgspec.Struct, frozen=True):
    """Record of the last start: when it began (monotonic, seconds), and how many in a row followed a failure."""

    began: float
    failed: int = 0


def pause_after(failed: int) -> float:
    """Seconds to wait before the start that follows `failed` failures in a row."""
    return 0.0 if failed <= FREE_RESTARTS else min(2.0 ** min(failed - FREE_RESTARTS, 10), MAX_PAUSE)


def record_start(folder: Path, clock: Clock) -> Starts:
    """Write the record of a start that begins now; that record, with the failures before it."""
    file, now = folder / STARTS_FILE, clock.monotonic()
    try:
        last = msgspec.json.decode(file.read_bytes(), type=Starts)
    except (OSError, msgspec.MsgspecError):
        last = Starts(began=now - MIN_RUN)
    failed = last.failed + 1 if now - last.began < MIN_RUN else 0
    record = Starts(began=now + pause_after(failed), failed=failed)
    try:
        file.write_bytes(msgspec.json.encode(record))
    except OSError as error:
        log.warning("start not recorded", error=error.strerror)
    return record


def wait_before_start(folder: Path, clock: Clock, health: Health, sleep: Callable[[float], None] = time.sleep) -> None:
    """Pause before a start when the last ones have failed. systemd is told why, and to wait too."""
    failed = record_start(folder, clock).failed
    seconds = pause_after(failed)
    if seconds > 0:
        health.extend(seconds + SLACK)
        health.status(f"waiting {seconds:.0f} s, because {failed} starts in a row have failed")
        while seconds > 0:
            sleep(min(seconds, TICK))
            seconds -= TICK
            health.notify.flush()


def clear_starts(folder: Path) -> None:
    """Delete the record: the agent ends as it should, and the next start is the first one."""
    (folder / STARTS_FILE).unlink(missing_ok=True)
