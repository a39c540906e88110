"""Settings of the heat monitor, from `[watch]` and `[job] max_temperature`."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.service.config import Config
from drivers.settings import BED_LIMITS, CHAMBER_LIMITS, TOOL_LIMITS, HeatLimits, WatchSettings


def watch_settings(config: Config) -> WatchSettings:
    """Convert the configuration's thresholds to those of the driver."""
    return WatchSettings(
        enabled=config.watch.enabled,
        tool=_limits(config, "tool", TOOL_LIMITS),
        bed=_limits(config, "bed", BED_LIMITS),
        chamber=_limits(config, "chamber", CHAMBER_LIMITS),
    )


def _limits(config: Config, kind: Literal["tool", "bed", "chamber"], usual: HeatLimits) -> HeatLimits:
    watch, highest = config.watch, config.job.max_temperature
    rise_s, fall_s = getattr(watch.rise_s, kind), getattr(watch.fall_s, kind)
    return msgspec.structs.replace(
        usual,
        limit_c=getattr(highest, kind) + getattr(watch.margin_c, kind),
        rise_s=rise_s,
        fall_c=getattr(watch.fall_c, kind),
        fall_s=fall_s,
        back_s=usual.back_s * max(1.0, rise_s / usual.rise_s, fall_s / usual.fall_s),
        above_c=getattr(watch.above_c, kind),
        silent_s=watch.silent_s,
    )
