"""The rate limit: so many calls of each caller, and when the next one may come."""

from __future__ import annotations

import pytest

from agent.errors import ConfigError
from agent.sandbox.rate_limit import MAX_CALLERS, RateLimit, parse_rate_limit
from agent.testing import FakeClock


def test_a_caller_beyond_the_limit_waits_until_its_time_is_over() -> None:
    clock = FakeClock()
    limit = RateLimit(2, 60.0, clock.monotonic)
    assert [limit.seconds_to_wait("a") for _ in range(2)] == [0.0, 0.0]
    clock.advance(20)
    assert limit.seconds_to_wait("a") == 40.0
    assert limit.seconds_to_wait("b") == 0.0, "each has calls of its own"
    clock.advance(40)
    assert limit.seconds_to_wait("a") == 0.0


def test_many_callers_are_forgotten_together() -> None:
    limit = RateLimit(1, 60.0, FakeClock().monotonic)
    for number in range(MAX_CALLERS + 1):
        assert limit.seconds_to_wait(str(number)) == 0.0
    assert limit.seconds_to_wait("0") == 0.0


@pytest.mark.parametrize(("text", "found"), [("10", (10, 60.0)), ("5/1", (5, 1.0))])
def test_a_limit_is_calls_and_seconds(text: str, found: tuple[int, float]) -> None:
    assert parse_rate_limit(text) == found


@pytest.mark.parametrize("text", ["", "0", "x", "5/", "5/0", "-1", "1/1/1", "٣"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="CALLS"):
        parse_rate_limit(text)
