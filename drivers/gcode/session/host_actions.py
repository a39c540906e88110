"""`//action:` lines: what somebody did at the printer, or what it wants of the host (docs/serial.md §30).

    pause              the host is asked to pause         paused    the printer already has, and knows the way back
    resume             the host is asked to go on         resumed   the printer already has
    cancel             the host is asked to end the print
    out_of_filament    the host is asked to pause, and says why
    poweroff           the printer has switched itself off, or was killed: an error until reset
    prompt_begin TEXT  a question on the printer's display; until prompt_end it is what is waited for
Anything else, a notification among it, is only written down. A word may have more after it (`paused filament_runout`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from agent.core.driver import PrinterState

if TYPE_CHECKING:
    from drivers.gcode.session.session import Session

TEXT_MAX = 80
"""Characters of a printer's text that are passed on."""

_log = structlog.get_logger(part="gcode")


def act(session: Session, text: str) -> None:
    """Do what the action `text` asks for."""
    name, _, rest = text.partition(" ")
    rest = "".join(c for c in rest.strip() if c.isprintable())[:TEXT_MAX]
    handler = _ACTIONS.get(name.lower())
    if handler is not None:
        handler(session, rest)
    elif not name.startswith("prompt_"):
        _log.info("the printer says", action=text[: 2 * TEXT_MAX])


def _because(what: str, rest: str) -> str:
    return f"{what} ({rest})" if rest else what


def _pause(session: Session, rest: str) -> None:
    session.pause(_because("paused at the printer", rest))


def _paused(session: Session, rest: str) -> None:
    session.paused_by_itself(_because("the printer paused by itself", rest))


def _resume(session: Session, _rest: str) -> None:
    session.resume()


def _resumed(session: Session, _rest: str) -> None:
    if session.state is PrinterState.PAUSED:
        session.go_on()


def _cancel(session: Session, _rest: str) -> None:
    session.cancel()


def _out_of_filament(session: Session, rest: str) -> None:
    session.pause(_because("the printer is out of filament", rest))


def _poweroff(session: Session, _rest: str) -> None:
    session.fatal("the printer has switched itself off")


def _prompt(session: Session, rest: str) -> None:
    session.slot.change(waiting="the person at the printer" + (f": {rest}" if rest else ""))


def _prompt_end(session: Session, _rest: str) -> None:
    session.slot.change(waiting=session.pump.waiting)


_ACTIONS: Final[dict[str, Callable[[Session, str], None]]] = {
    "pause": _pause,
    "paused": _paused,
    "resume": _resume,
    "resumed": _resumed,
    "cancel": _cancel,
    "out_of_filament": _out_of_filament,
    "poweroff": _poweroff,
    "prompt_begin": _prompt,
    "prompt_end": _prompt_end,
}
