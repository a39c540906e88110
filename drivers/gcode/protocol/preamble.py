"""What has to be sent before a line: the way into the other space of numbers, and proofs on leaving one. Pure.

Between the file's lines and the host's (`numbering`) stands an M110. Before it goes a number too high: a line that was
wrongly taken for acknowledged would else be lost for good. After it, where `ok T:…` answers M105, goes an M105 that
proves that it was done (docs/serial.md §2, §7, §9a).
"""

from __future__ import annotations

from collections import deque

from drivers.gcode.protocol.locator import Locator
from drivers.gcode.protocol.numbering import HOST, SET_LINE_NUMBER, Numbers, numberable, set_line_number
from drivers.gcode.protocol.ok_traits import OkTraits
from drivers.gcode.protocol.patience import ORDINARY_S
from drivers.gcode.protocol.phases import DRAIN, PROBE, Service
from drivers.gcode.protocol.steps import RENUMBER, OutgoingLine
from drivers.gcode.timing import Timing


class Preamble:
    """`queue` holds services and lines in their order, to be done when nothing is in flight and not before
    `quiet_until`. `renumber_patience_s` is the patience for the next M110."""

    __slots__ = ("_listen_s", "_locator", "_numbers", "_traits", "queue", "quiet_until", "renumber_patience_s")

    def __init__(self, timing: Timing, numbers: Numbers, locator: Locator, traits: OkTraits) -> None:
        self._listen_s = timing.listen
        self._numbers = numbers
        self._locator = locator
        self._traits = traits
        self.queue: deque[OutgoingLine | Service] = deque()
        self.quiet_until = 0.0
        self.renumber_patience_s = ORDINARY_S

    def plan(self, command: OutgoingLine, now: float) -> None:
        """Queue `command` behind what must go before it."""
        queue, traits = self.queue, self._traits
        if now >= traits.listen_at:
            traits.listen_at = now + self._listen_s
            queue.append(Service.LISTEN)
        if command.code == RENUMBER and not command.gives_up and self._numbers.unproven:
            queue.append(Service.LOCATE)
        queue.extend(self.way_to(command))
        if command.code == DRAIN and command.number < 0:
            queue.append(Service.LISTEN)
            if traits.in_doubt and traits.carries_temps:
                queue.append(Service.BARRIER)
        queue.append(command)

    def require_barrier(self) -> None:
        """Queue an M105 before everything else, unless one is queued."""
        if Service.BARRIER not in self.queue:
            self.queue.appendleft(Service.BARRIER)

    def require_locate(self) -> None:
        """Ask for the printer's place before the space is left: what is sent again must have arrived."""
        if any(isinstance(item, OutgoingLine) and item.code == SET_LINE_NUMBER for item in self.queue):
            self.queue.appendleft(Service.LOCATE)

    def way_to(self, item: OutgoingLine | Service) -> list[OutgoingLine | Service]:
        """What has to go before `item` because it belongs to the other space."""
        numbers = self._numbers
        if isinstance(item, OutgoingLine):
            if item.code in (SET_LINE_NUMBER, RENUMBER):
                return []
            if item.number > 0:
                return [] if item.number == numbers.last + 1 else self._way_into(item.number - 1)
            if not numberable(item.code):
                return []
        way = self._way_into(numbers.host_base()) if not numbers.host or numbers.full() else []
        if way and way[-1] is Service.BARRIER and (not isinstance(item, OutgoingLine) or item.code == PROBE):
            way.pop()
        return way

    def _way_into(self, base: int) -> list[OutgoingLine | Service]:
        """The way to the space in which `base + 1` is the next number. An M105 after the M110 makes sure that no other
        `ok` is taken for its own: carried out in its turn, it would set the number back behind the next line's. On the
        way to the file the M105 goes before, because there the number must tell the file's place at every instant; a
        moment after the M110 shows whether its `ok` was its own."""
        numbers = self._numbers
        sure = not self._locator.answers_probes
        sure = sure or (not numbers.unproven if numbers.host else numbers.last == numbers.base)
        sure = sure or numbers.confirmed_up_to == numbers.last  # asked again Repetier might not say: it skips lines
        way: list[OutgoingLine | Service] = [] if sure else [Service.LOCATE]
        patience, self.renumber_patience_s = self.renumber_patience_s, ORDINARY_S
        if not self._traits.carries_temps:
            return [*way, set_line_number(base, patience)]
        if base >= HOST:
            return [*way, set_line_number(base, patience), Service.BARRIER]
        if not numbers.ends_with(PROBE):
            way.append(Service.BARRIER)
        return [*way, set_line_number(base, patience), Service.LISTEN]
