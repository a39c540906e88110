"""A protocol with what it wrote, and a clock in the test's hand."""

from __future__ import annotations

from agent.gcode.framing import frame
from drivers.gcode.protocol.numbering import HOST, SET_LINE_NUMBER
from drivers.gcode.protocol.protocol import Counters, Protocol
from drivers.gcode.protocol.sending import TOO_HIGH
from drivers.gcode.protocol.steps import OutgoingLine, numbered, unnumbered
from drivers.gcode.protocol.window import Window
from drivers.gcode.timing import Timing

TIMING = Timing()


def line(number: int) -> OutgoingLine:
    """A line of the file."""
    return numbered(number, b"G1 X%d" % number)


class Wire:
    """`written` is one entry for each write."""

    def __init__(self, window: Window | None = None) -> None:
        self.written: list[bytes] = []
        self.counters = Counters()
        self.now = 100.0
        self.protocol = Protocol(self.written.append, self.counters, TIMING, window or Window())

    def send(self, command: OutgoingLine) -> OutgoingLine:
        self.protocol.send_again(self.now)
        assert self.protocol.fits(command)
        self.protocol.send(command, self.now)
        return command

    def fill(self, first: int) -> int:
        """Lines of the file from `first` on as long as there is room; the next one."""
        self.protocol.send_again(self.now)
        while self.protocol.fits(line(first)):
            self.protocol.send(line(first), self.now)
            first += 1
        return first

    def print(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            self.send(line(number))
            self.ok()

    def ok(self, text: str = "") -> OutgoingLine | None:
        return self.protocol.ok(text, self.now)

    def asks(self, number: int, why: str = "checksum mismatch") -> OutgoingLine | None:
        """Error, request, and its `ok`, as Marlin says them."""
        self.protocol.error(f"{why}, Last Line: {number - 1}", self.now)
        found = self.protocol.resend(number, self.now)
        return self.ok() or found

    def poll(self) -> None:
        """A poll, answered by an `ok` with temperatures: from now on it is known that those tell it from others."""
        self.send(unnumbered(b"M105"))
        self.serve()
        self.ok("T:20.0 /0.0")

    def silence(self) -> OutgoingLine | None:
        """Until something is overdue."""
        self.now = self.protocol.deadline
        return self.protocol.tick(self.now)

    def take(self) -> list[bytes]:
        """What was written since the last look."""
        written = self.written[:]
        self.written.clear()
        return written

    def settle(self) -> list[bytes]:
        """The stragglers' moment after a request; what is written then."""
        self.take()
        self.silence()
        return self.take()

    def serve(self) -> list[bytes]:
        """Be a printer for what only serves the numbers; the other lines that were written."""
        others: list[bytes] = []
        for _ in range(20):
            self.protocol.send_again(self.now)
            written = self.take()
            for data in written:
                if data == TOO_HIGH:
                    self.asks(self.place + 1, "Line Number is not Last Line Number+1")
                elif b" M110 N" in data:
                    self.ok()
                else:
                    others.append(data)
            if self.protocol.deadline - self.now <= 0.03:
                self.silence()
            elif not written:
                return others
        raise AssertionError("it never comes to rest")

    @property
    def place(self) -> int:
        """The number of the last line."""
        return self.protocol.last


def moves(number: int) -> bytes:
    """The M110 that leads to `number`, as it is written."""
    return frame(number, SET_LINE_NUMBER + b" N%d" % number)


def host_base(last: int) -> int:
    """Where the host's space begins after line `last`."""
    return HOST + 16 * last


def host_line(last: int, index: int, code: bytes) -> bytes:
    """The `index`-th line of the host after line `last` of the file, as it is written."""
    return frame(host_base(last) + index, code)
