"""Random histories of a printer that nobody watches: commands, duplicates, kills, power cuts, outages, people, refusals
and clocks, against a model that knows what must not be: a start on a bed that nobody has confirmed to be clear, a start
that is too old, a confirmed bed that is refused.

    python -m benchmarks.room_histories [HISTORIES [SEED]]

One line of figures; exit code 1 with the first history that broke a promise, which is repeated by its seed.
"""

from __future__ import annotations

import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import structlog

from agent.core.bed import BedPolicy
from agent.core.driver import Outcome, PrinterState
from agent.state.store import Store
from agent.testing import FakeClock
from benchmarks.room_model import Model
from benchmarks.room_world import World

HISTORIES = 10_000
STEPS = (12, 36)  # actions of a history
PROCESSES = 2
POLICIES: tuple[BedPolicy, ...] = ("ask", "ask", "ask", "ask", "ask", "ask", "refuse", "refuse", "refuse", "free")


class History:
    """One history; `run` raises AssertionError where a promise was broken."""

    def __init__(self, seed: int, folder: Path, template: Path) -> None:
        self.rng = random.Random(seed)
        self.model = Model(self.rng)
        self.world = World(folder, template, self.rng.choice(POLICIES), self.model)
        self.told: list[str] = []
        self._actions: tuple[tuple[int, Callable[[], None]], ...] = (
            (6, self._cloud_print),
            (3, self._local_print),
            (6, self._ready),
            (5, self._dismiss),
            (3, self._delivered_late),
            (2, self._delivered_again),
            (6, self._print_ends),
            (2, self._cancel),
            (1, self._pause),
            (4, self._time),
            (2, self._printer),
            (1, self._restart),
            (1, self._power_cut),
            (1, self._wall_clock),
        )

    def run(self) -> Counter[str]:
        """Live through it; the figures."""
        weights = [weight for weight, _ in self._actions]
        self.world.do(lambda: None)
        for _ in range(self.rng.randint(*STEPS)):
            ((_, action),) = self.rng.choices(self._actions, weights)
            killed = self.rng.random() < 0.15
            if killed:
                self.world.kill_in(int(self.rng.expovariate(1 / 25)))
            self.told.append(f"{self.model.now:.0f} {action.__name__}{' killed' if killed else ''}")
            self.world.do(action)
            self._pass(self.rng.choice((3.0, 5.0, 20.0)))
        self.world.close()
        return self.world.figures + Counter(
            waits=self.model.waits,
            refused=self.model.refused,
            confirmations=self.model.confirmations,
            stale=self.model.stale,
        )

    def _pass(self, seconds: float) -> None:
        self.model.now += seconds
        self.world.clock.advance(seconds)

    def _send(self, command: str, job_id: str = "") -> None:
        """Now, or later: what has no date does not come late by the channel, only by the catch-up."""
        message = self.world.message(command, job_id, dated=self.rng.random() < 0.5)
        if self.rng.random() < 0.8:
            self.world.deliver(message, missed=False)

    def _cloud_print(self) -> None:
        self._send("print_data")

    def _local_print(self) -> None:
        self.world.print_locally()

    def _ready(self) -> None:
        self.world.ready()

    def _dismiss(self) -> None:
        jobs = ["", self.model.last_job, *(str(one["job_id"]) for one in self.world.messages if "job_id" in one)]
        self._send("dismiss", self.rng.choice((jobs[0], jobs[1], self.rng.choice(jobs))))

    def _delivered_late(self) -> None:
        late = [one for one in self.world.messages if self.world.store.tasks.get(one["task_id"]) is None]
        if late:
            message: dict[str, Any] = self.rng.choice(late)
            self.world.deliver(message, missed="sent_at" not in message or self.rng.random() < 0.5)

    def _delivered_again(self) -> None:
        heard = [one for one in self.world.messages if self.world.store.tasks.get(one["task_id"]) is not None]
        if heard:
            self.world.deliver(self.rng.choice(heard), missed=self.rng.random() < 0.5)

    def _print_ends(self) -> None:
        self.world.ends(self.rng.choice(list(Outcome)))

    def _cancel(self) -> None:
        self._send("cancel")
        if self.world.printer.slot.state is PrinterState.CANCELLING:
            self.world.ends(Outcome.CANCELLED)

    def _pause(self) -> None:
        self._send("pause")

    def _time(self) -> None:
        self._pass(self.rng.choice((30.0, 120.0, 300.0, 650.0, 4000.0, 30_000.0)))

    def _printer(self) -> None:
        """It refuses a start, or is away."""
        self.world.refusing = self.rng.random() < 0.3
        slot = self.world.printer.slot
        if slot.state is PrinterState.IDLE and self.rng.random() < 0.3:
            self.world.printer.now(state=PrinterState.OFFLINE, reason="unplugged")
        elif slot.state is PrinterState.OFFLINE:
            self.world.printer.now(state=PrinterState.IDLE, reason="")

    def _restart(self) -> None:
        self.world.restart(hand_over=self.rng.random() < 0.7)

    def _power_cut(self) -> None:
        off = self.rng.choice((5.0, 300.0, 30_000.0))
        self.world.power_cut(off, wall=self.rng.choice((0.0, off, -3600.0)))

    def _wall_clock(self) -> None:
        self.world.clock.epoch += self.rng.choice((-1e6, -700.0, 700.0, 1e6))


def play(seeds: range) -> tuple[Counter[str], str]:
    """Run histories; the figures, and what went wrong first."""
    figures: Counter[str] = Counter()
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as name:
        template = Path(name) / "template.db"
        Store(template, FakeClock(), boot="boot-0", on_trouble=lambda _: None).close()
        for seed in seeds:
            folder = Path(name) / str(seed)
            folder.mkdir()
            history = History(seed, folder, template)
            try:
                figures += history.run()
            except Exception as error:  # noqa: BLE001 whatever it is, it is the finding
                return figures, f"history {seed}: {type(error).__name__}: {error}; " + " · ".join(history.told)
            figures["histories"] += 1
            shutil.rmtree(folder)
    return figures, ""


def quiet() -> None:
    """No log: the histories make millions of lines."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def main(count: int = HISTORIES, seed: int = 1) -> int:
    """Run `count` histories, in two processes; the exit code."""
    began = time.monotonic()
    chunk = max(min(count // PROCESSES, 250), 1)
    parts = [range(first, min(first + chunk, seed + count)) for first in range(seed, seed + count, chunk)]
    figures: Counter[str] = Counter()
    with get_context("spawn").Pool(PROCESSES, initializer=quiet) as pool:
        for part, wrong in pool.imap_unordered(play, parts):
            figures += part
            if wrong:
                sys.stdout.write(f"room histories: {wrong}\n")
                return 1
    told = ", ".join(
        f"{figures[key]} {key}" for key in ("starts", "waits", "refused", "confirmations", "stale", "kills")
    )
    took = time.monotonic() - began
    sys.stdout.write(
        f"room histories: {figures['histories']} histories ({told}): no start on an unconfirmed bed, none too old,"
        f" no confirmed bed refused; {took:.0f} s\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
