"""Acknowledges the oldest line in flight, and by an M105's answer all that were unacknowledged before it. Pure."""

from __future__ import annotations

from drivers.gcode.protocol.in_flight import InFlight
from drivers.gcode.protocol.numbering import HOST, SET_LINE_NUMBER
from drivers.gcode.protocol.ok_traits import OkTraits
from drivers.gcode.protocol.phases import PROBE, Counters
from drivers.gcode.protocol.steps import OutgoingLine
from drivers.gcode.protocol.unacknowledged import Unacknowledged
from drivers.gcode.protocol.window import Window


class Acknowledger:
    """Returns the command whose credit came back, as it was given to `Sender.send`."""

    __slots__ = ("_counters", "_flight", "_traits", "_unacknowledged", "_window")

    def __init__(
        self,
        *,
        counters: Counters,
        window: Window,
        flight: InFlight,
        traits: OkTraits,
        unacknowledged: Unacknowledged,
    ) -> None:
        self._counters = counters
        self._window = window
        self._flight = flight
        self._traits = traits
        self._unacknowledged = unacknowledged

    def acknowledge(self, now: float) -> OutgoingLine:
        """The oldest line in flight is done; the next one's deadline begins."""
        command = self._oldest()
        self._flight.restart_deadline(now)
        return self._flight.as_given(command)

    def acknowledge_until(self, deadline: float) -> OutgoingLine:
        """The oldest line in flight is done; what is waited for meanwhile is due at `deadline`."""
        command = self._oldest()
        self._flight.deadline = deadline
        return self._flight.as_given(command)

    def too_many(self, now: float, listen_s: float) -> None:
        """An `ok` came that is for none of the lines in flight: from now on more of them are reckoned with."""
        traits = self._traits
        traits.in_doubt = self._unacknowledged.ok_was_late = True
        traits.listen_at = min(traits.listen_at, now + listen_s)

    def _oldest(self) -> OutgoingLine:
        command, counters, traits = self._flight.remove_oldest(), self._counters, self._traits
        if counters.line < command.number < HOST and command.code != SET_LINE_NUMBER:
            counters.line = command.number
        if self._window.recovering:
            self._window.acknowledged()
        if command.code == PROBE:
            traits.in_doubt = traits.in_doubt and not traits.carries_temps
            if self._unacknowledged.lines:
                return self._proven()
        return command

    def _proven(self) -> OutgoingLine:
        """An M105 was answered: all before it was done."""
        flight, counters = self._flight, self._counters
        if self._unacknowledged.ok_was_late:
            flight.ask_later()
        else:
            flight.ask_early()
        lines = self._unacknowledged.release(flight)
        done = (c.number for c in lines if 0 < c.number < HOST and c.code != SET_LINE_NUMBER)
        counters.line = max(counters.line, *done, 0)
        return next((command for command in lines if flight.as_given(command) is not command), lines[-1])
