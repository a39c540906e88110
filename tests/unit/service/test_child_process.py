"""A child process with bounds: real processes, the clock in the test's hands."""

from __future__ import annotations

import os
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from agent.errors import UnavailableError
from agent.service import child_process
from agent.service.child_process import TAIL, ChildEnd, Ended, ignore
from agent.testing import FakeClock

LIMIT = 600.0
PATIENCE = 20.0  # seconds for anything that should happen


def never() -> bool:
    return False


def run(*argv: str, clock: FakeClock | None = None, environ: dict[str, str] | None = None) -> Ended:
    return child_process.run(
        argv, clock=clock or FakeClock(), timeout_s=LIMIT, cancelled=never, environ=environ or {}, watch=ignore
    )


class Witness:
    """A pipe by name that a process holds open for writing, and its children with it: at its end all of them have."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "witness"
        os.mkfifo(self.path)
        self._end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self._end, True)
        self.script = f"exec 3>{self.path}; echo here >&3; (trap '' TERM HUP; sleep 1000) & sleep 1000"

    def wait_for_the_start(self) -> None:
        while not os.read(self._end, 100):
            pass

    def wait_for_the_end_of_all(self) -> None:
        reader = threading.Thread(target=os.read, args=(self._end, 100), daemon=True)
        reader.start()
        reader.join(PATIENCE)
        assert not reader.is_alive(), "somebody still holds the pipe"
        os.close(self._end)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path)


def test_output_of_300_mb_is_counted_and_its_end_is_kept() -> None:
    program = "import sys\nfor _ in range(300): sys.stdout.write('x' * 1_000_000)\nprint('the end')"
    tracemalloc.start()
    try:
        done = run(sys.executable, "-c", program)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (done.end, done.code, done.printed) == (ChildEnd.EXITED, 0, 300_000_008)
    assert len(done.tail) == child_process.TAIL
    assert done.last_words.endswith("xxx / the end") or done.last_words.endswith("the end")
    assert peak < 1 << 20, peak


def test_a_child_has_a_small_environment_and_nothing_of_the_agent_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "CREDENTIALS_DIRECTORY",
        "PYTHONOPTIMIZE",
        "PRINTER_AGENT_MEMBER_TOKEN",
    ):
        monkeypatch.setenv(name, "secret")
    done = run("env", environ={"PRINTER_AGENT_VERSION": "2"})
    assert sorted(done.tail.decode().split()) == [
        "LANG=C.UTF-8",
        f"PATH={child_process.PATH}",
        "PRINTER_AGENT_VERSION=2",
    ]


def test_a_child_inherits_no_descriptor() -> None:
    port = os.open("/dev/null", os.O_RDWR)
    os.set_inheritable(port, True)
    try:
        program = "import os; print(sorted(os.listdir('/proc/self/fd')), os.read(0, 1))"
        done = run(sys.executable, "-c", program)
    finally:
        os.close(port)
    assert done.tail.decode() == "['0', '1', '2', '3'] b''\n", "3 is the folder that is listed"


def test_the_time_limit_ends_all_that_was_started(witness: Witness) -> None:
    clock = FakeClock()

    def wait_and_advance() -> None:
        witness.wait_for_the_start()
        clock.advance(LIMIT)

    thread = threading.Thread(target=wait_and_advance)
    thread.start()
    done = run("sh", "-c", witness.script, clock=clock)
    thread.join(PATIENCE)
    assert (done.end, done.code) == (ChildEnd.TIMED_OUT, -15)
    witness.wait_for_the_end_of_all()


def test_a_cancel_ends_all_that_was_started_also_what_ignores_sigterm(witness: Witness) -> None:
    started = threading.Event()

    def wait() -> None:
        witness.wait_for_the_start()
        started.set()

    thread = threading.Thread(target=wait)
    thread.start()
    done = child_process.run(
        ["sh", "-c", f"trap '' TERM; {witness.script}"],
        clock=FakeClock(),
        timeout_s=LIMIT,
        cancelled=started.is_set,
        environ={},
        watch=ignore,
    )
    thread.join(PATIENCE)
    assert (done.end, done.code) == (ChildEnd.CANCELLED, -9)
    witness.wait_for_the_end_of_all()


def test_what_a_child_leaves_behind_ends_with_it(witness: Witness) -> None:
    script = f"exec 3>{witness.path}; (trap '' TERM HUP; sleep 1000) & echo started; exit 3"
    done = run("sh", "-c", script)
    assert (done.end, done.code, done.last_words) == (ChildEnd.EXITED, 3, "started")
    witness.wait_for_the_end_of_all()


def test_a_child_that_closes_its_output_is_waited_for() -> None:
    done = run("sh", "-c", "echo closing; exec >&- 2>&-; sleep 0.2; exit 4")
    assert (done.end, done.code, done.last_words) == (ChildEnd.EXITED, 4, "closing")


def test_endless_output_does_not_hold_the_limit_up() -> None:
    clock = FakeClock()
    thread = threading.Timer(0.3, clock.advance, args=[LIMIT])
    thread.start()
    done = run("yes", clock=clock)
    thread.join(PATIENCE)
    assert done.end is ChildEnd.TIMED_OUT
    assert done.printed > child_process.TAIL == len(done.tail)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        (r"one\ntwo\n\nthree\nfour\n", "two / three / four"),
        (r"10%%\r20%%\rbad \033[31mflash\007\n", "10% / 20% / bad \\x1b[31mflash\\x07"),
        (r"\377\376 bytes", "\ufffd\ufffd bytes"),
        ("", ""),
    ],
)
def test_the_last_words_are_printable_and_short(printed: str, shown: str) -> None:
    assert run("printf", printed).last_words == shown
    assert len(run("sh", "-c", "yes | head -c 100000 | tr -d '\\n'").last_words) == child_process.SHORT


@pytest.mark.parametrize("program", ["/nowhere/install", "/etc/passwd", "a\0b"])
def test_a_program_that_cannot_be_started_is_named(program: str) -> None:
    with pytest.raises(UnavailableError, match=r"install|passwd|null"):
        run(program)


def test_who_watches_gets_all_of_it_in_order_or_the_end_of_a_flood() -> None:
    seen: list[bytes] = []
    script = "printf one; sleep 0.2; printf two; sleep 0.2; printf '\\rthree'"
    limits = {"clock": FakeClock(), "timeout_s": LIMIT, "cancelled": never, "environ": {}, "watch": seen.append}
    child_process.run(["sh", "-c", script], **limits)  # type: ignore[arg-type]
    assert b"".join(seen) == b"onetwo\rthree"
    assert len(seen) > 1, "at once, not at the end"
    seen.clear()
    flood = "import sys; sys.stdout.write('x' * 5_000_000 + 'the end')"
    done = child_process.run([sys.executable, "-c", flood], **limits)  # type: ignore[arg-type]
    assert done.printed == 5_000_007
    assert b"".join(seen).endswith(b"the end")
    assert max(map(len, seen)) <= TAIL
