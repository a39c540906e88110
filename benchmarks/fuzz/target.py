"""One thing to fuzz: what makes an input, and the oracle that judges what comes of it."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

CPU_LIMIT = 0.4
"""Seconds of CPU for one input of at most MAX_SIZE bytes; the best of three tries counts."""

Check = Callable[[bytes, random.Random], None]
"""Runs the parser on an input; raises AssertionError when what comes of it is not as promised, and lets whatever else
the parser raises pass."""

Trial = Callable[[random.Random], None]
"""Makes one input and judges what comes of it. Raises AssertionError."""


@dataclass(frozen=True)
class Target:
    """One row of the table. `prepare` gives what a trial needs while it runs (a server on loopback), and `count` is how
    many trials a long run makes."""

    name: str
    count: int
    prepare: Callable[[], AbstractContextManager[Trial]]


def parser(make: Callable[[random.Random], bytes], check: Check) -> Trial:
    """A trial of inputs that `make` makes: nothing but AssertionError is a finding, and so is too much CPU time."""

    def trial(choose: random.Random) -> None:
        data = make(choose)
        seed = choose.random()
        try:
            began = time.perf_counter()
            check(data, random.Random(seed))
            if time.perf_counter() - began > CPU_LIMIT:
                least = min(_cpu_seconds(check, data, seed) for _ in range(3))
                assert least <= CPU_LIMIT, f"{len(data)} bytes took {least:.2f} s"
        except Exception as error:
            raise AssertionError(f"{describe(error)}; the input: {data[:600]!r} ({len(data)} bytes)") from error

    return trial


def pure(name: str, count: int, make: Callable[[random.Random], bytes], check: Check) -> Target:
    """The target of a parser that needs nothing while it runs."""
    return Target(name, count, lambda: nullcontext(parser(make, check)))


def require_text(text: str, limit: int) -> None:
    """Assert that a text is printable and has at most `limit` characters."""
    assert len(text) <= limit, f"a text of {len(text)} characters"
    assert text.isprintable(), f"not printable: {text[:200]!r}"


def describe(error: Exception) -> str:
    """What was raised, and where."""
    *_, last = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {last.name}, {last.filename}:{last.lineno}: {error}"


def _cpu_seconds(check: Check, data: bytes, seed: float) -> float:
    began = time.thread_time()
    check(data, random.Random(seed))
    return time.thread_time() - began
