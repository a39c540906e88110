"""Prints over a noisy wire, and what is written after a pause: rows for `serial_bench`."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import structlog

from agent.core.driver import Host, Outcome
from benchmarks.serial_model import World

if TYPE_CHECKING:
    from benchmarks.serial_bench import Table

RATES = (1e-4, 1e-3, 1e-2)
LATENCY_S = 0.002


def noisy(count: int, rate: float, seed: int = 1) -> tuple[World, float]:
    """A whole print with each byte another one with probability `rate`, both ways; and the seconds it would have taken
    on a link with LATENCY_S. Raises DivergenceError."""
    rng = random.Random(seed)

    def noise(size: int) -> dict[int, int]:
        return {place: rng.randrange(1, 256) for place in range(size) if rng.random() < rate}

    world = World(count)
    began = world.now
    while not world.ended:
        if world.wire:
            world.now += LATENCY_S
            size = len(world.wire)
            world.arrive(size, noise(size))
        elif world.model.queue:
            world.execute()
        elif world.model.out:
            world.hear(spoil=noise(len(world.model.out[0]) + 1))
        else:
            world.wait()
    world.verdict()
    return world, world.now - began


def measure(table: Table, count: int) -> None:
    """One row for each rate: executed is exactly the file, but for what a checksum cannot see."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    for rate in RATES:
        world, seconds = noisy(count, rate)
        last, link = world.slot.read().last, world.slot.read().link
        assert last is not None
        whole = last.outcome is Outcome.COMPLETED
        told = (
            f"{len(world.model.file):,} of {count:,} executed, each once and in order; {world.spoilt} with an error "
            f"that the checksum cannot see; {link.resends:,} resent; {count / seconds:,.0f} lines/s at 2 ms"
        )
        table.row(f"noise {rate:g} per byte, both ways", told if whole else f"failed: {last.error}", "all", whole)


def lines_after_pause(port: str, count: int, window: str) -> list[int]:
    """Print, pause and resume at random moments; for each pause the file lines written after the request was there."""
    from benchmarks.serial_bench import Clock, Lines, until
    from drivers.gcode.driver import GcodeDriver
    from drivers.gcode.link.link_thread import LinkThread
    from drivers.gcode.link.port import Port
    from drivers.gcode.requests import Request, SimpleRequest
    from drivers.settings import DriverSettings

    written: list[bytes] = []
    marks: list[int] = []
    write, post = Port.write, LinkThread.post

    def counting(self: Port, data: bytes) -> None:
        written.append(data)
        write(self, data)

    def marking(self: LinkThread, request: Request) -> None:
        post(self, request)
        if request is SimpleRequest.PAUSE:
            marks.append(len(written))

    Port.write, LinkThread.post = counting, marking  # type: ignore[method-assign]
    woken = threading.Event()
    driver = GcodeDriver(
        DriverSettings(port=port, baud=115200, window="auto" if window == "auto" else int(window)), clock=Clock()
    )
    driver.open(Host(woken.set))
    until(driver, woken, lambda t: t.state.value == "idle")
    driver.start_print("p", Lines(count))
    rng, found = random.Random(1), []
    for _ in range(20):
        time.sleep(rng.random() * 0.02)
        driver.pause()
        until(driver, woken, lambda t: t.state.value == "paused")
        found.append(sum(b" G1 " in data for data in written[marks[-1] :]))
        driver.resume()
        until(driver, woken, lambda t: t.state.value == "printing")
    driver.cancel()
    until(driver, woken, lambda t: t.last is not None)
    driver.close()
    return found
