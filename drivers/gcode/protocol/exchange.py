"""The usual case: an `ok` came, and the file's next line goes out before anything else is done. Pure.

`exchange` looks at all that could forbid it, for each line. `stream` looks once: as long as nothing but a plain `ok`
is heard and nobody else is at work on the protocol, none of it can change.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import TYPE_CHECKING

from drivers.gcode.protocol.numbering import HISTORY, HOST, MOVE_TO
from drivers.gcode.protocol.patience import ORDINARY_S
from drivers.gcode.protocol.phases import PROBE, Phase
from drivers.gcode.protocol.quality import SAMPLES
from drivers.gcode.protocol.sending import Sender
from drivers.gcode.protocol.steps import Command

if TYPE_CHECKING:
    from drivers.gcode.printing.pump import Running

OKS = (b"ok\n", b"ok\r\n")


class Exchange(Sender):
    """The part of a `Protocol` that is in a hurry."""

    def exchange(self, command: Command, now: float) -> bool:
        """Just what `ok` and `send` do; False, and nothing done, where it is not the usual case."""
        in_flight, numbers, number = self.in_flight, self._numbers, command.number
        if self._phase is not Phase.OPEN or not in_flight or number != numbers.cursor or self._todo:
            return False
        wire, head = command.wire, in_flight[0]
        size = self._bytes - len(head.wire) + len(wire)
        if number != numbers.last + 1 or number > HOST or now >= self._listen_at or self._place > 0:
            return False
        if (size > self.window.bytes and len(in_flight) > 1) or len(in_flight) > self.window.lines:
            return False
        if self.window.recovering or head.number <= 0 or head.code in (MOVE_TO, PROBE):
            return False
        self._write(wire)
        self._bytes = size
        counters = self._counters
        done = in_flight.popleft().number
        counters.line = max(counters.line, done)
        in_flight.append(command)
        if len(in_flight) == 1:  # with more of them it would be the time of the last one sent
            counters.quality.latencies[counters.sent % SAMPLES] = now - self._sent_at
        counters.sent += 1
        self._strikes = 0
        self._sent_at = now
        self.deadline = now + self._due_after(in_flight[0])
        numbers.keep(command)
        return True

    def stream(
        self,
        running: Running,
        listen: Callable[[], bytes],
        now_is: Callable[[], float],
        until: float,
        mail: Sized,
    ) -> tuple[float, bytes]:
        """`exchange` for line after line of `running`, as long as `listen` gives an `ok` each time, there is no `mail`,
        and it is not yet `until`. What was heard last and when; it is not dealt with. Raises what `running` raises."""
        step = running.next
        streams = self._streams()
        data = listen()
        now = now_is()
        if not streams:
            return now, data
        write, take, counters, numbers = self._write, running.procedure.send, self._counters, self._numbers
        latencies, ring = counters.quality.latencies, numbers.ring
        sent_at, until, last, command = self._sent_at, min(until, self._listen_at), numbers.last, self.in_flight[0]
        try:
            while data in OKS and now < until and not mail:
                if type(step) is not Command or step.patience != ORDINARY_S or step.number != last + 1:
                    break
                write(step.wire)
                command = step
                counters.line = last
                last += 1
                ring[last % HISTORY] = command
                latencies[counters.sent % SAMPLES] = now - sent_at
                counters.sent += 1
                sent_at = now
                running.next = step = take(None)
                data = listen()
                now = now_is()
        except StopIteration as end:
            running.next, running.end, data = None, end.value, b""
        finally:
            self._sent_at = sent_at
            self.in_flight[0] = command
            self._bytes = len(command.wire)
            self.deadline = sent_at + self._ask_s
            numbers.last, numbers.cursor = last, last + 1
        return now, data

    def means_oldest(self, line: bytes) -> bool:
        """Whether `line`, an `ok N7 P15 B3`, is for the oldest line in flight and says nothing new."""
        return bool(self.in_flight) and self.window.known and line.startswith(b"ok N%d P" % self.in_flight[0].number)

    def _streams(self) -> bool:
        """Whether a line of the file is in flight by itself and nothing at all is unusual."""
        if self._phase is not Phase.OPEN or len(self.in_flight) != 1 or self._todo or self._place > 0:
            return False
        head, numbers = self.in_flight[0], self._numbers
        if not self._counters.line < head.number == numbers.last == numbers.cursor - 1 < HOST:
            return False
        usual = head.patience == ORDINARY_S and head.code not in (MOVE_TO, PROBE)
        return usual and self.window.lines == 1 and not self.window.recovering and self._strikes == 0
