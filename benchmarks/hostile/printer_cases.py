"""Cases of a printer that has gone mad: what it sends between its own lines."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count, repeat

from benchmarks.hostile.case import Case, Control
from benchmarks.hostile.prints import long_print
from benchmarks.hostile.run import Group
from benchmarks.hostile.stage import Stage

Chunks = Callable[[], Iterator[bytes]]
NONSENSE = 3 << 20  # bytes that a print is to survive
ENOUGH = 20_000  # bytes, or it was no attack


def between(chunks: Chunks, limit: int = NONSENSE) -> Callable[[Stage], None]:
    """Put these between the printer's lines while the print goes on, at most `limit` bytes; control is measured in the
    middle of it."""

    def bounded() -> Iterator[bytes]:
        total = 0
        for chunk in chunks():
            total += len(chunk)
            if total > limit:
                return
            yield chunk

    def attack(stage: Stage) -> None:
        stage.cable.flood(bounded())
        stage.ends.wait(1.0)
        stage.under_way.set()
        while stage.cable.flooding() and not stage.ends.wait(0.05):
            pass
        added = stage.cable.added
        assert added > ENOUGH, f"only {added} bytes of it reached the agent"

    return attack


def lines(*these: bytes, times: int = 20) -> Chunks:
    """These lines again and again."""
    block = b"".join(line + b"\n" for line in these) * times
    return lambda: repeat(block)


def numbered(text: bytes) -> Chunks:
    """A line with a number in it, never the same twice."""
    return lambda: (text % number + b"\n" for number in count())


def garbage() -> Iterator[bytes]:
    """Bytes by dice, but for those that an ok, an error or a request begins with, in blocks that end a line."""
    dice = random.Random(7)
    while True:
        yield dice.randbytes(500).translate(None, b"!oErR/") + b"\n"


def endless_line() -> Iterator[bytes]:
    """A megabyte without a line's end, then one, again and again."""
    while True:
        yield b"x" * (1 << 20) + b"\n"


TOOLS = b" ".join(b"T%d:20.0 /0.0" % n for n in range(300))
FLOODS: dict[str, tuple[str, Chunks]] = {
    "actions": ("//action: without end", numbered(b"//action:nonsense %d")),
    "actions-one": ("the same //action: without end", lines(b"//action:notification hello")),
    "echoes": ("echo: without end", numbered(b"echo:busy doing nothing %d")),
    "endless-line": ("lines of a megabyte", endless_line),
    "garbage": ("bytes by dice", garbage),
    "nul": ("NULs", lambda: repeat(b"\0" * 500 + b"\n")),
    "escapes": ("escape sequences", lines(b"echo:\x1b[2J\x1b]0;x\x07\xc2\x9b31m")),
    "tools": ("a report of 300 tools", lines(TOOLS, times=1)),
    "busy": ("busy: processing without end", lines(b"echo:busy: processing")),
    "prompts": (
        "prompts without end",
        numbered(b"//action:prompt_begin %d\n//action:prompt_button Yes\n//action:prompt_show"),
    ),
    "buttons": ("a prompt of buttons without end", lines(b"//action:prompt_button x" + b"y" * 200)),
    "unknown": ("«Unknown command» without end", numbered(b'echo:Unknown command: "G%d"')),
    "capabilities": ("capabilities without end", numbered(b"Cap:NONSENSE_%d:1")),
    "firmware": ("FIRMWARE_NAME without end", numbered(b"FIRMWARE_NAME:Mad %d SOURCE_CODE_URL:x PROTOCOL_VERSION:1.0")),
    "positions": ("positions without end", numbered(b"X:%d.00 Y:1e99 Z:nan E:0.00 Count X:0 Y:0 Z:0")),
    "sd": ("SD status without end", numbered(b"SD printing byte %d/999999999999999999999")),
    "waits": ("wait without end", lines(b"wait", times=1)),
}
# What a print cannot come through whole, or not in the time of a case: it is cancelled in the middle of it.
STORMS: dict[str, tuple[str, Chunks]] = {
    "resend-far": (
        "requests for lines that were never sent",
        lines(b"Resend: 999999999999", b"rs -5", b"Resend: x", times=5),
    ),
    "resend-storm": (
        "requests for line 3 without end",
        lines(b"Error:Line Number is not Last Line Number+1, Last Line: 2", b"Resend: 3", times=1),
    ),
    "huge-temperatures": (
        "temperatures that cannot be: the heat monitor may end the print",
        lines(b"T:1e308 /-1e308 B:nan /inf @:999999999", b" T:-9999 B:x"),
    ),
    "checksums": ("checksum errors without a request", lines(b"Error:checksum mismatch, Last Line: 1", times=1)),
}


def cancel_or_end(chunks: Chunks) -> Callable[[Stage], None]:
    """A storm that may end the print with a reason, but never out of order: a cancel is acted on, or the print has
    failed by itself."""

    def attack(stage: Stage) -> None:
        wanted = long_print()
        stage.print(wanted)
        stage.cable.flood(chunks())
        stage.ends.wait(2.0)
        if stage.rig.status()["printer_status"] == "printing":
            stage.config["cancel_s"] = stage.act("cancel")
        stage.cable.relent()
        stage.local_end()
        stage.compare(wanted, whole=False)

    return attack


CASES = (
    *(
        Case(f"printer-{name}", "printer", what, "the print loses no line", between(chunks), Control.WHOLE)
        for name, (what, chunks) in FLOODS.items()
    ),
    *(
        Case(
            f"printer-{name}-cancel",
            "printer",
            f"{FLOODS[name][0]}, and a cancel",
            "the cancel is acted on",
            between(FLOODS[name][1], 1 << 40),
        )
        for name in ("actions", "garbage", "endless-line", "busy", "prompts")
    ),
    *(
        Case(
            f"printer-{name}",
            "printer",
            what,
            "no line out of order; cancelled, or failed with the reason",
            cancel_or_end(chunks),
            Control.OWN,
        )
        for name, (what, chunks) in STORMS.items()
    ),
)

GROUPS = (Group("printer", CASES),)
