"""Statuses at the edges of the table of answers."""

from __future__ import annotations

import pytest

from agent.core.answer import Answer, classify


@pytest.mark.parametrize(
    ("status", "answer"),
    [(199, Answer.LATER), (200, Answer.TAKEN), (299, Answer.TAKEN), (300, Answer.LATER), (399, Answer.LATER)],
)
def test_only_two_hundred_to_two_hundred_and_ninety_nine_take_a_report(status: int, answer: Answer) -> None:
    """docs/protocol.md «Answers and what they mean to the agent»."""
    assert classify(status) is answer
