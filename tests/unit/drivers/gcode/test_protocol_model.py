"""The driver against a model of the firmware, with everything in between going wrong: what is executed is the file."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from agent.core.driver import Outcome
from benchmarks.serial_model import World, run
from benchmarks.serial_noise import noisy

SPOIL = st.dictionaries(st.integers(0, 40), st.integers(1, 255), max_size=1)


class Printing(RuleBasedStateMachine):
    """Each rule is one thing that may happen next; `World` raises when a line is executed twice or out of its turn."""

    world: World
    outcomes: ClassVar[Counter[Outcome]]

    @initialize(window=st.integers(1, 3), kind=st.sampled_from(("plain", "advanced", "terse")), reports=st.booleans())
    def begin(self, window: int, kind: str, reports: bool) -> None:
        caps = (b"AUTOREPORT_TEMP", b"BUSY_PROTOCOL") if reports else ()
        self.world = World(30, window=window, advanced=kind == "advanced", terse=kind == "terse", caps=caps)

    @precondition(lambda self: self.world.wire)
    @rule(count=st.integers(1, 80), spoil=SPOIL)
    def bytes_arrive(self, count: int, spoil: dict[int, int]) -> None:
        self.world.arrive(count, spoil)

    @precondition(lambda self: self.world.model.queue)
    @rule()
    def the_firmware_works(self) -> None:
        self.world.execute()

    @precondition(lambda self: self.world.model.out)
    @rule(spoil=SPOIL, lose=st.sampled_from((False, False, False, True)), twice=st.booleans())
    def an_answer_is_heard(self, spoil: dict[int, int], lose: bool, twice: bool) -> None:
        self.world.hear(spoil=spoil, lose=lose, twice=twice)

    @rule(milliseconds=st.integers(0, 5))
    def time_passes(self, milliseconds: int) -> None:
        self.world.wait(milliseconds / 1000)

    @precondition(lambda self: not (self.world.wire or self.world.model.queue or self.world.model.out))
    @rule()
    def nothing_comes(self) -> None:
        self.world.wait()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()
            self.world.verdict()
            last = self.world.slot.read().last
            assert last is not None
            self.outcomes[last.outcome] += 1


def test_nothing_that_happens_on_the_wire_changes_what_is_executed() -> None:
    """docs/serial.md §1–16: each line of the file once and in order, whatever is garbled, lost, doubled or late."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        quick = settings(
            max_examples=25,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        Printing.outcomes = Counter()
        run_state_machine_as_test(Printing, settings=quick)
    finally:
        structlog.reset_defaults()
    assert Printing.outcomes[Outcome.COMPLETED] > Printing.outcomes.total() / 2, "to fail is not the way out"


def test_a_hundred_thousand_steps_at_random_bring_no_divergence() -> None:
    """As above, in longer prints; `python -m benchmarks.serial_model 10000000` goes on from here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        steps, episodes, lines, spoilt, failed = run(100_000, 4321)
    finally:
        structlog.reset_defaults()
    assert steps >= 100_000
    assert episodes >= 50
    assert lines > 10_000
    assert failed == 0, "the firmware was never silent, so no failure is honest"
    assert spoilt <= 2, "an error that the checksum cannot see is rare"


@pytest.mark.parametrize(("rate", "count"), [(1e-4, 5000), (1e-3, 2000), (1e-2, 1000)])
def test_a_noisy_wire_is_only_slower(rate: float, count: int) -> None:
    """docs/serial.md §4, §8–10: so many bytes are others, both ways, and the print is whole."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        world, _seconds = noisy(count, rate)
    finally:
        structlog.reset_defaults()
    assert [number for number, _ in world.model.file] == list(range(1, count + 1))
    last = world.slot.read().last
    assert last is not None
    assert last.outcome is Outcome.COMPLETED, last.error
    assert world.spoilt <= 1
    if rate >= 1e-3:
        assert world.slot.read().link.resends > 0
