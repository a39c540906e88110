"""What a client costs a server that does not want it, or has nothing to say. On a simulated clock."""

from __future__ import annotations

import random

import pytest

from tests.unit.faye.patience import ADVISE, REFUSE, RESET, deep_size, idle, tries


@pytest.mark.parametrize("how", [REFUSE, RESET, ADVISE])
def test_a_server_that_takes_no_handshake_sees_twelve_tries_in_the_first_minute_at_most(how: str) -> None:
    """Whatever is drawn; and about two a minute in the long run."""
    drawn = [tries(60.0, random.Random(seed).random, how) for seed in range(200)]
    assert min(drawn) >= 3
    assert max(drawn) <= 12
    assert tries(60.0, lambda: 0.0, how) <= 12
    assert 60 <= tries(3600.0, random.Random(1).random, how) <= 160


@pytest.mark.parametrize("transport", ["long-polling", "websocket"])
def test_an_idle_hour_takes_one_connect_for_each_timeout_and_no_memory(transport: str) -> None:
    """144 times 25 seconds: never more than two requests in one, and the protocol's objects do not grow."""
    requests, sizes = idle(3600.0, 25.0, transport)
    assert 140 <= requests <= 2 * 144
    assert max(sizes[-10:]) - max(sizes[5:15]) <= 64  # the last id and number have more digits


def test_the_size_of_an_object_counts_what_it_holds() -> None:
    """Or the test above could not fail."""

    class Holder:
        def __init__(self) -> None:
            self.held: list[str] = []

    holder = Holder()
    before = deep_size(holder)
    holder.held += [str(n) for n in range(100)]
    assert deep_size(holder) > before + 100 * 40
