"""Places where the logs of this agent are, for the archive of the command `logs`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec


class LogSources(msgspec.Struct, frozen=True, kw_only=True):
    """`recent` gives the lines in memory, for a disk that took none; `runs` is the folder of `agent.service.run_log`,
    `black_boxes` that of the driver's."""

    recent: Callable[[], bytes]
    runs: Path
    black_boxes: Path
