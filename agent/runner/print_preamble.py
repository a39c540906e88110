"""Preamble of a print: the settings (speed, flow, fan) that hold for it, as G-code before its first line."""

from __future__ import annotations

from agent.core import settings
from agent.errors import RefusedError
from agent.runner.activity import Context
from agent.state.store import Task


def preamble_of(context: Context, task: Task) -> list[str]:
    """The settings of the printer with those of the job over them, as G-code. Raises RefusedError."""
    wanted = {**context.store.settings(), **task.command.settings}
    try:
        settings.check(wanted)
    except ValueError as error:
        raise RefusedError(422, str(error)) from None
    return settings.gcode(wanted)
