"""A mad server cannot make the protocol fail, forget its limits or tell the token."""

from __future__ import annotations

import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.faye.advice import MAX_INTERVAL, MAX_TIMEOUT, Advice
from agent.faye.messages import decode
from benchmarks.fuzz.faye_exchanges import Fuzzer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_any_exchange_leaves_the_protocol_sound(choose: random.Random) -> None:
    """Fifty exchanges, whatever they are; the invariants are those of benchmarks.fuzz.faye_exchanges.py."""
    fuzzer = Fuzzer(choose)
    for _ in range(50):
        fuzzer.exchange()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_a_value_error(body: bytes) -> None:
    """Nothing but ValueError comes out of the decoder."""
    try:
        batch = decode(body)
    except ValueError:
        return
    assert all(isinstance(message.wire()["channel"], str) for message in batch.messages)


@settings(max_examples=200, deadline=None)
@given(JSON, JSON, JSON)
def test_any_advice_stays_within_its_limits(interval: object, timeout: object, reconnect: object) -> None:
    """Whatever a server advises, the client neither sleeps for ever nor spins."""
    advice = Advice().updated({"interval": interval, "timeout": timeout, "reconnect": reconnect})
    assert 0 <= advice.interval <= MAX_INTERVAL
    assert 0 < advice.timeout <= MAX_TIMEOUT
